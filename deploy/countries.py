"""The country of a business number whose entry in the policy file names none, from how the number is displayed.

Owns that reading, here at the edge: the rules know countries, not phone numbers. Refuses to guess: a number that could
be of several countries, or of none, stays without one, and an unknown country counts as allowed (design 15).
"""

from typing import Final

import phonenumbers

from schemas.policy import NumberEntry, Policy

NO_COUNTRY: Final = "001"
"""What the numbering plan says of numbers that belong to no country, such as +800."""


def with_countries(policy: Policy) -> Policy:
    """The policy with every country filled in that its display number tells. What an entry names itself stays."""
    return policy.model_copy(update={"numbers": {name: _filled(entry) for name, entry in policy.numbers.items()}})


def country_of(display_phone_number: str) -> str | None:
    """The ISO 3166-1 alpha-2 code of an international number, with or without `+`, spaces, dashes and brackets."""
    digits = "".join(sign for sign in display_phone_number if sign.isdigit())
    try:
        country = phonenumbers.region_code_for_number(phonenumbers.parse(f"+{digits}"))
    except phonenumbers.NumberParseException:
        return None
    return None if country == NO_COUNTRY else country


def _filled(entry: NumberEntry) -> NumberEntry:
    if entry.country is not None or entry.display_phone_number is None:
        return entry
    return entry.model_copy(update={"country": country_of(entry.display_phone_number)})

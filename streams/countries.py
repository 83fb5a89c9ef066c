"""The country of a business number that nothing names, from how the number is displayed.

Owns that reading, beside the rooms that need it (worker, api, replay): the rules know countries, not phone numbers.
Refuses to guess: a number that could be of several countries, or of none, stays without one, and an unknown country
counts as allowed (design 15).
"""

from functools import lru_cache
from typing import Final

import phonenumbers

NO_COUNTRY: Final = "001"
"""What the numbering plan says of numbers that belong to no country, such as +800."""


@lru_cache(maxsize=65_536)  # asked again for each number whenever anything becomes known of one
def country_of(display_phone_number: str) -> str | None:
    """The ISO 3166-1 alpha-2 code of an international number, with or without `+`, spaces, dashes and brackets."""
    digits = "".join(sign for sign in display_phone_number if sign.isdigit())
    try:
        country = phonenumbers.region_code_for_number(phonenumbers.parse(f"+{digits}"))
    except phonenumbers.NumberParseException:
        return None
    return None if country == NO_COUNTRY else country

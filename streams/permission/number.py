"""What is known of the business number decides before the pair does (domain 2.4).

Owns the rule of blocked countries. The country is the business number's, never the user's; an unknown country is
allowed.
"""

from schemas.policy import NumberEntry, Policy


def country_supported(number: NumberEntry, at: int, policy: Policy) -> bool:
    """Whether calls may be started from the number's country at `at`."""
    return number.country is None or number.country not in policy.blocked_countries(at)

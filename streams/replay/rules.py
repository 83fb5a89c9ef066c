"""Which rule says so: for each thing a story tells, the file that holds the rule and the section of the domain.

Owns the index, as data; a test holds that every file named here exists. Refuses to hold a rule.
"""

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """Where a rule stands: the file, and the section and row of the domain."""

    file: str
    domain: str


def _rule(name: str, domain: str) -> Rule:
    return Rule(f"streams/permission/{name}.py", domain)


RULES: Final[dict[str, Rule]] = {
    "accepted_temporary": _rule("grants", "1.2 G1"),
    "accepted_permanent": _rule("grants", "1.2 G2"),
    "accepted_profile": _rule("grants", "1.2 G3"),
    "callback": _rule("grants", "1.2 G4"),
    "extended": _rule("grants", "1.2 G5"),
    "automatic_on_permanent": _rule("grants", "1.2 G6"),
    "declined": _rule("grants", "1.2 G7"),
    "revoked_via_request": _rule("grants", "1.2 G8"),
    "revoked_via_profile": _rule("grants", "1.2 G9"),
    "auto_revoked": _rule("grants", "1.2 G10"),
    "revoke_without_grant": _rule("grants", "1.2 G11"),
    "expired": _rule("grants", "1.2 G12"),
    "downgraded": _rule("grants", "1.2 G13"),
    "replaced": _rule("grants", "1.2 G14"),
    "upgraded": _rule("grants", "1.2 G15"),
    "auto_revoke_inferred": _rule("streak", "1.2 G16, 1.6"),
    "reading": _rule("grants", "1.2 G17"),
    "refused_138006": _rule("grants", "1.2 G18"),
    "refused_138017": _rule("grants", "1.2 G19"),
    "number_changed": _rule("grants", "1.2 G20"),
    "business_restricted": _rule("number", "1.2 G21, 3.8"),
    "calling_disabled": _rule("number", "1.2 G22, 3.8"),
    "country_not_supported": _rule("number", "2.4"),
    "registered": _rule("number", "2.1"),
    "never": _rule("standing", "1.1"),
    "allowed": _rule("answer", "2.3"),
    "no_permission": _rule("answer", "2.3"),
    "permanent_permission_exists": _rule("answer", "2.3, 3.9"),
    "provider_block": _rule("refusals", "3.9"),
    "refused": _rule("refusals", "3.9"),
    "request_limit_24h": _rule("windows", "2.1"),
    "request_limit_7d": _rule("windows", "2.1"),
    "connected_call_limit_24h": _rule("windows", "2.1, 2.2"),
    "request": _rule("requests", "1.4"),
    "message_status": _rule("requests", "1.4, 3.7"),
    "call": _rule("calls", "1.6, 3.6"),
    "streak": _rule("streak", "1.6"),
    "service_window": _rule("service_window", "2.3"),
    "late": _rule("horizon", "3.10"),
    "settled": _rule("horizon", "3.10"),
    "linked": _rule("identity", "3.11"),
    "flags": _rule("standing", "1.3"),
}

"""Unanswered calls in a row: at the second the user is nudged, at the fourth the permission is revoked (domain 1.6).

Owns what counts and what resets. Sandbox numbers have other limits; all of them stand in the policy
(`unanswered_nudge`, `unanswered_revoke`). A rejected call counts at its own time, and its terminate is the same call.
A technical failure is nobody's refusal. What the fourth call does to the grant is the grant's rule.
"""

from typing import Final, NamedTuple

from schemas.mark_lists import filled
from schemas.marks import Call
from schemas.policy import Policy

BUSINESS: Final = "business_initiated"
USER: Final = "user_initiated"
_DIRECTIONS: Final = {BUSINESS: "BUSINESS_INITIATED", USER: "USER_INITIATED"}


class Beat(NamedTuple):
    """One call as the streak sees it: it ends the row, or lengthens it."""

    at: int
    resets: bool
    call_id: str


def beat_of(call: Call, connected_at: int | None, outcome: str, policy: Policy) -> Beat | None:
    """What the call does to the streak, and when; None: nothing.

    Only calls of the business count: a user's unanswered call does not (domain 1.3). A connected call of a direction
    that the policy names resets, from the moment it was picked up, whatever its end was called.
    """
    switches = policy.defaults
    if connected_at is not None:
        named = _DIRECTIONS.get(call.direction or BUSINESS)
        return _beat(connected_at, True, call) if named in switches.streak_reset_directions else None
    if call.direction == USER:
        return None
    if outcome == "rejected" and call.rejected_at is not None:
        return _beat(call.rejected_at, False, call)
    counts = (
        outcome == "unanswered"
        or (outcome == "cancelled" and switches.count_business_cancelled_in_streak)
        or (outcome == "technical_failure" and switches.count_failed_calls_in_streak)
    )
    if not counts or call.terminated_at is None:
        return None
    return _beat(call.terminated_at, False, call)


def _beat(at: int, resets: bool, call: Call) -> Beat:
    return filled(Beat, (at, resets, call.call_id))


def revokes(streak: int, limit: int) -> bool:
    """Whether an unanswered call that makes the row this long revokes what is held (domain G16)."""
    return streak >= limit

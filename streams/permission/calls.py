"""What became of a call, and which calls count in the connected-call window (domain 1.6, 2.1, 3.6).

Owns outcomes. Completed does not mean connected: a call was connected when it has a start, a duration or a pick-up
report, whatever its end was called (A12; design 15, calls); and a rejected call that nobody picked up stays rejected.
"""

from collections.abc import Sequence
from typing import Any, Final

from schemas.mark_lists import arrays_of, either_form, field_of
from schemas.marks import Call

PULSE_S: Final = 6
_STARTED: Final = Call._fields.index("started_at")
_ACCEPTED: Final = Call._fields.index("accepted_at")
_DURATION: Final = Call._fields.index("duration_s")
_DIRECTION: Final = Call._fields.index("direction")
_ENDED: Final = Call._fields.index("ended_at")
_TERMINATED: Final = Call._fields.index("terminated_at")
_FORMS: Final = {name: either_form(Call, _DIRECTION, name) for name in ("business_initiated", "user_initiated")}


def connected_at(call: Call) -> int | None:
    """When it was picked up: its start time, else the report of the pick-up, else its end less its duration; None:
    never.
    """
    return _picked_up(call.started_at, call.accepted_at, call.duration_s, call.ended_at, call.terminated_at)


def connected_in(array: Sequence[Any]) -> int | None:
    """`connected_at` of a call's array, which need not be made for it."""
    started, accepted, duration = field_of(array, _STARTED), field_of(array, _ACCEPTED), field_of(array, _DURATION)
    return _picked_up(started, accepted, duration, field_of(array, _ENDED), field_of(array, _TERMINATED))


def _picked_up(
    started_at: int | None, accepted_at: int | None, duration_s: int | None, ended_at: int | None, over_at: int | None
) -> int | None:
    if started_at is not None:
        return started_at
    if accepted_at is not None:
        return accepted_at
    end = ended_at if ended_at is not None else over_at
    return end - duration_s if duration_s and end is not None else None


def is_over(call: Call) -> bool:
    """Whether the provider has said its last word."""
    return call.terminated_at is not None


def outcome_of(call: Call) -> str:
    """The class of the call."""
    picked_up = connected_at(call) is not None
    if call.rejected_at is not None and not picked_up:
        return "rejected"  # its terminate is the same call, whatever it is called
    if call.status == "failed":
        return "technical_failure"
    if picked_up:
        return "connected"
    if not is_over(call):
        return "open"
    return "cancelled" if call.status == "cancelled" else "unanswered"


def offered_at(call: Call) -> int | None:
    """When it was placed, by the provider's word or the business's, whichever is earlier; None: nobody said."""
    if call.offered_at is None or call.reported_at is None:
        return call.offered_at if call.reported_at is None else call.reported_at
    return min(call.offered_at, call.reported_at)


def begun_at(call: Call) -> int:
    """The earliest sign of the call: what files it under a day, and what opens the service window when the user
    called.
    """
    signs = (call.offered_at, call.ringing_at, call.accepted_at, call.started_at, call.rejected_at, call.terminated_at)
    return min(
        [sign for sign in (*signs, call.disposed_at, call.reported_at) if sign is not None], default=call.recorded_at
    )


def connected_starts(calls: Sequence[Call], direction: str | None = None) -> list[int]:
    """When calls were picked up, sorted; of one direction, or of both."""
    starts: list[int] = []
    for array in arrays_of(calls):
        start = connected_in(array)
        if start is not None and (direction is None or is_of(array, direction)):
            starts.append(start)
    starts.sort()
    return starts


def is_of(array: Sequence[Any], direction: str) -> bool:
    """Whether the call of an array is known to be of that direction."""
    return field_of(array, _DIRECTION) in _FORMS[direction]


def pulses_of(duration_s: int | None) -> int:
    """Billed pulses of six seconds, begun ones counted whole; 0 without a duration (domain 2.6)."""
    return -(-duration_s // PULSE_S) if duration_s else 0

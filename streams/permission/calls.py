"""What became of a call, and which calls count in the connected-call window (domain 1.6, 2.1, 3.6).

Owns outcomes. Completed does not mean connected: a call was connected when it has a start, a duration or a pick-up
report, whatever its end was called (A12; design 15, calls).
"""

from collections.abc import Sequence
from typing import Any

from schemas.mark_lists import arrays_of, field_of
from schemas.marks import Call

PULSE_S = 6
_STARTED, _ACCEPTED = Call._fields.index("started_at"), Call._fields.index("accepted_at")
_DURATION = Call._fields.index("duration_s")


def connected_at(call: Call) -> int | None:
    """When it was picked up: its start time, else the report of the pick-up, else its end less its duration; None:
    never.
    """
    if call.started_at is not None:
        return call.started_at
    if call.accepted_at is not None:
        return call.accepted_at
    if call.duration_s and (end := call.ended_at if call.ended_at is not None else call.terminated_at) is not None:
        return end - call.duration_s
    return None


def is_over(call: Call) -> bool:
    """Whether the provider has said its last word."""
    return call.terminated_at is not None


def outcome_of(call: Call) -> str:
    """The class of the call."""
    if call.status == "failed":
        return "technical_failure"
    if connected_at(call) is not None:
        return "connected"
    if call.rejected_at is not None:
        return "rejected"
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
    for place, raw in enumerate(arrays_of(calls)):
        if not may_be_connected(raw):  # most are not, and need not be made
            continue
        call = calls[place]
        start = connected_at(call)
        if start is not None and (direction is None or call.direction == direction):
            starts.append(start)
    starts.sort()
    return starts


def may_be_connected(raw: Sequence[Any]) -> bool:
    """Whether the call of an array can have a `connected_at`: it need not be made where it cannot."""
    signs = field_of(raw, _STARTED), field_of(raw, _ACCEPTED), field_of(raw, _DURATION)
    return signs != (None, None, None)


def pulses_of(duration_s: int | None) -> int:
    """Billed pulses of six seconds, begun ones counted whole; 0 without a duration (domain 2.6)."""
    return -(-duration_s // PULSE_S) if duration_s else 0

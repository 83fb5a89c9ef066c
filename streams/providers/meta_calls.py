"""What an event or a status on Meta's field `calls` means (domain 3.6).

Owns who called whom and whether a call was picked up: *completed* alone does not say so, a start or a duration does,
whatever the last status was (A12). Calls of users have no statuses; they are known to be connected when they end.
"""

from typing import Any, Final

from schemas.events import CallConnected, CallEnded, CallOffered, CallRejected, CallRinging, Direction, EndStatus
from schemas.ids import derived_id
from streams.providers.fields import (
    display_digits,
    error_code,
    identifier,
    instant,
    instant_or_zero,
    seconds,
    text,
    word,
)
from streams.providers.kinds import CALL_EVENTS
from streams.providers.meta_parties import FROM, RECIPIENT, TO, Change
from streams.providers.translation import Notes, Refused

_DIRECTIONS: Final[dict[str, Direction]] = {
    "BUSINESS_INITIATED": "business_initiated",
    "USER_INITIATED": "user_initiated",
}
_ENDS: Final[dict[str, EndStatus]] = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "CANCELED": "cancelled",
}


def read_call(change: Change, call: dict[str, Any], path: str) -> None:
    """One element of `calls`."""
    event = word(call.get("event"))
    if event not in {"CONNECT", "TERMINATE"}:
        if event.lower() in CALL_EVENTS:
            change.notes.ignore(f"call_event_{event.lower()}")
        else:
            change.notes.ignore_unknown("call_event_unknown", call.get("event"))
        return
    direction = _direction(change, call, path)
    ours, theirs = ("from", TO) if direction == "business_initiated" else ("to", FROM)
    about = change.about(call, path, theirs, display_digits(call.get(ours)))
    call_id = _call_id(call, path)
    if event == "TERMINATE":
        _ended(change, call, path, about, call_id, direction)
        return
    change.notes.facts.append(
        CallOffered(
            fact_id=derived_id("call_offered", about["phone_number_id"], call_id),
            call_id=call_id,
            direction=direction,
            campaign=_campaign(change, call),
            origin=None,
            reservation_id=None,
            **about,
        )
    )


def _ended(
    change: Change, call: dict[str, Any], path: str, about: dict[str, Any], call_id: str, direction: Direction
) -> None:
    said = word(call.get("status"))
    if said not in _ENDS:
        change.notes.ignore("call_end_unknown")
    started_at = instant_or_zero(call.get("start_time"), f"{path}.start_time")
    if started_at is not None:
        change.notes.happened(started_at, f"{path}.start_time")
    ended_at = _end(change, call, path, started_at)
    duration_s = _duration(change, call, path, started_at)
    if started_at is None and duration_s:
        started_at = (about["occurred_at"] if ended_at is None else ended_at) - duration_s
        instant(started_at, f"{path}.duration")
    elif duration_s is None and started_at is not None and ended_at is not None and ended_at >= started_at:
        duration_s = ended_at - started_at
    change.notes.facts.append(
        CallEnded(
            fact_id=derived_id("call_ended", about["phone_number_id"], call_id),
            call_id=call_id,
            direction=direction,
            status=_ENDS.get(said, "completed"),
            started_at=started_at,
            ended_at=ended_at,
            duration_s=duration_s,
            error_code=error_code(call.get("errors")),
            **about,
        )
    )
    if started_at is not None:
        _connected(change, about | {"occurred_at": started_at}, call_id, direction, exact=True)


def _end(change: Change, call: dict[str, Any], path: str, started_at: int | None) -> int | None:
    """When the call ended. Like its duration it decides where no start is known, and else costs no call."""
    place = f"{path}.end_time"
    try:
        ended_at = instant_or_zero(call.get("end_time"), place)
        return None if ended_at is None else change.notes.happened(ended_at, place)
    except Refused:
        if started_at is None:
            raise
        change.notes.ignore("end_unreadable")
        return None


def _duration(change: Change, call: dict[str, Any], path: str, started_at: int | None) -> int | None:
    """How long the call lasted. It decides where no start is known; beside one it only adds, and costs no call."""
    try:
        return seconds(call.get("duration"), f"{path}.duration")
    except Refused:
        if started_at is None:
            raise
        change.notes.ignore("duration_unreadable")
        return None


def _connected(change: Change, about: dict[str, Any], call_id: str, direction: Direction, *, exact: bool) -> None:
    fact_id = derived_id("call_connected", about["phone_number_id"], call_id)
    change.notes.facts.append(
        CallConnected(fact_id=fact_id, call_id=call_id, direction=direction, exact=exact, **about)
    )


def read_status(change: Change, status: dict[str, Any], path: str) -> None:
    """One element of `statuses` that is about a call: only calls of the business have any."""
    said = word(status.get("status"))
    if said not in {"RINGING", "ACCEPTED", "REJECTED"}:
        change.notes.ignore_unknown("call_status_unknown", status.get("status"))
        return
    about = change.about(status, path, RECIPIENT)
    number, call_id = about["phone_number_id"], _call_id(status, path)
    if said == "ACCEPTED":
        _connected(change, about, call_id, "business_initiated", exact=False)
    elif said == "RINGING":
        fact_id = derived_id("call_ringing", number, call_id)
        change.notes.facts.append(CallRinging(fact_id=fact_id, call_id=call_id, **about))
    else:
        fact_id = derived_id("call_rejected", number, call_id)
        change.notes.facts.append(CallRejected(fact_id=fact_id, call_id=call_id, **about))


def share_errors(notes: Notes, value: dict[str, Any]) -> None:
    """Hands the errors beside the calls of a change to the call they are about: the one that failed, or the only one
    that ended. Where that cannot be told they are counted.
    """
    errors, calls = value.get("errors"), value.get("calls")
    if not errors:
        return
    ended = [one for one in calls if _ends(one)] if isinstance(calls, list) else []
    about = [one for one in ended if word(one.get("status")) == "FAILED"] or ended
    if len(about) == 1 and "errors" not in about[0]:
        about[0]["errors"] = errors
    else:
        notes.ignore("errors_beside")


def _ends(call: Any) -> bool:
    return isinstance(call, dict) and word(call.get("event")) == "TERMINATE"


def _direction(change: Change, call: dict[str, Any], path: str) -> Direction:
    """Who called: as said, else by which side is the number's display form, else by which side is the user's."""
    said = _DIRECTIONS.get(word(call.get("direction")))
    if said is not None:
        return said
    if call.get("direction") not in (None, ""):
        change.notes.ignore_unknown("call_direction_unknown", call.get("direction"))
    sides = display_digits(call.get("from")), display_digits(call.get("to"))
    ours = [side is not None and (side == change.display or side in change.numbers.by_display) for side in sides]
    if ours[0] == ours[1]:
        ours = [any(call.get(key) for key in keys[1:]) for keys in (TO, FROM)]
    if ours[0] == ours[1]:
        ours = [side in change.by_name for side in reversed(sides)]
    if ours[0] == ours[1]:
        raise Refused("unknown_direction", f"{path}.direction", "neither said nor told by from and to")
    return "business_initiated" if ours[0] else "user_initiated"


def _call_id(item: dict[str, Any], path: str) -> str:
    call_id = identifier(item.get("id"), f"{path}.id")
    if call_id is None:
        raise Refused("missing_id", f"{path}.id", "the call is not named")
    return call_id


def _campaign(change: Change, call: dict[str, Any]) -> str | None:
    said = call.get("biz_opaque_callback_data")
    campaign = text(said)
    if campaign is None and said not in (None, ""):
        change.notes.ignore("campaign_unreadable")
    return campaign

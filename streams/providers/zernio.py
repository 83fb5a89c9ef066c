"""Zernio: one flattened event a webhook (domain 4.1, 4.2).

Owns which event is which item of Meta's. The answer to a permission request names the user and the account, and the
business number only where the account goes by it. A reply is named by the event, which is the same in every repetition;
without it a reply is what it says. `startedAt` of a call is the instant it was placed, not picked up: a call was picked
up when it lasted and did not end as unanswered or rejected, and began its duration before its end.
"""

from typing import Any, Final

from streams.providers import meta, meta_calls, meta_messages
from streams.providers.fields import mapping, word
from streams.providers.flat import CODE, Event, Names, Number, event_at, our_side, read_flat
from streams.providers.known import NONE_KNOWN, Known
from streams.providers.translation import Notes, Translation, translated

PROVIDER: Final = "zernio"
_SENT: Final = "$.timestamp"
_ACCOUNT: Final = ("$.account.phoneNumberId", "$.account.phone_number_id")
_PERMISSION: Final[Names] = {
    "id": ("$.id",),
    "from": ("from",),
    "from_user_id": ("from_user_id", "fromUserId"),
    "timestamp": ("timestamp", _SENT),
    "context.id": ("context.id", "context_id", "contextId"),
    "interactive.call_permission_reply": (".",),
}
_CALL: Final[Names] = {"id": ("metaCallId", "id"), "from": ("from",), "to": ("to",)}
_BEGAN: Final[Names] = {**_CALL, "timestamp": ("startedAt", _SENT)}
_ENDED: Final[Names] = {**_CALL, "timestamp": ("endedAt", "failedAt", _SENT), "end_time": ("endedAt",)}
_DIRECTIONS: Final = {"INBOUND": "USER_INITIATED", "OUTBOUND": "BUSINESS_INITIATED"}
_NOT_PICKED_UP: Final = frozenset({"NO_ANSWER", "REJECTED"})


def translate(body: bytes, received_at: int, numbers: Known = NONE_KNOWN) -> Translation:
    """The facts of one webhook body. `received_at`: our clock, epoch seconds."""
    return translated(PROVIDER, body, received_at, lambda notes, payload: _read(notes, mapping(payload, "$"), numbers))


def _read(notes: Notes, payload: dict[str, Any], numbers: Known) -> None:
    kind = payload.get("event")
    if kind == "call.permission_request" or (kind is None and "permission" in payload):
        _permission(event_at(notes, numbers, payload, "permission"))
    elif kind == "call.received":
        _call(event_at(notes, numbers, payload, "call"), "connect", _BEGAN)
    elif kind in ("call.ended", "call.failed"):
        _ended(event_at(notes, numbers, payload, "call"), failed=kind == "call.failed")
    elif kind is None and "entry" in payload:
        meta.walk(notes, payload, numbers)
    else:
        notes.ignore_unknown("event_other", kind)


def _permission(event: Event) -> None:
    read_flat(
        event,
        read=meta_messages.read_message,
        names=_PERMISSION,
        number=Number(ids=_ACCOUNT, displays=("$.account.username",), inferable=True, teaches=False),
    )


def _ended(event: Event, *, failed: bool) -> None:
    why = word(event.says("endReason"))
    names = dict(_ENDED)
    if why not in _NOT_PICKED_UP:
        names["duration"] = ("durationSeconds",)
    if failed:
        names[CODE] = ("error.code",)
    if why == "REJECTED" and word(event.says("direction")) == "OUTBOUND":
        read_flat(
            event,
            read=meta_calls.read_status,
            names={"id": _CALL["id"], "recipient_id": ("to",), "timestamp": _ENDED["timestamp"]},
            number=_number("BUSINESS_INITIATED"),
            fixed={"type": "call", "status": "REJECTED"},
        )
    _call(event, "terminate", names, status="FAILED" if failed or why == "ERROR" else "COMPLETED")


def _call(event: Event, what: str, names: Names, **fixed: str) -> None:
    direction = _DIRECTIONS.get(word(event.says("direction")))
    read_flat(
        event,
        read=meta_calls.read_call,
        names=names,
        number=_number(direction),
        fixed={"event": what, "direction": direction, **fixed},
    )


def _number(direction: str | None) -> Number:
    """Where a call names the business number: by its id, else as the one side of it."""
    return Number(ids=("phoneNumberId", "phone_number_id", *_ACCOUNT), displays=our_side(direction))

"""YCloud: one flattened event a webhook, camelCase, numbers with `+`, ISO times, call times in milliseconds (domain 4).

Owns which event is which item of Meta's, and under which names it says what. The status of a call has no time of its
own and is dated by the event; where it has no `phoneId` either, it names no business number at all.
"""

from typing import Any, Final

from streams.providers import meta, meta_calls, meta_messages
from streams.providers.fields import mapping
from streams.providers.flat import CODE, Names, Number, event_at, our_side, read_flat
from streams.providers.known import NONE_KNOWN, Known
from streams.providers.translation import Notes, Translation, translated

PROVIDER: Final = "ycloud"
_CREATED: Final = "$.createTime"
_IDS: Final = ("phoneId", "phoneNumberId")
_ERROR: Final = ("errorCode", "whatsappApiError.code")
_SENDER: Final[Names] = {
    "from": ("from",),
    "from_user_id": ("fromUserId",),
    "from_parent_user_id": ("fromParentUserId",),
}
_RECIPIENT: Final[Names] = {
    "recipient_id": ("recipientPhone",),
    "recipient_user_id": ("recipientUserId",),
    "recipient_parent_user_id": ("recipientParentUserId",),
}
_CALL: Final[Names] = {
    **_SENDER,
    "to": ("to",),
    "to_user_id": ("toUserId",),
    "to_parent_user_id": ("toParentUserId",),
    "id": ("wacid", "id"),
    "direction": ("direction",),
    "biz_opaque_callback_data": ("bizOpaqueCallbackData",),
}
_CONNECT: Final[Names] = {**_CALL, "timestamp": (_CREATED,)}
_TERMINATE: Final[Names] = {
    **_CALL,
    "timestamp": ("endTime", _CREATED),
    "status": ("status",),
    "start_time": ("startTime",),
    "end_time": ("endTime",),
    "duration": ("duration",),
    CODE: _ERROR,
}
_CALL_STATUS: Final[Names] = {
    **_RECIPIENT,
    "id": ("wacid", "id"),
    "status": ("status",),
    "timestamp": (_CREATED,),
}
_MESSAGE: Final[Names] = {
    **_SENDER,
    "id": ("wamid", "id"),
    "timestamp": ("sendTime", _CREATED),
    "type": ("type",),
    "context": ("context",),
    "interactive": ("interactive",),
    "system": ("system",),
    "group_id": ("groupId",),
}
_STATUS: Final[Names] = {
    "recipient_id": ("to", "recipientPhone"),
    "recipient_user_id": ("toUserId", "recipientUserId"),
    "recipient_parent_user_id": ("toParentUserId", "recipientParentUserId"),
    "recipient_type": ("recipientType",),
    "id": ("wamid", "id"),
    "status": ("status",),
    CODE: _ERROR,
}
_STATUS_TIMES: Final = {"SENT": "sendTime", "DELIVERED": "deliverTime", "READ": "readTime"}


def translate(body: bytes, received_at: int, numbers: Known = NONE_KNOWN) -> Translation:
    """The facts of one webhook body. `received_at`: our clock, epoch seconds."""
    return translated(PROVIDER, body, received_at, lambda notes, payload: _read(notes, mapping(payload, "$"), numbers))


def _read(notes: Notes, payload: dict[str, Any], numbers: Known) -> None:
    match payload.get("type"):
        case "whatsapp.call.connect":
            _call(notes, payload, numbers, "callingConnect", "connect", _CONNECT)
        case "whatsapp.call.terminate":
            _call(notes, payload, numbers, "callingTerminate", "terminate", _TERMINATE)
        case "whatsapp.call.status.updated":
            read_flat(
                event_at(notes, numbers, payload, "callingStatusUpdated"),
                read=meta_calls.read_status,
                names=_CALL_STATUS,
                number=Number(ids=_IDS, inferable=True),
            )
        case "whatsapp.inbound_message.received":
            read_flat(
                event_at(notes, numbers, payload, "whatsappInboundMessage"),
                read=meta_messages.read_message,
                names=_MESSAGE,
                number=Number(ids=_IDS, displays=("to",)),
            )
        case "whatsapp.message.updated":
            _status(notes, payload, numbers)
        case _ if "entry" in payload:
            meta.walk(notes, payload, numbers)
        case other:
            notes.ignore_unknown("event_other", other)


def _call(notes: Notes, payload: dict[str, Any], numbers: Known, holder: str, what: str, names: Names) -> None:
    event = event_at(notes, numbers, payload, holder)
    read_flat(
        event,
        read=meta_calls.read_call,
        names=names,
        number=Number(ids=_IDS, displays=our_side(event.says("direction"))),
        fixed={"event": what},
    )


def _status(notes: Notes, payload: dict[str, Any], numbers: Known) -> None:
    """What became of a message, dated by the time of that status, else by its last change, else by the event."""
    event = event_at(notes, numbers, payload, "whatsappMessage")
    status = event.says("status")
    own = _STATUS_TIMES.get(status.upper(), "updateTime") if isinstance(status, str) else "updateTime"
    read_flat(
        event,
        read=meta_messages.read_status,
        names={**_STATUS, "timestamp": (own, "updateTime", _CREATED)},
        number=Number(ids=_IDS, displays=("from",)),
    )

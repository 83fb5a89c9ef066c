"""Infobip: messages of users, delivery and seen reports, each a batch under `results` (domain 4.1, 4.2).

Owns its names and words. Its ids are its own (`messageId`, `pairedMessageId`), its times ISO with `+0000`, and it names
the business number only by the display form. Its model of a reply has neither permanence nor source: an accept without
expiry is a permanent permission that nobody confirmed (A32). A delivery report may leave out the sender; where several
numbers are known it then belongs to no pair and is counted. A seen report is read from either side, since its
documentation calls both sides both: the side that is a known number is ours.
"""

from typing import Any, Final

from streams.providers import meta, meta_messages
from streams.providers.fields import display_digits, items, mapping, word
from streams.providers.flat import CODE, Event, Names, Number, read_flat
from streams.providers.known import NONE_KNOWN, Known
from streams.providers.translation import Notes, Refused, Translation, translated

PROVIDER: Final = "infobip"
_MESSAGE: Final[Names] = {
    "from": ("from",),
    "id": ("messageId",),
    "timestamp": ("receivedAt",),
    "context.id": ("message.context.id", "pairedMessageId"),
    "interactive.call_permission_reply": ("message.callPermissionReply",),
}
_REPLY: Final = "INTERACTIVE_CALL_PERMISSION_REPLY"
_USER_MESSAGES: Final = frozenset(
    {"TEXT", "IMAGE", "DOCUMENT", "STICKER", "LOCATION", "CONTACT", "VIDEO", "VOICE", "AUDIO", "BUTTON", "ORDER"}
    | {"INTERACTIVE_BUTTON_REPLY", "INTERACTIVE_LIST_REPLY", "INTERACTIVE_FLOW_REPLY", "REACTION", "UNSUPPORTED"}
    | {"INTERACTIVE_PAYMENT_CONFIRMATION", "INTERACTIVE_IN_THREAD_AUTHENTICATION_REPLY", "INFECTED_CONTENT"}
)
_REPORT: Final[Names] = {
    "id": ("messageId",),
    "recipient_id": ("to",),
    "timestamp": ("doneAt", "sentAt"),
    CODE: ("error.id",),
}
_SENDER: Final = ("sender", "from")
_GROUPS: Final = {
    "DELIVERED": "delivered",
    "UNDELIVERABLE": "failed",
    "EXPIRED": "failed",
    "REJECTED": "failed",
}
_WAITING: Final = frozenset({"ACCEPTED", "PENDING"})


def translate(body: bytes, received_at: int, numbers: Known = NONE_KNOWN) -> Translation:
    """The facts of one webhook body. `received_at`: our clock, epoch seconds."""
    return translated(PROVIDER, body, received_at, lambda notes, payload: _read(notes, mapping(payload, "$"), numbers))


def _read(notes: Notes, payload: dict[str, Any], numbers: Known) -> None:
    if "results" not in payload:
        if "entry" in payload:
            meta.walk(notes, payload, numbers)
            return
        if "status" in payload and "actions" in payload:
            raise Refused("unreadable", "$", "an answer about a pair names no pair; report it as reading_taken")
        raise Refused("unreadable", "$.results", "an array is expected here")
    results = items(payload, "results", "$")
    if not results:
        notes.ignore("empty")
    for place, result in enumerate(results):
        path = f"$.results[{place}]"
        try:
            said = mapping(result, path)
            _result(Event(notes=notes, numbers=numbers, payload=payload, said=said, path=path))
        except Refused as refused:
            notes.park(refused.fault)


def _result(event: Event) -> None:
    """One element of `results`, told by what only its kind has."""
    said = event.said
    if "message" in said:
        _message(event)
    elif "seenAt" in said:
        _seen(event)
    elif "deletedAt" in said:
        event.notes.ignore("report_deleted")
    elif "status" in said or "doneAt" in said:
        _delivery(event)
    else:
        event.notes.ignore("event_other")


def _message(event: Event) -> None:
    mapping(event.said.get("message"), f"{event.path}.message")
    kind = word(event.says("message.type"))
    if kind != _REPLY and kind not in _USER_MESSAGES:
        event.notes.ignore_unknown("message_unknown", event.says("message.type"))
        return
    read_flat(
        event,
        read=meta_messages.read_message,
        names=_MESSAGE,
        number=Number(displays=("to",)),
        fixed={"type": "interactive", "interactive": {"type": "call_permission_reply"}}
        if kind == _REPLY
        else {"type": "text"},
        permanence=False,
    )


def _delivery(event: Event) -> None:
    said = event.says("status.groupName")
    status = _GROUPS.get(word(said))
    if status is None:
        if word(said) in _WAITING:
            event.notes.ignore("status_enqueued")
        else:
            event.notes.ignore_unknown("status_unknown", said)
        return
    if event.first(_SENDER)[1] is None and event.numbers.only is None:
        event.notes.ignore("status_without_number")
        return
    read_flat(
        event,
        read=meta_messages.read_status,
        names=_REPORT,
        number=Number(displays=_SENDER, inferable=True),
        fixed={"status": status},
    )


def _seen(event: Event) -> None:
    ours, theirs = ("from", "to")
    if _is_known(event, theirs) and not _is_known(event, ours):
        ours, theirs = theirs, ours
    read_flat(
        event,
        read=meta_messages.read_status,
        names={"id": ("messageId",), "recipient_id": (theirs,), "timestamp": ("seenAt",)},
        number=Number(displays=("sender", ours)),
        fixed={"status": "read"},
    )


def _is_known(event: Event, side: str) -> bool:
    return display_digits(event.says(side)) in event.numbers.by_display

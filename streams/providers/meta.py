"""Meta's webhooks, and every provider that passes them on unchanged (domain 3.5, 3.7, 3.10).

Owns Meta's wire names. A webhook is a batch on three levels: entries, changes, and the messages or statuses of a
change; every item is read for itself, so one bad item costs nothing of its neighbours. Fields are picked by hand from
parsed JSON.
"""

from typing import Any, Final

from schemas.codec import canonical
from schemas.events import MessageStatus, MessageStatusName, PermissionReplied, ReplySource
from schemas.ids import derived_id
from streams.providers.translation import (
    RESPONSES,
    Notes,
    Refused,
    Translation,
    identifier,
    instant,
    items,
    mapping,
    number_id,
    parsed,
    user_name,
)

_STATUSES: Final[dict[str, MessageStatusName]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}
_SOURCES: Final[dict[str, ReplySource]] = {"user_action": "user_action", "automatic": "automatic"}
_FIELDS: Final = frozenset(
    {"calls", "account_update", "account_settings_update", "message_template_status_update", "account_alerts"}
)
_MESSAGES: Final = frozenset(
    {"text", "image", "audio", "video", "document", "sticker", "location", "contacts", "button", "order", "reaction"}
    | {"interactive", "system", "unsupported", "request_welcome"}
)


def translate(body: bytes, received_at: int, provider: str = "meta") -> Translation:
    """The facts of one webhook body. `received_at`: our clock, epoch seconds."""
    notes = Notes()
    try:
        payload = mapping(parsed(body), "$")
        if payload.get("object", "whatsapp_business_account") != "whatsapp_business_account":
            notes.ignore("other_object")  # Messenger's `page` looks alike and is another product (domain 3.12)
            return notes.done()
        for place, entry in enumerate(items(payload, "entry", "$")):
            _entry(notes, entry, f"$.entry[{place}]", received_at, provider)
    except Refused as refused:
        notes.park(refused.fault)
    return notes.done()


def _entry(notes: Notes, entry: Any, path: str, received_at: int, provider: str) -> None:
    try:
        for place, change in enumerate(items(mapping(entry, path), "changes", path)):
            _change(notes, change, f"{path}.changes[{place}]", received_at, provider)
    except Refused as refused:
        notes.park(refused.fault)


def _change(notes: Notes, change: Any, path: str, received_at: int, provider: str) -> None:
    try:
        change = mapping(change, path)
        field = change.get("field")
        if field != "messages":
            notes.ignore(f"field_{field}" if isinstance(field, str) and field in _FIELDS else "field_unknown")
            return
        path = f"{path}.value"
        value = mapping(change.get("value"), path)
        number = number_id(
            mapping(value.get("metadata") or {}, f"{path}.metadata").get("phone_number_id"),
            f"{path}.metadata.phone_number_id",
        )
        contacts = [contact for contact in items(value, "contacts", path) if isinstance(contact, dict)]
        messages, statuses = items(value, "messages", path), items(value, "statuses", path)
    except Refused as refused:
        notes.park(refused.fault)
        return
    for place, message in enumerate(messages):
        _item(notes, _message, message, f"{path}.messages[{place}]", number, contacts, received_at, provider)
    for place, status in enumerate(statuses):
        _item(notes, _status, status, f"{path}.statuses[{place}]", number, contacts, received_at, provider)


def _item(notes: Notes, read: Any, item: Any, path: str, *context: Any) -> None:
    try:
        read(notes, mapping(item, path), path, *context)
    except Refused as refused:
        notes.park(refused.fault)


def _message(
    notes: Notes,
    message: dict[str, Any],
    path: str,
    number: str | None,
    contacts: list[dict[str, Any]],
    received_at: int,
    provider: str,
) -> None:
    interactive = message.get("interactive")
    reply = interactive.get("call_permission_reply") if isinstance(interactive, dict) else None
    if reply is None:
        kind = message.get("type")
        notes.ignore(f"message_{kind}" if isinstance(kind, str) and kind in _MESSAGES else "message_unknown")
        return
    place = f"{path}.interactive.call_permission_reply"
    reply = mapping(reply, place)
    said = reply.get("response")
    response = RESPONSES.get(said.lower()) if isinstance(said, str) else None
    if response is None:
        notes.ignore("response_unknown")
        return
    number = _number(number, path)
    user, aliases = _user(message, "from", "from_", contacts, path)
    message_id = identifier(message.get("id"), f"{path}.id")
    context = message.get("context")
    context_id = identifier(context.get("id"), f"{path}.context.id") if isinstance(context, dict) else None
    said_source = reply.get("response_source")
    expiry = reply.get("expiration_timestamp", reply.get("expiration_time"))
    occurred_at = instant(message.get("timestamp"), f"{path}.timestamp")
    fields: dict[str, Any] = {
        "response": response,
        "is_permanent": response == "accept" and reply.get("is_permanent") in (True, "true", "TRUE"),
        "expires_at": instant(expiry, f"{place}.expiration_timestamp") if response == "accept" else None,
        "source": _SOURCES.get(said_source.lower()) if isinstance(said_source, str) else None,
        "context_id": context_id,
    }
    if fields["is_permanent"]:
        fields["expires_at"] = None  # permanent with an expiry: permanent (design 15)
    natural = (message_id,) if message_id is not None else (user, str(occurred_at), canonical(fields).decode())
    notes.facts.append(
        PermissionReplied(
            fact_id=derived_id("permission_replied", number, *natural),
            phone_number_id=number,
            user=user,
            aliases=aliases,
            occurred_at=received_at if occurred_at is None else occurred_at,
            recorded_at=received_at,
            provider=provider,
            message_id=message_id,
            **fields,
        )
    )


def _status(
    notes: Notes,
    status: dict[str, Any],
    path: str,
    number: str | None,
    contacts: list[dict[str, Any]],
    received_at: int,
    provider: str,
) -> None:
    said = status.get("status")
    name = _STATUSES.get(said.lower()) if isinstance(said, str) else None
    if name is None:
        notes.ignore("status_enqueued" if said == "enqueued" else "status_unknown")
        return
    number = _number(number, path)
    user, aliases = _user(status, "recipient_id", "recipient_", contacts, path)
    message_id = identifier(status.get("id"), f"{path}.id")
    if message_id is None:
        raise Refused("missing_id", f"{path}.id", "a status names the message it is about")
    occurred_at = instant(status.get("timestamp"), f"{path}.timestamp")
    notes.facts.append(
        MessageStatus(
            fact_id=derived_id("message_status", number, message_id, name),
            phone_number_id=number,
            user=user,
            aliases=aliases,
            occurred_at=received_at if occurred_at is None else occurred_at,
            recorded_at=received_at,
            provider=provider,
            message_id=message_id,
            status=name,
            error_code=_error_code(status) if name == "failed" else None,
        )
    )


def _number(number: str | None, path: str) -> str:
    if number is None:
        raise Refused("unknown_number", path, "the payload has no phone_number_id in its metadata")
    return number


def _error_code(status: dict[str, Any]) -> int | None:
    """The first error's code, where it is one; anything else is kept in the raw log only."""
    errors = status.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    code = first.get("code") if isinstance(first, dict) else None
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        code = int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 1 << 31 else None


def _user(
    item: dict[str, Any], name: str, prefix: str, contacts: list[dict[str, Any]], path: str
) -> tuple[str, tuple[str, ...]]:
    """The user's canonical name and the other names the payload shows: wa_id digits first, then the scoped id (design
    7).
    """
    wa_id = user_name(item.get(name), f"{path}.{name}")
    scoped = user_name(item.get(f"{prefix}user_id"), f"{path}.{prefix}user_id")
    parent = user_name(item.get(f"{prefix}parent_user_id"), f"{path}.{prefix}parent_user_id")
    for contact in contacts if len(contacts) == 1 else [one for one in contacts if _same(one, wa_id, scoped)]:
        place = f"{path}.contacts"
        wa_id = wa_id or user_name(contact.get("wa_id"), place)
        scoped = scoped or user_name(contact.get("user_id"), place)
        parent = parent or user_name(contact.get("parent_user_id"), place)
    names = [one for one in (wa_id, scoped, parent) if one is not None]
    if not names:
        raise Refused("unknown_user", path, "the payload names no user")
    return names[0], tuple(sorted(set(names[1:]) - {names[0]}))


def _same(contact: dict[str, Any], wa_id: str | None, scoped: str | None) -> bool:
    return (wa_id is not None and contact.get("wa_id") == wa_id) or (
        scoped is not None and contact.get("user_id") == scoped
    )

"""What a message or a status on Meta's field `messages` means (domain 3.5, 3.7, 3.11).

Owns permission replies, messages of the user, system messages about a changed number, and what became of messages of
the business. A reply opens the service window by itself, so it makes no second fact beside it.
"""

import re
from typing import Any, Final

from schemas.codec import canonical
from schemas.events import (
    MessageStatus,
    MessageStatusName,
    PermissionReplied,
    Role,
    UserMessaged,
    UserNumberChanged,
)
from schemas.ids import derived_id
from streams.providers import meta_calls
from streams.providers.fields import (
    digest,
    error_code,
    identifier,
    instant,
    mapping,
    user_name,
    word,
)
from streams.providers.meta_parties import CONTACT, FROM, RECIPIENT, Change, Names, names_of
from streams.providers.replies import read_reply
from streams.providers.translation import Refused

_STATUSES: Final[dict[str, MessageStatusName]] = {
    "SENT": "sent",
    "DELIVERED": "delivered",
    "READ": "read",
    "PLAYED": "read",
    "FAILED": "failed",
}
_WAITING: Final = frozenset({"ENQUEUED", "ACCEPTED"})  # a wrapper's own words, Gupshup's and YCloud's
_USER_MESSAGES: Final = frozenset(
    {"text", "image", "audio", "voice", "video", "document", "sticker", "location", "contacts", "button", "order"}
    | {"reaction", "interactive", "unsupported", "unknown"}  # the last two: Meta cannot show what the user sent
)
_NUMBER_CHANGED: Final = frozenset({"USER_CHANGED_NUMBER", "CUSTOMER_CHANGED_NUMBER"})
_ID_CHANGED: Final = "USER_CHANGED_USER_ID"
_IDENTITY_CHANGED: Final = frozenset({"CUSTOMER_IDENTITY_CHANGED", "USER_IDENTITY_CHANGED"})
_FROM_TO: Final = re.compile(r"\bfrom (\S+) to (\S+?)\.?$")


def read_message(change: Change, message: dict[str, Any], path: str) -> None:
    """One element of `messages`."""
    interactive = message.get("interactive")
    if interactive is not None:
        interactive = mapping(interactive, f"{path}.interactive")
        if "call_permission_reply" in interactive or interactive.get("type") == "call_permission_reply":
            _reply(change, message, interactive.get("call_permission_reply"), path)
            return
    kind = message.get("type")
    kind = kind.lower() if isinstance(kind, str) else _kind_by_content(message)
    if kind == "system":
        _system(change, message, path)
    elif kind == "request_welcome":
        change.notes.ignore("message_request_welcome")
    elif kind not in _USER_MESSAGES:
        change.notes.ignore_unknown("message_unknown", kind)
    elif message.get("group_id") is not None:
        change.notes.ignore("message_group")
    else:
        _messaged(change, message, path)


def _kind_by_content(message: dict[str, Any]) -> str | None:
    """The type of a message that does not say it: Meta's samples name only what it holds."""
    return next((key for key in message if key in _USER_MESSAGES or key == "system"), None)


def _reply(change: Change, message: dict[str, Any], said: Any, path: str) -> None:
    reply = read_reply(change.notes, said, f"{path}.interactive.call_permission_reply", permanence=change.permanence)
    if reply is None:
        return
    about = change.about(message, path, FROM)
    message_id = identifier(message.get("id"), f"{path}.id")
    context = message.get("context")
    context = mapping(context, f"{path}.context") if context is not None else {}
    fields: dict[str, Any] = {
        "response": reply.response,
        "is_permanent": reply.is_permanent,
        "expires_at": reply.expires_at,
        "source": reply.source,
        "context_id": identifier(context.get("id"), f"{path}.context.id"),
    }
    natural = (message_id,) if message_id else (about["user"], _said_at(message, path), canonical(fields).decode())
    fact_id = derived_id("permission_replied", about["phone_number_id"], *natural)
    if reply.inferred:
        about["inferred"] = (*change.inferred, *reply.inferred)
    change.notes.facts.append(
        PermissionReplied(fact_id=fact_id, message_id=message_id, revoked=reply.revoked, **about, **fields)
    )


def _said_at(message: dict[str, Any], path: str) -> str:
    """The instant that was sent, if any: the receipt time of a repeated webhook differs and may stand in no id."""
    return str(instant(message.get("timestamp"), f"{path}.timestamp"))


def _messaged(change: Change, message: dict[str, Any], path: str) -> None:
    about = change.about(message, path, FROM)
    message_id = identifier(message.get("id"), f"{path}.id")
    natural = (message_id,) if message_id else (about["user"], digest(message))
    fact_id = derived_id("user_messaged", about["phone_number_id"], *natural)
    change.notes.facts.append(UserMessaged(fact_id=fact_id, message_id=message_id or fact_id, **about))


def _system(change: Change, message: dict[str, Any], path: str) -> None:
    place = f"{path}.system"
    system = mapping(message.get("system"), place)
    kind = word(system.get("type"))
    if kind not in _NUMBER_CHANGED and kind != _ID_CHANGED:
        change.notes.ignore("system_identity" if kind in _IDENTITY_CHANGED else "system_unknown")
        return
    if change.number is None:
        raise change.of_no_number(path)
    old, new = _with_contacts(change, *_old_and_new(message, system, path))
    if kind == _ID_CHANGED and (old.wa_id is None or new.wa_id is None):
        old, new = old._replace(wa_id=None), new._replace(wa_id=None)  # digits on one side only: whose, it does not say
    if old.user is None or new.user is None:
        raise Refused("unknown_user", path, "a change of number names the old and the new user")
    at = change.at(message, path)
    if old.user == new.user:
        for names in (old, new):  # nobody moves, but the names that stand together are one user's (domain 3.11)
            change.fields(change.number, names, at)
        change.notes.ignore("system_same_user")
        return
    message_id = identifier(message.get("id"), f"{path}.id") or derived_id("system_message", digest(message))
    roles: tuple[tuple[Role, Names, str], ...] = (("old", old, new.user), ("new", new, old.user))
    for role, names, other in roles:
        about = change.fields(change.number, names, at)
        fact_id = derived_id("user_number_changed", change.number, message_id, role)
        fact = UserNumberChanged(fact_id=fact_id, message_id=message_id, role=role, other=other, **about)
        change.notes.facts.append(fact)


def _old_and_new(message: dict[str, Any], system: dict[str, Any], path: str) -> tuple[Names, Names]:
    """The two users. A scoped id beside the old digits may already be the new one: it counts where it differs."""
    place = f"{path}.system"
    faults: list[Refused] = []
    new = names_of(system, place, CONTACT, faults)
    new = new.filled(Names(wa_id=names_of(system, place, ("new_wa_id",), faults).wa_id))
    sender = names_of(message, path, FROM, faults)
    before = names_of(system, place, ("customer", "previous_user_id"), faults)
    scoped = before.scoped
    if scoped is None and sender.scoped != new.scoped and (new.scoped is not None or sender.wa_id is None):
        scoped = sender.scoped
    scoped = scoped or _scoped_in_text(system.get("body"), new)
    old = Names(sender.wa_id or before.wa_id, scoped)
    if faults and (old.user is None or new.user is None):
        raise faults[0]
    return old, new


def _with_contacts(change: Change, old: Names, new: Names) -> tuple[Names, Names]:
    """The two users with what contacts show of them. Beside the old digits stands perhaps the new scoped id already:
    a contact is the old user's only where its id differs from a new one that is told.
    """
    for contact in change.contacts:
        if contact.wa_id is None or contact.scoped is None:
            continue
        if contact.wa_id == new.wa_id and contact.scoped != old.scoped and not new.contradicts(contact):
            new = new.filled(contact)
            continue
        contact = contact._replace(parent=None)
        if new.scoped in (None, contact.scoped) or old.contradicts(contact):
            continue
        if contact.wa_id == old.wa_id or (contact.scoped == old.scoped and contact.wa_id != new.wa_id):
            old = old.filled(contact)
    return old, new


def _scoped_in_text(body: Any, new: Names) -> str | None:
    """The old scoped id, where only the text for people has it; believed when the text names the known new one."""
    found = _FROM_TO.search(body) if isinstance(body, str) else None
    if found is None or found[2] != new.scoped:
        return None
    try:
        old = user_name(found[1], "")
    except Refused:
        return None
    return old if old is not None and not old.isdigit() else None


def read_status(change: Change, status: dict[str, Any], path: str) -> None:
    """One element of `statuses`."""
    if status.get("type") == "call":
        meta_calls.read_status(change, status, path)
        return
    said = word(status.get("status"))
    name = _STATUSES.get(said)
    if name is None:
        if said in _WAITING:
            change.notes.ignore("status_enqueued")
        else:
            change.notes.ignore_unknown("status_unknown", status.get("status"))
        return
    if status.get("recipient_type") == "group":
        change.notes.ignore("status_group")
        return
    about = change.about(status, path, RECIPIENT)
    message_id = identifier(status.get("id"), f"{path}.id")
    if message_id is None:
        raise Refused("missing_id", f"{path}.id", "a status names the message it is about")
    change.notes.facts.append(
        MessageStatus(
            fact_id=derived_id("message_status", about["phone_number_id"], message_id, name),
            message_id=message_id,
            status=name,
            error_code=error_code(status.get("errors")) if name == "failed" else None,
            **about,
        )
    )

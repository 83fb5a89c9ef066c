"""Meta's webhooks, and every provider that passes them on unchanged (domain 3.5–3.8, 3.10): the walk.

Owns the batch: a webhook is one on three levels (entries, changes, and the messages, statuses or calls of a change),
and every item is read for itself, so one bad item costs nothing of its neighbours. What an item means stands in the
`meta_*` module of its field. Fields are picked by hand from parsed JSON; only what was refused is read a second time
by `wire`, to tell all that is wrong with it.
"""

from collections.abc import Callable
from typing import Any, Final

from streams.providers import meta_account, meta_calls, meta_messages, wire
from streams.providers.fields import items, mapping, number_id
from streams.providers.kinds import FIELDS
from streams.providers.known import NONE_KNOWN, Known
from streams.providers.meta_account import Account
from streams.providers.meta_parties import Change, change_of
from streams.providers.translation import Notes, Refused, Translation, translated

_ItemReader = Callable[[Change, dict[str, Any], str], None]
_PAIRS: Final[dict[str, tuple[tuple[str, _ItemReader, type[wire.Model]], ...]]] = {
    "messages": (
        ("messages", meta_messages.read_message, wire.Message),
        ("statuses", meta_messages.read_status, wire.Status),
    ),
    "calls": (
        ("calls", meta_calls.read_call, wire.Call),
        ("statuses", meta_calls.read_status, wire.Status),
    ),
}
_ACCOUNT: Final[dict[str, Callable[[Account, dict[str, Any], str], None]]] = {
    "account_update": meta_account.read_update,
    "account_settings_update": meta_account.read_settings,
    "message_template_status_update": meta_account.read_template,
}
_ENVELOPE: Final = ("object", "entry")
NO_ENVELOPE: Final = (
    "neither object nor entry, so no webhook of Meta's; send it to the door of its own provider, or name that provider"
)
_READ: Final = {field: frozenset(name for name, *_ in parts) for field, parts in _PAIRS.items()}
_BESIDE: Final = frozenset({"messaging_product", "metadata", "contacts", "errors"})


def translate(
    body: bytes,
    received_at: int,
    numbers: Known = NONE_KNOWN,
    *,
    provider: str = "meta",
) -> Translation:
    """The facts of one webhook body.

    `received_at`: our clock, epoch seconds. `numbers`: those that are known.
    """
    return translated(provider, body, received_at, lambda notes, payload: walk(notes, mapping(payload, "$"), numbers))


def walk(notes: Notes, payload: dict[str, Any], numbers: Known, *, entry_is_number: bool = False) -> None:
    """Every item of Meta's envelope, for every wrapper that passes it on. Raises `Refused` when it is no envelope.

    `entry_is_number`: the dialect names the number by the entry's id where it sends no metadata. In every other one an
    entry's id is taken for the number only when it is known as one (domain 4.3 rule 5).
    """
    if payload and payload.keys().isdisjoint(_ENVELOPE):
        raise Refused("not_an_envelope", "$", NO_ENVELOPE)
    if payload.get("object", "whatsapp_business_account") != "whatsapp_business_account":
        notes.ignore("other_object")  # Messenger's `page` looks alike and is another product (domain 3.12)
        return
    entries = items(payload, "entry", "$")
    if not entries:
        notes.ignore("empty")
    for place, entry in enumerate(entries):
        path = f"$.entry[{place}]"
        try:
            changes = items(mapping(entry, path), "changes", path)
        except Refused as refused:
            notes.park(refused.fault)
            continue
        if not changes:
            notes.ignore("empty")
        for at, change in enumerate(changes):
            try:
                _change(notes, numbers, (entry, path), change, f"{path}.changes[{at}]", entry_is_number)
            except Refused as refused:
                notes.park(refused.fault)


def _change(
    notes: Notes,
    numbers: Known,
    entry: tuple[dict[str, Any], str],
    change: Any,
    path: str,
    entry_is_number: bool,
) -> None:
    field = mapping(change, path).get("field")
    if not isinstance(field, str) or (field not in _PAIRS and field not in _ACCOUNT):
        if isinstance(field, str) and field in FIELDS:
            notes.ignore(f"field_{field}")
        else:
            notes.ignore_unknown("field_unknown", field)
        return
    path = f"{path}.value"
    value = mapping(change.get("value"), path)
    if field in _ACCOUNT:
        _ACCOUNT[field](Account(notes, *entry, field), value, path)
        return
    named = None
    if not value.get("metadata"):
        said = entry[0].get("id")
        if entry_is_number or (isinstance(said, str) and said in numbers.ids):
            named = number_id(said, f"{entry[1]}.id")
    shared = change_of(notes, numbers, value, path, named)
    if field == "calls":
        meta_calls.share_errors(notes, value)
    _count_unread(notes, value, field)
    for name, read, model in _PAIRS[field]:
        try:
            found = items(value, name, path)
        except Refused as refused:
            notes.park(refused.fault)
            continue
        for place, item in enumerate(found):
            where = f"{path}.{name}[{place}]"
            try:
                read(shared, mapping(item, where), where)
            except Refused as refused:
                notes.park(wire.diagnosed(model, item, where, refused.fault))


def _count_unread(notes: Notes, value: dict[str, Any], field: str) -> None:
    """Counts what a change holds and nobody reads, and a change that holds nothing."""
    held = [name for name, part in value.items() if part and name not in _BESIDE]
    unread = [name for name in held if name not in _READ[field] and isinstance(value[name], list | dict)]
    for name in unread:
        notes.ignore_unknown("part_unknown", name)
    if value.get("errors"):
        if field != "calls":  # there they are handed to a call, or counted
            notes.ignore("errors_beside")
    elif not unread and _READ[field].isdisjoint(held):
        notes.ignore("empty")

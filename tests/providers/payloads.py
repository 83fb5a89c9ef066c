"""Meta's payloads, built as its documentation shows them (domain 3.5, 3.7), with drama numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as some

from schemas.events import BusinessSeen, Fact, UsersLinked
from streams.providers.known import Known
from streams.providers.registry import translate
from streams.providers.translation import Translation

SAMPLES = Path(__file__).with_name("samples")

WABA, NUMBER, DISPLAY, USER = "900100200300400", "700100200300400", "442079460123", "447700900123"
SCOPED, PARENT = "GB.10000000000000000042", "GB.ENT.20000000000000000042"
CONTACT = {"profile": {"name": "Test User"}, "wa_id": USER, "user_id": SCOPED}
RECEIVED_AT = 1_772_443_801


def envelope(*values: dict[str, Any], field: str = "messages") -> dict[str, Any]:
    """One entry, one change a value."""
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": WABA, "changes": [{"field": field, "value": value} for value in values]}],
    }


def value(**parts: Any) -> dict[str, Any]:
    """The value of a change on `messages`."""
    return {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": DISPLAY, "phone_number_id": NUMBER},
        **parts,
    }


def reply(message_id: str = "wamid.TESTREPLY0001", **said: Any) -> dict[str, Any]:
    """A message that answers a permission request; `said` are the fields of the reply, or of the message."""
    message: dict[str, Any] = {
        "from": USER,
        "from_user_id": SCOPED,
        "id": message_id,
        "timestamp": said.pop("timestamp", "1772443800"),
        "type": "interactive",
        "interactive": {"type": "call_permission_reply"},
    }
    context = said.pop("context", None)
    if context is not None:
        message["context"] = {"from": DISPLAY, "id": context}
    message["interactive"]["call_permission_reply"] = said
    return message


def status(message_id: str, name: str, timestamp: object = "1772442005", **more: Any) -> dict[str, Any]:
    """A message status."""
    return {"id": message_id, "status": name, "timestamp": timestamp, "recipient_id": USER, **more}


def body(payload: object) -> bytes:
    """The bytes of a payload."""
    return json.dumps(payload).encode()


def call(event: str, **more: Any) -> dict[str, Any]:
    """An event of a call that the business placed; a key given as None is left out."""
    said = {
        "id": "wacid.TESTCALL0001",
        "from": DISPLAY,
        "to": USER,
        "event": event,
        "timestamp": "1772445669",
        "direction": "BUSINESS_INITIATED",
        **more,
    }
    return {key: held for key, held in said.items() if held is not None}


def calls(*said: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A payload of the field `calls`."""
    return envelope(value(calls=list(said), **more), field="calls")


def sample(name: str) -> dict[str, Any]:
    """One sample of Meta's formats as a file."""
    payload: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_bytes())
    return payload


def value_of(payload: dict[str, Any]) -> dict[str, Any]:
    """The value of the first change, to be altered."""
    found: dict[str, Any] = payload["entry"][0]["changes"][0]["value"]
    return found


def known(numbers: Mapping[str, str], *ids: str) -> Known:
    """Numbers known by their display form, and ids known without one."""
    return Known(numbers, frozenset((*numbers.values(), *ids)))


def read(payload: object, numbers: Mapping[str, str] | None = None, *ids: str) -> Translation:
    """What a payload of Meta means. `ids`: numbers whose display form nobody knows."""
    return translate("meta", body(payload), RECEIVED_AT, known(numbers or {}, *ids))


def told(done: Translation) -> list[Fact]:
    """The facts of the items, without what every payload repeats beside them; nothing may be parked."""
    assert done.parked == ()
    return [fact for fact in done.facts if not isinstance(fact, UsersLinked | BusinessSeen)]


def repeated(done: Translation) -> list[Fact]:
    """The facts that a payload shows beside its items."""
    return [fact for fact in done.facts if isinstance(fact, UsersLinked | BusinessSeen)]


json_values: some.SearchStrategy[Any] = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=12),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
"""Any JSON, small."""


def places(within: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every object, array and value of a payload, itself included."""
    steps = within.items() if isinstance(within, dict) else enumerate(within) if isinstance(within, list) else ()
    return [path, *(place for step, inner in steps for place in places(inner, (*path, step)))]

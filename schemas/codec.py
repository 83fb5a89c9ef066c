"""Bytes to facts and back. Fast on what is valid; what is not is explained by pydantic, field by field.

Owns the JSON form. Refuses to raise on content: an unreadable value is an `Unreadable` with the path to the fault.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.events import FACT_TYPES, Fact

_LOADS: Final = orjson.loads  # as in `mark_lists`
_DUMPS: Final = orjson.dumps
_SORTED_KEYS: Final = orjson.OPT_SORT_KEYS
_VALIDATE: Final = {name: TypeAdapter[Any](kind).validator.validate_python for name, kind in FACT_TYPES.items()}
"""By type of fact. The validator's own function: an adapter's is a Python function around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Why bytes could not be read. `path` like `$.occurred_at`; `detail` never quotes a value (promise 7)."""

    reason: str
    path: str
    detail: str


def canonical(value: object) -> bytes:
    """The one JSON text of a value: sorted keys, no spaces. Equal values, equal bytes."""
    return _DUMPS(value, option=_SORTED_KEYS)


def kept(encoded: bytes) -> bytes:
    """A copy to keep: orjson shrinks a large buffer in place and pins it, 4 KB a value (faust.md, point 11)."""
    return memoryview(encoded).tobytes()


def encode_fact(fact: Fact) -> bytes:
    """A fact as the value of `permission.events`."""
    return _DUMPS(fact)


def decode_fact(value: bytes) -> Fact | Unreadable:
    """The fact of a record's value. Unknown fields are ignored, so that a newer writer does not stop an older
    reader.
    """
    try:
        fields = _LOADS(value)
    except orjson.JSONDecodeError:
        return Unreadable(reason="not_json", path="$", detail="the value is not JSON")
    if not isinstance(fields, dict):
        return Unreadable(reason="not_an_object", path="$", detail="a fact is a JSON object")
    return fact_of(fields)


def fact_of(fields: dict[str, Any]) -> Fact | Unreadable:
    """The fact of a parsed object."""
    name = fields.get("type")
    validate = _VALIDATE.get(name) if isinstance(name, str) else None
    if validate is None:
        return Unreadable(reason="unknown_fact_type", path="$.type", detail="no reader knows this type of fact")
    try:
        fact: Fact = validate(fields)
    except ValidationError as fault:
        return unreadable(fault, "unreadable_fact")
    return fact


def unreadable(fault: ValidationError, reason: str, root: str = "$") -> Unreadable:
    """The first fault of a pydantic error, without the value that caused it."""
    first = fault.errors(include_url=False, include_context=False, include_input=False)[0]
    return Unreadable(reason=reason, path=path_of(first["loc"], root), detail=first["msg"])


def path_of(location: tuple[int | str, ...], root: str = "$") -> str:
    """A pydantic location as a JSON path: `("entry", 0, "id")` is `$.entry[0].id`."""
    return root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)

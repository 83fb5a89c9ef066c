"""The body of `POST /v1/actions`: one action, a JSON array of them, or one per line; all of them valid, or nothing.

Owns how many items a body holds, which bytes of it are which item, and what is told about each fault; the send log's
door (`sendlog`) reads its body the same way. Refuses to know what an action means: `schemas.actions` says what is
valid, and a valid one is kept as it was sent.

Decisions bound here
- One action and each line are kept byte for byte; an element of an array is written again, without its white space.
- `application/json` may also hold several lines of objects, which is what programs send that never heard of NDJSON.
- A line that is not JSON is a fault of that line (422, with its index); a body that is not JSON at all is 400. Both say
  at which column, and neither quotes it. `index` counts what is not blank, from 0.
- A key that stands twice in one object is a fault: which of the two is meant, only the caller knows.
- What occurs more than `MAX_AHEAD_S` after our clock is a fault: a clock or a unit is wrong.
- An empty array is accepted: a caller that flushes an empty list has done nothing wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from schemas.actions import MAX_ACTIONS, check_action
from streams.gateway.twice import TooDeep, key_twice

JSON_KINDS: Final = frozenset({"application/json"})
LINE_KINDS: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
MAX_LINES: Final = 2 * MAX_ACTIONS
"""Blank lines included, so that a body of line ends costs nothing."""
MAX_AHEAD_S: Final = 3_600
"""How far a caller's clock may be ahead of ours."""

Fault = dict[str, object]
Check = Callable[[Any], tuple[int, str] | list[dict[str, str]]]
"""When an item occurred and the path of that instant; or every fault of the item by path."""


@dataclass(frozen=True, slots=True)
class Actions:
    """All items of a body, each as the bytes to keep."""

    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Unacceptable:
    """Why nothing of a body is kept; faults by index and path."""

    status: Literal[400, 415, 422]
    detail: str
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class _Broken:
    """A line or an element that has no JSON value."""

    why: str


NO_ACTION: Final = Unacceptable(400, "the body is empty: send one JSON object, an array of them, or one per line")
TOO_MANY: Final = Unacceptable(
    422, f"at most {MAX_ACTIONS} in one request, and {MAX_LINES} lines: send them in several requests"
)
WRONG_KIND: Final = Unacceptable(
    415, "send Content-Type: application/json (one object or an array) or application/x-ndjson (one per line)"
)
TWICE: Final = "this key stands twice in one object: keep one of them"


def read_actions(body: bytes, content_type: str, *, now_at: int) -> Actions | Unacceptable:
    """The actions of a body, or every fault of it. Total: never raises on content."""
    return read_items(body, content_type, now_at=now_at, check=_check)


def read_items(body: bytes, content_type: str, *, now_at: int, check: Check) -> Actions | Unacceptable:
    """The items of a body as `check` wants them, or every fault of it. Total: never raises on content."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in JSON_KINDS | LINE_KINDS:
        return WRONG_KIND
    if not body.strip():
        return NO_ACTION
    if kind in LINE_KINDS:
        return _by_line(body, now_at, check)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        if _looks_like_lines(body):
            return _by_line(body, now_at, check)
        return Unacceptable(400, f"the body is not JSON (RFC 8259, UTF-8): {_where(fault)}")
    if not isinstance(value, list):
        return _judged([value], [body.strip()], now_at, check)
    try:
        twice = key_twice(body, value)
    except TooDeep:  # told of the item that is
        twice = None
    if twice == "$":
        return Unacceptable(422, f"{TWICE}; send fewer at once to be told where")
    return _of_array(value, now_at, check, twice)


def _check(value: Any) -> tuple[int, str] | list[dict[str, str]]:
    found = check_action(value)
    return found if isinstance(found, list) else (found.occurred_at, "$.occurred_at")


def _where(fault: orjson.JSONDecodeError) -> str:
    """What is wrong and where, in words of the parser, which never quote the text."""
    reason = fault.msg.partition(": line ")[0]
    return f"{reason} at line {fault.lineno} column {fault.colno}"


def _looks_like_lines(body: bytes) -> bool:
    if body.count(b"\n") > MAX_LINES:
        return False
    lines = [line for line in (raw.strip() for raw in body.split(b"\n")) if line]
    return len(lines) > 1 and all(line.startswith(b"{") and line.endswith(b"}") for line in lines)


def _by_line(body: bytes, now_at: int, check: Check) -> Actions | Unacceptable:
    if body.count(b"\n") > MAX_LINES:
        return TOO_MANY
    lines = [line for line in (raw.strip() for raw in body.split(b"\n")) if line]
    if len(lines) > MAX_ACTIONS:
        return TOO_MANY
    values: list[Any] = []
    for line in lines:
        try:
            values.append(orjson.loads(line))
        except orjson.JSONDecodeError as fault:
            values.append(_Broken(f"not JSON: {_where(fault)} of this line"))
    return _judged(values, lines, now_at, check)


def _of_array(values: list[Any], now_at: int, check: Check, twice: str | None) -> Actions | Unacceptable:
    if len(values) > MAX_ACTIONS:
        return TOO_MANY
    kept: list[bytes] = []
    for index, value in enumerate(values):
        try:
            kept.append(orjson.dumps(value))
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            values[index] = _Broken("nested too deeply")
            kept.append(b"")
    if twice is None:
        return _judged(values, kept, now_at, check)
    place, _, path = twice.removeprefix("$[").partition("]")
    return _judged(values, kept, now_at, check, {"index": int(place), "path": f"${path}", "message": TWICE})


def _odd(kept: bytes, value: Any) -> Fault | None:
    try:
        path = key_twice(kept, value)
    except TooDeep:
        return {"path": "$", "message": "nested too deeply"}
    return None if path is None else {"path": path, "message": TWICE}


def _judged(
    values: list[Any], kept: list[bytes], now_at: int, check: Check, found_before: Fault | None = None
) -> Actions | Unacceptable:
    faults: list[Fault] = [] if found_before is None else [found_before]
    for index, value in enumerate(values):
        if isinstance(value, _Broken):
            faults.append({"index": index, "path": "$", "message": value.why})
        elif isinstance(found := check(value), list):
            faults += [{"index": index, **fault} for fault in found]
        elif found[0] > now_at + MAX_AHEAD_S:
            message = f"this is in the future; allowed is at most {MAX_AHEAD_S} s ahead of the gateway's clock"
            faults.append({"index": index, "path": found[1], "message": message})
        elif (fault := _odd(kept[index], value)) is not None:
            faults.append({"index": index} | fault)
    if not faults:
        return Actions(tuple(kept))
    detail = f"nothing was stored: {len(faults)} faults at {len({fault['index'] for fault in faults})} places"
    return Unacceptable(422, detail, tuple(faults))

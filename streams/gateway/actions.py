"""The body of `POST /v1/actions`: one action, a JSON array of them, or one per line; all of them valid, or nothing.

Owns how many actions a body holds, which bytes of it are which action, and what is told about each fault. Refuses to
know what an action means: `schemas.actions` says what is valid, and a valid one is kept as it was sent.

Decisions bound here
- One action and each line are kept byte for byte; an element of an array is written again, without its white space.
- `application/json` may also hold several lines of objects, which is what programs send that never heard of NDJSON.
- A line that is not JSON is a fault of that line (422, with its index); a body that is not JSON at all is 400.
- What occurs more than `MAX_AHEAD_S` after our clock is a fault: a clock or a unit is wrong.
- An empty array is accepted: a caller that flushes an empty list has done nothing wrong.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from schemas.actions import MAX_ACTIONS, check_action

JSON_KINDS: Final = frozenset({"application/json"})
LINE_KINDS: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
MAX_LINES: Final = 2 * MAX_ACTIONS
"""Blank lines included, so that a body of line ends costs nothing."""
MAX_AHEAD_S: Final = 3_600
"""How far a caller's clock may be ahead of ours."""

Fault = dict[str, object]


@dataclass(frozen=True, slots=True)
class Actions:
    """All actions of a body, each as the bytes to keep."""

    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Unacceptable:
    """Why nothing of a body is kept; faults by index and path."""

    status: Literal[400, 415, 422]
    detail: str
    faults: tuple[Fault, ...] = ()


NOT_JSON: Final = Unacceptable(400, "the body is not JSON (RFC 8259, UTF-8)")
NO_ACTION: Final = Unacceptable(400, "the body is empty: send one action, an array of them, or one per line")
TOO_MANY: Final = Unacceptable(422, f"at most {MAX_ACTIONS} actions in one request")
WRONG_KIND: Final = Unacceptable(
    415, "send Content-Type: application/json (one action or an array) or application/x-ndjson (one per line)"
)


def read_actions(body: bytes, content_type: str, content_encoding: str = "", *, now_at: int) -> Actions | Unacceptable:
    """The actions of a body, or every fault of it. Total: never raises on content."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in JSON_KINDS | LINE_KINDS or content_encoding.lower() not in {"", "identity"}:
        return WRONG_KIND
    if not body.strip():
        return NO_ACTION
    if kind in LINE_KINDS:
        return _by_line(body, now_at)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _by_line(body, now_at) if _looks_like_lines(body) else NOT_JSON
    return _of_array(value, now_at) if isinstance(value, list) else _judged([value], [body.strip()], now_at)


def _looks_like_lines(body: bytes) -> bool:
    if body.count(b"\n") > MAX_LINES:
        return False
    lines = [line for line in (raw.strip() for raw in body.split(b"\n")) if line]
    return len(lines) > 1 and all(line.startswith(b"{") and line.endswith(b"}") for line in lines)


def _by_line(body: bytes, now_at: int) -> Actions | Unacceptable:
    if body.count(b"\n") > MAX_LINES:
        return TOO_MANY
    lines = [line for line in (raw.strip() for raw in body.split(b"\n")) if line]
    if len(lines) > MAX_ACTIONS:
        return TOO_MANY
    values: list[Any] = []
    for line in lines:
        try:
            values.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            values.append(NOT_JSON)
    return _judged(values, lines, now_at)


def _of_array(values: list[Any], now_at: int) -> Actions | Unacceptable:
    if len(values) > MAX_ACTIONS:
        return TOO_MANY
    kept: list[bytes] = []
    for index, value in enumerate(values):
        try:
            kept.append(orjson.dumps(value))
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            values[index] = NOT_JSON
            kept.append(b"")
    return _judged(values, kept, now_at)


def _judged(values: list[Any], kept: list[bytes], now_at: int) -> Actions | Unacceptable:
    faults: list[Fault] = []
    for index, value in enumerate(values):
        if value is NOT_JSON:
            faults.append({"index": index, "path": "$", "message": "not JSON, or nested too deeply"})
        elif isinstance(found := check_action(value), list):
            faults += [{"index": index, **fault} for fault in found]
        elif found.occurred_at > now_at + MAX_AHEAD_S:
            message = f"this is in the future; allowed is at most {MAX_AHEAD_S} s ahead of the gateway's clock"
            faults.append({"index": index, "path": "$.occurred_at", "message": message})
    if faults:
        detail = f"nothing was stored: {len(faults)} faults in {len({fault['index'] for fault in faults})} actions"
        return Unacceptable(422, detail, tuple(faults))
    return Actions(tuple(kept))

"""One line of a history file: who sent what to us, and when it came (design 13).

Owns the line's form. Refuses to understand a body: the translation of its provider does.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

from schemas.actions import instant
from schemas.codec import Unreadable
from streams.providers.actions import PROVIDER as ACTIONS
from streams.providers.translation import Refused, parsed

BOM: Final = b"\xef\xbb\xbf"
_FORM: Final = "a history line has received_at and either webhook with body or body_base64, or action"
_AS_WRITTEN: Final = re.compile(
    rb'[ \t]*\{[ \t]*"received_at"[ \t]*:[ \t]*"([^"\\]{1,40})"[ \t]*,[ \t]*'
    rb'(?:"webhook"[ \t]*:[ \t]*"([^"\\]{1,32})"[ \t]*,[ \t]*"body"|"action")[ \t]*:[ \t]*(\{.*\})[ \t]*\}[ \t\r\n]*',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came in: `received_at` on our clock, epoch seconds. `cut`: the body was cut out of the line, not yet
    read.
    """

    provider: str
    received_at: int
    body: bytes
    cut: bool = False


def arrival_of(line: bytes) -> Arrival | Unreadable:
    """What a line holds. A line in the usual order of keys is cut, not parsed, so that its JSON is read only once."""
    found = _AS_WRITTEN.fullmatch(line)
    if found is not None and (at := _instant(found[1])) is not None:
        provider = ACTIONS if found[2] is None else found[2].decode("utf-8", "replace")
        return Arrival(provider, at, found[3], cut=True)
    return exact_arrival_of(line)


def exact_arrival_of(line: bytes) -> Arrival | Unreadable:
    """The same by parsing the whole line: for another order of keys, and to tell what is wrong with a broken one."""
    try:
        said = parsed(line.removeprefix(BOM))
    except Refused:
        return Unreadable(reason="not_json", path="$", detail="the line is not JSON")
    if not isinstance(said, dict):
        return _broken("$", f"no JSON object; {_FORM}")
    if not said.keys() & {"received_at", "webhook", "action"}:
        return _broken("$", f"nothing of that; {_FORM}" if said else f"an empty object; {_FORM}")
    try:
        received_at = instant(said.get("received_at"))
    except ValueError as fault:
        return _broken("$.received_at", f"{'' if 'received_at' in said else 'missing; '}{fault}")
    told = _unclear(said)
    if told is not None:
        return _broken("$", f"{told}; {_FORM}")
    if "action" in said:
        return _packed(ACTIONS, received_at, said["action"], "$.action")
    provider = said["webhook"]
    if not isinstance(provider, str):
        return _broken("$.webhook", "the provider's name is expected here")
    if "body" in said:
        return _packed(provider, received_at, said["body"], "$.body")
    try:
        return Arrival(provider, received_at, base64.b64decode(said["body_base64"], validate=True))
    except (TypeError, ValueError, binascii.Error):
        return _broken("$.body_base64", "not the base64 of a body")


def _unclear(said: dict[str, Any]) -> str | None:
    """What a line says twice or not at all; None when it says each thing once."""
    if "action" in said:
        others = [name for name in ("webhook", "body", "body_base64") if name in said]
        return f"both action and {others[0]}" if others else None
    if "webhook" not in said:
        return "neither webhook nor action"
    if "body" in said and "body_base64" in said:
        return "both body and body_base64"
    return None if "body" in said or "body_base64" in said else "webhook without body or body_base64"


def _broken(path: str, detail: str) -> Unreadable:
    return Unreadable(reason="unreadable_line", path=path, detail=detail)


def _packed(provider: str, received_at: int, body: Any, path: str) -> Arrival | Unreadable:
    try:
        return Arrival(provider, received_at, orjson.dumps(body))
    except TypeError:  # what orjson reads or is spared, and does not write: lone surrogates, deep nesting
        try:
            return Arrival(provider, received_at, json.dumps(body).encode())
        except RecursionError:
            return _broken(path, "nested too deeply")


@lru_cache(maxsize=4_096)  # lines that follow each other share their seconds
def _instant(text: bytes) -> int | None:
    try:
        return instant(text.decode())
    except ValueError:
        return None

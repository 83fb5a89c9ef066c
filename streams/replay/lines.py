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
_FORM: Final = "a history line has received_at and one of webhook with body or body_base64, or action"
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
        return Unreadable(reason="unreadable_line", path="$", detail=_FORM)
    try:
        received_at = instant(said.get("received_at"))
    except ValueError as fault:
        return Unreadable(reason="unreadable_line", path="$.received_at", detail=str(fault))
    if "action" in said and "webhook" not in said:
        return _packed(ACTIONS, received_at, said["action"], "$.action")
    provider = said.get("webhook")
    if not isinstance(provider, str) or "action" in said or ("body" in said) == ("body_base64" in said):
        return Unreadable(reason="unreadable_line", path="$", detail=_FORM)
    if "body" in said:
        return _packed(provider, received_at, said["body"], "$.body")
    try:
        return Arrival(provider, received_at, base64.b64decode(said["body_base64"], validate=True))
    except (TypeError, ValueError, binascii.Error):
        return Unreadable(reason="unreadable_line", path="$.body_base64", detail="not the base64 of a body")


def _packed(provider: str, received_at: int, body: Any, path: str) -> Arrival | Unreadable:
    try:
        return Arrival(provider, received_at, orjson.dumps(body))
    except TypeError:  # what orjson reads or is spared, and does not write: lone surrogates, deep nesting
        try:
            return Arrival(provider, received_at, json.dumps(body).encode())
        except RecursionError:
            return Unreadable(reason="unreadable_line", path=path, detail="nested too deeply")


@lru_cache(maxsize=4_096)  # lines that follow each other share their seconds
def _instant(text: bytes) -> int | None:
    try:
        return instant(text.decode())
    except ValueError:
        return None

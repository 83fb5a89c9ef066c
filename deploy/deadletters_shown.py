"""A letter in words: its line in a list, its diagnosis, and, when a person asks for it, what it holds.

Owns what may be told unasked: our own words, places, sizes and the headers we know. Refuses to show a key, a foreign
header or bytes in a diagnosis: they may hold a phone number.
"""

import base64
import re
from typing import Any, Final

import orjson

from deploy.deadletters import Ledger, Letter
from schemas.envelope import DELIVERY_ID, PROVIDER, RECEIVED_AT, RETRIED, SECRET_SLOT, header, rfc3339, rfc3339_ms

KNOWN_HEADERS: Final = frozenset(
    {PROVIDER, RECEIVED_AT, DELIVERY_ID, SECRET_SLOT, RETRIED, "content-type"}
    | {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"}
)
_LONG_NUMBER: Final = re.compile(r"\+?\d{8,}")
_DIGEST: Final = re.compile(r"[0-9a-f/-]{32,96}")
_STEP: Final = re.compile(r"\.([A-Za-z_]\w{0,127})|\[(\d{1,9})\]")


def clean(text: str) -> str:
    """A text from a header, fit to be told unasked: nothing that moves the cursor or forges a line, no long number.

    Our programs write none into a header; whoever else may write to the topics could.
    """
    return _LONG_NUMBER.sub("(digits)", "".join(one if one.isprintable() else "?" for one in text))


def line(letter: Letter, ledger: Ledger) -> dict[str, Any]:
    """The letter as one line of a list."""
    return {
        "address": str(letter.address),
        "parked": rfc3339(letter.parked_at_ms // 1000),
        "reason": clean(letter.reason),
        "path": clean(letter.path),
        "provider": clean(letter.provider) if letter.provider is not None else None,
        "origin": clean(str(letter.origin)) if letter.origin else None,
        "bytes": letter.size_bytes if letter.left_bytes is None else letter.left_bytes,
        "became": ledger.became(letter),
    }


def diagnosis(letter: Letter, ledger: Ledger) -> dict[str, Any]:
    """What was wrong, where, and where the record came from."""
    headers = {clean(name): _said(name, text) for name, text in letter.arrived}
    return {
        "address": str(letter.address),
        "became": ledger.became(letter),
        "reason": clean(letter.reason),
        "path": clean(letter.path),
        "detail": clean(letter.detail),
        "parked": rfc3339_ms(letter.parked_at_ms),
        "origin_topic": clean(letter.origin.topic) if letter.origin else None,
        "origin_partition": letter.origin.partition if letter.origin else None,
        "origin_offset": letter.origin.offset if letter.origin else None,
        "origin_time": None if letter.origin_at_ms is None else rfc3339_ms(letter.origin_at_ms),
        "provider": clean(letter.provider) if letter.provider is not None else None,
        "received_at": clean(header(letter.arrived, RECEIVED_AT) or "") or None,
        "bytes": letter.size_bytes if letter.left_bytes is None else letter.left_bytes,
        "bytes_at_origin": letter.left_bytes is not None,
        "copies": [str(one.address) for one in ledger.copies(letter) if one.address != letter.address],
        "headers": headers,
    }


def contents(letter: Letter, value: bytes | None) -> dict[str, Any]:
    """Key, headers and bytes, and what stands at the path of the diagnosis; what is no JSON comes as base64 too."""
    key = None if letter.key is None else letter.key.decode("utf-8", "backslashreplace")
    headers = {name: text.decode("utf-8", "backslashreplace") for name, text in letter.arrived}
    if value is None:
        return {"key": key, "headers": headers, "body": None}
    try:
        body = orjson.loads(value)
    except orjson.JSONDecodeError:
        return {
            "key": key,
            "headers": headers,
            "body": value.decode("utf-8", "backslashreplace"),
            "body_base64": base64.b64encode(value).decode(),
        }
    found = {"key": key, "headers": headers, "body": body}
    if letter.path != "$":
        found["at_the_path"] = at_path(body, letter.path)
    return found


def at_path(body: Any, path: str) -> Any:
    """What stands at a path like `$.entry[0].changes[3]`; as far down as there is anything."""
    place, here = 1, body
    while (step := _STEP.match(path, place)) is not None:
        name, index = step.groups()
        if name is not None and isinstance(here, dict) and name in here:
            here = here[name]
        elif index is not None and isinstance(here, list) and int(index) < len(here):
            here = here[int(index)]
        else:
            break
        place = step.end()
    return here


def _said(name: str, value: bytes) -> str:
    if name not in KNOWN_HEADERS:
        return f"({len(value)} bytes)"
    text = value.decode("utf-8", "replace")
    return text if _DIGEST.fullmatch(text) else clean(text)

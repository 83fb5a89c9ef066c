"""Whether a key stands twice in one object of a JSON text: parsers keep the last and say nothing.

Owns finding the place, at little cost where there is none: a text that was read in full has as many quotation marks as
the value written again, up to their escapes; only where the count differs it is read a second time, slowly. Refuses to
quote a key that is not a plain word, for it may hold anything.
"""

import json
import re
from typing import Any, Final

import orjson

_WORD: Final = re.compile(r"[A-Za-z_]{1,64}")


class _Object(dict[str, Any]):
    """An object and the first of its keys that stood twice in the text."""

    twice: str | None = None


def key_twice(text: bytes, value: Any) -> str | None:
    """The path of the first key that stands twice; None when there is none. `value`: what `text` was read as."""
    try:
        if text.count(b'"') == orjson.dumps(value).count(b'"'):
            return None
        again = json.loads(text, object_pairs_hook=_object)
    except (orjson.JSONEncodeError, ValueError, RecursionError):  # nested so deeply that it is refused elsewhere
        return None
    left: list[tuple[str, Any]] = [("$", again)]
    while left:
        path, one = left.pop()
        if isinstance(one, _Object):
            if one.twice is not None:
                return path + _step(one.twice)
            left += [(path + _step(key), held) for key, held in reversed(one.items())]
        elif isinstance(one, list):
            left += [(f"{path}[{place}]", held) for place, held in reversed(list(enumerate(one)))]
    return None


def _step(key: str) -> str:
    return f".{key}" if _WORD.fullmatch(key) else ".*"


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        made.twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return made

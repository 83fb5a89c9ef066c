"""Whether a key stands twice in one object of a JSON text: parsers keep the last and say nothing.

Owns finding the place, at little cost where there is none: a text that was read in full has as many quotation marks as
the value written again, escaped ones left out; only where the count differs it is read a second time, building nothing.
The place itself is looked for in texts of bounded size alone: a sender must not stop the gateway with a riddle. Refuses
to quote a key that is not a plain word, for it may hold anything.
"""

import json
import re
from typing import Any, Final

import orjson

_WORD: Final = re.compile(r"[A-Za-z_]{1,64}")


SEARCHED_BYTES: Final = 256 << 10


class TooDeep(Exception):
    """Nested more deeply than anything that is written."""


class _Twice(Exception):
    """A key stands twice."""


class _Object(dict[str, Any]):
    """An object and the first of its keys that stood twice in the text."""

    twice: str | None = None


def key_twice(text: bytes, value: Any) -> str | None:
    """The path of the first key that stands twice, `$` in a text too long to be searched; None when there is none.

    `value`: what `text` was read as. Raises `TooDeep`.
    """
    try:
        if _marks(text) == _marks(orjson.dumps(value)):
            return None
        json.loads(text, object_pairs_hook=_alone)
        return None
    except _Twice:
        if len(text) > SEARCHED_BYTES:
            return "$"
    except (orjson.JSONEncodeError, RecursionError) as fault:
        raise TooDeep from fault
    except ValueError:  # a number of thousands of digits, which the check of its field refuses
        return None
    again = json.loads(text, object_pairs_hook=_object)
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


def _marks(text: bytes) -> int:
    return text.count(b'"') - text.count(b'\\"')


def _alone(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) != len(pairs):
        raise _Twice


def _step(key: str) -> str:
    return f".{key}" if _WORD.fullmatch(key) else ".*"


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        made.twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return made

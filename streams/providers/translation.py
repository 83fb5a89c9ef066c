"""What a translation returns, and the JSON and field reading that every dialect shares (domain 4.3).

Owns tolerance: which forms of an instant, an id or a number are read. Refuses to guess: what is neither read nor
known to be harmless is parked with the path to it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from schemas.codec import Unreadable
from schemas.events import EARLIEST_AT, LATEST_AT, Fact, Response
from schemas.ids import PHONE_NUMBER_ID, user_of

MAX_ID: Final = 512

RESPONSES: Final[dict[str, Response]] = {
    "accept": "accept",
    "approve": "accept",
    "granted": "accept",
    "reject": "reject",
    "rejected": "reject",
    "denied": "reject",
    "revoked": "reject",
}


@dataclass(frozen=True, slots=True)
class Translation:
    """The facts of one payload, what was ignored by kind (a closed set of kinds), and what could not be judged."""

    facts: tuple[Fact, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    parked: tuple[Unreadable, ...] = ()


class Refused(Exception):
    """One item of a payload cannot be judged; raised and caught inside a translation, never outside."""

    def __init__(self, reason: str, path: str, detail: str) -> None:
        super().__init__(reason)
        self.fault = Unreadable(reason=reason, path=path, detail=detail)


class Notes:
    """What a translation gathers on its way through a payload."""

    __slots__ = ("facts", "ignored", "parked")

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.ignored: dict[str, int] = {}
        self.parked: list[Unreadable] = []

    def ignore(self, kind: str) -> None:
        """Counts something that carries nothing for us. `kind` comes from a closed set, never from content."""
        self.ignored[kind] = self.ignored.get(kind, 0) + 1

    def park(self, fault: Unreadable) -> None:
        """Keeps the reason why a part cannot be judged."""
        self.parked.append(fault)

    def done(self) -> Translation:
        """The translation."""
        return Translation(tuple(self.facts), self.ignored, tuple(self.parked))


def parsed(body: bytes) -> Any:
    """The JSON of a body. Raises `Refused` when it is none.

    orjson refuses what Meta may send, a lone surrogate in a profile name; such a body is read a second time by the
    standard library, so that a strange name cannot cost a permission. Ids with such characters are refused where they
    are read.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return json.loads(body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise Refused("not_json", "$", "the body is not JSON") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def mapping(value: Any, path: str) -> dict[str, Any]:
    """`value` as an object."""
    if not isinstance(value, dict):
        raise Refused("unreadable", path, "an object is expected here")
    return value


def items(holder: Mapping[str, Any], name: str, path: str) -> list[Any]:
    """The array under `name`; empty when absent or null."""
    value = holder.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused("unreadable", f"{path}.{name}", "an array is expected here")
    return value


def identifier(value: Any, path: str) -> str | None:
    """An id of a message or call; None when absent. Ids are strings: a number would lose digits on its way."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_ID:
        raise Refused("unreadable_id", path, "an id is a string of at most 512 characters")
    if not value.isprintable():
        raise Refused("unreadable_id", path, "an id has no control characters or lone surrogates")
    return value


def number_id(value: Any, path: str) -> str | None:
    """A phone_number_id; None when absent."""
    text = identifier(value, path)
    if text is not None and not PHONE_NUMBER_ID.fullmatch(text):
        raise Refused("unreadable_number", path, "a phone_number_id has only digits")
    return text


def user_name(value: Any, path: str) -> str | None:
    """A user's name in its one form (domain 4.3 rule 6); None when absent."""
    text = identifier(value, path)
    if text is None:
        return None
    user = user_of(text)
    if user is None:
        raise Refused("unreadable_user", path, "neither digits with a country code nor a business-scoped id")
    return user


def instant(value: Any, path: str) -> int | None:
    """Epoch seconds of an instant; None when absent.

    Reads seconds and milliseconds as integers or strings, and RFC 3339 with `Z`, `+00:00` or `+0000` (domain 4.3 rule
    2).
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        if value.isascii() and value.isdigit() and len(value) <= 16:
            value = int(value)
        else:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                moment = None
            if moment is None or moment.tzinfo is None:
                raise Refused("unreadable_time", path, "neither epoch seconds nor RFC 3339 with a zone")
            value = int(moment.timestamp())
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused("unreadable_time", path, "neither epoch seconds nor RFC 3339 with a zone")
    at = value // 1000 if value >= LATEST_AT and EARLIEST_AT <= value // 1000 < LATEST_AT else value
    if not EARLIEST_AT <= at < LATEST_AT:
        raise Refused("time_out_of_range", path, "an instant lies between 2015 and 2100")
    return at

"""What a translation returns, what it gathers on its way, and how bytes become JSON.

Owns the form of the outcome and the second reading of a body that orjson refuses. Refuses to know any provider.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from schemas.codec import Unreadable
from schemas.events import BusinessSeen, Fact, UsersLinked
from schemas.ids import derived_id
from schemas.mark_lists import filled

AHEAD_S: Final = 7 * 86_400
"""Wide enough for a clock of ours that is days behind; a clock in milliseconds or in another century is far beyond
it.
"""
MAX_UNKNOWN: Final = 8
"""Names of unknown things kept of one payload; whoever adds them up over payloads bounds them once more."""
_HARMLESS: Final = re.compile(
    r"(?=.{1,40}\Z)(?!(?:.*[0-9]){3})(?!(?i:wa[mc]id))"
    r"(?:[A-Z]?[a-z][a-z0-9]*(?:[_.-][a-z0-9]+)*|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)"
)
"""A name that may stand in a metric or a log: a short word of one case with at most two digits. Neither a phone number
nor an id can be written so, nor either as base64.
"""


_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class Translation(NamedTuple):
    """The facts of one payload, what was ignored by kind (a closed set of kinds), and what could not be judged.

    `unknown`: of what was ignored because nobody documented it, the names, as `kind:name`; few, short and harmless.
    """

    facts: tuple[Fact, ...] = ()
    ignored: Mapping[str, int] = _NONE
    parked: tuple[Unreadable, ...] = ()
    unknown: Mapping[str, int] = _NONE


class Refused(Exception):
    """One item of a payload cannot be judged; raised and caught inside a translation, never outside."""

    def __init__(self, reason: str, path: str, detail: str) -> None:
        super().__init__(reason)
        self.fault = Unreadable(reason=reason, path=path, detail=detail)


class Notes:
    """What a translation gathers on its way through a payload.

    What every item of a payload repeats (a user's two names, the number's two forms) becomes one fact a payload, at
    the earliest instant of its items.
    """

    __slots__ = ("_linked", "_seen", "facts", "ignored", "parked", "provider", "received_at", "unknown")

    def __init__(self, received_at: int, provider: str) -> None:
        self.received_at = received_at
        self.provider = provider
        self.facts: list[Fact] = []
        self.ignored: dict[str, int] = {}
        self.parked: list[Unreadable] = []
        self.unknown: dict[str, int] = {}
        self._linked: dict[tuple[str, str, str], int] = {}
        self._seen: dict[tuple[str, str], int] = {}

    def ignore(self, kind: str) -> None:
        """Counts something that carries nothing for us. `kind` is one of `kinds.IGNORED`, never content."""
        self.ignored[kind] = self.ignored.get(kind, 0) + 1

    def ignore_unknown(self, kind: str, name: object) -> None:
        """Counts something nobody documented, and keeps what the payload calls it where that is a harmless word."""
        self.ignore(kind)
        if not isinstance(name, str) or not _HARMLESS.fullmatch(name):
            return
        named = f"{kind}:{name.lower()}"
        if named in self.unknown or len(self.unknown) < MAX_UNKNOWN:
            self.unknown[named] = self.unknown.get(named, 0) + 1

    def happened(self, at: int, path: str) -> int:
        """`at`, the instant of something that happened. Raises `Refused` when that is long after we received it: a
        broken clock would otherwise carry its pair into the future, where every grant has run out.
        """
        if at > self.received_at + AHEAD_S:
            raise Refused("time_in_future", path, "an instant lies more than seven days after the receipt")
        return at

    def park(self, fault: Unreadable) -> None:
        """Keeps the reason why a part cannot be judged."""
        self.parked.append(fault)

    def link(self, number: str, scoped: str, wa_id: str, at: int) -> None:
        """Keeps that one user of `number` has both names."""
        names = (number, scoped, wa_id)
        self._linked[names] = min(at, self._linked.get(names, at))

    def see(self, number: str, display: str, at: int) -> None:
        """Keeps that a number has both forms."""
        forms = (number, display)
        self._seen[forms] = min(at, self._seen.get(forms, at))

    def done(self) -> Translation:
        """The translation: the facts of the items in their order, then links, then numbers seen."""
        for (number, scoped, wa_id), at in self._linked.items():
            self.facts.append(
                UsersLinked(
                    fact_id=_standing_id("users_linked", number, scoped, wa_id),
                    phone_number_id=number,
                    user=scoped,
                    occurred_at=at,
                    recorded_at=self.received_at,
                    provider=self.provider,
                    wa_id=wa_id,
                )
            )
        for (number, display), at in self._seen.items():
            self.facts.append(
                BusinessSeen(
                    fact_id=_standing_id("business_seen", number, display),
                    phone_number_id=number,
                    display_phone_number=display,
                    occurred_at=at,
                    recorded_at=self.received_at,
                    provider=self.provider,
                )
            )
        return filled(Translation, (tuple(self.facts), self.ignored, tuple(self.parked), self.unknown))


@lru_cache(maxsize=65_536)  # nearly every payload repeats them, and hashing costs twenty times a look-up
def _standing_id(kind: str, *names: str) -> str:
    return derived_id(kind, *names)


def translated(provider: str, body: bytes, received_at: int, read: Callable[[Notes, Any], None]) -> Translation:
    """What `read` notes of a body's JSON; what it refuses as a whole is parked. `received_at`: epoch seconds."""
    notes = Notes(received_at, provider)
    try:
        read(notes, parsed(body))
    except Refused as refused:
        notes.park(refused.fault)
    return notes.done()


def parsed(body: bytes) -> Any:
    """The JSON of a body. Raises `Refused` when it is none.

    orjson refuses what a wire may carry, a lone surrogate or broken UTF-8 in a profile name; such a body is read a
    second time by the standard library, so that a strange name cannot cost a permission. Ids with such characters are
    refused where they are read.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
            return json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise Refused("not_json", "$", "the body is not JSON") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)

"""Dead letters as an operator sees them: what was parked, why, and what became of it.

Owns the fold of the topic `deadletters`: letters and the marks over them. Refuses to talk to a cluster
(`deadletters_desk`) and to hold bytes: a list needs headers alone.

Decisions
- A letter's address is `partition:offset` on `deadletters`. It never changes.
- One record parked twice for one reason (a crash repeats a batch) is one letter, known by its first copy; what is said
  of any copy holds for all.
- What was done is remembered on the topic itself, by marks. The later mark holds; none is ever taken back, but a letter
  that is named by its address can be retried again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

from schemas.envelope import (
    BYTES_AT_ORIGIN,
    DETAIL,
    MARKS,
    ORIGIN_AT,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TOPIC,
    OUTCOME,
    PATH,
    PROVIDER,
    REASON,
    Headers,
    arrived_with,
    header,
    is_mark,
    rfc3339,
)
from schemas.topics import REGISTRY, Topic

Became = Literal["open", "retried", "dropped"]
Dimension = Literal["reason", "provider", "origin", "day"]
_OUTCOMES: Final[dict[str, Became]] = {"retried": "retried", "dropped": "dropped"}
DIMENSIONS: Final[tuple[Dimension, ...]] = ("reason", "provider", "origin", "day")


class Address(NamedTuple):
    """Where a letter stands on `deadletters`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Origin(NamedTuple):
    """Where the parked record stood before."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


class Found(Protocol):
    """A record of `deadletters` as the client gives it."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One parked record without its bytes. `arrived`: the headers it had at its origin."""

    address: Address
    parked_at_ms: int
    reason: str
    path: str
    detail: str
    origin: Origin | None
    origin_at_ms: int | None
    left_bytes: int | None
    """How many bytes stayed at the origin, because a letter could not hold them; None when it does."""
    size_bytes: int
    key: bytes | None = field(repr=False)
    arrived: Headers = field(repr=False)

    @property
    def provider(self) -> str | None:
        """Who sent it; None for what was ours already (facts, rows)."""
        return header(self.arrived, PROVIDER)

    @property
    def day(self) -> str:
        """The day it was parked on, UTC."""
        return rfc3339(self.parked_at_ms // 1000)[:10]

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for copies of one letter."""
        return (self.address,) if self.origin is None else (self.origin, self.reason)

    def said(self, dimension: Dimension) -> str:
        """The letter's value in one dimension of the statistics."""
        match dimension:
            case "reason":
                return self.reason
            case "provider":
                return self.provider or ""
            case "origin":
                return self.origin.topic if self.origin else ""
            case "day":
                return self.day


def letter_of(record: Found) -> Letter:
    """The letter a record is. Never raises: what a foreign writer left out stays empty."""
    headers = tuple(record.headers)
    topic = header(headers, ORIGIN_TOPIC)
    partition, offset = _whole(header(headers, ORIGIN_PARTITION)), _whole(header(headers, ORIGIN_OFFSET))
    known = topic is not None and partition is not None and offset is not None
    return Letter(
        address=Address(record.partition, record.offset),
        parked_at_ms=record.timestamp,
        reason=header(headers, REASON) or "unknown",
        path=header(headers, PATH) or "$",
        detail=header(headers, DETAIL) or "",
        origin=Origin(topic or "", partition or 0, offset or 0) if known else None,
        origin_at_ms=_whole(header(headers, ORIGIN_AT)),
        left_bytes=_whole(header(headers, BYTES_AT_ORIGIN)),
        size_bytes=len(record.value or b""),
        key=record.key,
        arrived=arrived_with(headers),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which letters are meant. Nothing given: all. `since_at`, `until_at`: when it was parked, the end left out."""

    reasons: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    """Full topic names, or their ends as registered (`webhooks.raw`)."""
    since_at: int | None = None
    until_at: int | None = None

    def take(self, letter: Letter) -> bool:
        topic = letter.origin.topic if letter.origin else ""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.providers or letter.provider in self.providers)
            and (not self.origins or any(topic == one or topic.endswith(f".{one}") for one in self.origins))
            and (self.since_at is None or letter.parked_at_ms >= self.since_at * 1000)
            and (self.until_at is None or letter.parked_at_ms < self.until_at * 1000)
        )


class Ledger:
    """Letters, their copies and their marks, folded record by record, in any order of partitions."""

    def __init__(self) -> None:
        self._copies: dict[tuple[object, ...], list[Letter]] = {}
        self._marks: dict[Address, tuple[int, Became]] = {}

    def take(self, record: Found) -> None:
        """One more record of the topic."""
        if not is_mark(tuple(record.headers)):
            letter = letter_of(record)
            self._copies.setdefault(letter.identity, []).append(letter)
            return
        marked = address_of(header(tuple(record.headers), MARKS) or "")
        outcome = header(tuple(record.headers), OUTCOME)
        became = _OUTCOMES.get(outcome or "")
        if marked is not None and became is not None:
            known = self._marks.get(marked)
            if known is None or known[0] <= record.timestamp:
                self._marks[marked] = (record.timestamp, became)

    def letters(self) -> list[Letter]:
        """Every letter once, by its first copy, in the order they were parked."""
        firsts = [min(copies, key=lambda one: (one.parked_at_ms, one.address)) for copies in self._copies.values()]
        return sorted(firsts, key=lambda one: (one.parked_at_ms, one.address))

    def became(self, letter: Letter) -> Became:
        """What the latest mark of any copy says."""
        marks = [self._marks[one.address] for one in self.copies(letter) if one.address in self._marks]
        return max(marks)[1] if marks else "open"

    def copies(self, letter: Letter) -> list[Letter]:
        return self._copies[letter.identity]

    def at(self, address: Address) -> Letter | None:
        """The letter of an address, which may be that of a copy."""
        return next((one for copies in self._copies.values() for one in copies if one.address == address), None)

    def select(self, filters: Filters, *, done: bool = False) -> list[Letter]:
        """The letters meant: those that are open, with `done` the others too."""
        return [one for one in self.letters() if filters.take(one) and (done or self.became(one) == "open")]

    def of_record(self, letter: Letter) -> list[Letter]:
        """Every copy of every letter of the record this one was: one record may be parked for several reasons."""
        if letter.origin is None:
            return self.copies(letter)
        return [one for copies in self._copies.values() for one in copies if one.origin == letter.origin]


def counted(
    ledger: Ledger, letters: Iterable[Letter], by: Sequence[Dimension]
) -> Mapping[tuple[str, ...], Counter[Became]]:
    """How many letters are open, retried and dropped, by the dimensions asked for; sorted."""
    found: dict[tuple[str, ...], Counter[Became]] = {}
    for letter in letters:
        found.setdefault(tuple(map(letter.said, by)), Counter())[ledger.became(letter)] += 1
    return dict(sorted(found.items()))


def address_of(text: str) -> Address | None:
    """The address a text is, None when it is none."""
    partition, _, offset = text.partition(":")
    first, second = _whole(partition), _whole(offset)
    return None if first is None or second is None else Address(first, second)


def registered(topic: str, prefix: str) -> Topic | None:
    """The registered topic of a full name, whatever its generation; None when it is not of this deployment."""
    if not topic.startswith(prefix):
        return None
    name = topic.removeprefix(prefix)
    plain, _, generation = name.rpartition(".g")
    for each in REGISTRY:
        if name == each.name or (each.derived and plain == each.name and _whole(generation) is not None):
            return each
    return None


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 18 else None

"""Stand-ins for what surrounds an agent: records, a producer that may fail, a gate, a table in a dict."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from faust.types import TP

from schemas.envelope import AnyHeaders, Headers
from schemas.events import PairFact
from schemas.ids import Pair
from schemas.policy import DEFAULT_POLICY, Policy
from streams.countries import country_of
from streams.permission.directory import Directory
from streams.worker.deadlines import Deadline, due
from streams.worker.fold import FactFold, Folded, Get
from streams.worker.rows import Arrival, Row
from streams.worker.translation import fact_row


class Record(NamedTuple):
    """A record as the client gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: AnyHeaders = ()
    timestamp_type: int = 0


def record(
    value: bytes | None,
    *,
    key: bytes | None = None,
    offset: int = 0,
    topic: str = "permission.events",
    headers: AnyHeaders = (),
    partition: int = 0,
) -> Record:
    """One record."""
    return Record(topic, partition, offset, 1_772_443_801_000, key, value, headers)


def fact_record(fact: PairFact, offset: int = 0, partition: int = 0) -> Record:
    """A fact as it comes back from `permission.events`."""
    row = fact_row(fact)
    return record(row.value, key=row.key, offset=offset, headers=row.headers, partition=partition)


def row_of(fields: dict[str, Any]) -> bytes:
    """The key of the pair in an object."""
    return Pair(fields["phone_number_id"], fields["user"]).key


class Metadata(NamedTuple):
    """What the broker answers to a batch."""

    offset: int


@dataclass(slots=True)
class HandBatch:
    """A batch that holds at most `room` records."""

    room: int
    rows: list[Row] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    closed: bool = False

    def append(self, *, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers) -> object | None:
        if self.closed or len(self.rows) >= self.room:
            return None
        self.rows.append(Row(key, value, headers))
        self.stamps.append(timestamp)
        return object()

    def close(self) -> None:
        self.closed = True


class Refused(Exception):
    """What the broker says in a test."""


@dataclass(slots=True)
class HandSender:
    """A producer and the log behind it. `refuse`: topics that fail; `before_each`: runs before a batch is stored."""

    room: int = 1_000
    refuse: set[str] = field(default_factory=set)
    refusal: Callable[[str], Exception] = Refused
    log: dict[tuple[str, int], list[Row]] = field(default_factory=dict)
    sends: list[str] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    acknowledged: int = 0
    before_each: Callable[["HandSender", str, int], None] | None = None

    def create_batch(self) -> HandBatch:
        return HandBatch(self.room)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Awaitable[Metadata]:
        self.sends.append(topic)
        self.stamps += batch.stamps

        async def deliver() -> Metadata:
            await asyncio.sleep(0)
            if topic in self.refuse:
                raise self.refusal(topic)
            if self.before_each is not None:
                self.before_each(self, topic, partition)
            stored = self.log.setdefault((topic, partition), [])
            base = len(stored)
            stored += batch.rows
            self.acknowledged += 1
            return Metadata(base)

        return asyncio.ensure_future(deliver())

    async def partitions_for(self, topic: str) -> set[int]:
        return {0, 1, 2}

    def on(self, topic: str) -> list[Row]:
        """Everything on a topic, by partition."""
        return [row for (name, _), rows in sorted(self.log.items()) if name == topic for row in rows]


@dataclass(slots=True)
class OpenGate:
    """A gate that is always open. `ends`: the ends of partitions as of the last fetch; `present`: as the broker tells
    them, where those are others.
    """

    ends: dict[TP, int | None] = field(default_factory=dict)
    present: dict[TP, int | None] = field(default_factory=dict)
    commits: dict[TP, int] = field(default_factory=dict)
    leases: int = 0

    async def lease(self) -> None:
        self.leases += 1

    def committed(self, tp: TP) -> int:
        return self.commits.get(tp, 0)

    def end_of(self, tp: TP) -> int | None:
        return self.ends.get(tp, 0)

    async def end_now(self, tp: TP) -> int | None:
        return self.present.get(tp, self.end_of(tp))


@dataclass(slots=True)
class DictTable:
    """The table in a dict. `changelog`: where its rows are sent before they are stored."""

    sender: HandSender
    changelog: str
    stored: dict[bytes, bytes] = field(default_factory=dict)
    refuse: bool = False

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.stored.get(key)

    def due(self, partition: int, until: int, limit: int) -> list[Deadline]:
        return due(sorted((key, value) for key, value in self.stored.items() if key.startswith(b"\0x")), until, limit)

    async def commit(self, partition: int, rows: dict[bytes, Row], index: dict[bytes, bytes | None]) -> None:
        if rows:
            batch = self.sender.create_batch()
            for row in rows.values():
                batch.append(key=row.key, value=row.value, timestamp=0, headers=row.headers)
            await (await self.sender.send_batch(batch, self.changelog, partition=partition))
        if self.refuse:
            raise OSError("the store")
        for key, value in [*((key, row.value) for key, row in rows.items()), *index.items()]:
            if value is None:
                self.stored.pop(key, None)
            else:
                self.stored[key] = value


class HandNumbers(Directory):
    """What is known of numbers, fresh when a test says so."""

    def __init__(self, policy: Policy = DEFAULT_POLICY) -> None:
        super().__init__(policy, country_of)
        self.known = asyncio.Event()
        self.known.set()

    async def fresh(self) -> None:
        await self.known.wait()


@dataclass(slots=True)
class Around:
    """What agents find once Faust has started."""

    gate: OpenGate
    sender: HandSender


def fold_facts(arrivals: Sequence[Arrival], get: Get, policy: Policy, partitions: int) -> Folded:
    """A batch of `permission.events`, folded in one go."""
    fold = FactFold(get, policy, partitions)
    for arrival in arrivals:
        fold.take(arrival)
    return fold.finish()

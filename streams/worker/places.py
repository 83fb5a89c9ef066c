"""Where a partition stands before it is recovered: does the local store belong to the topic, has the topic all it had?

Owns that judgement, made at each assignment before the first row is read. Faust passes over a changelog that was cut as
if nothing had been there, and over most that were made anew. Refuses to go on when rows are gone that no store here
holds: what is left would look like the truth. They can all be had again from the log of facts, as a new generation.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from schemas.business import name_of
from schemas.codec import decode_fact
from schemas.events import NumberFact, PairFact
from schemas.ids import Pair, partition_of
from streams.worker.codes import Code
from streams.worker.exits import die
from streams.worker.rows import Arrival

log = logging.getLogger(__name__)

SAMPLED: Final = 200
"""Records of the log that are looked at to find one that must have left a row."""
REBUILD: Final = (
    "While the log of facts stands, its rows can all be had again: build the next generation (callgrant topics create "
    "--generation N; callgrant worker --generation N) and switch to it, as deploy/operating.md says under `The state "
    "topic was cut or made anew`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One changelog partition. `stored`: the offset the local store stands at, None without one; `start`, `end`: of the
    topic; `folded`: the facts of its log that were committed.
    """

    stored: int | None
    start: int
    end: int
    folded: int


@dataclass(frozen=True, slots=True)
class Gone:
    """Rows that are missing."""

    code: Code
    text: str


def judge(place: Place) -> Gone | None:
    """Why the partition cannot be worked. `folded` speaks of an empty topic only: then facts must have left rows."""
    if place.stored is not None and place.stored >= place.end:
        return Gone(
            Code.STORE_AHEAD,
            f"the local store stands at offset {place.stored}, the topic ends at {place.end}: it was made anew or cut. "
            "If the log of facts was made anew with it (another cluster), remove the worker's store folder, in which "
            "`held` lies, and start again",
        )
    if place.start > 0 and (place.stored is None or place.stored < place.start - 1):
        held = "there is no local store" if place.stored is None else f"the local store stands at {place.stored}"
        return Gone(
            Code.STATE_LOST,
            f"the topic begins at offset {place.start} and {held}: the rows before were deleted "
            "(a state topic must have cleanup.policy=compact only)",
        )
    if place.stored is None and place.end == 0 and place.folded > 0:
        return Gone(Code.STATE_LOST, f"the topic is empty, but {place.folded} facts of its log were folded into it")
    return None


class Sourced(Protocol):
    """A table, and the topic of the facts folded into it."""

    facts: str | None


class CheckedRecovery(Recovery):
    """Faust's recovery, with the look at each place before it begins."""

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        if title == "active" and tps:
            await self._check(consumer, set(tps), dict(destination))
        await super()._build_offsets(consumer, tps, destination, title)

    async def _check(self, consumer: Any, tps: set[TP], stored: Mapping[TP, int | None]) -> None:
        ends = {tp: last + 1 for tp, last in self.active_highwaters.items()}
        starts = await consumer.earliest_offsets(*tps)
        for tp in sorted(tps & ends.keys()):
            end = ends[tp]
            folded = await self._folded(consumer, tp) if end == 0 and stored.get(tp) is None else 0
            if self.signal_recovery_start.is_set():
                return  # assigned anew meanwhile: looked at again
            place = Place(stored=stored.get(tp), start=starts.get(tp) or 0, end=end, folded=folded)
            gone = judge(place)
            if gone is not None:
                die(gone.code, "%s-%d: %s. %s", tp.topic, tp.partition, gone.text, REBUILD)
            if place.start > 0:
                log.error(
                    "%s-%d begins at offset %d: only the local store still has the rows before. Keep its folder. %s",
                    tp.topic,
                    tp.partition,
                    place.start,
                    REBUILD,
                )

    async def _folded(self, consumer: Any, tp: TP) -> int:
        """How many facts were committed that must have left a row; 0 when none is found."""
        facts = cast(Sourced, self.tp_to_table[tp]).facts
        if facts is None:
            return 0
        source = TP(facts, tp.partition)
        committed: int = await consumer.committed_by_group(source)
        if committed and await self._leaves_a_row(source, committed):
            return committed
        return 0

    async def _leaves_a_row(self, source: TP, until: int) -> bool:
        """Whether one of the first records does."""
        brokers = [f"{url.host}:{url.port}" for url in self.app.conf.broker]
        reader = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False)
        place = TopicPartition(source.topic, source.partition)
        reader.assign([place])
        await reader.start()
        try:
            await reader.seek_to_beginning(place)
            seen = 0
            until = min(until, (await reader.end_offsets([place]))[place])
            while seen < SAMPLED and await reader.position(place) < until:
                for record in (await reader.getmany(place, timeout_ms=500, max_records=SAMPLED)).get(place, ()):
                    seen += 1
                    if leaves_a_row(record, self.app.conf.topic_partitions):
                        return True
            return False
        finally:
            await reader.stop()


def leaves_a_row(record: Arrival, partitions: int) -> bool:
    """Whether a record of a log is a fact in its place, and so was folded into a row rather than put aside."""
    fact = decode_fact(record.value) if record.value is not None else None
    if isinstance(fact, PairFact):
        key = Pair(fact.phone_number_id, fact.user).key
    elif isinstance(fact, NumberFact):
        key = name_of(fact).encode("utf-8", "replace")
    else:
        return False
    return record.key == key and partition_of(key, partitions) == record.partition


class CheckedTables(TableManager):
    """Faust's tables, recovered as above."""

    @property
    def recovery(self) -> Recovery:
        """The recovery of all tables."""
        if self._recovery is None:
            self._recovery = CheckedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

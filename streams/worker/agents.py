"""The agents of raw records and of pairs: what happens with one batch, step by step. The order is the guarantee
(design 5).

Owns that order: what is known of numbers is fresh, fold purely, prove the lease, outputs acknowledged, changelog
acknowledged, local store written (`writing`), batch acknowledged. A crash between any two repeats the batch: same
facts, same derived ids, no harm. Refuses rules and formats.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from faust.types import TP

from schemas.policy import Policy
from schemas.topics import TopicNames
from streams.providers.known import Known
from streams.worker.fold import FactFold, Folded, fold_deadlines, newest_tick, refuse_commands
from streams.worker.halt import MostlyBad
from streams.worker.measures import Measures
from streams.worker.outputs import Outbox
from streams.worker.parking import Limit
from streams.worker.rows import Arrival
from streams.worker.shown import Shown
from streams.worker.surroundings import KnownNumbers, Surroundings
from streams.worker.ticks import DUE_AT_ONCE, counts_to
from streams.worker.translation import translate_batch
from streams.worker.writing import StateTable, Writer

SOURCES: Final = ("webhooks.raw", "actions.raw")
FOLDED: Final = ("permission.events", "permission.commands", "permission.ticks")
FOLLOWED: Final = ("permission.events", "permission.ticks")
"""What a generation reads that only folds: commands are decided once, and come to it as facts."""
GIVE_WAY_AFTER_S: Final = 0.05
"""A batch may be a thousand facts of one long history: other lanes, commits and the watchdog get their turn."""


class Limits:
    """The dead-letter limit of each partition. What came in up to `park_until_at` does not count (`halt`)."""

    def __init__(self, park_until_at: int | None = None) -> None:
        self._limits: dict[TP, Limit] = {}
        self._park_until_ms = -1 if park_until_at is None else park_until_at * 1000

    def check(self, tp: TP, flags: Sequence[bool], reasons: dict[str, int], arrivals: Sequence[Arrival]) -> None:
        """Raise when most of what comes is bad, before anything is written: the worker halts and the offsets stay."""
        seen = sum(arrival.timestamp <= self._park_until_ms for arrival in arrivals)  # they stand before the others
        limit = self._limits[tp] = self._limits.get(tp, Limit()).after(flags[seen:])
        if limit.broken is not None:
            named = ", ".join(sorted(reasons))
            raise MostlyBad(f"{tp.topic}-{tp.partition}: {limit.broken} could not be judged ({named})")


class Translate:
    """Raw records to facts."""

    def __init__(
        self,
        around: Surroundings,
        outbox: Outbox,
        measures: Measures,
        partitions: int,
        numbers: KnownNumbers,
        park_until_at: int | None = None,
    ) -> None:
        self._around, self._outbox, self._measures, self._partitions = around, outbox, measures, partitions
        self._numbers = numbers
        self._limits = Limits(park_until_at)
        self._shown = Shown()

    async def work(self, event: Any) -> None:
        """One batch of a raw topic."""
        began_at = time.monotonic()
        arrivals: list[Arrival] = event.value
        tp = TP(event.message.topic, event.message.partition)
        await self._numbers.fresh()
        known = Known.of(self._numbers)
        done = translate_batch(arrivals, self._partitions, self._shown, known)
        self._limits.check(tp, done.flags, done.reasons, arrivals)
        await self._around.gate.lease()
        sender = self._around.sender
        await self._outbox.park(sender, {tp.partition: done.parked} if done.parked else {})
        await self._outbox.send(sender, done.facts)
        self._shown.acknowledged(done.shown)
        event.ack()
        self._measures.translated(done.made)
        self._measures.ignored(done.ignored)
        self._measures.unknown(done.unknown)
        self._measures.parked(done.reasons)
        self._measures.batch("translate", len(arrivals), began_at)


class Fold:
    """Facts, commands and ticks to state, changes and records. `moved`: told when a part of a partition's long batch is
    done.
    """

    def __init__(
        self,
        around: Surroundings,
        table: StateTable,
        writer: Writer,
        measures: Measures,
        *,
        names: TopicNames,
        policy: Policy,
        partitions: int,
        numbers: KnownNumbers,
        park_until_at: int | None = None,
        moved: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._around, self._table, self._writer, self._measures = around, table, writer, measures
        self._moved = moved
        self._policy, self._partitions, self._numbers = policy, partitions, numbers
        self._events, self._commands, self._ticks = (names.of(name) for name in FOLDED)
        self._limits = Limits(park_until_at)
        self._folded_until: dict[int, int] = {}  # partition: the offset after the last fact folded here
        self._folded_to: dict[int, int] = {}  # partition: the latest event time folded here

    async def work(self, event: Any) -> None:
        """One batch of one partition."""
        began_at = time.monotonic()
        arrivals: list[Arrival] = event.value
        topic, partition = event.message.topic, event.message.partition
        await self._numbers.fresh()
        if topic == self._events:
            await self._facts(partition, arrivals)
        elif topic == self._ticks:
            await self._time(partition, arrivals)
        elif topic == self._commands:
            await self._writer.write(partition, refuse_commands(arrivals))
        else:
            raise LookupError(f"no work for {topic}")
        event.ack()
        self._measures.batch("fold", len(arrivals), began_at)

    async def _facts(self, partition: int, arrivals: list[Arrival]) -> None:
        def get(key: bytes) -> bytes | None:
            return self._table.get(partition, key)

        fold = FactFold(get, self._policy, self._partitions, self._numbers.of)
        began_at = time.monotonic()
        for arrival in arrivals:
            fold.take(arrival)
            if (took_s := time.monotonic() - began_at) > GIVE_WAY_AFTER_S:
                self._measures.folded(took_s)
                self._moved(partition)
                await asyncio.sleep(0)  # only this lane writes the partition: what was loaded stays true
                began_at = time.monotonic()
        folded = fold.finish()
        self._measures.folded(time.monotonic() - began_at)
        flags = folded.flags + [True] * self._writer.newly_unreadable(partition, folded)
        self._limits.check(TP(self._events, partition), flags, folded.reasons, arrivals)
        await self._writer.write(partition, folded)
        self._folded_until[partition] = arrivals[-1].offset + 1
        self._folded_to[partition] = max(self._folded_to.get(partition, 0), folded.latest_at)

    async def _time(self, partition: int, arrivals: list[Arrival]) -> None:
        def get(key: bytes) -> bytes | None:
            return self._table.get(partition, key)

        read = Folded()
        tick_at = newest_tick(arrivals, read)
        self._limits.check(TP(self._ticks, partition), read.flags, read.reasons, arrivals)
        await self._writer.write(partition, read)
        if tick_at is None:
            return
        until = self._counts_to(tick_at, partition, self._around.gate.end_of(TP(self._events, partition)))
        if self._table.due(partition, until, 1):  # rare enough to ask the broker itself
            until = self._counts_to(tick_at, partition, await self._around.gate.end_now(TP(self._events, partition)))
        while due := self._table.due(partition, until, DUE_AT_ONCE):
            folded = fold_deadlines(due, until, get, self._policy, self._partitions, self._numbers.of)
            self._writer.newly_unreadable(partition, folded)
            await self._writer.write(partition, folded)
            self._moved(partition)
        if until:  # nothing is known of a partition that lags and of which nothing was folded here
            self._measures.ticked(until)

    def _counts_to(self, tick_at: int, partition: int, end: int | None) -> int:
        """Up to when a tick counts, the facts of its partition ending at `end`."""
        committed = self._around.gate.committed(TP(self._events, partition))
        behind = end is None or max(committed, self._folded_until.get(partition, 0)) < end
        return counts_to(tick_at, behind=behind, folded_to=self._folded_to.get(partition, 0))

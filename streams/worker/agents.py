"""The two agents: what happens with one batch, step by step. The order is the guarantee (design 5).

Owns that order: fold purely, prove the lease, outputs acknowledged, changelog acknowledged, local store written, batch
acknowledged. A crash between any two repeats the batch: same facts, same derived ids, no harm. Refuses rules and
formats.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

from faust.types import TP

from schemas.policy import Policy
from schemas.topics import TopicNames
from streams.worker.deadlines import Deadline
from streams.worker.fold import FactFold, Folded, fold_deadlines, newest_tick, refuse_commands
from streams.worker.halt import MostlyBad
from streams.worker.measures import Measures
from streams.worker.outputs import Outbox, Sender
from streams.worker.parking import Limit
from streams.worker.rows import Arrival, Row
from streams.worker.shown import Shown
from streams.worker.ticks import DUE_AT_ONCE, counts_to
from streams.worker.translation import translate_batch

log = logging.getLogger(__name__)

SOURCES: Final = ("webhooks.raw", "actions.raw")
FOLDED: Final = ("permission.events", "permission.commands", "permission.ticks")
GIVE_WAY_AFTER_S: Final = 0.05
"""A batch may be a thousand facts of one long history: other lanes, commits and the watchdog get their turn."""


class Gate(Protocol):
    """What an agent asks of the transport."""

    async def lease(self) -> None:
        """Return while the partitions are provably ours."""

    def committed(self, tp: TP) -> int:
        """The committed offset."""

    def end_of(self, tp: TP) -> int | None:
        """The end of a partition as of the last fetch."""


class PairTable(Protocol):
    """What an agent asks of the table."""

    def get(self, partition: int, key: bytes) -> bytes | None:
        """The stored row of a key."""

    def due(self, partition: int, until: int, limit: int) -> list[Deadline]:
        """The earliest deadlines up to `until`."""

    async def commit(self, partition: int, rows: dict[bytes, Row], index: dict[bytes, bytes | None]) -> None:
        """Changelog acknowledged, then stored."""


class Surroundings(Protocol):
    """What exists only once Faust has started."""

    @property
    def gate(self) -> Gate: ...
    @property
    def sender(self) -> Sender: ...


class Limits:
    """The dead-letter limit of each partition."""

    def __init__(self) -> None:
        self._limits: dict[TP, Limit] = {}

    def check(self, tp: TP, flags: Sequence[bool], reasons: dict[str, int]) -> None:
        """Raise when most of what comes is bad, before anything is written: the worker halts and the offsets stay."""
        limit = self._limits[tp] = self._limits.get(tp, Limit()).after(flags)
        if limit.broken is not None:
            named = ", ".join(sorted(reasons))
            raise MostlyBad(f"{tp.topic}-{tp.partition}: {limit.broken} could not be judged ({named})")


class Translate:
    """Raw records to facts."""

    def __init__(self, around: Surroundings, outbox: Outbox, measures: Measures, partitions: int) -> None:
        self._around, self._outbox, self._measures, self._partitions = around, outbox, measures, partitions
        self._limits = Limits()
        self._shown = Shown()

    async def work(self, event: Any) -> None:
        """One batch of a raw topic."""
        began_at = time.monotonic()
        arrivals: list[Arrival] = event.value
        tp = TP(event.message.topic, event.message.partition)
        done = translate_batch(arrivals, self._partitions, self._shown)
        self._limits.check(tp, done.flags, done.reasons)
        await self._around.gate.lease()
        sender = self._around.sender
        await self._outbox.park(sender, {tp.partition: done.parked} if done.parked else {})
        await self._outbox.send(sender, done.facts)
        self._shown.acknowledged(done.shown)
        event.ack()
        self._measures.ignored(done.ignored)
        self._measures.parked(done.reasons)
        self._measures.batch("translate", len(arrivals), began_at)


class Fold:
    """Facts, commands and ticks to state, changes and records."""

    def __init__(
        self,
        around: Surroundings,
        table: PairTable,
        outbox: Outbox,
        measures: Measures,
        *,
        names: TopicNames,
        policy: Policy,
        partitions: int,
    ) -> None:
        self._around, self._table, self._outbox, self._measures = around, table, outbox, measures
        self._policy, self._partitions = policy, partitions
        self._events, self._commands, self._ticks = (names.of(name) for name in FOLDED)
        self._limits = Limits()
        self._folded_until: dict[int, int] = {}  # partition: the offset after the last fact folded here
        self._folded_to: dict[int, int] = {}  # partition: the latest event time folded here
        self._unreadable: set[str] = set()  # digests of keys whose stored row could not be read, each told once

    async def work(self, event: Any) -> None:
        """One batch of one partition."""
        began_at = time.monotonic()
        arrivals: list[Arrival] = event.value
        topic, partition = event.message.topic, event.message.partition
        if topic == self._events:
            await self._facts(partition, arrivals)
        elif topic == self._ticks:
            await self._time(partition, arrivals)
        elif topic == self._commands:
            await self._write(partition, refuse_commands(arrivals))
        else:
            raise LookupError(f"no work for {topic}")
        event.ack()
        self._measures.batch("fold", len(arrivals), began_at)

    async def _facts(self, partition: int, arrivals: list[Arrival]) -> None:
        def get(key: bytes) -> bytes | None:
            return self._table.get(partition, key)

        fold = FactFold(get, self._policy, self._partitions)
        began_at = time.monotonic()
        for arrival in arrivals:
            fold.take(arrival)
            if time.monotonic() - began_at > GIVE_WAY_AFTER_S:
                await asyncio.sleep(0)  # only this lane writes the partition: what was loaded stays true
                began_at = time.monotonic()
        folded = fold.finish()
        flags = folded.flags + [True] * self._newly_unreadable(partition, folded)
        self._limits.check(TP(self._events, partition), flags, folded.reasons)
        await self._write(partition, folded)
        self._folded_until[partition] = arrivals[-1].offset + 1
        self._folded_to[partition] = max(self._folded_to.get(partition, 0), folded.latest_at)

    async def _time(self, partition: int, arrivals: list[Arrival]) -> None:
        def get(key: bytes) -> bytes | None:
            return self._table.get(partition, key)

        read = Folded()
        tick_at = newest_tick(arrivals, read)
        self._limits.check(TP(self._ticks, partition), read.flags, read.reasons)
        await self._write(partition, read)
        if tick_at is None:
            return
        folded_to = self._folded_to.get(partition, 0)
        until = counts_to(tick_at, behind=self._behind(partition), folded_to=folded_to)
        while due := self._table.due(partition, until, DUE_AT_ONCE):
            folded = fold_deadlines(due, until, get, self._policy, self._partitions)
            self._newly_unreadable(partition, folded)
            await self._write(partition, folded)

    def _newly_unreadable(self, partition: int, folded: Folded) -> int:
        """Tell of stored rows that cannot be read, once each. How many are new: where it is most, it is the program."""
        fresh = folded.unreadable - self._unreadable
        for digest in sorted(fresh):
            log.error(
                "partition %d: the stored state of key %s (sha256) cannot be read; facts of that pair are put aside as "
                "state_unreadable and its row is left as it is",
                partition,
                digest,
            )
        self._unreadable |= fresh
        return len(fresh)

    def _behind(self, partition: int) -> bool:
        tp = TP(self._events, partition)
        gate = self._around.gate
        end = gate.end_of(tp)
        return end is None or max(gate.committed(tp), self._folded_until.get(partition, 0)) < end

    async def _write(self, partition: int, folded: Folded) -> None:
        """Outputs, then changelog, then store: each acknowledged before the next begins."""
        if folded.rows or folded.parked or folded.forwards:
            await self._around.gate.lease()
            sender = self._around.sender
            await self._outbox.park(sender, {partition: folded.parked} if folded.parked else {})
            outputs = {
                ("permission.changes", partition): folded.changes,
                ("permission.records", partition): folded.records,
                **{("permission.events", to): rows for to, rows in folded.forwards.items()},
            }
            await self._outbox.send(sender, outputs)
        await self._table.commit(partition, folded.rows, folded.index)
        self._measures.facts(new=folded.new, repeated=folded.repeated, late=folded.late)
        self._measures.parked(folded.reasons)
        self._measures.changes(folded.change_types)

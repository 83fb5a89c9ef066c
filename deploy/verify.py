"""`verify`: everything recomputed from the log in one process, beside what stands.

Owns the order, which is what makes it sound while the system works: note how far the log reaches, wait until its
readers have read that far, note what they wrote, fold and compare partition by partition, and in the end look once more
at the log: a pair of which something came meanwhile is left out, because its rows may already say it. Refuses rules
(the core's), the fold (`streams.replay`) and to say what a difference is (`deploy.verify_compare`).

Memory: the pairs of one partition with what was announced of them, and some numbers for each pair of all.
"""

import asyncio
import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from deploy import clock, verify_answers, verify_clickhouse
from deploy.config import Config
from deploy.verify_compare import (
    GRACE_S,
    compare_changes,
    compare_deadlines,
    compare_numbers,
    compare_records,
    compare_states,
)
from deploy.verify_local import LocalStores
from deploy.verify_log import Log, Tell, log_of, whole
from deploy.verify_report import Findings
from deploy.verify_topics import Topics, new_winners
from schemas.envelope import rfc3339
from schemas.ids import is_wa_id
from schemas.state import PairState
from streams.countries import country_of
from streams.permission.answer import answer
from streams.replay.verify_fold import PartitionFold, fact_under, named
from streams.replay.verify_numbers import NumbersFold
from streams.replay.verify_rows import Rows, Sums

AT_REST_FOR_MS: Final = 30_000
"""How long a partition must have been at rest before a tick surely counted in full: it does not while it lags."""
WORKER_READS: Final = "is a worker of this CALLGRANT_TOPIC_PREFIX and CALLGRANT_GENERATION running"
PROJECTION_READS: Final = "is the projection running (`callgrant projection`)"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found. `moving`: pairs left out because facts of theirs came meanwhile."""

    findings: Findings
    partitions: int
    at: int
    facts: int
    pairs: int
    facts_per_s: int
    moving: int


@dataclass(slots=True)
class _Kept:
    """What is kept of all partitions until the end."""

    facts: int = 0
    pairs: int = 0
    fold_s: float = 0.0
    sums: dict[bytes, Sums] = field(default_factory=dict)
    other_names: dict[bytes, Rows] = field(default_factory=dict)
    """The rows of pairs that name their user by no wa_id: those of the same id under a wa_id outrank them."""
    forwards: set[bytes] = field(default_factory=set)
    handed_on: set[bytes] = field(default_factory=set)
    """Facts that pairs hand on, and those that came to be in the log of a canonical pair."""
    sample: list[tuple[int, bytes, PairState]] = field(default_factory=list)
    ticked_to: list[int] = field(default_factory=list)
    """By partition the instant of its newest tick, 0 where it has none."""


class Verification:
    """One run. `ask`: how many pairs the api is asked about; 0: all of them."""

    def __init__(self, config: Config, log: Log, *, wait_s: float, ask: int, tell: Tell) -> None:
        self._config, self._log, self._tell = config, log, tell
        self._wait_s, self._ask = wait_s, ask
        self._names, self._policy = config.topics, config.policy()
        self._numbers = NumbersFold(self._policy, country_of)
        self._found, self._kept = Findings(), _Kept()
        self._at = clock.now()
        self._local = LocalStores(config.data_dir, config.names.generation)
        self._topics = Topics(log, config.topics, self._at, self._found, tell)

    async def run(self) -> Verified:
        """All of it. Raises `CannotJudge`."""
        await self._until_caught_up()
        await self._know_numbers()
        partitions = len(self._topics.spans["permission.events"])
        for partition in range(partitions):
            await self._partition(partition, partitions)
        if "rows" not in self._found.skipped:
            await asyncio.to_thread(self._look_at_the_store)
        await self._look_at_answers()
        moving = await self._look_again(partitions)
        self._put_into_words()
        kept = self._kept
        speed = round(kept.facts / kept.fold_s) if kept.fold_s else 0
        return Verified(self._found, partitions, self._at, kept.facts, kept.pairs, speed, moving)

    async def _until_caught_up(self) -> None:
        worker, projection = self._names.group("worker"), self._names.group("projection")
        give_up_at = time.monotonic() + self._wait_s

        async def until_read(group: str, remedy: str, *topics: str) -> None:
            left_s = max(1.0, give_up_at - time.monotonic())
            await self._log.until_read(group, await self._topics.note(*topics), left_s, remedy, self._tell)

        await until_read(worker, WORKER_READS, "webhooks.raw", "actions.raw")
        await until_read(worker, WORKER_READS, "permission.events", "business.events")
        for topic in ("permission.events", "business.events"):
            whole(self._names.of(topic), self._topics.spans[topic])
        if await self._log.committed(projection):
            await until_read(projection, PROJECTION_READS, "permission.records")
        else:
            await self._topics.note("permission.records")
            self._found.skipped["rows"] = f"no projection has read anything yet ({PROJECTION_READS})"
        await self._topics.note("permission.state", "business.state", "permission.changes", "permission.ticks")

    async def _know_numbers(self) -> None:
        spans = self._topics.spans["business.events"]
        facts = [one for partition in spans async for one in self._topics.records("business.events", partition)]
        for one in sorted(facts, key=lambda one: (one.timestamp, one.partition, one.offset)):
            self._numbers.take(one.key, one.value, one.partition, len(spans))
        stored = new_winners()
        for partition, span in self._topics.spans["business.state"].items():
            here = new_winners()
            await self._topics.stored("business.state", partition, stored, here)
            if self._local:
                await asyncio.to_thread(self._local.compare_numbers, partition, here.rows, span.end, self._found)
        compare_numbers(self._numbers.states.values(), stored.rows, self._found)
        self._found.leave_out({one.key or b"" async for one in self._topics.since("business.events")})

    async def _partition(self, partition: int, partitions: int) -> None:
        topics, found, began_at = self._topics, self._found, time.monotonic()
        heard, cut_ms = await topics.heard(partition)
        fold = PartitionFold(self._policy, self._numbers, (partition, partitions), heard, cut_ms)
        async for one in topics.records("permission.events", partition):
            fold.take(one.key, one.value, one.timestamp)
            self._kept.facts += 1
        fold.finish()
        self._kept.fold_s += time.monotonic() - began_at
        compare_changes(fold.pairs, heard, cut_ms, found)
        stored = new_winners()
        written_ms = await topics.stored("permission.state", partition, stored)
        if self._local:
            end = topics.spans["permission.state"][partition].end
            await asyncio.to_thread(self._local.compare, partition, stored.rows, end, found)
        compare_states(fold.pairs, stored.rows, self._at, self._policy, self._numbers, found)
        tick = await topics.newest_tick(partition)
        self._kept.ticked_to.append(tick[0] if tick is not None else 0)
        if tick is not None and tick[1] > max(fold.latest_ms, written_ms) + AT_REST_FOR_MS:
            compare_deadlines(fold.pairs, tick[0], found)
        told, span = await topics.told(partition), topics.spans["permission.records"][partition]
        compare_records(fold.pairs, told, cut=span.begin > 0, into=found)
        self._keep(fold)

    def _keep(self, fold: PartitionFold) -> None:
        kept = self._kept
        kept.pairs += len(fold.pairs)
        kept.forwards |= fold.forwards
        kept.handed_on |= fold.handed_on
        for key, pair in fold.pairs.items():
            kept.sums[key] = pair.rows.sums()
            if not is_wa_id(pair.state.user):
                kept.other_names[key] = pair.rows
            if pair.state.forwards_to is not None:
                continue  # it answers as the canonical pair
            rank = -int.from_bytes(blake2b(key, digest_size=8).digest(), "big")  # any, but the same each time
            keep = heapq.heappushpop if self._ask and len(kept.sample) >= self._ask else heapq.heappush
            keep(kept.sample, (rank, key, pair.state))

    def _look_at_the_store(self) -> None:
        self._tell("asking ClickHouse")
        try:
            verify_clickhouse.compare(self._config, self._kept.sums, self._kept.other_names, self._found)
        except verify_clickhouse.NotLookedAt as why:
            self._found.skipped["rows"] = str(why)

    async def _look_at_answers(self) -> None:
        sample = sorted(self._kept.sample, key=lambda one: one[1])

        def expected() -> Iterator[verify_answers.Expected]:
            for _, _, state in sample:
                number = self._numbers.of(state.phone_number_id)
                yield verify_answers.Expected(state.pair, answer(state, self._at, self._policy, number))

        try:
            await verify_answers.compare(self._config, self._at, expected(), self._wait_s, self._found, self._tell)
        except verify_answers.NobodyAnswers as why:
            self._found.skipped["answers"] = f"{why}: start it (`callgrant api`), or set CALLGRANT_API_PORT"

    async def _look_again(self, partitions: int) -> int:
        """Leave out what moved meanwhile; and a fact handed on may stand behind what was noted.

        A tick's announcements may stand before what was noted, its rows behind: so rows are asked for, too.
        """
        moved = {one.key or b"" async for one in self._topics.since("permission.state")}
        async for one in self._topics.since("permission.changes"):
            moved.add(one.key or b"")
        async for one in self._topics.since("permission.events"):
            moved.add(one.key or b"")
            fact = fact_under(one.key, one.value, one.partition, partitions)
            if fact is not None and fact.forwarded:
                self._kept.handed_on.add(named(fact))
        self._found.compared["forwards"] = len(self._kept.forwards)
        for one in self._kept.forwards - self._kept.handed_on:
            self._found.differs("forwards.lost", one.partition(b" ")[0])
        self._found.leave_out(moved)
        return len(moved)

    def _put_into_words(self) -> None:
        found = self._found
        if not self._local:
            found.skipped["store"] = f"no worker of this generation has a store in {self._local.folder}"
        elif behind := self._local.behind:
            found.words["store"] = behind
        for check, cut_ms in self._topics.cut_ms.items():
            found.words[check] = f"cut by retention: compared since {rfc3339(cut_ms // 1000)}"
        ticked_to = min(self._kept.ticked_to, default=0)
        if ticked_to < self._at - GRACE_S:
            stands = f"since {rfc3339(ticked_to)}" if ticked_to else "yet"
            note = f"no tick {stands}, so what ran out later was not looked for (does a worker run, does it lag?)"
            found.words["changes"] = "; ".join(filter(None, (found.words.get("changes"), note)))


async def verify(config: Config, *, wait_s: float, ask: int, tell: Tell) -> Verified:
    """Recompute and compare. Raises `CannotJudge`."""
    async with log_of(config.bootstrap) as log:
        return await Verification(config, log, wait_s=wait_s, ask=ask, tell=tell).run()

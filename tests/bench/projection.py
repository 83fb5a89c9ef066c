"""How fast `permission.records` reach ClickHouse (the embedded engine), and how soon a record is in the tables.

The records are those of a simulated week. Throughput: while a backlog is worked, between its first tenth and its last.
Freshness: records are written in open loop, and each counts from the instant it
was due until the projection's own progress is beyond it, which it says only once its insert was acknowledged.
"""

import asyncio
import itertools
import random
import statistics
import time
from collections import defaultdict
from typing import Any, Final

import httpx

from schemas.ids import partition_of
from schemas.topics import TopicNames
from streams.worker.rows import Row
from tests.bench.measure import tell
from tests.bench.past import PARTITIONS, Fold, batches, by_key, facts
from tests.bench.stage import broker, fill, sending, spent_s
from tests.integration.house import API_KEY, House

PREFIX: Final = "bench."
PAIRS: Final = 5_000
ROUNDS: Final = 3
BACKLOG: Final = 100_000
"""Records a round: the week's, over and over."""
RATE: Final = 1_000
OPEN_LOOP_S: Final = 10
WITHIN_S: Final = 120.0
WRITE_EVERY_S: Final = 0.01
LOOK_EVERY_S: Final = 0.1
"""Each look costs the projection a question to the broker."""


def records() -> list[Row]:
    """The records of a simulated week, in the order of the worker's batches."""
    fold = Fold.empty()
    return [row for batch in batches(facts(PAIRS)) for row in fold.take(batch).records]


class Progress:
    """What the projection says of itself."""

    def __init__(self, house: House) -> None:
        self._client = httpx.AsyncClient(
            base_url=house.url("projection"), headers={"Authorization": f"Bearer {API_KEY}"}, trust_env=False
        )

    async def next_offsets(self) -> dict[int, int]:
        answer = await self._client.get("/v1/progress")
        if answer.status_code != 200:
            return {}
        told: dict[str, Any] = answer.json()
        return {part["partition"]: part["next_offset"] for part in told["partitions"]}

    async def beyond(self, stored: int) -> int:
        """How many records are stored, once it is so many."""
        give_up_at = time.monotonic() + WITHIN_S
        while (found := sum((await self.next_offsets()).values())) < stored:
            assert time.monotonic() < give_up_at, "the projection did not come to its end"
            await asyncio.sleep(LOOK_EVERY_S)
        return found

    async def close(self) -> None:
        await self._client.aclose()


async def _throughput(bootstrap: str, house: House, told: list[Row], progress: Progress) -> tuple[float, float]:
    """Records a second, and CPU microseconds a record."""
    pid = house._running["projection"].pid
    topic = TopicNames(PREFIX).of("permission.records")
    backlog = [row for _, row in zip(range(BACKLOG), itertools.cycle(told), strict=False)]
    per_s, us, end = [], [], 0
    async with sending(bootstrap) as producer:
        for _ in range(ROUNDS):
            await fill(producer, topic, by_key(backlog))
            first = await progress.beyond(end + BACKLOG // 10)
            before_s, began_s = spent_s(pid), time.monotonic()
            last = await progress.beyond(end + BACKLOG * 9 // 10)
            per_s.append((last - first) / (time.monotonic() - began_s))
            us.append((spent_s(pid) - before_s) / (last - first) * 1e6)
            end += BACKLOG
            await progress.beyond(end)
    return statistics.median(per_s), statistics.median(us)


async def _freshness(bootstrap: str, told: list[Row], progress: Progress) -> list[float]:
    """Milliseconds from the instant a record was due until it was stored."""
    topic = TopicNames(PREFIX).of("permission.records")
    due: dict[int, list[float]] = defaultdict(list)  # by partition, in the order of offsets
    begins = await progress.next_offsets()
    late_ms: list[float] = []
    dice = random.Random(20260302)

    async def write() -> None:
        at_s, waiting = time.time() + 0.2, []
        for row in dice.choices(told, k=RATE * OPEN_LOOP_S):
            at_s += dice.expovariate(RATE)
            waiting.append((at_s, row))
        place = 0
        async with sending(bootstrap) as producer:
            while place < len(waiting):
                await asyncio.sleep(WRITE_EVERY_S)
                first, now = place, time.time()
                while place < len(waiting) and waiting[place][0] <= now:
                    place += 1
                for at, row in waiting[first:place]:
                    due[partition_of(row.key or b"", PARTITIONS)].append(at)
                await fill(producer, topic, by_key(row for _, row in waiting[first:place]))

    writing = asyncio.create_task(write())
    seen: dict[int, int] = dict.fromkeys(range(PARTITIONS), 0)
    give_up_at = time.monotonic() + WITHIN_S
    while not writing.done() or len(late_ms) < RATE * OPEN_LOOP_S:
        assert time.monotonic() < give_up_at, "the projection did not come to its end"
        offsets, now = await progress.next_offsets(), time.time()
        for partition, offset in offsets.items():
            upto = offset - begins[partition]
            late_ms += [(now - at_s) * 1000 for at_s in due[partition][seen[partition] : upto]]
            seen[partition] = max(seen[partition], upto)
        await asyncio.sleep(LOOK_EVERY_S)
    await writing
    return late_ms


async def _measured(bootstrap: str, house: House, told: list[Row]) -> tuple[float, float, list[float]]:
    progress = Progress(house)
    try:
        per_s, us = await _throughput(bootstrap, house, told, progress)
        return per_s, us, await _freshness(bootstrap, told, progress)
    finally:
        await progress.close()


def projection() -> None:
    told = records()
    with broker() as (bootstrap, folder):
        house = House(folder, bootstrap, PREFIX)
        try:
            house.command("topics", "create")
            house.start("projection")
            house.until_ready("projection")
            per_s, us, late_ms = asyncio.run(_measured(bootstrap, house, told))
        finally:
            house.end()
    percentiles = statistics.quantiles(late_ms, n=100)
    tell("projection_us", us, "us")
    tell("projection_records_per_s", per_s, "records/s")
    tell("freshness_p50_ms", percentiles[49], "ms")
    tell("freshness_p99_ms", percentiles[98], "ms")

"""A worker that dies at each step of the order of a batch, frozen and blocked ones: what stands afterwards is what an
uninterrupted run leaves.
"""

import asyncio
import os
import re
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.envelope import header
from schemas.events import PairFact
from schemas.state import PairState
from schemas.state_row import version_of
from streams.providers.registry import translate
from streams.worker.codes import Code
from streams.worker.translation import fact_row
from tests.worker.live import Process, Scene, bare, scene, until
from tests.worker.seeded import RECEIVED_MS, raw_past, straight_fold

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

SESSION_S = 80.0
"""A stop and a start of a slow machine are within it, and nobody slow is taken for dead. Faust wants less than 90."""
SHORT_SESSION_S = 10.0
"""Where it must run out: others take over after it."""
RAWS = [raw for raw in raw_past(seed=31, facts=400, users=40) if b"GB.1" not in raw.value]
"""Without users under two names: what a pair hands on takes its place in the log by chance."""
WANTED = straight_fold(RAWS)
FACTS = [
    fact
    for raw in RAWS
    for fact in translate("actions" if raw.topic == "actions.raw" else "meta", raw.value, RECEIVED_MS // 1000).facts
    if isinstance(fact, PairFact)
]
STEPS = [
    "folded",
    "outputs queued",
    "outputs acknowledged",
    "changelog queued",
    "changelog acknowledged",
    "stored",
    "acknowledged",
    "committed",
]


@dataclass(frozen=True, slots=True)
class Left:
    """What a run leaves: the table, what a replica of its topic holds, and of two topics each record by its id."""

    table: dict[bytes, PairState]
    state: dict[bytes, PairState]
    changes: dict[str, bytes]
    records: dict[str, bytes]


@pytest.fixture
async def stage(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(broker, topic_prefix, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def smooth(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """The uninterrupted run."""

    async def run() -> Left:
        folder = tmp_path_factory.mktemp("smooth")
        async with scene(broker, f"test-{os.urandom(4).hex()}.", folder) as stage:
            worker = one(stage)
            await tell(stage, FACTS)
            return await left(stage, worker)

    return asyncio.run(run())


def one(
    stage: Scene,
    instance: str = "1",
    *,
    static: bool = True,
    session_s: float = SESSION_S,
    dies: str = "",
    environment: Mapping[str, str] | None = None,
) -> Process:
    """A worker whose ticks do not mix in. Static: a killed one is not waited for."""
    told = environment or {"TEST_WORKER_DIES": dies}
    return stage.worker(instance, environment=told, static=static, session_timeout_s=session_s, tick_every_s=3_600.0)


async def tell(stage: Scene, facts: list[PairFact]) -> None:
    """Facts straight to their log, in this order."""
    producer = AIOKafkaProducer(bootstrap_servers=stage.bootstrap)
    await producer.start()
    try:
        for fact in facts:
            row = fact_row(fact)
            await producer.send(stage.names.of("permission.events"), row.value, row.key, headers=row.headers)
    finally:
        await producer.stop()


async def left(stage: Scene, *workers: Process) -> Left:
    """Wait until all is folded, stop the workers, look."""
    async with stage.reader("permission.state") as state:
        await state.until_states_are(WANTED)
        assert [worker.terminate() for worker in workers] == [Code.STOPPED] * len(workers)
        await state.to_the_end()
        table: dict[bytes, PairState] = {}
        for worker in workers:
            table |= worker.stored()
        changes, records = await by_id(stage, "permission.changes"), await by_id(stage, "permission.records")
        return Left(table, state.states(), changes, records)


async def by_id(stage: Scene, name: str) -> dict[str, bytes]:
    """Each record once. Repeats are allowed, but only of the same bytes."""
    contents: dict[str, set[Any]] = defaultdict(set)
    for record in await stage.all_on(name):
        contents[header(record.headers, "ce_id") or ""].add(record.value)
    assert {len(each) for each in contents.values()} == {1}
    return {key: each.pop() for key, each in contents.items()}


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_killed_at_any_step_leaves_what_an_uninterrupted_one_leaves(
    stage: Scene, smooth: Left, step: str
) -> None:
    worker = one(stage, dies=step)
    await tell(stage, FACTS[: len(FACTS) // 2])
    assert await worker.ended() == -signal.SIGKILL

    worker.start()
    await tell(stage, FACTS[len(FACTS) // 2 :])
    await worker.ready()
    assert 'callgrant_worker_last_exit{reason="killed"}' in worker.ask("metrics")[1]
    assert await left(stage, worker) == smooth


async def test_a_worker_killed_before_its_translation_is_acknowledged_doubles_nothing(
    stage: Scene, smooth: Left
) -> None:
    worker = one(stage, dies="translated")
    await stage.send(RAWS)
    assert await worker.ended() == -signal.SIGKILL

    worker.start()
    done = await left(stage, worker)
    assert bare(done.table) == bare(done.state) == bare(smooth.state)
    assert done.table == done.state


async def test_a_frozen_worker_that_wakes_up_behind_another_changes_nothing(stage: Scene, smooth: Left) -> None:
    frozen, other = (one(stage, each, static=False, session_s=SHORT_SESSION_S) for each in ("1", "2"))
    await frozen.ready()
    await other.ready()
    await tell(stage, FACTS[:400])
    assert frozen.running is not None
    frozen.running.send_signal(signal.SIGSTOP)
    await tell(stage, FACTS[400:])
    async with stage.reader("permission.state") as state:
        await state.until_states_are(WANTED)
        frozen.running.send_signal(signal.SIGCONT)
        # With work in hand it ends by itself, without it comes back as a member like any other.
        running = frozen.running
        await until(lambda: running.poll() is not None or frozen.ask("readyz")[0] == 503)
        await until(lambda: running.poll() is not None or frozen.ask("readyz")[0] == 200)
        if running.poll() is not None:
            assert running.returncode == Code.EXPELLED
            frozen.start()
        await frozen.ready()
        await other.ready()
        await state.to_the_end()
        versions: dict[bytes, int] = {}
        for record in state.records:
            if record.value is None:
                continue
            version = version_of(record.value)
            assert version >= versions.get(record.key, 0), "no reader ever sees a row go back"
            versions[record.key] = version
    done = await left(stage, frozen, other)
    assert done.state == smooth.state
    assert (done.changes, done.records) == (smooth.changes, smooth.records)


async def test_a_blocked_loop_ends_the_worker_and_the_next_life_tells_it(stage: Scene) -> None:
    worker = one(stage, environment={"TEST_WORKER_BLOCKS": "1"})
    await worker.ready()
    await tell(stage, FACTS[:20])
    assert await worker.ended() == Code.STALLED
    assert "the event loop was blocked" in worker.log.read_text()

    worker.start()
    await worker.ready()
    assert 'callgrant_worker_last_exit{reason="stalled"}' in worker.ask("metrics")[1]


async def test_a_static_worker_back_within_the_session_moves_no_partition(stage: Scene) -> None:
    first, second = one(stage, "1"), one(stage, "2")
    await first.ready()
    await second.ready()
    await tell(stage, FACTS[:100])
    before, left_at = noticed(second), time.monotonic()
    assert first.terminate() == Code.STOPPED
    first.start()
    await first.ready()
    away_s = time.monotonic() - left_at
    await tell(stage, FACTS[100:])
    done = await left(stage, first, second)

    assert bare(done.state) == bare(WANTED)
    if away_s >= SESSION_S:
        pytest.skip(f"a stop and a start took {away_s:.0f} s here: nothing was promised")
    assert noticed(second) == before, "nobody but the restarted one noticed"


def noticed(worker: Process) -> list[str]:
    """What its log tells of the group: rebalances, and stores opened because of them."""
    return re.findall(r"opening partition \d+ for gen id \d+|it is rebalancing", worker.log.read_text())

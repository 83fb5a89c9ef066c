"""Watchdogs on a real broker: a worker that gets nowhere ends itself, says why, and its next life loses nothing; where
it can go on by itself, it does.
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.worker.codes import Code
from streams.worker.lives import last_exit
from tests.worker.live import Process, Scene, scene, until
from tests.worker.seeded import raw_past, straight_fold

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

RAWS = raw_past(seed=71, facts=200, users=40)
WANTED = straight_fold(RAWS)


@pytest.fixture
async def stage(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(broker, topic_prefix, tmp_path) as made:
        yield made


async def ended_stalled(worker: Process, why: str) -> None:
    """It ended by itself, and its log and its folder say why."""
    assert await worker.ended() == Code.STALLED
    [said] = [line for line in worker.log.read_text().splitlines() if "no progress for" in line]
    assert f"({why})" in said
    ended = last_exit(worker.settings.folder)
    assert ended is not None
    assert (ended.code, ended.reason) == (Code.STALLED, "stalled")
    assert f"({why})" in ended.text


async def goes_on(stage: Scene, worker: Process) -> None:
    """The next life tells how the last one ended, and comes to the same."""
    worker.start()
    await worker.ready()
    assert 'callgrant_worker_last_exit{reason="stalled"}' in worker.ask("metrics")[1]
    async with stage.reader("permission.state") as state:
        await state.until_states_are(WANTED)
    assert worker.terminate() == Code.STOPPED


async def test_work_that_never_ends_ends_the_worker_and_the_next_life_does_it(stage: Scene) -> None:
    worker = stage.worker(static=True, environment={"TEST_WORKER_STALLS": "work"})
    await worker.ready()
    await stage.send(RAWS)
    await ended_stalled(worker, "stall")
    assert await stage.all_on("permission.state") == [], "nothing was written"
    await goes_on(stage, worker)


async def test_a_lane_that_hangs_while_others_work_ends_the_worker_and_the_next_life_does_its_work(
    stage: Scene,
) -> None:
    await stage.send(RAWS)
    worker = stage.worker(static=True, tick_every_s=1.0, environment={"TEST_WORKER_STALLS": "lane"})
    await ended_stalled(worker, "stall")
    ended = last_exit(worker.settings.folder)
    assert ended is not None
    assert "in lane 0 of fold" in ended.text
    assert "but_first" in ended.text, "where it waits"
    async with stage.reader("permission.state") as state:
        await state.to_the_end()
        assert 0 < len(state.states()) < len(WANTED), "the other lanes did their work"
    await goes_on(stage, worker)


@pytest.mark.parametrize(("stalls", "waits"), [("fetcher", ""), ("partition", "permission.events', partition=0")])
async def test_records_that_wait_and_are_never_delivered_end_the_worker_and_the_next_life_works_them(
    stage: Scene, stalls: str, waits: str
) -> None:
    await stage.send(RAWS)
    worker = stage.worker(static=True, tick_every_s=1.0, environment={"TEST_WORKER_STALLS": stalls})
    await ended_stalled(worker, "stall")
    ended = last_exit(worker.settings.folder)
    assert ended is not None
    assert f"{waits}) has records from 0 to" in ended.text if waits else "fetching brings none" in ended.text
    async with stage.reader("permission.state") as state:
        await state.to_the_end()
        assert len(state.states()) < len(WANTED), "the next life is left something to do"
    await goes_on(stage, worker)


async def test_a_recovery_that_is_stuck_ends_the_worker_and_the_next_life_recovers(stage: Scene) -> None:
    worker = stage.worker(static=True)
    await stage.send(RAWS)
    async with stage.reader("permission.state") as state:
        await state.until_states_are(WANTED)
    assert worker.terminate() == Code.STOPPED
    shutil.rmtree(worker.settings.folder / "g1")

    worker.start(TEST_WORKER_STALLS="recovery")
    await ended_stalled(worker, "rebalance")
    assert worker.stored() == {}
    await goes_on(stage, worker)


async def test_a_worker_whose_coordinator_loads_its_groups_joins_again_and_goes_on(
    stage: Scene, tmp_path: Path
) -> None:
    asked = tmp_path / "loads"
    worker = stage.worker(static=True, environment={"TEST_WORKER_LOADS": str(asked)})
    await worker.ready()
    asked.touch()
    await until(lambda: worker.alive() and "it is joined again" in worker.log.read_text())
    await stage.send(RAWS)
    async with stage.reader("permission.state") as state:
        await state.until_states_are(WANTED)
    assert worker.terminate() == Code.STOPPED

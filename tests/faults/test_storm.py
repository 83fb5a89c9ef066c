"""Workers that are killed, told to leave and frozen beyond their session, over and over, under load: nothing lost,
doubled, invented.

The schedule is drawn from a seed, which is printed; `STORM_SEED` in the environment sets another.
"""

import asyncio
import os
import signal
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.worker.live import Process, Scene, bare, scene, until
from tests.worker.replica import kept_by_version
from tests.worker.seeded import raw_past, straight_fold

pytestmark = [pytest.mark.broker, pytest.mark.faults]

FACTS: Final = 6_000
WORKERS: Final = ("1", "2", "3")
BLOWS: Final = 12
SESSION_S: Final = 6.0
FROZEN_S: Final = SESSION_S + 2.0
"""Beyond the session: the broker has given the partitions away before the worker wakes up."""


@pytest.mark.timeout(900)
async def test_a_storm_of_kills_leaves_and_freezes_changes_nothing(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    seed = int(os.environ.get("STORM_SEED", "1"))
    dice = Random(seed)
    raws = raw_past(seed=seed, facts=FACTS)
    wanted = straight_fold(raws)
    blows = [(dice.choice(["kill", "kill", "leave", "freeze"]), dice.randrange(len(WORKERS))) for _ in range(BLOWS)]
    print(f"storm seed {seed}: {blows}")
    async with scene(broker, topic_prefix, tmp_path) as stage, stage.reader("permission.state") as state:
        workers = [stage.worker(name, session_timeout_s=SESSION_S) for name in WORKERS]
        for worker in workers:
            await worker.ready()
        part = len(raws) // BLOWS
        for place, (blow, whom) in enumerate(blows):
            seen = len(state.records)
            await stage.send(raws[place * part : (place + 1) * part if place < BLOWS - 1 else None])
            while len(state.records) == seen:  # under way
                await state.more()
            await _strike(stage, workers[whom], blow)
        await state.until_states_are(wanted, 240)
        for worker in workers:
            await _awake(worker)
            worker.terminate()
        await state.to_the_end()
        assert bare(state.states()) == bare(wanted)
        assert bare(kept_by_version(state.records)) == bare(wanted), "and on the way no pair ever lost what it had"
    await _announced_once(stage)


async def _strike(stage: Scene, worker: Process, blow: str) -> None:
    await _awake(worker)
    assert worker.running is not None
    match blow:
        case "kill":
            worker.kill()
            worker.start()
        case "leave":
            worker.terminate()
            worker.start()
        case "freeze":
            worker.running.send_signal(signal.SIGSTOP)
            await asyncio.sleep(FROZEN_S)  # the condition is the time itself: the session must run out
            worker.running.send_signal(signal.SIGCONT)
        case other:
            raise AssertionError(other)


async def _awake(worker: Process) -> None:
    """A worker that found itself expelled has ended: a supervisor would start it again."""
    assert worker.running is not None
    if worker.running.poll() is not None:
        worker.start()
    await until(
        lambda: worker.ask("livez")[0] == 200 or worker.running is None or worker.running.poll() is not None, 60
    )


async def _announced_once(stage: Scene) -> None:
    contents: dict[str, set[bytes]] = defaultdict(set)
    for name in ("permission.changes",):
        for record in await stage.all_on(name):
            said = dict(record.headers)
            contents[said["ce_id"].decode()].add(record.value)
    assert {len(each) for each in contents.values()} == {1}, "no change id has two contents"

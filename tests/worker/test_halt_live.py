"""A worker that halts on a real broker, and the way out of it when the bytes are bad for good."""

import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.envelope import ORIGIN_OFFSET, ORIGIN_PARTITION, header
from streams.worker.clock import now_s
from streams.worker.exits import Code
from tests.worker.live import PATIENCE_S, Process, Scene, scene, until
from tests.worker.seeded import Raw, raw_past, straight_fold

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

BAD = 800  # on four partitions: more than half of a batch of a hundred, wherever they fall


@pytest.fixture
async def stage(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(broker, topic_prefix, tmp_path) as made:
        yield made


async def halted(worker: Process) -> str:
    await until(lambda: worker.alive() and worker.ask("readyz")[1].startswith("halted: "))
    return worker.ask("readyz")[1]


def origin(letter: Any) -> tuple[str | None, str | None]:
    return header(letter.headers, ORIGIN_PARTITION), header(letter.headers, ORIGIN_OFFSET)


async def origins(stage: Scene) -> Counter[tuple[str | None, str | None]]:
    """How often each bad record of `webhooks.raw` was put aside."""
    return Counter(map(origin, await stage.all_on("deadletters")))


async def test_a_burst_of_bad_bytes_halts_the_worker_until_a_person_lets_them_be_put_aside(stage: Scene) -> None:
    good = raw_past(11, 60)
    bad = Raw("webhooks.raw", b"{not json")
    await stage.send([*good[:30], *[bad] * BAD, *good[30:]])

    worker = stage.worker()
    assert "could not be judged (not_json" in await halted(worker)
    assert worker.ask("readyz")[0] == 503
    assert worker.ask("livez")[0] == 200
    assert "callgrant_worker_halted 1.0" in worker.ask("metrics")[1]
    assert "CALLGRANT_PARK_UNTIL=" in worker.log.read_text()
    assert len(await origins(stage)) < BAD, "what waits is not put aside"
    assert worker.terminate() == Code.STOPPED

    until_at = now_s() + 1
    worker = stage.worker(park_until_at=until_at)
    await worker.ready()
    async with stage.reader("permission.state") as states:
        await states.until_states_are(straight_fold(good))
    async with stage.reader("deadletters") as letters:
        deadline = time.monotonic() + PATIENCE_S
        while len({origin(each) for each in letters.records}) < BAD:
            assert time.monotonic() < deadline, f"{len(letters.records)} of {BAD} were put aside"
            await letters.more()

    assert len(await origins(stage)) == BAD, "each bad one, and nothing that was good"
    assert worker.ask("readyz") == (200, "ready\n")
    assert "callgrant_worker_halted 0.0" in worker.ask("metrics")[1]

    await until(lambda: now_s() > until_at)
    later = 0
    while worker.ask("readyz")[0] != 503 and later < 8_000:  # a thousand in a row on one partition
        await stage.send([bad] * 400)
        later += 400
    await halted(worker)
    assert len(await origins(stage)) < BAD + later, "of what came in later the limit holds again"
    assert worker.terminate() == Code.STOPPED

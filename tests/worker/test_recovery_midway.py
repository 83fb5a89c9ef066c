"""Killed in the middle of recovery, on a real broker: what stands in a store then is what its topic says so far."""

import asyncio
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import rocksdict
from aiokafka import AIOKafkaProducer

from schemas.ids import partition_of
from schemas.topics import MAX_RECORD_BYTES
from streams.worker.clock import now_ms
from streams.worker.codes import Code
from streams.worker.deadlines import PREFIX, Deadline, index_key
from streams.worker.outputs import queue
from streams.worker.rows import DUE_AT, VERSION, Row
from tests.worker.live import PARTITIONS, Process, Scene, scene

pytestmark = pytest.mark.broker

OFFSET = b"__faust\0offset__"
ROWS, KEYS = 24_000, 20_000
VALUE_BYTES = 6_000
"""As long that a store fills its buffer, and so writes files, several times before recovery is over."""
LIVES = 4
"""How often the worker is killed over one folder: each time when it began one more file than the time before."""


@pytest.fixture
async def stage(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(broker, topic_prefix, tmp_path) as made:
        yield made


def past(seed: int) -> dict[int, list[Row]]:
    """What stands on each partition: new rows, newer ones, older ones of somebody who froze, tombstones."""
    chance = random.Random(seed)
    body = chance.randbytes(VALUE_BYTES)
    log: dict[int, list[Row]] = defaultdict(list)
    for at in range(ROWS):
        key = f"700100200300400/4477009{at if at < KEYS else chance.randrange(KEYS):05d}".encode()
        version = chance.randint(1, 9)
        headers = [(VERSION, str(version).encode())]
        if not chance.randrange(4):
            headers.append((DUE_AT, str(1_772_443_801 + at).encode()))
        # Like a row of a newer program: recovery reads of it where its version stands.
        value = b'{"schema":1,"version":%d,"at":%d,"' % (version, at) + body[at % 997 :]
        gone = at >= KEYS and not chance.randrange(4)
        log[partition_of(key, PARTITIONS)].append(Row(key, None, []) if gone else Row(key, value, headers))
    return log


def said_up_to(rows: Sequence[Row]) -> dict[bytes, bytes]:
    """The law, told once more: the higher version, at equality the later row; a tombstone always applies."""
    kept: dict[bytes, tuple[int, bytes]] = {}
    for key, value, headers in rows:
        assert key is not None
        if value is None:
            kept.pop(key, None)
            continue
        version = int(dict(headers)[VERSION])
        if key not in kept or version >= kept[key][0]:
            kept[key] = version, value
    return {key: value for key, (_, value) in kept.items()}


def stores_of(worker: Process) -> Mapping[int, dict[bytes, bytes]]:
    """All that stands in each store, by partition. The process must not run."""
    found: dict[int, dict[bytes, bytes]] = {}
    for path in worker.settings.folder.glob("**/pairs-*.db"):
        db = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))
        try:
            rows: Any = db.items()
            found[int(path.stem.rpartition("-")[2])] = dict(rows)
        finally:
            db.close()
    return found


def check(store: dict[bytes, bytes], log: Sequence[Row]) -> int:
    """Compare a store with what its topic says up to the offset it claims; how many records that are."""
    reached = int(store.pop(OFFSET, b"-1")) + 1
    deadlines = {each for each in store if each.startswith(PREFIX)}
    rows = {key: value for key, value in store.items() if key not in deadlines}
    wanted = said_up_to(log[:reached])
    assert rows.keys() == wanted.keys()
    assert rows == wanted
    runs_out = {
        index_key(Deadline(int(told[DUE_AT]), row.key or b""))
        for row in log[:reached]
        if row.value is not None and DUE_AT in (told := dict(row.headers)) and wanted.get(row.key or b"") == row.value
    }
    assert deadlines >= runs_out, "a deadline that stands is found; one that does not is dropped when its time comes"
    return reached


async def fill(stage: Scene, log: Mapping[int, Sequence[Row]]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=stage.bootstrap, max_request_size=MAX_RECORD_BYTES, max_batch_size=500_000, acks="all"
    )
    await producer.start()
    try:
        for partition, rows in log.items():
            for sent in await queue(producer, stage.names.of("permission.state"), partition, rows, now_ms()):
                await sent.acknowledged
    finally:
        await producer.stop()


def files_of(worker: Process) -> set[Path]:
    return set(worker.settings.folder.glob("**/pairs-*.db/*.sst"))


async def killed_while_writing(worker: Process, files: int) -> None:
    """Start it, and kill it as soon as its stores began so many files that no life before began."""
    before = files_of(worker)
    worker.start()
    running = worker.running
    assert running is not None
    deadline = time.monotonic() + 60
    while len(files_of(worker) - before) < files:
        worker.alive()
        assert time.monotonic() < deadline, "no store wrote that many files"
        await asyncio.sleep(0.002)
    os.kill(running.pid, signal.SIGKILL)
    running.wait(10)


async def test_killed_again_and_again_while_recovering_a_worker_never_holds_what_its_topic_does_not_say(
    stage: Scene,
) -> None:
    log = past(seed=51)
    await fill(stage, log)
    worker = stage.worker(static=True, session_timeout_s=6.0)
    worker.kill()
    reached: list[int] = []
    for life in range(LIVES):
        await killed_while_writing(worker, life + 1)
        stores = stores_of(worker)
        assert stores
        reached.append(sum(check(store, log[partition]) for partition, store in stores.items()))
    assert reached == sorted(reached), "a store never goes back"
    assert any(0 < each < ROWS for each in reached), f"killed between the ends at least once: {reached}"

    worker.start()
    await worker.ready()
    worker.kill()  # not stopped: what was recovered must be in the files without a farewell
    assert {partition: check(store, log[partition]) for partition, store in stores_of(worker).items()} == {
        partition: len(rows) for partition, rows in log.items()
    }

    worker.start()
    await worker.ready()
    assert worker.terminate() == Code.STOPPED
    for partition, store in stores_of(worker).items():
        check(store, log[partition])

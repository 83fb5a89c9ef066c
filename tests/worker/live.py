"""A worker process on a real broker: start, kill, watch; and what stands on its topics."""

import asyncio
import contextlib
import dataclasses
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import rocksdict
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.topics import create_topics
from schemas.state import PairState
from schemas.state_row import decode_state, version_of
from schemas.topics import MAX_RECORD_BYTES, TopicNames
from streams.worker.settings import WorkerSettings
from tests.ports import free_port
from tests.worker.seeded import Raw, evidence

ROOT = Path(__file__).parent.parent.parent
PARTITIONS = 4
PATIENCE_S = 120.0
"""For what must come about. Generous: a condition that is met early costs nothing, and machines are slow at times."""


@dataclasses.dataclass(slots=True)
class Process:
    """One worker process."""

    settings: WorkerSettings
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Start it. `environment`: for the test entry alone, such as where to die (`tests.worker.serve`)."""
        told = {
            field.name: getattr(self.settings, field.name)
            for field in dataclasses.fields(self.settings)
            if field.name not in {"policy", "data_dir"}
        }
        told["data_dir"] = str(self.settings.data_dir)
        with self.log.open("ab") as out:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "tests.worker.serve", json.dumps(told)],
                cwd=ROOT,
                stdout=out,
                stderr=out,
                env={**os.environ, **environment},
            )

    def kill(self) -> None:
        assert self.running is not None
        self.running.kill()
        self.running.wait(PATIENCE_S)

    def terminate(self) -> int:
        """TERM, and the exit code."""
        assert self.running is not None
        if self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)
        return self.running.wait(PATIENCE_S)

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body; 0 when nobody listens, or who did ended while answering."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.settings.port}/{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""

    async def ended(self, within_s: float = PATIENCE_S) -> int:
        """Wait until it ended by itself: the exit code, negative for a signal."""
        running = self.running
        assert running is not None
        await until(lambda: running.poll() is not None, within_s)
        return running.wait()

    async def ready(self) -> None:
        await until(lambda: self.alive() and self.ask("readyz")[0] == 200)

    def alive(self) -> bool:
        assert self.running is not None
        assert self.running.poll() is None, f"the worker ended: {self.log.read_text()[-3000:]}"
        return True

    def stored(self) -> dict[bytes, PairState]:
        """The rows of the local store. The process must not run."""
        found: dict[bytes, PairState] = {}
        options = rocksdict.Options(raw_mode=True)
        for path in sorted(self.settings.folder.glob("**/pairs-*.db")):
            db = rocksdict.Rdict(str(path), options)
            try:
                rows: Any = db.items()
                found |= {key: decode_state(value) for key, value in rows if key[:1].isdigit()}
            finally:
                db.close()
        return found


async def until(true: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Wait for a condition that other processes bring about."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.05)


@dataclasses.dataclass(slots=True)
class Scene:
    """Topics of one test, its worker processes, and readers of what they wrote."""

    bootstrap: str
    names: TopicNames
    folder: Path
    processes: list[Process] = dataclasses.field(default_factory=list)

    def worker(
        self,
        instance: str = "1",
        partitions: int = PARTITIONS,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Process:
        made = WorkerSettings(
            kafka_bootstrap=self.bootstrap,
            topic_prefix=self.names.prefix,
            partitions=partitions,
            data_dir=self.folder,
            port=free_port(),
            instance=instance,
            **settings,
        )
        process = Process(made, self.folder / f"worker-{instance}.log")
        self.processes.append(process)
        process.start(**(environment or {}))
        return process

    async def send(self, raws: Iterable[Raw]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_request_size=MAX_RECORD_BYTES)
        await producer.start()
        try:
            sent = [await producer.send(self.names.of(raw.topic), raw.value, headers=raw.headers) for raw in raws]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def send_to(self, name: str, value: bytes, key: bytes | None = None) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(self.names.of(name), value, key)
        finally:
            await producer.stop()

    @contextlib.asynccontextmanager
    async def reader(self, name: str) -> AsyncIterator["Reader"]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, max_partition_fetch_bytes=MAX_RECORD_BYTES)
        await consumer.start()
        try:
            consumer.assign([TopicPartition(self.names.of(name), each) for each in range(PARTITIONS)])
            await consumer.seek_to_beginning()
            yield Reader(consumer)
        finally:
            await consumer.stop()

    async def all_on(self, name: str) -> list[Any]:
        """Everything on a topic now, partition by partition."""
        async with self.reader(name) as reader:
            await reader.to_the_end()
            return reader.records

    def end(self) -> None:
        for process in self.processes:
            if process.running is not None and process.running.poll() is None:
                os.kill(process.running.pid, signal.SIGKILL)
                process.running.wait(PATIENCE_S)


@dataclasses.dataclass(slots=True)
class Reader:
    """Reads a topic from its beginning, as it grows."""

    consumer: Any
    records: list[Any] = dataclasses.field(default_factory=list)

    async def more(self) -> None:
        for got in (await self.consumer.getmany(timeout_ms=200)).values():
            self.records += got

    async def to_the_end(self) -> None:
        ends = await self.consumer.end_offsets(self.consumer.assignment())
        while any([await self.consumer.position(tp) < end for tp, end in ends.items()]):
            await self.more()

    def states(self) -> dict[bytes, PairState]:
        """What a replica of `permission.state` holds: the higher version, at equality the later offset."""
        kept: dict[bytes, bytes] = {}
        for record in self.records:
            if record.value is None:
                kept.pop(record.key, None)
            elif version_of(record.value) >= version_of(kept.get(record.key, b"")):
                kept[record.key] = record.value
        return {key: decode_state(value) for key, value in kept.items()}

    async def until_states_are(self, wanted: dict[bytes, PairState], within_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + within_s
        want = bare(wanted)
        while bare(self.states()) != want:
            assert time.monotonic() < deadline, (
                f"{len(self.states())} of {len(wanted)} pairs, not all as they should be"
            )
            await self.more()


def bare(states: dict[bytes, PairState]) -> dict[bytes, PairState]:
    """States without their bookkeeping."""
    return {key: evidence(state) for key, state in states.items()}


@contextlib.asynccontextmanager
async def scene(bootstrap: str, prefix: str, folder: Path) -> AsyncIterator[Scene]:
    """Topics made, nothing running; afterwards nothing runs again."""
    made = Scene(bootstrap, TopicNames(prefix, 1), folder)
    await create_topics(bootstrap, made.names, PARTITIONS)
    try:
        yield made
    finally:
        made.end()

"""Topics and records for the loader's tests, on a real broker; and the projection as a process of its own."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from schemas.topics import TopicNames

KEY = ("tester", "0123456789abcdef")
PARTITIONS = 3
WITHIN_S = 60.0

RUN = """
import json, sys
from pathlib import Path
from projections.main import run
from projections.settings import ProjectionSettings
given = json.loads(sys.argv[1])
given["data_dir"] = Path(given["data_dir"])
given["api_keys"] = tuple(tuple(key) for key in given["api_keys"])
sys.exit(run(ProjectionSettings(**given)))
"""


async def make_topics(bootstrap: str, names: TopicNames) -> None:
    """`permission.records` and `deadletters`, and nothing else."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        sizes = {"permission.records": PARTITIONS, "deadletters": 1}
        await admin.create_topics(
            [
                NewTopic(names.of(name), count, 1, topic_configs={"compression.type": "producer"})
                for name, count in sizes.items()
            ]
        )
    finally:
        await admin.close()


@asynccontextmanager
async def producer_of(bootstrap: str) -> AsyncIterator[Any]:
    """A producer that is stopped afterwards."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def write(bootstrap: str, names: TopicNames, values: Iterable[bytes | None]) -> None:
    """Records, spread over the partitions, on the broker when this returns."""
    async with producer_of(bootstrap) as producer:
        waiting = [
            await producer.send(names.of("permission.records"), key=b"700100200300400/447700900123", value=value,
                                partition=index % PARTITIONS, headers=[("ce_id", b"test")])
            for index, value in enumerate(values)
        ]  # fmt: skip
        await asyncio.gather(*waiting)


async def committed(bootstrap: str, names: TopicNames) -> dict[int, int]:
    """What the projection's group has committed, by partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(names.group("projection"))
        return {part.partition: what.offset for part, what in found.items() if what.offset >= 0}
    finally:
        await admin.close()


async def dead_letters(bootstrap: str, names: TopicNames) -> list[Any]:
    """Every record of `deadletters`."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        part = TopicPartition(names.of("deadletters"), 0)
        consumer.assign([part])
        await consumer.seek_to_beginning(part)
        end = (await consumer.end_offsets([part]))[part]
        found: list[Any] = []
        while await consumer.position(part) < end:
            for records in (await consumer.getmany(part, timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()


@dataclass
class ProjectionProcess:
    """The projection as its own process, asked over HTTP."""

    bootstrap: str
    names: TopicNames
    data_dir: Path
    port: int
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> None:
        given = {
            "kafka_bootstrap": self.bootstrap,
            "topic_prefix": self.names.prefix,
            "generation": self.names.generation,
            "data_dir": str(self.data_dir),
            "port": self.port,
            "api_keys": [KEY],
            **self.settings,
        }
        self.data_dir.mkdir(parents=True, exist_ok=True)
        log = (self.data_dir / "projection.log").open("a")
        with log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, json.dumps(given)], stdout=log, stderr=log, text=True, env={**os.environ}
            )

    def log(self) -> str:
        return (self.data_dir / "projection.log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """TERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def get(self, path: str, key: tuple[str, str] | None = KEY) -> tuple[int, Any]:
        """Status and body; status 0 when nobody listens."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if key:
            request.add_header("Authorization", "Basic " + base64.b64encode(":".join(key).encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 our own process
                return answer.status, _read(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, _read(refused)
        except OSError:
            return 0, None

    def until(self, path: str, fits: Any, within_s: float = WITHIN_S) -> Any:
        """Ask until the answer fits; the body."""
        status, body = 0, None
        limit = time.monotonic() + within_s
        while time.monotonic() < limit:
            status, body = self.get(path)
            if fits(status, body):
                return body
            assert self.process is not None
            assert self.process.poll() is None, self.log()[-4000:]
            time.sleep(0.05)
        raise AssertionError(f"{path} never fitted; last {status} {body}; log: {self.log()[-4000:]}")

    def until_stored(self, records: int) -> Any:
        """Wait until everything written is stored and committed."""
        return self.until(
            "/v1/progress",
            lambda status, body: (
                status == 200
                and body["behind_records"] == 0
                and sum(part["end_offset"] for part in body["partitions"]) >= records
            ),
        )


def _read(answer: Any) -> Any:
    text = answer.read().decode()
    return json.loads(text) if "json" in answer.headers.get("content-type", "") else text

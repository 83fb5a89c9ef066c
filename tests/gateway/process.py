"""A whole gateway process, what it said, and what stands on its topics."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord

from schemas.topics import MAX_RECORD_BYTES
from tests.gateway.asgi import KEY, SECRET, TOKEN

ROOT = Path(__file__).parents[2]


PATIENCE_S = 120.0
"""For what must come about. Generous: a condition that is met early costs nothing, and machines are slow at times."""


@dataclass(slots=True)
class Running:
    """`said`: its log lines so far."""

    child: subprocess.Popen[str]
    said: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def end(self, number: int = signal.SIGTERM, within_s: float = PATIENCE_S) -> int:
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            return self.child.wait(within_s)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise


@contextmanager
def started(bootstrap: str, prefix: str, *, descriptors: int | None = None, **changed: Any) -> Iterator[Running]:
    """`descriptors`: how many the process may have at most."""
    owner, _, secret = KEY.partition(":")
    settings: dict[str, Any] = {
        "kafka_bootstrap": bootstrap,
        "topic_prefix": prefix,
        "bind": "127.0.0.1",
        "port": 0,
        "meta_app_secrets": [("", SECRET)],
        "meta_verify_tokens": [TOKEN],
        "api_keys": [(owner, secret)],
        **changed,
    }
    limited = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}:{descriptors}"]
    child = subprocess.Popen(
        [*limited, sys.executable, "-m", "tests.gateway.serve", json.dumps(settings)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    running = Running(child)
    listening = threading.Event()

    def listen() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            told = json.loads(line)  # every line of the process is JSON
            running.said.append(told)
            if told["event"] == "listening":
                running.url = told["address"]
                listening.set()
        listening.set()

    reader = threading.Thread(target=listen)
    reader.start()
    try:
        assert listening.wait(PATIENCE_S), "the gateway did not listen"
        yield running
    finally:
        try:
            running.end()
        finally:
            reader.join()
            assert child.stdout is not None
            child.stdout.close()


async def until(holds: Callable[[], bool], within_s: float = PATIENCE_S) -> float:
    """Wait for a condition of another process; how long it took."""
    began_s = monotonic()
    async with asyncio.timeout(within_s):
        while True:
            if await asyncio.to_thread(holds):
                return monotonic() - began_s
            await asyncio.sleep(0.05)


def status(running: Running, path: str) -> int:
    return httpx.get(running.url + path, timeout=30, trust_env=False).status_code


async def until_ready(running: Running, within_s: float = PATIENCE_S) -> float:
    return await until(lambda: status(running, "/readyz") == 200, within_s)


def client(running: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False)


async def stored(bootstrap: str, topic: str) -> list[ConsumerRecord[bytes | None, bytes | None]]:
    """Everything that stands on a topic now."""
    consumer = AIOKafkaConsumer(
        topic,
        auto_offset_reset="earliest",
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        partitions = consumer.assignment()
        assert partitions, "the topic is not there"
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord[bytes | None, bytes | None]] = []
        async with asyncio.timeout(30):
            while True:
                if all([await consumer.position(one) >= ends[one] for one in partitions]):
                    return found
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
    finally:
        await consumer.stop()

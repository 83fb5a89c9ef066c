"""Thousands of slow and endless senders at once: others do not notice, memory stays, our deadline closes them."""

import asyncio
import json
import resource
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from statistics import quantiles
from time import monotonic

import psutil
import pytest

from deploy.topics import create_topics
from schemas.topics import TopicNames
from tests.gateway.process import ROOT, Running, started, stored, until_ready
from tests.gateway.test_wire import CHUNKED, SIGNED, head, statuses

pytestmark = [pytest.mark.broker, pytest.mark.faults]
SLOW = 2_000
MIB = 1024 * 1024
OTHERS = 600
PER_S = 100


@pytest.fixture(autouse=True)
def descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SLOW + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine gives a process {hard} descriptors, {wanted} are needed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


async def connected(gateway: Running) -> tuple[StreamReader, StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", gateway.port)


async def until_closed(reader: StreamReader, writer: StreamWriter) -> bytes:
    answer = b""
    with suppress(ConnectionError):
        answer = await reader.read()
    writer.close()
    return answer


async def others(gateway: Running) -> list[float]:
    """Milliseconds of webhooks that somebody else sends meanwhile; all of them are answered 200."""
    command = ["-m", "tests.bench.gateway_load", str(gateway.port), str(OTHERS), "16", str(PER_S)]
    sending = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    told, _ = await sending.communicate()
    assert sending.returncode == 0
    took_ms: list[float] = json.loads(told)
    assert len(took_ms) == OTHERS
    return took_ms


def rss(gateway: Running) -> int:
    held: int = psutil.Process(gateway.child.pid).memory_info().rss
    return held


class Peak:
    """The most memory the gateway held while we watched."""

    def __init__(self, gateway: Running) -> None:
        self._gateway = gateway
        self.before = self.most = rss(gateway)
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            self.most = max(self.most, rss(self._gateway))
            await asyncio.sleep(0.05)

    def grown(self) -> float:
        self._task.cancel()
        return (self.most - self.before) / MIB


async def test_two_thousand_slow_senders_are_closed_by_our_deadline_and_nobody_else_notices(
    broker: str, topic_prefix: str
) -> None:
    await create_topics(broker, TopicNames(topic_prefix), 2)
    with started(broker, topic_prefix) as gateway:
        await until_ready(gateway)
        await others(gateway)  # everything is warm, and its memory taken
        peak = Peak(gateway)
        lines = [await connected(gateway) for _ in range(SLOW)]
        began_s = monotonic()
        for place, (_, writer) in enumerate(lines):
            if place % 2:
                writer.write(b"POST /webhooks/meta HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            else:
                writer.write(head(SIGNED, "Content-Length: 5000") + b"x" * 2_000)

        async def trickle() -> None:
            while True:
                await asyncio.sleep(1)
                for _, writer in lines:
                    if not writer.is_closing():
                        writer.write(b"x")

        trickling = asyncio.create_task(trickle())
        waiting = [asyncio.create_task(until_closed(*line)) for line in lines]
        took_ms = await others(gateway)
        answers = await asyncio.gather(*waiting)
        closed_after_s = monotonic() - began_s
        trickling.cancel()
        assert closed_after_s < 10
        assert {tuple(statuses(answer)) for answer in answers} <= {(), (408,)}
        assert quantiles(took_ms, n=100)[98] <= 250
        assert peak.grown() < 50
        assert gateway.end() == 0
    assert len(await stored(broker, f"{topic_prefix}webhooks.raw")) == 2 * OTHERS


async def test_two_hundred_bodies_without_end_do_not_fill_the_memory(broker: str, topic_prefix: str) -> None:
    await create_topics(broker, TopicNames(topic_prefix), 2)
    with started(broker, topic_prefix) as gateway:
        await until_ready(gateway)
        await others(gateway)
        peak = Peak(gateway)
        lines = [await connected(gateway) for _ in range(200)]
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"

        async def without_end(reader: StreamReader, writer: StreamWriter) -> bytes:
            writer.write(head(SIGNED, CHUNKED))
            answering = asyncio.create_task(until_closed(reader, writer))
            with suppress(ConnectionError):
                while not answering.done():
                    writer.write(chunk)
                    await writer.drain()
            return await answering

        answers = await asyncio.gather(*(without_end(*line) for line in lines))
        assert {status for answer in answers for status in statuses(answer)} <= {413, 503, 408}
        grown = peak.grown()
        print(f"grown by {grown:.1f} MiB")
        assert grown < 20
        took_ms = await others(gateway)
        assert quantiles(took_ms, n=100)[98] <= 250
        assert gateway.end() == 0

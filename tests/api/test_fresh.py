"""From the gateway's acknowledgement to the answer, on a real broker; a small writer stands in for the worker."""

import asyncio
import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.broker.node import LocalBroker
from deploy.topics import create_topics
from schemas.ids import Pair, partition_of
from schemas.state_row import encode_state, version_of
from schemas.topics import TopicNames
from streams.api.app import Api, build
from streams.api.freshness import Freshness
from streams.api.keys import Keys
from streams.countries import country_of
from streams.kafka.replica import Replica
from streams.permission.directory import Directory
from tests.api.door import ASKED_AT, BEARER, GRANTED, NUMBER, SETTINGS, asking, path, who
from tests.ports import free_pair, free_port

pytestmark = pytest.mark.broker
PARTITIONS: Final = 2
PAIR: Final = GRANTED.pair


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what another process does has no event of ours
            await asyncio.sleep(0.02)


class Stream:
    """Writes what the gateway and the worker would, and commits as the worker's group."""

    def __init__(self, bootstrap: str, names: TopicNames) -> None:
        self.names = names
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        self._group = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=names.group("worker"), enable_auto_commit=False
        )

    async def start(self) -> None:
        await self._producer.start()
        committed = ("webhooks.raw", "permission.events")
        self._group.assign([TopicPartition(self.names.of(topic), 0) for topic in committed])
        await self._group.start()

    async def stop(self) -> None:
        await self._producer.stop()
        await self._group.stop()

    async def accept(self) -> None:
        await self._producer.send_and_wait(self.names.of("webhooks.raw"), b"{}", partition=0)

    async def translate(self) -> None:
        await self._producer.send_and_wait(self.names.of("permission.events"), b"{}", key=PAIR.key, partition=0)

    async def store(self, value: bytes = encode_state(GRANTED), pair: Pair = PAIR) -> None:
        topic, place = self.names.of("permission.state"), partition_of(pair.key, PARTITIONS)
        await self._producer.send_and_wait(topic, value, key=pair.key, partition=place)

    async def commit(self, topic: str, offset: int) -> None:
        await self._group.commit({TopicPartition(self.names.of(topic), 0): offset})


@asynccontextmanager
async def streaming(bootstrap: str, names: TopicNames) -> AsyncIterator[Stream]:
    stream = Stream(bootstrap, names)
    await stream.start()
    try:
        yield stream
    finally:
        await stream.stop()


@asynccontextmanager
async def api_over(bootstrap: str, names: TopicNames, max_lag_s: float = 30.0) -> AsyncIterator[tuple[Api, Freshness]]:
    replica = Replica(bootstrap, names.of("permission.state"), version_of)
    numbers = Directory(SETTINGS.policy, country_of)
    number_rows = Replica(bootstrap, names.of("business.state"), version_of, numbers.hear)
    freshness = Freshness(bootstrap, names, replica, number_rows, every_s=0.2)
    settings = dataclasses.replace(SETTINGS, kafka_bootstrap=bootstrap, max_lag_s=max_lag_s)
    parts = [asyncio.create_task(part.run()) for part in (replica, number_rows, freshness)]
    try:
        yield build(settings, Keys(settings.api_keys), replica, freshness, numbers), freshness
        assert not any(part.done() for part in parts), "a part ended by itself"
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


def seconds_of(freshness: Freshness) -> float:
    seconds = freshness.lag().seconds
    return float("inf") if seconds is None else seconds


async def test_nothing_is_answered_before_everything_is_read(broker: str, topic_prefix: str) -> None:
    names = TopicNames(topic_prefix)
    await create_topics(broker, names, PARTITIONS)
    others = [Pair(NUMBER, f"4420794{n:05d}") for n in range(2_000)]
    async with streaming(broker, names) as stream:
        await asyncio.gather(*(stream.store(b'{"schema":1,"version":1}', pair) for pair in others))
        await stream.store()
    async with api_over(broker, names) as (app, _), asking(app) as client:
        refused = 0
        async with asyncio.timeout(30):
            while (got := await client.get(path(), params=who(at=str(ASKED_AT)))).status_code != 200:
                assert got.status_code == 503
                refused += 1
                await asyncio.sleep(0)
    assert refused > 0
    assert got.json()["standing"]["label"] == "granted"


async def test_an_answer_is_as_old_as_the_first_step_that_is_missing(broker: str, topic_prefix: str) -> None:
    names = TopicNames(topic_prefix)
    await create_topics(broker, names, PARTITIONS)
    async with streaming(broker, names) as stream, api_over(broker, names) as (_, freshness):
        await until(lambda: seconds_of(freshness) < 1.0)
        assert freshness.lag().records == 0

        await stream.accept()
        await until(lambda: seconds_of(freshness) > 1.5)
        assert freshness.lag().records == 1

        await stream.translate()
        await until(lambda: freshness.lag().records == 2)
        await stream.commit("webhooks.raw", 1)
        await until(lambda: freshness.lag().records == 1)
        assert seconds_of(freshness) > 1.5, "translated, not folded"

        await stream.store()
        await stream.commit("permission.events", 1)
        await until(lambda: freshness.lag().records == 0)
        await until(lambda: seconds_of(freshness) < 1.0)


async def test_a_topic_that_is_missing_is_no_reason_to_guess(broker: str, topic_prefix: str) -> None:
    names = TopicNames(topic_prefix)
    async with api_over(broker, names) as (app, freshness), asking(app) as client:
        assert (await client.get(path(), params=who())).status_code == 503
        await create_topics(broker, names, PARTITIONS)
        await until(lambda: seconds_of(freshness) < 2.0)
        assert (await client.get(path(), params=who())).status_code == 200


async def test_cut_off_from_the_broker_it_answers_up_to_the_bound_and_recovers(
    tmp_path: Path, jar_cache: Path, topic_prefix: str
) -> None:
    names, bound_s = TopicNames(topic_prefix), 4.0
    node = LocalBroker(data_dir=tmp_path, port=free_pair(), cache_dir=jar_cache)
    await asyncio.to_thread(node.__enter__)
    try:
        await create_topics(node.bootstrap, names, PARTITIONS)
        async with streaming(node.bootstrap, names) as stream:
            await stream.store()
        async with api_over(node.bootstrap, names, bound_s) as (app, freshness), asking(app) as client:
            await until(lambda: seconds_of(freshness) < 1.0)
            await asyncio.to_thread(node.kill)
            seen = []
            async with asyncio.timeout(20):
                while (got := await client.get(path(), params=who(at=str(ASKED_AT)))).status_code == 200:
                    assert got.json()["standing"]["label"] == "granted"
                    seen.append(float(got.headers["callgrant-lag-seconds"]))
                    await asyncio.sleep(0.05)
            assert got.status_code == 503
            assert seconds_of(freshness) > bound_s
            assert seen == sorted(seen)
            assert seen[0] < 1.5
            assert bound_s - 0.5 < seen[-1] <= bound_s
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(node.wait_ready)
            await until(lambda: seconds_of(freshness) < bound_s, within_s=10.0)
            assert (await client.get(path(), params=who())).status_code == 200
    finally:
        await asyncio.to_thread(node.stop)


PROCESS: Final = """
import dataclasses, sys
from streams.api.main import run
from tests.api.door import SETTINGS
bootstrap, prefix, port = sys.argv[1:]
sys.exit(run(dataclasses.replace(SETTINGS, kafka_bootstrap=bootstrap, topic_prefix=prefix, port=int(port))))
"""


async def test_the_process_serves_and_ends_cleanly_on_term(broker: str, topic_prefix: str) -> None:
    names, port = TopicNames(topic_prefix), free_port()
    await create_topics(broker, names, PARTITIONS)
    async with streaming(broker, names) as stream:
        await stream.store()
    command = [sys.executable, "-c", PROCESS, broker, topic_prefix, str(port)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=BEARER) as client:
            await _ready(client)
            got = await client.get(path(), params=who(at=str(ASKED_AT)))
            assert got.json()["standing"]["label"] == "granted"
            assert got.headers["callgrant-lag-records"] == "0"
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 15)
    assert (process.returncode, err) == (0, b"")
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert lines[-1]["event"] == "api_ended"
    assert GRANTED.user.encode() not in out


async def test_a_port_that_is_taken_is_told_with_the_setting_to_change(broker: str, topic_prefix: str) -> None:
    listener = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        command = [sys.executable, "-c", PROCESS, broker, topic_prefix, str(port)]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        out, _ = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 1
    assert "CALLGRANT_API_PORT" in json.loads(out)["told"]


async def _ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            await asyncio.sleep(0.05)

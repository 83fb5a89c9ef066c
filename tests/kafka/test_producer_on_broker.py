import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deploy.topics import create_topics
from schemas.topics import TopicNames
from streams.kafka.outcomes import Acknowledged, NotAcknowledged
from streams.kafka.producer import BatchProducer, ProducerLimits
from streams.kafka.session import KafkaSession, Record
from tests.gateway.process import stored
from tests.kafka.test_producer import until_ready

pytestmark = pytest.mark.broker
HOUR_MS = 3_600_000


def record(value: bytes, ahead_ms: int = 0, key: bytes | None = None) -> Record:
    now_ms = time.time_ns() // 1_000_000  # noqa: TID251 - the broker compares it with its own clock
    return Record(key, value, [("provider", b"meta")], now_ms + ahead_ms)


@asynccontextmanager
async def running(bootstrap: str, topic: str, limits: ProducerLimits) -> AsyncIterator[BatchProducer]:
    producer = BatchProducer(limits, lambda: KafkaSession(bootstrap, [topic], "test"))
    await producer.start()
    try:
        yield producer
    finally:
        assert await producer.stop(10.0)


@pytest.fixture
async def topic(broker: str, topic_prefix: str) -> str:
    names = TopicNames(topic_prefix)
    await create_topics(broker, names, 2)
    return names.of("permission.commands")


async def test_offsets_keys_and_partitions_are_those_of_the_topic(broker: str, topic: str) -> None:
    async with running(broker, topic, ProducerLimits()) as producer:
        await until_ready(producer)
        waiters = [producer.append(topic, record(b"%d" % n, key=b"k%d" % n), partition=1) for n in range(5)]
        assert {await waiter for waiter in waiters} == {Acknowledged(partition=1, base_offset=0)}
        assert await producer.append(topic, record(b"5"), partition=1) == Acknowledged(partition=1, base_offset=5)
        assert await producer.append(topic, record(b"6"), partition=2) == NotAcknowledged("away")
    found = [(one.partition, one.offset, one.key, one.value) for one in await stored(broker, topic)]
    assert found == [(1, n, b"k%d" % n, b"%d" % n) for n in range(5)] + [(1, 5, None, b"5")]


async def test_a_time_the_broker_refuses_costs_only_its_own_batch(broker: str, topic: str) -> None:
    limits = ProducerLimits(flush_after_ms=0.0, flush_bytes=1)  # each record a batch of its own
    async with running(broker, topic, limits) as producer:
        await until_ready(producer)
        waiters = [
            producer.append(topic, record(b"%d" % n, ahead_ms=2 * HOUR_MS if n % 10 == 3 else 0), partition=0)
            for n in range(30)
        ]
        outcomes = await asyncio.gather(*waiters)
        assert [n for n, outcome in enumerate(outcomes) if outcome == NotAcknowledged("refused")] == [3, 13, 23]
        assert sum(isinstance(outcome, Acknowledged) for outcome in outcomes) == 27
    values = sorted(int(one.value or b"") for one in await stored(broker, topic))
    assert values == [n for n in range(30) if n % 10 != 3]


async def test_more_than_a_request_takes_is_spread_over_several_batches(broker: str, topic: str) -> None:
    limits = ProducerLimits(max_pending_bytes=64 * 1024 * 1024)
    async with running(broker, topic, limits) as producer:
        await until_ready(producer)
        values = [bytes([n]) * 1_000_000 for n in range(20)]
        outcomes = await asyncio.gather(*(producer.append(topic, record(value)) for value in values))
        assert all(isinstance(outcome, Acknowledged) for outcome in outcomes)
        assert {outcome.partition for outcome in outcomes if isinstance(outcome, Acknowledged)} == {0, 1}
    assert sorted(one.value or b"" for one in await stored(broker, topic)) == values


async def test_many_batches_of_one_partition_wait_for_each_other_in_order(broker: str, topic: str) -> None:
    limits = ProducerLimits(flush_after_ms=0.0, flush_bytes=1)
    async with running(broker, topic, limits) as producer:
        await until_ready(producer)
        values = [b"%d" % n for n in range(200)]
        outcomes = await asyncio.gather(*(producer.append(topic, record(value), partition=0) for value in values))
        assert all(isinstance(outcome, Acknowledged) for outcome in outcomes)
    assert [one.value for one in await stored(broker, topic)] == values

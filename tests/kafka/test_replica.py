import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition

from deploy.broker.node import LocalBroker
from schemas.ids import Pair, partition_of
from schemas.state import PairState
from schemas.state_row import encode_state, version_of
from streams.kafka.replica import Replica
from tests.ports import free_pair

pytestmark = pytest.mark.broker
PARTITIONS = 3
COMPACT = {"cleanup.policy": "compact"}


def pair(n: int) -> Pair:
    return Pair("700100200300400", f"447700900{n:03d}")


def row(n: int, version: int) -> bytes:
    number, user = pair(n)
    return encode_state(PairState(phone_number_id=number, user=user, version=version))


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what another process does has no event of ours
            await asyncio.sleep(0.02)


@asynccontextmanager
async def admin_of(bootstrap: str) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def make_topic(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> None:
    async with admin_of(bootstrap) as admin:
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=COMPACT)])
        async with asyncio.timeout(15):
            while True:
                found = (await admin.describe_topics([topic]))[0]["partitions"]
                if len(found) == partitions and all(one["leader"] >= 0 for one in found):
                    return
                await asyncio.sleep(0.05)


class Writer:
    def __init__(self, bootstrap: str, topic: str) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        self._topic = topic

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def put(self, n: int, value: bytes | None, stamp: int | None = None, partition: int | None = None) -> None:
        headers = [] if stamp is None else [("ce_id", b"x"), ("version", str(stamp).encode())]
        key = pair(n).key
        place = partition_of(key, PARTITIONS) if partition is None else partition
        await self._producer.send_and_wait(self._topic, value, key=key, partition=place, headers=headers)


@asynccontextmanager
async def following(bootstrap: str, topic: str) -> AsyncIterator[Replica]:
    replica = Replica(bootstrap, topic, version_of)
    task = asyncio.create_task(replica.run())
    try:
        yield replica
        assert not task.done(), "the replica ended by itself"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_is_caught_up_only_with_everything_that_stood_there_before(broker: str, topic_prefix: str) -> None:
    topic = topic_prefix + "state"
    await make_topic(broker, topic)
    async with Writer(broker, topic) as writer:
        await asyncio.gather(*(writer.put(n, row(n, 1)) for n in range(300)))
    async with following(broker, topic) as replica:
        assert not replica.caught_up
        assert replica.age_s() is None
        await until(lambda: replica.caught_up)
        assert len(replica) == 300
        assert all(replica.get(pair(n).key) == row(n, 1) for n in range(300))
        assert replica.lag_records == 0


async def test_an_empty_topic_is_caught_up_with(broker: str, topic_prefix: str) -> None:
    topic = topic_prefix + "state"
    await make_topic(broker, topic)
    async with following(broker, topic) as replica:
        await until(lambda: replica.caught_up)
        assert replica.get(pair(1).key) is None


async def test_the_higher_version_wins_and_at_equality_the_later_offset(broker: str, topic_prefix: str) -> None:
    topic = topic_prefix + "state"
    await make_topic(broker, topic)
    async with following(broker, topic) as replica, Writer(broker, topic) as writer:
        await until(lambda: replica.caught_up)
        await writer.put(1, row(1, 5))
        await writer.put(1, row(1, 4))
        await writer.put(1, row(1, 3), stamp=3)
        again = row(1, 5).replace(b'"dropped":0', b'"dropped":9')
        await writer.put(2, row(2, 5))
        await writer.put(2, row(2, 5).replace(b'"dropped":0', b'"dropped":9'))
        await writer.put(3, row(3, 1))
        await until(lambda: len(replica) == 3)
        await until(lambda: replica.get(pair(2).key) == row(2, 5).replace(b'"dropped":0', b'"dropped":9'))
        await until(lambda: replica.outranked == 2)
        assert replica.get(pair(1).key) == row(1, 5)
        await writer.put(1, again)
        await until(lambda: replica.get(pair(1).key) == again)


async def test_a_version_in_the_header_counts_where_the_value_has_none(broker: str, topic_prefix: str) -> None:
    topic = topic_prefix + "state"
    await make_topic(broker, topic)
    async with following(broker, topic) as replica, Writer(broker, topic) as writer:
        await writer.put(1, b"newer", stamp=12)
        await writer.put(1, b"older", stamp=9)
        await until(lambda: replica.outranked == 1)
        assert replica.get(pair(1).key) == b"newer"
        await writer.put(1, b"newest", stamp=13)
        await until(lambda: replica.get(pair(1).key) == b"newest")


async def test_a_tombstone_removes_a_pair_whatever_its_version(broker: str, topic_prefix: str) -> None:
    topic = topic_prefix + "state"
    await make_topic(broker, topic)
    async with following(broker, topic) as replica, Writer(broker, topic) as writer:
        await writer.put(1, row(1, 5))
        await until(lambda: len(replica) == 1)
        await writer.put(1, None)
        await until(lambda: len(replica) == 0)
        await writer.put(1, row(1, 1))
        await until(lambda: replica.get(pair(1).key) == row(1, 1))


async def test_partitions_that_are_added_are_read_too(
    broker: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.replica.NOTICE_PARTITIONS_MS", 500)
    topic = topic_prefix + "state"
    await make_topic(broker, topic)
    async with following(broker, topic) as replica:
        await until(lambda: replica.caught_up)
        async with admin_of(broker) as admin:
            await admin.create_partitions({topic: NewPartitions(PARTITIONS + 2)})
        await until(lambda: len(replica.positions) == PARTITIONS + 2)
        async with Writer(broker, topic) as writer:
            await writer.put(7, row(7, 1), partition=PARTITIONS + 1)
        await until(lambda: replica.get(pair(7).key) == row(7, 1))


async def test_a_topic_whose_records_were_deleted_under_it_is_read_anew(broker: str, topic_prefix: str) -> None:
    topic = topic_prefix + "state"
    async with admin_of(broker) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"cleanup.policy": "compact,delete"})])
        await make_topic(broker, topic, partitions=1)
        async with Writer(broker, topic) as writer:
            await writer.put(1, row(1, 1), partition=0)
            await writer.put(2, row(2, 1), partition=0)
            replica = Replica(broker, topic, version_of)
            replica.positions[0] = 0  # as if it had stood at the beginning when the records went
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(1)})
            task = asyncio.create_task(replica.run())
            try:
                await until(lambda: replica.caught_up)
                assert replica.get(pair(1).key) is None
                assert replica.get(pair(2).key) == row(2, 1)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def test_a_topic_made_anew_leaves_nothing_of_the_old_one(broker: str, topic_prefix: str) -> None:
    topic = topic_prefix + "state"
    await make_topic(broker, topic)
    async with following(broker, topic) as replica, admin_of(broker) as admin:
        async with Writer(broker, topic) as writer:
            await asyncio.gather(*(writer.put(n, row(n, 3)) for n in range(30)))
        await until(lambda: replica.caught_up and len(replica) == 30)
        await admin.delete_topics([topic])
        await until(lambda: not replica.caught_up)
        assert len(replica) == 0
        await make_topic(broker, topic)
        async with Writer(broker, topic) as writer:
            await writer.put(1, row(1, 1))
        await until(lambda: replica.get(pair(1).key) == row(1, 1))
        assert len(replica) == 1


async def test_a_killed_broker_lets_it_age_and_then_it_goes_on_where_it_stood(
    tmp_path: Path, jar_cache: Path, topic_prefix: str
) -> None:
    topic = topic_prefix + "state"
    node = LocalBroker(data_dir=tmp_path, port=free_pair(), cache_dir=jar_cache)
    await asyncio.to_thread(node.__enter__)
    try:
        await make_topic(node.bootstrap, topic)
        async with Writer(node.bootstrap, topic) as writer:
            await asyncio.gather(*(writer.put(n, row(n, 1)) for n in range(50)))
        async with following(node.bootstrap, topic) as replica:
            await until(lambda: replica.caught_up and len(replica) == 50)
            stood = dict(replica.positions)
            await asyncio.to_thread(node.kill)
            await until(lambda: (replica.age_s() or 0.0) > 4.0)
            assert replica.caught_up, "what it holds is old, not gone"
            assert len(replica) == 50
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(node.wait_ready)
            back_at = asyncio.get_running_loop().time()
            async with Writer(node.bootstrap, topic) as writer:
                await writer.put(1, row(1, 2))
            await until(lambda: replica.get(pair(1).key) == row(1, 2))
            await until(lambda: (replica.age_s() or 9.0) < 2.0)
            assert asyncio.get_running_loop().time() - back_at < 10.0
            assert sum(replica.positions.values()) == sum(stood.values()) + 1
    finally:
        await asyncio.to_thread(node.stop)

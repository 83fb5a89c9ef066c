"""A broker for one bench, topics with something on them, and processes whose CPU time is told.

Owns starting and ending all of these. Refuses to know what is measured.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.broker.node import LocalBroker
from deploy.sources import believed, understood
from schemas.topics import MAX_RECORD_BYTES
from streams.worker.clock import now_ms
from streams.worker.outputs import queue
from streams.worker.rows import Row
from tests.ports import free_pair

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / understood(believed(folder=ROOT)).data_dir / "cache"
LOOK_EVERY_S: Final = 0.02
BATCH_BYTES: Final = 1_000_000


@contextmanager
def broker() -> Iterator[tuple[str, Path]]:
    """A broker of one's own, compiled like one that stays up, and a folder that goes with it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder,
        LocalBroker(data_dir=Path(folder), port=free_pair(), cache_dir=CACHE, lasting=True) as node,
    ):
        yield node.bootstrap, Path(folder)


@asynccontextmanager
async def sending(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_request_size=MAX_RECORD_BYTES,
        max_batch_size=BATCH_BYTES,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def fill(producer: AIOKafkaProducer, topic: str, rows: Mapping[int, Sequence[Row]]) -> None:
    """Put rows on partitions, in as few batches as it takes: readers find a backlog."""
    for partition, each in rows.items():  # stamped one after the other: the broker takes no row stamped long ago
        sent = await queue(producer, topic, partition, each, now_ms())
        await asyncio.gather(*(batch.acknowledged for batch in sent))


class Sight:
    """What stands on topics, and how far groups have come."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=MAX_RECORD_BYTES
        )
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def ends(self, topic: str, partitions: int) -> dict[TopicPartition, int]:
        tps = [TopicPartition(topic, each) for each in range(partitions)]
        found: dict[TopicPartition, int] = await self._consumer.end_offsets(tps)
        return found

    async def length(self, topic: str, partitions: int) -> int:
        return sum((await self.ends(topic, partitions)).values())

    async def committed(self, group: str, topic: str) -> int:
        """How many records of a topic the group has done with."""
        offsets = await self._admin.list_consumer_group_offsets(group)
        return sum(max(told.offset, 0) for tp, told in offsets.items() if tp.topic == topic)

    async def read(self, topic: str, partitions: int) -> list[Any]:
        """All records of a topic."""
        ends = await self.ends(topic, partitions)
        self._consumer.assign(list(ends))
        await self._consumer.seek_to_beginning()
        found: list[Any] = []
        while any([await self._consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await self._consumer.getmany(timeout_ms=500)).values():
                found += records
        self._consumer.unsubscribe()
        return found

    async def start(self) -> None:
        await self._consumer.start()
        await self._admin.start()

    async def stop(self) -> None:
        await self._consumer.stop()
        await self._admin.close()


@asynccontextmanager
async def seeing(bootstrap: str) -> AsyncIterator[Sight]:
    sight = Sight(bootstrap)
    await sight.start()
    try:
        yield sight
    finally:
        await sight.stop()


def spent_s(pid: int) -> float:
    """CPU seconds of a process, user and system, all threads."""
    spent = psutil.Process(pid).cpu_times()
    return spent.user + spent.system

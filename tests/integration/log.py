"""What stands on the topics: every record of a topic from its beginning to its present end."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import MAX_RECORD_BYTES

READ_WITHIN_S: Final = 180.0


@dataclass(frozen=True)
class Record:
    """One record as it was read."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, str]


class Log:
    """A reader of whole topics. Belongs to no group and commits nothing."""

    def __init__(self, consumer: Any, admin: Any) -> None:
        self._consumer = consumer
        self._admin = admin

    async def ends(self, topic: str) -> dict[TopicPartition, int]:
        """Where each partition ends now."""
        (told,) = await self._admin.describe_topics([topic])
        parts = [TopicPartition(topic, each["partition"]) for each in told["partitions"]]
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(parts)
        return ends

    async def length(self, topic: str) -> int:
        """How many records a topic has taken so far."""
        return sum((await self.ends(topic)).values())

    async def everything_on(self, topic: str) -> list[Record]:
        """Every record of a topic, partition by partition, in order."""
        ends = await self.ends(topic)
        self._consumer.assign(list(ends))
        await self._consumer.seek_to_beginning(*ends)
        found: list[Record] = []
        async with asyncio.timeout(READ_WITHIN_S):
            while any([await self._consumer.position(part) < end for part, end in ends.items()]):
                for part, records in (await self._consumer.getmany(timeout_ms=500)).items():
                    found += [_record(each) for each in records if each.offset < ends[part]]
        return sorted(found, key=lambda record: (record.partition, record.offset))


@asynccontextmanager
async def log_of(bootstrap: str) -> AsyncIterator[Log]:
    """A reader over a cluster, closed again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
    )
    await admin.start()
    try:
        await consumer.start()
        yield Log(consumer, admin)
    finally:
        await consumer.stop()
        await admin.close()


def _record(each: Any) -> Record:
    headers = {name: value.decode("utf-8", "replace") for name, value in each.headers}
    return Record(each.partition, each.offset, each.key, each.value, headers)

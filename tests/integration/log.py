"""What stands on the topics: every record of a topic from its beginning to its present end."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

READ_WITHIN_S = 60.0


@dataclass(frozen=True)
class Record:
    """One record as it was read."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, str]


async def everything_on(bootstrap: str, topic: str) -> list[Record]:
    """Every record of a topic, partition by partition, in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        numbers = consumer.partitions_for_topic(topic) or await _partitions(consumer, topic)
        parts = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.seek_to_beginning(*parts)
        found: list[Record] = []
        async with asyncio.timeout(READ_WITHIN_S):
            while any([await consumer.position(part) < ends[part] for part in parts]):  # noqa: C419 - awaits inside
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [_record(each) for each in records if each.offset < ends[_part(each)]]
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def ends_of(bootstrap: str, topic: str) -> int:
    """How many records a topic has taken so far."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        numbers = consumer.partitions_for_topic(topic) or await _partitions(consumer, topic)
        return sum((await consumer.end_offsets([TopicPartition(topic, number) for number in numbers])).values())
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    await consumer._client.force_metadata_update()
    consumer.subscribe([topic])
    await consumer._client.set_topics([topic])
    consumer.unsubscribe()
    return set(consumer.partitions_for_topic(topic) or ())


def _part(each: object) -> TopicPartition:
    return TopicPartition(each.topic, each.partition)  # type: ignore[attr-defined]


def _record(each: object) -> Record:
    headers = {name: value.decode("utf-8", "replace") for name, value in each.headers}  # type: ignore[attr-defined]
    return Record(each.partition, each.offset, each.key, each.value, headers)  # type: ignore[attr-defined]

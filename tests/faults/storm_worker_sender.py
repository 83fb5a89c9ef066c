"""A sender that puts records on the raw topics until the broker acknowledges each, and keeps account of it.

Owns the account, and watching how far a topic reaches while the broker comes and goes. Refuses to double by itself: its
client sends idempotently, so whatever stands there twice was sent twice. Refuses to judge.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.topics import MAX_RECORD_BYTES, TopicNames
from tests.faults.doors import Kept
from tests.faults.ledger import Ledger
from tests.faults.storm_worker_past import Item

LOOK_EVERY_S: Final = 0.05


class Sender:
    """`repeats`: how often something was sent once more because the broker had not acknowledged it."""

    def __init__(self, producer: Any, consumer: Any, names: TopicNames, partitions: int) -> None:
        self._producer, self._consumer, self._names = producer, consumer, names
        self._partitions = partitions
        self._acknowledged: set[str] = set()
        self._tried: Counter[str] = Counter()
        self.repeats = 0

    async def send(self, items: Sequence[Item]) -> None:
        """Return when all of them are acknowledged."""
        waiting = list(items)
        while waiting:
            done = await asyncio.gather(*[self._try(item) for item in waiting])
            waiting = [item for item, stored in zip(waiting, done, strict=True) if not stored]
            self.repeats += len(waiting)

    async def _try(self, item: Item) -> bool:
        self._tried[item.kept.delivery_id] += 1
        try:
            topic = self._names.of(item.topic)
            await (await self._producer.send(topic, item.value, headers=item.headers))
        except KafkaError:
            return False
        self._acknowledged.add(item.kept.delivery_id)
        return True

    def ledger(self, kept: Mapping[str, Kept]) -> Ledger:
        """What was acknowledged of these, and how often each was tried."""
        return Ledger(kept, frozenset(self._acknowledged & kept.keys()), self._tried, frozenset())

    async def length(self, name: str) -> int:
        """How many records a topic has taken so far."""
        parts = [TopicPartition(self._names.of(name), each) for each in range(self._partitions)]
        while True:
            try:
                return sum((await self._consumer.end_offsets(parts)).values())
            except KafkaError:  # the broker is away
                await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def sender_to(bootstrap: str, names: TopicNames, partitions: int) -> AsyncIterator[Sender]:
    """A sender, closed again."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5, max_request_size=MAX_RECORD_BYTES
    )
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await producer.start()
    try:
        await consumer.start()
        try:
            yield Sender(producer, consumer, names, partitions)
        finally:
            await consumer.stop()
    finally:
        await producer.stop()

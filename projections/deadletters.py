"""Where records go that the store cannot take: the topic `deadletters`, with reason and origin, acknowledged.

Owns the producer. Refuses to lose: `park` returns when the broker holds every one of them, or raises.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from projections.batch import Batch
from projections.settings import ProjectionSettings
from schemas.envelope import dead_letter
from schemas.topics import MAX_RECORD_BYTES, TopicNames


class DeadLetters:
    """The door to `deadletters`, opened when the first record needs it."""

    def __init__(self, settings: ProjectionSettings) -> None:
        self._bootstrap = settings.kafka_bootstrap
        self._topic = TopicNames(settings.topic_prefix, settings.generation).of("deadletters")
        self._producer: Any = None

    async def park(self, batch: Batch[ConsumerRecord]) -> None:
        """Put aside every parked record of a batch: the original key and bytes, the original headers behind ours."""
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                acks="all",
                enable_idempotence=True,
                max_request_size=MAX_RECORD_BYTES,
                compression_type="zstd",
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        waiting = []
        for at, why in sorted(batch.parked.items()):
            record = batch.records[at]
            headers = dead_letter(
                reason=why.reason,
                path="$",
                detail=why.detail,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                at_ms=record.timestamp,
            )
            waiting.append(
                await self._producer.send(
                    self._topic, key=record.key, value=record.value, headers=[*headers, *record.headers]
                )
            )
        await asyncio.gather(*waiting)

    async def close(self) -> None:
        """Let go of the broker."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

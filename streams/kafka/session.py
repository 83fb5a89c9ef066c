"""One session of an idempotent producer with the cluster: from connecting to closing.

Owns everything that touches aiokafka's producer: its settings, how a list of records becomes one batch of one
partition, and which errors mean what. Refuses to decide when to send, whom to tell, or whether to begin again: that is
`keeper` and `producer`.
"""

import asyncio
from asyncio import Lock
from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Final, NamedTuple, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)

from schemas.envelope import Headers
from schemas.topics import MAX_RECORD_BYTES
from streams.kafka.compression import keep_context

REQUEST_WITHIN_S: Final = 10.0
"""After that a request is repeated on a new connection. Longer than 4 MiB take at 4 Mbit/s."""
OPEN_WITHIN_S: Final = REQUEST_WITHIN_S + 2.0
CLOSE_WITHIN_S: Final = 5.0

log = structlog.get_logger("callgrant.producer")


class Record(NamedTuple):
    """What is put on a topic. `timestamp_ms` is the clock of the producer, never when something occurred."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


class MayComeBack(Exception):
    """The batch was not acknowledged now; nothing is wrong with it or with the session."""


ENDED_WITH_SESSION: Final = (
    OutOfOrderSequenceNumber,  # a batch before this one was refused
    UnknownProducerId,  # the broker forgot us, e.g. its log was deleted
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    ProducerFenced,
    ProducerClosed,
)
"""Errors that concern the session and not the batch, which the broker did not store."""


class Session(Protocol):
    """What the producer needs of a session. Errors are aiokafka's, `OSError`, `TimeoutError` and `MayComeBack`."""

    async def open(self) -> None: ...

    def partitions(self, topic: str) -> Collection[int]:
        """Those with a leader, as last heard."""

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        """The base offset, once all in-sync replicas have the batch, which is all of `records` or an error. Repeats by
        itself what may be repeated."""

    async def confirm(self) -> bool:
        """Ask the cluster: does it answer, and has each topic a partition with a leader?"""

    async def close(self, *, abandon: bool) -> None:
        """`abandon`: what was not acknowledged is not wanted any more. Never raises."""


class KafkaSession:
    """A session over aiokafka. `topics`: those that must be there for `confirm`."""

    def __init__(self, bootstrap: str, topics: Sequence[str], client_id: str) -> None:
        keep_context()
        self._topics = tuple(topics)
        self._turns: defaultdict[tuple[str, int], Lock] = defaultdict(Lock)
        self._refusing: set[tuple[str, int]] = set()
        """Where a batch was refused: nothing more is taken there in this session."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            max_batch_size=MAX_RECORD_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=int(REQUEST_WITHIN_S * 1000),
        )

    async def open(self) -> None:
        async with asyncio.timeout(OPEN_WITHIN_S):
            await self._producer.start()
            for topic in self._topics:
                self._producer.client.add_topic(topic)
            await self._producer.client.force_metadata_update()

    def partitions(self, topic: str) -> Collection[int]:
        found: set[int] | None = self._producer.client.cluster.available_partitions_for_topic(topic)
        return found or ()

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        batch = self._producer.create_batch()
        for record in records:
            taken = batch.append(
                timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=record.headers
            )
            if taken is None:  # it and all after it would be lost, and acknowledged
                raise MessageSizeTooLargeError(f"{len(records)} records are more than one batch takes")
        place = (topic, partition)
        try:
            # Its queue takes one batch a partition, and it counts the time of a second waiter more than once.
            async with self._turns[place]:
                if place in self._refusing:
                    raise OutOfOrderSequenceNumber  # as the broker would, a round trip later
                delivered = await self._producer.send_batch(batch, topic, partition=partition)
            offset: int = (await delivered).offset
        except KafkaTimeoutError as error:  # the batch before it is still not through
            raise MayComeBack("no place in the queue of the partition") from error
        except KafkaError as error:
            if error.retriable:
                raise MayComeBack(type(error).__name__) from error
            self._refusing.add(place)
            raise
        return offset

    async def confirm(self) -> bool:
        try:
            async with asyncio.timeout(OPEN_WITHIN_S):
                heard: bool = await self._producer.client.force_metadata_update()
        except TimeoutError:
            return False
        return heard and all(self.partitions(topic) for topic in self._topics)

    async def close(self, *, abandon: bool) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                if abandon:
                    self._let_go()
                    await self._producer.client.close()
                await self._producer.stop()
        except (KafkaError, OSError, TimeoutError, KeyError) as error:
            # KeyError: aiokafka puts a batch back that was failed above. All of it is garbage from here on.
            log.debug("session_closed_hard", error=type(error).__name__)
            await self._producer.client.close()

    def _let_go(self) -> None:
        """Fail every batch: an idempotent producer never does, and its stop() waits for all of them."""
        held = self._producer._message_accumulator  # noqa: SLF001
        batches = [*held._pending_batches, *chain.from_iterable(held._batches.values())]  # noqa: SLF001
        for batch in batches:
            batch.drain_ready()  # nobody waits for its turn any more
        held.fail_all(ProducerClosed())
        for batch in batches:
            batch.future.exception()  # taken note of, or asyncio complains that nobody did

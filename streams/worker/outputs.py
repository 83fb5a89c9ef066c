"""Sending: records to a partition as batches made by hand, every one acknowledged before anything goes on.

Owns sizes, batches and the wait for the broker. Refuses to send what the broker would refuse: one refused batch ends an
idempotent producer for that partition.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from aiokafka.errors import KafkaTimeoutError

from schemas.envelope import Headers
from schemas.topics import MAX_RECORD_BYTES, TopicNames
from streams.worker.clock import now_ms
from streams.worker.rows import Row

FRAME_BYTES: Final = 4_096
"""Room for the frame of a batch and of its headers."""

_SUSPECT_BYTES: Final = MAX_RECORD_BYTES - 128 * 1024  # below it no headers of ours can reach the limit


QUEUED_WITHIN_S: Final = 60.0
"""How long a batch may wait for its place in the client's queue."""


class Batch(Protocol):
    """A batch under construction, as the client makes it."""

    def append(self, *, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers) -> object | None:
        """None: the batch is full."""

    def close(self) -> None:
        """Nothing more goes in."""


class Sender(Protocol):
    """What we use of the client's producer."""

    def create_batch(self) -> Batch:
        """An empty batch."""

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Awaitable[Any]:
        """Queue it; the future ends with the acknowledgement."""

    async def partitions_for(self, topic: str) -> set[int]:
        """The partitions of a topic."""


class Sent(NamedTuple):
    """A batch on its way: the future of its acknowledgement, and how many records it holds."""

    acknowledged: Awaitable[Any]
    records: int


class RecordTooLarge(Exception):
    """A record of ours that no broker would take. Names topic and size, never content."""


async def queue(sender: Sender, topic: str, partition: int, rows: Iterable[Row], at_ms: int) -> list[Sent]:
    """Queue the rows for one partition, in order, in as many batches as it takes."""
    sent: list[Sent] = []
    batch, records = sender.create_batch(), 0
    for key, value, headers in rows:
        if value is not None and len(value) > _SUSPECT_BYTES:
            _check_size(topic, key, value, headers)
        if batch.append(key=key, value=value, timestamp=at_ms, headers=headers) is None:
            batch.close()
            sent.append(Sent(await _queued(sender, batch, topic, partition), records))
            batch, records = sender.create_batch(), 0
            batch.append(key=key, value=value, timestamp=at_ms, headers=headers)
        records += 1
    if records:
        batch.close()
        sent.append(Sent(await _queued(sender, batch, topic, partition), records))
    return sent


async def _queued(sender: Sender, batch: Batch, topic: str, partition: int) -> Awaitable[Any]:
    """The future of a batch that found its place, asked for again until the time has truly passed.

    The client's queue holds one batch a partition. While several lanes wait for the same one, the client takes off its
    time-out, at every turn, all that has passed since the first: of 60 s some five are left with two dozen lanes.
    """
    loop = asyncio.get_running_loop()
    give_up_at_s = loop.time() + QUEUED_WITHIN_S
    while True:
        try:
            return await sender.send_batch(batch, topic, partition=partition)
        except KafkaTimeoutError:
            if loop.time() >= give_up_at_s:
                raise


def _check_size(topic: str, key: bytes | None, value: bytes, headers: Headers) -> None:
    size = len(key or b"") + len(value) + sum(len(name) + len(text) + 8 for name, text in headers) + FRAME_BYTES
    if size > MAX_RECORD_BYTES:
        raise RecordTooLarge(f"a record of {size} bytes for {topic}; the limit is {MAX_RECORD_BYTES}")


Outputs = Mapping[tuple[str, int], list[Row]]
"""Rows by registered topic name and partition."""


class Outbox:
    """Where agents hand their outputs in. `sender`: Faust's producer, which exists once Faust has started it."""

    def __init__(self, names: TopicNames) -> None:
        self._names = names

    async def send(self, sender: Sender, outputs: Outputs) -> None:
        """Send all and return when every record is acknowledged."""
        at_ms = now_ms()
        sent: list[Sent] = []
        for (name, partition), rows in outputs.items():
            sent += await queue(sender, self._names.of(name), partition, rows, at_ms)
        if sent:
            await asyncio.gather(*(each.acknowledged for each in sent))

    async def park(self, sender: Sender, rows: Mapping[int, list[Row]]) -> None:
        """Send dead letters, by partition of origin: their own topic may have any number of partitions."""
        if not rows:
            return
        spread = len(await sender.partitions_for(self._names.of("deadletters")))
        outputs: dict[tuple[str, int], list[Row]] = defaultdict(list)
        for origin, parked in rows.items():
            outputs["deadletters", origin % spread] += parked
        await self.send(sender, outputs)

"""A replica of a compacted topic: the newest value of every key, in this process's memory.

Owns reading all partitions from the beginning without a group, and the rule of who wins: the higher version, at
equality the later offset; a tombstone removes its key whatever came before (design 5). Owns surviving the broker: it
tries for ever, goes on where it stood, and its level tells how old it has become. Refuses to read what the values
mean, and to answer whether it is fresh enough: whoever asks it holds the bound.

A topic that was made anew or cut short (its end lies before where we stood, where we stood is gone, or it does not
exist) is read again from the beginning with nothing kept: rows of another log are not evidence.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, UnknownTopicOrPartitionError

from schemas.codec import kept
from streams.kafka.level import Level

FETCH_BYTES: Final = 5 * 1024 * 1024
"""A partition's share of a fetch: above the largest record a topic takes (4.5 MiB)."""
CHUNK: Final = 500
"""Records folded before the loop is given to others: some milliseconds, so that reading holds up no answer."""
POLL_MS: Final = 200
MEASURE_EVERY_S: Final = 1.0
MEASURE_WITHIN_S: Final = 5.0
NOTICE_PARTITIONS_MS: Final = 10_000
TRY_AGAIN_AFTER_S: Final = 0.5
MISSING_FOR_S: Final = 5.0
"""How long a topic must be unknown before it counts as deleted: a broker that has just come up may not know it yet."""

_log: Any = structlog.get_logger("replica")


class Replica:
    """`key → value` of one topic. `version_of` reads the version of a value that has no `version` header.

    `heard`: told of each key with its newest value, None when it has none any more. It must not raise.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        version_of: Callable[[bytes], int],
        heard: Callable[[bytes, bytes | None], None] | None = None,
    ) -> None:
        self.topic = topic
        self.positions: dict[int, int] = {}
        self.outranked = 0
        self._bootstrap = bootstrap
        self._version_of = version_of
        self._heard = heard
        self._rows: dict[bytes, bytes] = {}
        self._stamped: dict[bytes, int] = {}  # versions that stand in a header and not in the value: seldom
        self._level: Level[int] = Level()
        self._trouble: str | None = None
        self._missing_at: float | None = None

    def get(self, key: bytes) -> bytes | None:
        """The newest value of a key, None when there is none."""
        return self._rows.get(key)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def caught_up(self) -> bool:
        """Whether everything that stood in the topic when reading began has been read."""
        return self._level.level_at is not None

    @property
    def lag_records(self) -> int:
        """Records not read yet, as of the last look at the ends (once a second)."""
        return self._level.lag(self.positions)

    def age_s(self, at: float | None = None) -> float | None:
        """Seconds since the replica held everything; None before it first did. `at` is of `time.monotonic`."""
        level_at = self._level.level_at
        return None if level_at is None else (time.monotonic() if at is None else at) - level_at

    async def run(self) -> None:
        """Follow the topic until cancelled. Any other end is a defect."""
        while True:
            try:
                await self._session()
            except OffsetOutOfRangeError as trouble:
                self._forget()
                self._tell(trouble)
            except UnknownTopicOrPartitionError as trouble:
                self._missed()
                self._tell(trouble)
            except (KafkaError, OSError, TimeoutError) as trouble:
                self._tell(trouble)
            await asyncio.sleep(TRY_AGAIN_AFTER_S)

    async def _session(self) -> None:
        """One consumer's life; ends when the partitions change, raises when the broker is lost."""
        partitions = await self._partitions()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # a position that is gone is told, not silently moved
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=4 * FETCH_BYTES,
            fetch_max_wait_ms=100,
            fetch_min_bytes=32 * 1024,  # or 100 ms: answers may be that old, and each fetch names every partition
            request_timeout_ms=15_000,
            metadata_max_age_ms=NOTICE_PARTITIONS_MS,
        )
        places = [TopicPartition(self.topic, partition) for partition in sorted(partitions)]
        consumer.assign(places)
        try:
            async with asyncio.timeout(MEASURE_WITHIN_S):
                await consumer.start()
                await self._place(consumer, places)
            await self._follow(consumer, places)
        finally:
            await close(consumer)

    async def _partitions(self) -> set[int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=5_000)
        try:
            async with asyncio.timeout(MEASURE_WITHIN_S):
                await admin.start()
                found = (await admin.describe_topics([self.topic]))[0]
        finally:
            await admin.close()
        if not found["partitions"]:
            raise UnknownTopicOrPartitionError(self.topic)
        return {partition["partition"] for partition in found["partitions"]}

    async def _place(self, consumer: Any, places: list[TopicPartition]) -> None:
        """Go on where we stood; from the beginning where we never were."""
        begins = await consumer.beginning_offsets(places)
        for place in places:
            self.positions.setdefault(place.partition, begins[place])
            consumer.seek(place, self.positions[place.partition])

    async def _follow(self, consumer: Any, places: list[TopicPartition]) -> None:
        measure_at = time.monotonic()
        while True:
            if time.monotonic() >= measure_at:
                await self._measure(consumer, places)
                measure_at = time.monotonic() + MEASURE_EVERY_S
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=CHUNK)
            for records in fetched.values():
                self._fold(records)
            for place in places:
                # not the last record's offset: what compaction took away is behind us too
                self.positions[place.partition] = await consumer.position(place)
            self._level.reach(self.positions)
            if consumer.partitions_for_topic(self.topic) != {place.partition for place in places}:
                return
            await asyncio.sleep(0)  # getmany does not give way while it has records

    async def _measure(self, consumer: Any, places: list[TopicPartition]) -> None:
        at = time.monotonic()
        async with asyncio.timeout(MEASURE_WITHIN_S):
            ends = await consumer.end_offsets(places)
        if any(end < self.positions[place.partition] for place, end in ends.items()):
            raise OffsetOutOfRangeError(f"{self.topic} ends before what was read of it")
        self._missing_at = None
        self._level.mark(at, {place.partition: end for place, end in ends.items()})
        self._tell(None)

    def _fold(self, records: Iterable[Any]) -> None:
        rows, version_of = self._rows, self._version_of
        for record in records:
            key, value = record.key, record.value
            if key is None:
                continue
            if value is None:
                rows.pop(key, None)
                self._stamped.pop(key, None)
                if self._heard is not None:
                    self._heard(key, None)
                continue
            own = version_of(value)
            version = _stamp(record.headers, own)
            held = rows.get(key)
            if held is not None and version < self._stamped.get(key, version_of(held)):
                self.outranked += 1
                continue
            rows[key] = kept(value)
            if self._heard is not None:
                self._heard(key, value)
            if version != own:
                self._stamped[key] = version
            elif self._stamped:
                self._stamped.pop(key, None)

    def _missed(self) -> None:
        now = time.monotonic()
        if self._missing_at is None:
            self._missing_at = now
        elif now - self._missing_at > MISSING_FOR_S:
            self._forget()

    def _forget(self) -> None:
        gone = list(self._rows) if self._heard is not None else []
        self._rows.clear()
        self._stamped.clear()
        self.positions.clear()
        self._level.forget()
        for key in gone:
            if self._heard is not None:
                self._heard(key, None)

    def _tell(self, trouble: BaseException | None) -> None:
        """One line when the broker is lost, one when it is back; nothing in between."""
        name = None if trouble is None else type(trouble).__name__
        if name == self._trouble:
            return
        if name is None:
            _log.info("replica_follows", topic=self.topic)
        else:
            _log.warning("replica_interrupted", topic=self.topic, trouble=name)
        self._trouble = name


def _stamp(headers: Iterable[tuple[str, bytes]], otherwise: int) -> int:
    """The version in a record's headers."""
    for name, value in headers:
        if name == "version":
            return int(value) if value.isdigit() else otherwise
    return otherwise


async def close(consumer: Any) -> None:
    """Stop a consumer in a task of its own.

    aiokafka 0.14 lets the cancellation of a fetch that waits to be repeated out of `stop`, as if we had been cancelled,
    and then leaves its connections open.
    """
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=MEASURE_WITHIN_S)
    if not stopping.done():
        stopping.cancel()
    ended = await asyncio.gather(stopping, return_exceptions=True)
    if ended[0] is not None:
        await consumer._client.close()  # noqa: SLF001 - the part of `stop` that was left out

"""The topic `deadletters` on a cluster: read whole, letters fetched with their bytes, sent back, marked.

Owns the order of a retry: sent back and acknowledged, then marked and acknowledged. A crash between sends a record once
more, which changes nothing: facts have derived ids. Refuses to judge a letter (`deadletters_outlook`) and to commit
offsets: it belongs to no group.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from deploy.cluster import ClusterUnusable, admin_of
from deploy.deadletters import Address, Ledger, Letter
from deploy.deadletters_outlook import Return
from schemas.envelope import Outcome, mark
from schemas.ids import partition_of
from schemas.topics import MAX_RECORD_BYTES, TopicNames

SILENT_FOR_S: Final = 30.0
"""A cluster that hands out nothing for so long, although there is more, is told as such."""
FETCH_MS: Final = 500


class Gone(Exception):
    """The bytes are no longer there: retention took them."""


class Desk:
    """One deployment's dead letters. Made by `desk_of`."""

    def __init__(self, bootstrap: str, names: TopicNames, admin: Any, consumer: Any) -> None:
        self._bootstrap = bootstrap
        self._admin = admin
        self._topic = names.of("deadletters")
        self._consumer = consumer
        self._producer: Any = None

    async def ledger(self, told: Callable[[int], None]) -> Ledger:
        """Every letter and mark that stands on the topic now. `told`: how many percent of it are read.

        Less would not do, for an instant or an address either: what became of a letter is said behind it, and a copy of
        it may stand anywhere before.
        """
        ledger, spans = Ledger(), await self._whole(self._topic)
        size, read, percent = sum(end - first for first, end in spans.values()), 0, -1
        async for record in self._read(spans):
            ledger.take(record)
            read += 1
            if (now := read * 100 // size) > percent:
                percent = now
                told(percent)
        return ledger

    async def bytes_of(self, letters: Iterable[Letter]) -> AsyncIterator[tuple[Letter, bytes | Gone | None]]:
        """The letters with what they hold, partition by partition. Bytes that stayed at the origin come from there."""
        wanted: dict[int, dict[int, Letter]] = defaultdict(dict)
        for letter in letters:
            if letter.left_bytes is None:
                wanted[letter.address.partition][letter.address.offset] = letter
            else:
                yield letter, await self._left(letter)
        for partition, by_offset in sorted(wanted.items()):
            spans = {TopicPartition(self._topic, partition): (min(by_offset), max(by_offset) + 1)}
            try:
                async for record in self._read(spans):
                    letter_here = by_offset.pop(record.offset, None)
                    if letter_here is not None:
                        yield letter_here, record.value
            except Gone:
                pass
            for letter in by_offset.values():  # taken by retention since the ledger was read
                yield letter, Gone()

    async def send_back(self, returns: Sequence[Return]) -> None:
        """Send them all to their origins and return when every one is acknowledged."""
        producer = await self._sending()
        sent = []
        for each in returns:
            partition = None
            if each.keyed and each.key is not None:
                partition = partition_of(each.key, len(await self._partitions(each.topic)))
            sent.append(
                await producer.send(
                    each.topic, key=each.key, value=each.value, headers=each.headers, partition=partition
                )
            )
        await asyncio.gather(*sent)

    async def mark(self, addresses: Iterable[Address], outcome: Outcome) -> None:
        """Remember what became of these letters: a mark each, on the letter's own partition, behind it."""
        producer = await self._sending()
        sent = [
            await producer.send(
                self._topic,
                partition=each.partition,
                value=b"",  # the client sends no record without key and value
                headers=mark(partition=each.partition, offset=each.offset, outcome=outcome),
            )
            for each in addresses
        ]
        await asyncio.gather(*sent)

    async def facts_about_numbers(self, topic: str) -> list[bytes]:
        """Everything on `business.events`: which display number belongs to which id."""
        return [record.value async for record in self._read(await self._whole(topic)) if record.value is not None]

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def _left(self, letter: Letter) -> bytes | Gone | None:
        if letter.origin is None:
            return Gone()
        tp = TopicPartition(letter.origin.topic, letter.origin.partition)
        try:
            async for record in self._read({tp: (letter.origin.offset, letter.origin.offset + 1)}):
                value: bytes | None = record.value
                return value if record.offset == letter.origin.offset else Gone()
        except Gone as gone:
            return gone
        return Gone()

    async def _whole(self, topic: str) -> dict[TopicPartition, tuple[int, int]]:
        partitions = await self._partitions(topic)
        ends = await self._consumer.end_offsets(partitions)
        begins = await self._consumer.beginning_offsets(partitions)
        return {tp: (begins[tp], ends[tp]) for tp in partitions}

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        (told,) = await self._admin.describe_topics([topic])
        if not told["partitions"]:
            raise ClusterUnusable(f"{self._bootstrap} has no topic {topic}. Create it with: callgrant topics create")
        return sorted(TopicPartition(topic, each["partition"]) for each in told["partitions"])

    async def _read(self, spans: dict[TopicPartition, tuple[int, int]]) -> AsyncIterator[Any]:
        """The records from each first offset to before each end. Raises `Gone` where the first is no longer held."""
        left = {tp for tp, (first, end) in spans.items() if first < end}
        self._consumer.assign(list(left))
        for tp in left:
            self._consumer.seek(tp, spans[tp][0])
        clock = asyncio.get_running_loop()
        silent_since = clock.time()
        while left:
            try:
                batches = await self._consumer.getmany(timeout_ms=FETCH_MS)
            except OffsetOutOfRangeError:
                raise Gone from None
            for tp, records in batches.items():
                for record in records:
                    if record.offset < spans[tp][1]:
                        yield record
            read = {tp for tp in left if await self._consumer.position(tp) >= spans[tp][1]}
            self._consumer.pause(*read)  # what was written since is not ours to read
            left -= read
            if batches:
                silent_since = clock.time()
            elif clock.time() - silent_since > SILENT_FOR_S:
                raise ClusterUnusable(
                    f"{self._bootstrap} hands out nothing for {SILENT_FOR_S:g} s, though there is more"
                )

    async def _sending(self) -> Any:
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
        return self._producer


@asynccontextmanager
async def desk_of(bootstrap: str, names: TopicNames) -> AsyncIterator[Desk]:
    """The desk over a cluster, closed again. Raises `ClusterAway`, and `ClusterUnusable` for any other error."""
    async with admin_of(bootstrap) as admin:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=MAX_RECORD_BYTES + (1 << 19),  # the broker counts a record with its frame
        )
        desk = Desk(bootstrap, names, admin, consumer)
        try:
            await consumer.start()
            yield desk
        finally:
            await desk.close()
            await consumer.stop()

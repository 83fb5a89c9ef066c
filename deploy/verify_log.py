"""The log as `verify` reads it: how far each topic reaches now, who has read that far, and the records up to there.

Owns noting ends once and holding on to them, so that a system at work can be looked at: what comes later is another
look. Refuses to join a group, to commit, and to know what a record means.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy.cluster import ClusterUnusable, admin_of
from deploy.trouble import Trouble
from schemas.topics import MAX_RECORD_BYTES

LOOK_AGAIN_AFTER_S: Final = 0.2
FETCH_BYTES: Final = MAX_RECORD_BYTES + (1 << 19)
FETCH_WAITS_MS: Final = 50
"""A fetch that waits for more keeps the connection busy, and the next partition waiting."""
STOPPED_WITHIN_S: Final = 3.0
SILENT_FOR_S: Final = 30.0
"""How long a partition that has more may give nothing before that is told."""

Tell = Callable[[str], None]


class CannotJudge(Trouble):
    """Nothing was found to differ and nothing to agree; the text says why and what to change."""

    exit_code: ClassVar[int] = 3


class Span(NamedTuple):
    """The offsets of a partition that are looked at: from `begin` up to but without `end`."""

    begin: int
    end: int


class Log:
    """A reader of spans. Belongs to no group."""

    def __init__(self, bootstrap: str, consumer: Any, admin: AIOKafkaAdminClient) -> None:
        self._bootstrap, self._consumer, self._admin = bootstrap, consumer, admin

    async def spans(self, topic: str) -> dict[int, Span]:
        """Where each partition of a topic begins and ends now."""
        known = {row["topic"]: row for row in await self._admin.describe_topics()}
        if topic not in known:
            raise CannotJudge(
                f"{self._bootstrap} has no topic {topic}: `callgrant topics create` makes it; or set "
                f"CALLGRANT_TOPIC_PREFIX, CALLGRANT_GENERATION or CALLGRANT_KAFKA_BOOTSTRAP to where it is"
            )
        parts = [TopicPartition(topic, part["partition"]) for part in known[topic]["partitions"]]
        ends, begins = await self._consumer.end_offsets(parts), await self._consumer.beginning_offsets(parts)
        return {part.partition: Span(begins[part], ends[part]) for part in sorted(parts)}

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Up to where a group has read."""
        try:
            told = await self._admin.list_consumer_group_offsets(group)
        except KafkaError:  # its coordinator is still starting
            return {}
        return {part: known.offset for part, known in told.items()}

    async def until_read(
        self, group: str, noted: Mapping[str, Mapping[int, Span]], within_s: float, remedy: str, tell: Tell
    ) -> None:
        """Return when the group has read what was noted. Raises `CannotJudge` after `within_s`."""
        left: dict[str, int] = {}
        try:
            async with asyncio.timeout(within_s):
                while left := await self._unread(group, noted):
                    tell(f"waiting for {group}: {_counted(left)}")
                    await asyncio.sleep(LOOK_AGAIN_AFTER_S)
        except TimeoutError:
            raise CannotJudge(
                f"after {within_s:g} s {group} has still not read {_counted(left)}: {remedy}, or give it longer with "
                f"--wait-s"
            ) from None

    async def records(self, topic: str, partition: int, span: Span) -> AsyncIterator[list[Any]]:
        """The records of a span in order of offset, some at a time."""
        if span.begin >= span.end:
            return
        part = TopicPartition(topic, partition)
        self._consumer.assign([part])
        self._consumer.seek(part, span.begin)
        silent_s = 0.0
        while await self._consumer.position(part) < span.end:
            got = (await self._consumer.getmany(part, timeout_ms=1_000)).get(part, [])
            silent_s = 0.0 if got else silent_s + 1.0
            if silent_s > SILENT_FOR_S:
                raise CannotJudge(f"{topic}-{partition} reaches {span.end} and gives nothing: is a broker down?")
            if got:
                yield got if got[-1].offset < span.end else [one for one in got if one.offset < span.end]

    async def _unread(self, group: str, noted: Mapping[str, Mapping[int, Span]]) -> dict[str, int]:
        committed = await self.committed(group)
        left: dict[str, int] = {}
        for topic, spans in noted.items():
            for partition, span in spans.items():
                read = max(committed.get(TopicPartition(topic, partition), -1), span.begin)
                if read < span.end:
                    left[topic] = left.get(topic, 0) + span.end - read
        return left


@asynccontextmanager
async def log_of(bootstrap: str) -> AsyncIterator[Log]:
    """A reader over a cluster, closed again. Raises `CannotJudge` when the cluster cannot be asked."""
    try:
        async with admin_of(bootstrap) as admin:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=bootstrap,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                max_partition_fetch_bytes=FETCH_BYTES,
                fetch_max_wait_ms=FETCH_WAITS_MS,
            )
            try:
                await consumer.start()
                yield Log(bootstrap, consumer, admin)
            finally:
                await _stopped(consumer)
    except ClusterUnusable as fault:
        raise CannotJudge(str(fault)) from fault


async def _stopped(consumer: Any) -> None:
    """Stop the client. aiokafka 0.14 loses the cancellation of its fetching when that has just got another partition,
    and would then wait for it for ever: it is cancelled once more."""
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=STOPPED_WITHIN_S)
    if not stopping.done():
        stopping.cancel()
    ended = await asyncio.gather(stopping, return_exceptions=True)
    if isinstance(ended[0], BaseException):
        await consumer._client.close()  # noqa: SLF001 - the part of `stop` that was left out


def whole(topic: str, spans: Mapping[int, Span]) -> None:
    """Raise `CannotJudge` where the beginning of a log is gone."""
    cut = [partition for partition, span in spans.items() if span.begin]
    if cut:
        raise CannotJudge(
            f"{topic} is cut: partition {cut[0]} begins at offset {spans[cut[0]].begin}, so nothing can be recomputed "
            f"from it; facts are kept for ever with retention.ms=-1 (`callgrant topics check`)"
        )


def _counted(left: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {topic}" for topic, count in left.items()) or "anything"

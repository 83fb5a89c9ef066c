"""How far the readers are behind what was written, and waiting until they no longer are.

Owns watching offsets: what a group has committed against where its topics end. Refuses to read a record, to guess
from time, and to wait for ever. A stage counts as done only after the stages before it, because only then has the last
record been written to its topics.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy.cluster import admin_of
from deploy.trouble import Trouble
from schemas.topics import TopicNames

LOOK_AGAIN_AFTER_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Stage:
    """One group and the topics it must have read to the end."""

    group: str
    topics: tuple[str, ...]


class StillBehind(Trouble):
    """The readers did not catch up in time; the text says who is behind, on what and by how much."""


def stages(names: TopicNames) -> list[Stage]:
    """From the gateway's topics to the analysts' rows, in the order of the flow."""
    return [
        Stage(names.group("worker"), (names.of("webhooks.raw"), names.of("actions.raw"))),
        Stage(names.group("worker"), (names.of("permission.events"), names.of("business.events"))),
        Stage(names.group("projection"), (names.of("permission.records"),)),
    ]


async def until_caught_up(
    bootstrap: str,
    wanted: Sequence[Stage],
    within_s: float,
    tell: Callable[[Mapping[str, int]], None] = lambda _: None,
) -> None:
    """Return when every stage is read to its end. `tell` gets, at each look, what is unread by topic.

    Raises `StillBehind` after `within_s`, `ClusterUnusable` when the cluster does not answer.
    """
    left: dict[str, int] = {}
    try:
        async with asyncio.timeout(within_s), _offsets(bootstrap) as unread_of:
            for stage in wanted:
                while any((left := await unread_of(stage)).values()):
                    tell(left)
                    await asyncio.sleep(LOOK_AGAIN_AFTER_S)
                tell(left)
    except TimeoutError:
        behind = ", ".join(f"{count} of {topic}" for topic, count in left.items() if count)
        raise StillBehind(f"after {within_s:g} s still unread: {behind or 'unknown'}") from None


async def unread(bootstrap: str, stage: Stage) -> dict[str, int]:
    """What a group has not read yet, by topic."""
    async with _offsets(bootstrap) as unread_of:
        return await unread_of(stage)


@asynccontextmanager
async def _offsets(bootstrap: str) -> AsyncIterator[Callable[[Stage], Awaitable[dict[str, int]]]]:
    """One look at a time through two clients: the admin knows what was committed, a consumer where topics end."""
    async with admin_of(bootstrap) as admin:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
        try:
            await consumer.start()
            yield lambda stage: _unread(admin, consumer, stage)
        finally:
            await consumer.stop()


async def _unread(admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, stage: Stage) -> dict[str, int]:
    rows = await admin.describe_topics(list(stage.topics))
    parts = [TopicPartition(row["topic"], part["partition"]) for row in rows for part in row["partitions"]]
    ends = await consumer.end_offsets(parts)
    begins = await consumer.beginning_offsets(parts)
    try:
        committed = await admin.list_consumer_group_offsets(stage.group)
    except KafkaError:  # its coordinator is still starting
        committed = {}
    left = dict.fromkeys(stage.topics, 0)
    for part in parts:
        read = committed[part].offset if part in committed else -1
        left[part.topic] += max(0, ends[part] - max(read, begins[part]))
    return left

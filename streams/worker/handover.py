"""The handover: exactly one generation translates, and the next one goes on where the last one was.

Owns what a worker settles before it joins its group. Of all generations' workers none may translate but those of the
reading generation, and in one group all do the same: else the worker waits, and in the end refuses to start. The raw
topics and commands belong to no generation, but what was committed on them belongs to a group: the first translating
worker of a generation takes over the furthest position that any generation has committed there. All before it was
acknowledged in the logs of facts, so nothing is lost; what was translated and not yet committed comes twice, under the
same derived ids. Refuses to move a group that has members.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, KafkaError

from schemas.topics import READ_BY_ONE, TopicNames
from streams.kafka.refusals import heed_refusals_told
from streams.worker.exits import Code
from streams.worker.settings import WorkerSettings
from streams.worker.startup import SAY_EVERY_S, TRY_EVERY_S, Unfit

log = logging.getLogger(__name__)

STABLE: Final = "Stable"
EMPTY: Final = ("Empty", "Dead", "")
UNSURE_FOR_S: Final = 20.0
"""So long a group that shares its partitions anew is waited for: what its members read is not told meanwhile. Beyond it
a group that never settles must not keep others from working."""


async def take_over(settings: WorkerSettings) -> None:
    """Return when this worker may join its group. Raises `Unfit` when something is in the way for too long."""
    began_at, said_at, waited_s = time.monotonic(), 0.0, 0.0
    while True:
        code = Code.GENERATION_UNFIT
        try:
            obstacle = await _settle(settings, sure_only=waited_s > UNSURE_FOR_S)
        except (KafkaError, OSError) as fault:
            code = Code.BROKER_UNREACHABLE
            obstacle = f"{settings.kafka_bootstrap} does not tell its groups: {type(fault).__name__}"
        if obstacle is None:
            return
        waited_s = time.monotonic() - began_at
        if waited_s > settings.broker_patience_s:
            raise Unfit(code, f"{obstacle}; gave up after {waited_s:.0f} s")
        if not said_at or time.monotonic() - said_at > SAY_EVERY_S:
            said_at = time.monotonic()
            log.warning("%s; waiting for %.0f s more", obstacle, settings.broker_patience_s - waited_s)
        await asyncio.sleep(TRY_EVERY_S)


async def _settle(settings: WorkerSettings, *, sure_only: bool) -> str | None:
    """What is in the way; None: all is settled. `sure_only`: what may be in the way no longer counts."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    heed_refusals_told(admin)
    try:
        await admin.start()
        groups = await _groups(admin, settings.topic_prefix)
        if not groups.keys() - {settings.generation}:
            return None  # there never was another generation
        raw = settings.names.of(READ_BY_ONE[0]).encode()
        own_is_empty = True
        for generation, group in sorted(groups.items()):
            state, members = await _members(admin, group)
            if state in EMPTY or not members:
                continue
            if generation == settings.generation:
                own_is_empty = False
            elif settings.only_folds:
                continue
            if state != STABLE and sure_only:
                continue
            if (obstacle := _in_the_way(settings, generation, state, raw, members)) is not None:
                return obstacle
        if settings.only_folds or not own_is_empty:
            return None
        return await _go_on(admin, settings, groups)
    finally:
        await admin.close()


def _in_the_way(settings: WorkerSettings, generation: int, state: str, raw: bytes, members: list[bytes]) -> str | None:
    if state != STABLE:  # only then the broker says what a member reads
        return f"the workers of generation {generation} are about to share their partitions"
    translating = sum(raw in subscription for subscription in members)
    if generation != settings.generation:
        if not translating:
            return None
        return (
            f"workers of generation {generation} still translate ({translating}), and CALLGRANT_GENERATION is "
            f"{settings.generation} here: stop them (callgrant worker --generation {generation} then only folds)"
        )
    others = translating if settings.only_folds else len(members) - translating
    if not others:
        return None
    do = "translate" if settings.only_folds else "only fold"
    return (
        f"workers of generation {generation} {do} ({others}), and this one would not: stop them. CALLGRANT_GENERATION "
        f"({settings.reading_generation} here) must be the same for all of them"
    )


async def _go_on(admin: Any, settings: WorkerSettings, groups: Mapping[int, str]) -> str | None:
    """Move the group to the furthest that any generation has committed on what is handed over."""
    names = settings.names
    found = await admin.describe_topics([names.of(name) for name in READ_BY_ONE])
    places = [TopicPartition(topic["topic"], each["partition"]) for topic in found for each in topic["partitions"]]
    own_group = names.group("worker")
    own: dict[TopicPartition, int] = {}
    furthest: dict[TopicPartition, int] = {}
    for group in {*groups.values(), own_group}:
        offsets = await admin.list_consumer_group_offsets(group, partitions=places)
        committed = {place: offsets[place].offset if place in offsets else -1 for place in places}
        if group == own_group:
            own = committed
        furthest = {place: max(offset, furthest.get(place, -1)) for place, offset in committed.items()}
    ahead = {place: offset for place, offset in furthest.items() if offset > own[place]}
    if not ahead:
        return None
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, group_id=own_group, enable_auto_commit=False
    )
    consumer.assign(list(ahead))
    await consumer.start()
    try:
        await consumer.commit(ahead)
    except CommitFailedError:
        return f"another worker of generation {settings.generation} was quicker"
    finally:
        await consumer.stop()
    log.info("generation %d goes on where another one stood, on %d partitions", settings.generation, len(ahead))
    return None


async def _groups(admin: Any, prefix: str) -> dict[int, str]:
    """The workers' groups by generation."""
    plain = TopicNames(prefix, 1).group("worker")
    found: dict[int, str] = {}
    for group in (row[0] for row in await admin.list_consumer_groups()):
        if group == plain:
            found[1] = group
        elif group.startswith(f"{plain}.g") and (number := group.removeprefix(f"{plain}.g")).isdecimal():
            found[int(number)] = group
    return found


async def _members(admin: Any, group: str) -> tuple[str, list[bytes]]:
    """The state of a group, and what each member subscribes to, as it told the broker."""
    [answer] = await admin.describe_consumer_groups([group])
    [row] = answer.groups
    return row[2], [bytes(member[-2] or b"") for member in row[5]]

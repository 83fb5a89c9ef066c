"""A seeded past that a real worker, projection and api have judged, and copies of its topics with one thing changed.

Owns the course: raw records straight to their topics, the processes by their commands, and a copy under a prefix of its
own whose groups count as having read it all. Refuses to judge.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy import clock
from deploy.progress import stages, until_caught_up
from deploy.topics import create_topics
from schemas.envelope import Headers
from schemas.topics import MAX_RECORD_BYTES, TopicNames
from tests.integration.house import House
from tests.integration.log import log_of
from tests.worker.seeded import Raw, raw_past

PARTITIONS: Final = 4
COPIED: Final = (
    "permission.events",
    "business.events",
    "permission.state",
    "business.state",
    "permission.changes",
    "permission.records",
    "permission.ticks",
)
CAUGHT_UP_WITHIN_S: Final = 90.0


@dataclass(frozen=True)
class Stood:
    """One record as it stands on a topic of the original."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int

    @property
    def said(self) -> dict[str, Any]:
        said: dict[str, Any] = orjson.loads(self.value or b"{}")
        return said

    def saying(self, said: dict[str, Any]) -> "Stood":
        return replace(self, value=orjson.dumps(said))


def past(seed: int) -> list[Raw]:
    """A past with registrations late in it, deadlines that pass, and facts that come too late."""
    raws = raw_past(seed, 900, users=60)
    for number, at in (("700100200300400", len(raws) // 2), ("700100200300401", len(raws) // 3)):
        registered = {
            "type": "business_registered",
            "phone_number_id": number,
            "occurred_at": 1_772_442_000,
            "display_phone_number": f"44207946{number[-4:]}",
            "profile": "sandbox",
            "country": "GB",
        }
        raws.insert(at, Raw("actions.raw", orjson.dumps(registered)))
    return raws


def judge(house: House, bootstrap: str, names: TopicNames, raws: Sequence[Raw]) -> None:
    """Everything judged, with the worker killed in the middle. Worker, api and projection run afterwards."""
    house.command("topics", "create")
    for name in ("worker", "projection", "api"):
        house.start(name)
    house.until_ready("worker")
    asyncio.run(_send(bootstrap, names, raws[: len(raws) // 2]))
    house.kill("worker")
    house.start("worker")
    for name in ("worker", "projection", "api"):
        house.until_ready(name)
    asyncio.run(_send(bootstrap, names, raws[len(raws) // 2 :]))
    asyncio.run(until_caught_up(bootstrap, stages(names), CAUGHT_UP_WITHIN_S))
    asyncio.run(_until_ticked(bootstrap, names))


async def _send(bootstrap: str, names: TopicNames, raws: Iterable[Raw]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(names.of(r.topic), r.value, headers=r.headers) for r in raws])
    finally:
        await producer.stop()


async def _until_ticked(bootstrap: str, names: TopicNames) -> None:
    """Return when a tick that came after all facts has been worked, and its rows stored."""
    moment = clock.now()
    async with asyncio.timeout(CAUGHT_UP_WITHIN_S), log_of(bootstrap) as log:
        told: dict[int, int] = {}
        while len(told) < PARTITIONS or min(told.values()) < moment:
            ticks = await log.everything_on(names.of("permission.ticks"))
            told = {tick.partition: orjson.loads(tick.value)["at"] for tick in ticks}
            await asyncio.sleep(0.3)  # between two looks
    worker = replace(stages(names)[0], topics=(names.of("permission.ticks"),))
    await until_caught_up(bootstrap, [worker, *stages(names)], CAUGHT_UP_WITHIN_S)


async def everything(bootstrap: str, names: TopicNames) -> list[Stood]:
    """All that stands on the topics that are compared, in order of offset within a partition."""
    found: list[Stood] = []
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, max_partition_fetch_bytes=MAX_RECORD_BYTES)
    await consumer.start()
    try:
        for topic in COPIED:
            parts = [TopicPartition(names.of(topic), each) for each in range(PARTITIONS)]
            consumer.assign(parts)
            await consumer.seek_to_beginning(*parts)
            ends = await consumer.end_offsets(parts)
            while any([await consumer.position(part) < end for part, end in ends.items()]):
                for part, records in (await consumer.getmany(timeout_ms=500)).items():
                    found += [
                        Stood(topic, part.partition, one.key, one.value, list(one.headers), one.timestamp)
                        for one in records
                    ]
    finally:
        await consumer.stop()
    return found


async def copy(bootstrap: str, stood: Sequence[Stood], names: TopicNames, *, read: bool = True) -> None:
    """The records once more under other names; `read`: all of them by their groups."""
    await create_topics(bootstrap, names, PARTITIONS)
    # Idempotent, for the order: of a topic just made the first batches may be refused and sent again behind later ones.
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_request_size=MAX_RECORD_BYTES, acks="all", enable_idempotence=True
    )
    await producer.start()
    try:
        sent = []
        for one in stood:
            kept_at = {} if one.topic.endswith(".state") else {"timestamp_ms": one.timestamp_ms}
            sent.append(
                await producer.send(
                    names.of(one.topic),
                    one.value,
                    key=one.key,
                    partition=one.partition,
                    headers=one.headers,
                    **kept_at,
                )
            )
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    for group in ("worker", "projection") if read else ():
        await _read_all(bootstrap, names, group)


async def _read_all(bootstrap: str, names: TopicNames, group: str) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=names.group(group), enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(names.of(topic), each) for topic in COPIED for each in range(PARTITIONS)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.commit({part: end for part, end in ends.items() if end})
    finally:
        await consumer.stop()


def any_of(stood: Sequence[Stood], topic: str, seed: int, fits: Callable[[Stood], bool] = lambda _: True) -> int:
    """The place of one record of a topic."""
    return random.Random(seed).choice([at for at, one in enumerate(stood) if one.topic == topic and fits(one)])

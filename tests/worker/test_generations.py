"""Generations on a real broker: a second one folds the log beside the first, never overtakes it, and takes over."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from deploy.topics import create_topics
from schemas.events import Fact
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.topics import TopicNames
from streams.permission.answer import answer
from streams.providers.registry import translate
from streams.worker.exits import Code
from streams.worker.ticks import tick_row
from streams.worker.translation import routed
from tests.permission.story import PRODUCTION
from tests.worker.live import PARTITIONS, PATIENCE_S, Scene, bare, scene
from tests.worker.seeded import RECEIVED_MS, Raw, raw_past, straight_fold

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

NEVER_S = 3_600.0
SHOWN = {"users_linked", "business_seen"}
"""A process leaves out what it has shown already."""


@pytest.fixture
async def stage(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(broker, topic_prefix, tmp_path) as made:
        await create_topics(broker, TopicNames(topic_prefix, 2), PARTITIONS)
        yield made


@pytest.fixture
def green(stage: Scene) -> Scene:
    """The same cluster as generation 2 calls its topics."""
    return dataclasses.replace(stage, names=TopicNames(stage.names.prefix, 2))


def facts_of(raws: Iterable[Raw]) -> list[Fact]:
    return [
        fact
        for raw in raws
        for fact in translate("actions" if raw.topic == "actions.raw" else "meta", raw.value, RECEIVED_MS // 1000).facts
    ]


async def tick(stage: Scene, at: int) -> None:
    """As the leader of the reading generation writes one."""
    async with AIOKafkaProducer(bootstrap_servers=stage.bootstrap) as producer:
        for partition in range(PARTITIONS):
            row = tick_row(partition, at)
            await producer.send_and_wait(stage.names.of("permission.ticks"), row.value, row.key, partition=partition)


async def until_expired(stage: Scene, pairs: set[bytes]) -> None:
    """Return when it is announced that each of them has no permission any more."""
    async with stage.reader("permission.changes") as changes, asyncio.timeout(30):
        told: dict[bytes, Any] = {}
        while any(told.get(pair) != "permission_expired" for pair in pairs):
            await changes.more()
            told = {record.key: orjson.loads(record.value)["type"] for record in changes.records}


async def change_ids(stage: Scene) -> set[str]:
    return {orjson.loads(record.value)["change_id"] for record in await stage.all_on("permission.changes")}


async def log_of(stage: Scene) -> list[Any]:
    return sorted(await stage.all_on("permission.events"), key=lambda record: (record.partition, record.offset))


def translated(log: Iterable[Any]) -> Counter[str]:
    """How often each fact was made of a raw record."""
    facts = [orjson.loads(record.value) for record in log]
    return Counter(each["fact_id"] for each in facts if not each["forwarded"] and each["type"] not in SHOWN)


def answers(states: dict[bytes, PairState], at: int) -> dict[bytes, Any]:
    return {key: answer(state, at, DEFAULT_POLICY, PRODUCTION) for key, state in states.items()}


async def test_a_second_generation_folds_the_same_writes_nothing_to_the_log_and_takes_over(
    stage: Scene, green: Scene
) -> None:
    raws = raw_past(seed=31, facts=450)
    old = raws[:300]
    one = stage.worker("1", tick_every_s=NEVER_S)  # a tick between two facts of one past would fall differently
    async with stage.reader("permission.state") as state, green.reader("permission.state") as green_state:
        await stage.send(old)
        await state.until_states_are(straight_fold(old))
        log = [record.value for record in await log_of(stage)]

        two = stage.worker("2", generation=2)
        await green_state.until_states_are(straight_fold(old))
        due = {key for key, row in state.states().items() if row.due_at is not None}
        await tick(stage, max(row.due_at or 0 for row in state.states().values()))
        await asyncio.gather(until_expired(stage, due), until_expired(green, due))
        assert await change_ids(green) == await change_ids(stage)
        now = max(each.judged_at for each in state.states().values())
        assert answers(green_state.states(), now) == answers(state.states(), now)
        assert [record.value for record in await log_of(stage)] == log
        assert await stage.all_on("deadletters") == []
        assert two.terminate() == Code.STOPPED

        # As long as generation 1 translates, no other one does.
        early = stage.worker("2", generation=2, reading_generation=2, broker_patience_s=1.0)
        assert early.running is not None
        assert early.running.wait(PATIENCE_S) == Code.GENERATION_UNFIT
        assert "workers of generation 1 still translate (1)" in early.log.read_text()

        assert one.terminate() == Code.STOPPED
        two = stage.worker("2", generation=2, reading_generation=2)
        await stage.send(raws[300:])
        await green_state.until_states_are(straight_fold(raws))
        after = await log_of(stage)
        assert translated(after) == Counter(each.fact_id for each in facts_of(raws) if each.type not in SHOWN)
        assert two.terminate() == Code.STOPPED
        assert bare(two.stored()) == bare(straight_fold(raws))


async def test_what_the_reading_generation_left_unfolded_is_handed_on_by_the_one_that_takes_over(
    stage: Scene, green: Scene
) -> None:
    raws = raw_past(seed=32, facts=300)
    one, two = stage.worker("1"), stage.worker("2", generation=2)
    async with green.reader("permission.state") as green_state, green.reader("business.state") as numbers:
        await stage.send(raws[:120])
        await green_state.until_states_are(straight_fold(raws[:120]))
        assert one.terminate() == Code.STOPPED  # and it leaves in the log what it has not folded
        log, seen = len(await log_of(stage)), len(numbers.records)
        await write(stage, facts_of(raws[120:]))
        [registered] = facts_of([Raw("actions.raw", orjson.dumps(REGISTERED))])
        await write(stage, [registered])
        while len(numbers.records) == seen:  # the follower has read that far, and not folded what was before it
            await numbers.more()
        await green_state.to_the_end()
        assert bare(green_state.states()) == bare(straight_fold(raws[:120]))
        assert two.terminate() == Code.STOPPED

        two = stage.worker("2", generation=2, reading_generation=2)
        await green_state.until_states_are(straight_fold(raws))
        # The old one may go on folding, so that readers can be switched back; what it missed it finds in the log.
        ends = len(await log_of(stage))
        one = stage.worker("1", reading_generation=2)
        async with stage.reader("permission.state") as state:
            await state.until_states_are(straight_fold(raws))
        assert [one.terminate(), two.terminate()] == [Code.STOPPED, Code.STOPPED]
        assert len(await log_of(stage)) == ends
    made = [orjson.loads(record.value) for record in await log_of(stage)]
    assert sum(fact["forwarded"] for fact in made[log:]), "there was something to hand on"


REGISTERED = {
    "type": "business_registered",
    "phone_number_id": "700100200300402",
    "occurred_at": 1_772_442_000,
    "display_phone_number": "442079460124",
    "country": "GB",
    "profile": "production",
}


async def write(stage: Scene, facts: list[Fact]) -> None:
    """Facts into their logs, as a worker that dies before it folds them."""
    async with AIOKafkaProducer(bootstrap_servers=stage.bootstrap) as producer:
        sent = []
        for fact in facts:
            topic, row = routed(fact)
            sent.append(await producer.send(stage.names.of(topic), row.value, row.key, headers=row.headers))
        await asyncio.gather(*sent)

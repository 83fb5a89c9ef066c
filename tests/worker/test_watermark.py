from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from streams.worker import watermark
from streams.worker.watermark import LOOKS_AT_MOST, Watermark

RAW, FACTS = TP("t.webhooks.raw", 0), TP("t.permission.events", 2)
STAGES = (("t.webhooks.raw",), ("t.permission.events",))


@dataclass
class Broker:
    """Where partitions begin, end and are committed, as told."""

    ends: dict[TP, int] = field(default_factory=dict)
    commits: dict[TP, int] = field(default_factory=dict)
    begins: dict[TP, int] = field(default_factory=dict)

    async def ends_of(self, topics: Collection[str]) -> Mapping[TP, int]:
        return {tp: end for tp, end in self.ends.items() if tp.topic in topics}

    async def begins_of(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        return {tp: self.begins.get(tp, 0) for tp in partitions}

    async def committed_of(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        return {tp: self.commits[tp] for tp in partitions if tp in self.commits}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [1_000]
    monkeypatch.setattr(watermark, "now_s", lambda: now[0])
    return now


@pytest.fixture
def broker() -> Broker:
    return Broker({RAW: 5, FACTS: 9})


def impatient() -> Watermark:
    return Watermark(STAGES, patience_s=0)


async def test_time_passes_up_to_now_where_nothing_waits(clock: list[int], broker: Broker) -> None:
    broker.commits = {RAW: 5, FACTS: 9}
    assert await impatient().reach(broker) == 1_000
    assert await impatient().reach(Broker({RAW: 0, FACTS: 0})) == 1_000, "nothing was ever received"


@pytest.mark.parametrize("behind", [RAW, FACTS])
async def test_time_stands_while_something_waits_and_passes_up_to_the_look_that_was_reached(
    clock: list[int], broker: Broker, behind: TP
) -> None:
    mark = impatient()
    broker.commits = {RAW: 5, FACTS: 9}
    assert await mark.reach(broker) == 1_000
    broker.ends[behind] += 3
    clock[0] = 1_010
    assert await mark.reach(broker) == 1_000
    broker.ends[behind] += 3
    clock[0] = 1_020
    assert await mark.reach(broker) == 1_000
    broker.commits[behind] += 3
    clock[0] = 1_030
    assert await mark.reach(broker) == 1_010
    broker.commits[behind] += 3
    clock[0] = 1_040
    assert await mark.reach(broker) == 1_040


async def test_facts_that_came_of_what_was_received_are_waited_for_too(clock: list[int], broker: Broker) -> None:
    mark = impatient()
    broker.commits = {RAW: 4, FACTS: 9}
    assert await mark.reach(broker) is None
    clock[0] = 1_010
    broker.commits[RAW], broker.ends[FACTS] = 5, 10  # translated, and what came of it waits to be handed on
    assert await mark.reach(broker) is None
    clock[0] = 1_020
    broker.ends[FACTS], broker.commits[FACTS] = 12, 10  # what came later is nothing to wait for
    assert await mark.reach(broker) == 1_010


async def test_what_retention_deleted_unread_is_nothing_to_wait_for(clock: list[int], broker: Broker) -> None:
    broker.commits, broker.begins = {FACTS: 3}, {RAW: 5, FACTS: 9}
    assert await impatient().reach(broker) == 1_000


async def test_a_tick_waits_a_little_for_what_was_just_received(
    clock: list[int], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watermark, "LOOK_EVERY_S", 0.001)
    broker.commits = {RAW: 4, FACTS: 9}
    asked = broker.committed_of

    async def committed_soon(partitions: Collection[TP]) -> Mapping[TP, int]:
        told = await asked(partitions)
        broker.commits[RAW] = 5
        return told

    monkeypatch.setattr(broker, "committed_of", committed_soon)
    assert await Watermark(STAGES, patience_s=60).reach(broker) == 1_000


async def test_looks_that_wait_for_long_are_thinned_and_the_next_to_be_reached_stays(
    clock: list[int], broker: Broker
) -> None:
    mark, lag, reached = impatient(), 2 * LOOKS_AT_MOST, None
    broker.commits = {FACTS: 9}
    for at in range(4 * LOOKS_AT_MOST):
        clock[0], broker.ends[RAW], broker.commits[RAW] = at, at + 1, max(0, at - lag)
        reached = await mark.reach(broker)
        assert len(mark._looks) <= LOOKS_AT_MOST
    assert reached is not None
    assert reached > LOOKS_AT_MOST, "time goes on, however much waits"


async def test_a_backlog_of_looks_is_judged_by_one_answer_of_the_broker(
    clock: list[int], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, asked = impatient(), 0
    for at in range(100):
        clock[0], broker.ends[RAW] = at, at + 1
        await mark.reach(broker)
    answer = broker.committed_of

    async def counted(partitions: Collection[TP]) -> Mapping[TP, int]:
        nonlocal asked
        asked += 1
        return await answer(partitions)

    monkeypatch.setattr(broker, "committed_of", counted)
    await mark.reach(broker)
    assert asked == 1


async def test_an_answer_that_fails_between_two_stages_lets_nothing_pass(
    clock: list[int], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, answer = impatient(), broker.ends_of
    broker.commits = {RAW: 5, FACTS: 8}

    async def failing(topics: Collection[str]) -> Mapping[TP, int]:
        if FACTS.topic in topics:
            raise KafkaTimeoutError
        return await answer(topics)

    with monkeypatch.context() as broken:
        broken.setattr(broker, "ends_of", failing)
        with pytest.raises(KafkaTimeoutError):
            await mark.reach(broker)
    clock[0] = 1_010
    assert await mark.reach(broker) is None
    broker.commits[FACTS] = 9
    clock[0] = 1_020
    assert await mark.reach(broker) == 1_020


async def test_what_is_committed_while_looks_advance_is_held_against_ends_of_later(
    clock: list[int], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, answer = impatient(), broker.committed_of
    broker.commits = {RAW: 4, FACTS: 9}
    assert await mark.reach(broker) is None
    clock[0], broker.ends[RAW] = 1_010, 6

    async def working(partitions: Collection[TP]) -> Mapping[TP, int]:
        told = dict(await answer(partitions))
        if broker.commits[RAW] < 6:  # each answer is followed by one more record that is translated, and not yet folded
            broker.commits[RAW] += 1
            broker.ends[FACTS] += 1
        return told

    monkeypatch.setattr(broker, "committed_of", working)
    for _ in range(3):
        assert await mark.reach(broker) is None
    broker.commits[FACTS] = broker.ends[FACTS]
    assert await mark.reach(broker) == 1_010

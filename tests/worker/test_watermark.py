from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest
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
    assert await impatient().reach(Broker()) == 1_000


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


async def test_looks_that_wait_for_long_are_thinned(clock: list[int], broker: Broker) -> None:
    mark = impatient()
    for at in range(2 * LOOKS_AT_MOST):
        clock[0], broker.ends[RAW] = at, at + 1
        await mark.reach(broker)
    assert len(mark._looks) <= LOOKS_AT_MOST
    broker.commits = {RAW: LOOKS_AT_MOST, FACTS: 9}
    reached = await mark.reach(broker)
    assert reached is not None
    assert LOOKS_AT_MOST - 16 < reached < LOOKS_AT_MOST

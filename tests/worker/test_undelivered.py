"""Records that wait on the broker and are not delivered: when that ends the worker, and when it is nothing."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from streams.worker import undelivered
from streams.worker.exits import Code
from streams.worker.undelivered import LOOKS, MANY_RECORDS, Due, Turns, Undelivered
from tests.worker.conftest import Deaths

FACTS, TICKS = TP("t.permission.events", 0), TP("t.permission.ticks", 0)


@dataclass(slots=True)
class Fetching:
    """What should be fetched, as told."""

    turn: int = 1
    offsets: dict[TP, int] = field(default_factory=lambda: {FACTS: 4, TICKS: 9})

    def due(self) -> Due:
        return Due(self.turn, dict(self.offsets))


@dataclass(slots=True)
class Broker:
    """Where partitions begin and end. `while_asked`: what happens before it answers."""

    ends: dict[TP, int] = field(default_factory=lambda: {FACTS: 7, TICKS: 9})
    begins: dict[TP, int] = field(default_factory=lambda: {FACTS: 0, TICKS: 0})
    asked: list[tuple[str, list[TP]]] = field(default_factory=list)
    while_asked: Callable[[], object] = lambda: None

    async def end_offsets(self, partitions: list[TP]) -> Mapping[TP, int]:
        self.asked.append(("ends", partitions))
        self.while_asked()
        return {tp: self.ends[tp] for tp in partitions}

    async def beginning_offsets(self, partitions: list[TP]) -> Mapping[TP, int]:
        self.asked.append(("begins", partitions))
        return {tp: self.begins[tp] for tp in partitions}


@dataclass(slots=True)
class Stage:
    fetching: Fetching = field(default_factory=Fetching)
    broker: Broker = field(default_factory=Broker)
    watch: Undelivered = field(init=False)

    def __post_init__(self) -> None:
        self.watch = Undelivered(["127.0.0.1:1"], self.fetching)

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.watch.look(self.broker)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_records_that_are_not_delivered_end_the_worker_however_others_get_on(
    stage: Stage, deaths: Deaths, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(LOOKS):
        stage.fetching.offsets[TICKS] += 1
        stage.broker.ends[TICKS] += 2
        await stage.look()
    assert deaths.codes == []

    with pytest.raises(deaths.died):
        await stage.look()
    assert deaths.codes == [Code.STALLED]
    [line] = caplog.messages
    assert "no progress for" in line
    assert f"(stall): {FACTS} has records from 4 to 6 and fetching brings none" in line


def _moves(stage: Stage) -> None:
    stage.fetching.offsets[FACTS] += 1


def _has_a_full_turn(stage: Stage) -> None:
    stage.fetching.turn += 1


def _is_held_back(stage: Stage) -> None:
    del stage.fetching.offsets[FACTS]


def _is_shut(stage: Stage) -> None:
    stage.fetching.offsets.clear()


@pytest.mark.parametrize("happens", [_moves, _has_a_full_turn, _is_held_back, _is_shut])
async def test_whatever_explains_the_wait_begins_the_patience_anew(
    stage: Stage, deaths: Deaths, happens: Callable[[Stage], None]
) -> None:
    await stage.look(LOOKS)
    happens(stage)
    await stage.look()
    stage.fetching.offsets.setdefault(FACTS, 4)
    await stage.look(LOOKS - 1)
    assert deaths.codes == []

    with pytest.raises(deaths.died):
        await stage.look(2)


async def test_what_moves_while_the_broker_is_asked_is_no_stall(stage: Stage, deaths: Deaths) -> None:
    await stage.look(LOOKS)
    stage.broker.while_asked = lambda: _moves(stage)
    await stage.look()

    assert deaths.codes == []


async def test_an_idle_topic_is_no_stall_and_costs_one_question_a_look(stage: Stage, deaths: Deaths) -> None:
    stage.broker.ends[FACTS] = 4
    await stage.look(LOOKS + 2)

    assert deaths.codes == []
    assert stage.broker.asked == [("ends", [FACTS, TICKS])] * (LOOKS + 2)
    assert stage.watch.ends == {FACTS: 4, TICKS: 9}


async def test_what_retention_deleted_does_not_wait(stage: Stage, deaths: Deaths) -> None:
    stage.broker.begins[FACTS] = stage.broker.ends[FACTS]
    await stage.look(LOOKS + 2)

    assert deaths.codes == []
    assert stage.broker.asked[-1] == ("begins", [FACTS])


async def test_while_nothing_is_to_be_fetched_nothing_is_asked(stage: Stage) -> None:
    stage.fetching.offsets.clear()
    await stage.look()

    assert stage.broker.asked == []


@pytest.mark.parametrize(("silent_after", "dies"), [(LOOKS, False), (LOOKS + 1, True)])
async def test_an_absent_broker_is_no_stall_and_begins_the_patience_anew(
    stage: Stage,
    deaths: Deaths,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    silent_after: int,
    dies: bool,
) -> None:
    sessions = 0

    class Client(Broker):
        def __init__(self, **_: Any) -> None:
            super().__init__()

        async def start(self) -> None:
            nonlocal sessions
            sessions += 1
            if sessions > 3:
                raise asyncio.CancelledError

        async def stop(self) -> None:
            pass

        async def end_offsets(self, partitions: list[TP]) -> Mapping[TP, int]:
            if len(self.asked) == 2 * silent_after:
                raise KafkaConnectionError("away")
            return await Broker.end_offsets(self, partitions)

    monkeypatch.setattr(undelivered, "AIOKafkaConsumer", Client)
    monkeypatch.setattr(undelivered, "LOOK_EVERY_S", 0)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(stage.watch.run(), 10)

    assert deaths.codes == ([Code.STALLED] if dies else [])
    if not dies:
        assert [line for line in caplog.messages if "cannot be seen (KafkaConnectionError)" in line] != []


def test_a_turn_is_full_when_it_brought_much_or_its_delivery_had_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, full = Turns(), []
    for records, slow_s in ((MANY_RECORDS - 1, 5.0), (MANY_RECORDS, 5.0), (1, -1.0)):
        monkeypatch.setattr(undelivered, "SLOW_S", slow_s)
        before = turns.full
        with turns.delivering(records):
            full.append((turns.blocked, turns.full))
        full.append((turns.blocked, turns.full - before))

    assert full == [(False, 0), (False, 0), (False, 0), (False, 1), (True, 1), (False, 1)]

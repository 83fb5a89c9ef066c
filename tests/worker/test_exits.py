import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from streams.worker import exits
from streams.worker.at_work import AtWork, Lane
from streams.worker.clock import since_boot_s
from streams.worker.exits import Code, ExitOnSendError, Waiting, Watchdog, told
from streams.worker.halt import Halt, MostlyBad
from streams.worker.lanes import lanes
from tests.worker.conftest import Deaths


class Watched:
    """Progress as told."""

    def __init__(self, mark: object, why: Waiting | None, lanes: dict[str, int] | None = None) -> None:
        self.mark, self.why, self.lanes = mark, why, lanes or {}

    def at_work(self) -> dict[str, int]:
        return self.lanes

    def waits_at(self, lane: str) -> str:
        return f"the step of {lane}"

    def progress(self) -> tuple[object, Waiting | None]:
        return self.mark, self.why


def watchdog(watched: Any) -> Watchdog:
    return Watchdog(watched, lambda _: None, stall_s=5, rebalance_s=10, loop_lag_s=3)


@pytest.mark.parametrize(("why", "patience_s"), [("stall", 5), ("rebalance", 10)])
def test_no_progress_where_some_is_due_ends_the_worker(deaths: Deaths, why: Waiting, patience_s: int) -> None:
    dog, now = watchdog(Watched("same", why)), time.monotonic()
    dog.beat_at = now + patience_s
    assert dog.look(now + patience_s, "same", now) == ("same", now)

    with pytest.raises(deaths.died):
        dog.look(now + patience_s + 0.1, "same", now)
    assert deaths.codes == [Code.STALLED]


def test_a_lane_without_progress_ends_the_worker_whatever_others_do(
    deaths: Deaths, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched("new", None, {"lane 1 of fold": 1, "lane 2 of fold": 2})
    dog = watchdog(watched)
    dog.look_at_lanes(100.0)
    watched.lanes = {"lane 1 of fold": 1, "lane 2 of fold": 3}
    dog.look_at_lanes(105.0)
    assert deaths.codes == []

    with pytest.raises(deaths.died):
        dog.look_at_lanes(105.1)
    assert deaths.codes == [Code.STALLED]
    assert "lane 1 of fold" in caplog.text
    assert "waits at the step of lane 1" in caplog.text


async def test_a_lane_that_begins_another_batch_or_moves_within_one_has_patience_anew(deaths: Deaths) -> None:
    at_work, lane = AtWork(), Lane("fold", 1)
    dog = watchdog(SimpleNamespace(at_work=at_work.marks))
    with at_work.on(lane):
        dog.look_at_lanes(100.0)
    with at_work.on(lane):
        dog.look_at_lanes(104.0)
        at_work.moved(lane)
        dog.look_at_lanes(108.0)
        dog.look_at_lanes(112.9)
    dog.look_at_lanes(120.0)
    at_work.moved(lane)
    assert at_work.marks() == {}, "a lane without a batch has nothing to get on with"
    assert deaths.codes == []


async def test_where_a_lane_waits_is_told_by_functions_alone() -> None:
    at_work, lane = AtWork(), Lane("fold", 1)
    never, secret = asyncio.Event(), "447700900123"

    async def send(_: str) -> None:
        await never.wait()

    async def work() -> None:
        with at_work.on(lane):
            await send(secret)

    assert at_work.waits_at(lane) == "", "no batch"
    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    told_places = at_work.waits_at(lane)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)

    assert re.sub(r":\d+", "", told_places) == "test_exits.py work > test_exits.py send > locks.py wait"
    assert at_work.waits_at(lane) == ""


def test_a_process_that_stood_still_for_a_session_ends_when_it_wakes(deaths: Deaths) -> None:
    dog = watchdog(Watched("new", None))
    dog.woke(10.0)
    assert deaths.codes == []
    with pytest.raises(deaths.died):
        dog.woke(12.5)
    assert deaths.codes == [Code.EXPELLED]


@pytest.mark.parametrize(("slept_s", "ends"), [(9.0, False), (12.5, True)])
def test_a_machine_that_was_suspended_for_a_session_ends_the_worker_though_its_own_clock_stood_still(
    deaths: Deaths, monkeypatch: pytest.MonkeyPatch, slept_s: float, ends: bool
) -> None:
    looks: list[float] = []

    def closed_at_the_third(_: Callable[[], None]) -> None:
        looks.append(slept_s)
        if len(looks) > 2:
            raise RuntimeError

    since_boot = [1_000.0, 1_001.0, 1_002.0 + slept_s, 1_003.0 + slept_s]
    monkeypatch.setattr(exits, "WATCH_EVERY_S", 0.0)
    monkeypatch.setattr(exits, "since_boot_s", lambda: since_boot.pop(0))
    dog = Watchdog(Watched("new", None), closed_at_the_third)
    if ends:
        with pytest.raises(deaths.died):
            dog.run()
    else:
        dog.run()
    assert deaths.codes == ([Code.EXPELLED] if ends else [])
    assert len(looks) == (1 if ends else 3), "it ended as soon as it woke"


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the system has no clock that goes on")
def test_time_since_boot_counts_what_the_machine_was_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    slept_s = 1e9  # no machine of a test ever slept: the two clocks agree there
    stock = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda of: stock(of) + (slept_s if of == time.CLOCK_BOOTTIME else 0.0))
    assert since_boot_s() > time.monotonic() + slept_s / 2


def test_progress_and_idleness_begin_the_patience_anew() -> None:
    now = time.monotonic()
    moving, idle = watchdog(Watched("new", "stall")), watchdog(Watched("same", None))
    moving.beat_at = idle.beat_at = now + 100

    assert moving.look(now + 100, "old", now) == ("new", now + 100)
    assert idle.look(now + 100, "same", now) == ("same", now + 100)


def test_a_blocked_loop_ends_the_worker_however_idle_it_seems(deaths: Deaths) -> None:
    dog = watchdog(Watched("same", None))
    dog.beat_at = time.monotonic()

    with pytest.raises(deaths.died):
        dog.look(dog.beat_at + 3.1, None, dog.beat_at)
    assert deaths.codes == [Code.STALLED]


def test_a_recovery_that_never_begins_is_a_stall_too(deaths: Deaths) -> None:
    dog, now = watchdog(SimpleNamespace()), time.monotonic()
    dog.beat_at = now + 11

    with pytest.raises(deaths.died):
        dog.look(now + 10.1, None, now)


def test_a_failed_delivery_of_fausts_own_ends_the_worker(deaths: Deaths) -> None:
    with pytest.raises(deaths.died):
        ExitOnSendError().on_send_error(None, KafkaTimeoutError(), None)
    assert deaths.codes == [Code.SEND_FAILED]


def test_an_exception_is_told_without_its_text() -> None:
    try:
        raise KeyError("447700900123")
    except KeyError as fault:
        text = told(fault)

    assert "447700900123" not in text
    assert "KeyError at test_exits.py:" in text


class Stream:
    """A stream of events, as an agent gets it."""

    def __init__(self, *partitions: int) -> None:
        self._partitions = partitions

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        for offset, partition in enumerate(self._partitions):
            yield SimpleNamespace(message=SimpleNamespace(topic="t", partition=partition, offset=offset))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - lanes tell nobody what they did
            await asyncio.sleep(0)


async def idle() -> None:
    """Return when nothing else can go on by itself: each turn of the loop runs every task that is able to."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_partitions_are_worked_side_by_side_and_each_in_order() -> None:
    order: list[tuple[int, int]] = []
    held = asyncio.Event()

    async def work(event: Any) -> None:
        if event.message.partition == 0:
            await held.wait()
        order.append((event.message.partition, event.message.offset))

    await lanes("a", work, Halt())(Stream(0, 1, 0, 1))
    await until(lambda: len(order) == 2)
    assert order == [(1, 1), (1, 3)]
    held.set()
    await until(lambda: len(order) == 4)
    assert order[2:] == [(0, 0), (0, 2)]


async def test_no_more_than_the_slots_are_in_work() -> None:
    begun = 0
    held = asyncio.Event()

    async def work(event: Any) -> None:
        nonlocal begun
        begun += 1
        await held.wait()

    agent = asyncio.ensure_future(lanes("a", work, Halt(), slots=2)(Stream(0, 1, 2)))
    await until(lambda: begun == 2)
    await idle()
    assert (begun, agent.done()) == (2, False)
    held.set()
    await asyncio.wait_for(agent, 1)


async def test_a_raising_lane_ends_the_worker_and_names_no_content(
    deaths: Deaths, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(event: Any) -> None:
        raise ValueError("447700900123")

    await lanes("a", work, Halt())(Stream(3))
    await until(lambda: bool(deaths.codes))

    assert deaths.codes == [Code.LANE_FAILED]
    with caplog.at_level(logging.CRITICAL):
        assert "t-3 up to 0" in caplog.text
        assert "447700900123" not in caplog.text


async def test_a_halt_lets_other_lanes_end_their_batch_and_begin_none(deaths: Deaths) -> None:
    halt, held = Halt(), asyncio.Event()
    done: list[tuple[int, int]] = []

    async def work(event: Any) -> None:
        if event.message.partition == 1:
            raise MostlyBad("t-1: most of it")
        await held.wait()
        done.append((event.message.partition, event.message.offset))

    await lanes("a", work, halt)(Stream(0, 1, 0, 1, 2))
    await until(lambda: halt.reason is not None)
    assert not halt.settled, "the first batch of partition 0 is in work"
    held.set()
    await until(lambda: halt.settled)
    await idle()

    assert done == [(0, 0)]
    assert deaths.codes == []


def test_a_halt_is_told_once_and_keeps_its_first_reason(caplog: pytest.LogCaptureFixture) -> None:
    halt = Halt()
    halt.begin("t-0: 60 of 100 records of a batch could not be judged (not_json)")
    halt.begin("t-1: another")

    assert halt.reason is not None
    assert halt.reason.startswith("t-0")
    [line] = caplog.messages
    assert "Mend the writer or this program, then start the worker again" in line

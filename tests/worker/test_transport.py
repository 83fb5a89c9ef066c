"""The batch transport without a broker: what is delivered, what may be committed, when a worker must die."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer
from faust.types import TP

from streams.worker import undelivered
from streams.worker.app import faust_app
from streams.worker.at_work import Lane
from streams.worker.batches import batched_topic
from streams.worker.clock import since_boot_s
from streams.worker.exits import Code
from streams.worker.following import Leash
from streams.worker.portions import Batch, Portion
from streams.worker.settings import WorkerSettings
from streams.worker.transport import (
    BATCH_RECORDS,
    REJOINED_WITHIN_S,
    REJOINS,
    BatchConsumer,
    _message,
)
from tests.worker.conftest import Deaths
from tests.worker.stand_ins import Record, record

EVENTS, OTHER = TP("t.permission.events", 0), TP("t.permission.events", 1)
PLAIN = TP("t.worker-__assignor-__leader", 0)
"""A topic that is not batched: it goes Faust's own way, event by event."""
LOG, LOG_1 = TP("t.permission.state", 0), TP("t.permission.state", 1)


def run(first: int, count: int, tp: TP = EVENTS) -> list[Record]:
    """Consecutive records."""
    return [record(b"{}", offset=first + at, topic=tp.topic, partition=tp.partition) for at in range(count)]


class Fetched:
    """What the thread would have fetched, and the broker's side of it."""

    def __init__(self) -> None:
        self.batches: dict[TP, list[Any]] = {}
        self.heartbeat_at = since_boot_s()
        self.asked: list[set[TP]] = []
        self.places: dict[TP, int] = {}
        self.wrote_times = 0

    def wrote(self) -> None:
        self.wrote_times += 1

    async def fetch(self, active: set[TP], generation: int, timeout_s: float) -> dict[TP, list[Any]]:
        self.asked.append(set(active))
        found, self.batches = {tp: got for tp, got in self.batches.items() if tp in active}, {}
        return found

    def last_ok_heartbeat(self) -> float:
        return self.heartbeat_at

    def highwater(self, tp: TP) -> int | None:
        return None

    def assignment(self) -> set[TP]:
        return {EVENTS, OTHER, LOG}

    def place_of(self, tp: TP) -> int:
        return self.places.get(tp, 0)


@pytest.fixture
async def consumer(settings: WorkerSettings) -> BatchConsumer:
    app = faust_app(settings)
    app.loop = asyncio.get_running_loop()
    batched_topic(app, EVENTS.topic, LOG.topic)
    app.tables._changelogs[LOG.topic] = cast(Any, None)  # type: ignore[attr-defined]
    made = cast(BatchConsumer, app.consumer)
    made._thread.thread_loop.close()
    made._thread = cast(Any, Fetched())
    made._active_partitions = {EVENTS, OTHER, LOG}
    made._revoking, made._open = False, True
    return made


def fetched(consumer: BatchConsumer) -> Fetched:
    return cast(Fetched, consumer._thread)


async def delivered(consumer: BatchConsumer, batches: dict[TP, list[Record]]) -> list[tuple[TP, int, int]]:
    """Partition, last offset and size of each message."""
    fetched(consumer).batches = batches
    return [(tp, message.offset, len(message.value)) async for tp, message in consumer.getmany(1.0)]


async def test_a_fetch_becomes_batches_of_bounded_size_partitions_in_turn(consumer: BatchConsumer) -> None:
    got = await delivered(consumer, {EVENTS: run(0, BATCH_RECORDS + 5), OTHER: run(0, 2, OTHER)})

    assert got == [(EVENTS, BATCH_RECORDS - 1, BATCH_RECORDS), (OTHER, 1, 2), (EVENTS, BATCH_RECORDS + 4, 5)]


async def test_fetching_hears_when_the_last_of_the_raw_records_handed_over_is_acknowledged(
    consumer: BatchConsumer,
) -> None:
    consumer._ours.raw_topics.add(EVENTS.topic)
    fetched(consumer).batches = {EVENTS: run(0, BATCH_RECORDS + 5), OTHER: run(0, 2, OTHER), LOG: run(0, 1, LOG)}
    heard = []
    messages = [message async for _, message in consumer.getmany(1.0)]
    for message in messages:
        consumer.ack(message)
        heard.append((message.tp, fetched(consumer).wrote_times))

    assert heard == [(EVENTS, 0), (OTHER, 0), (LOG, 0), (EVENTS, 1)]


async def test_raw_records_of_an_earlier_fetch_are_waited_for_too(consumer: BatchConsumer) -> None:
    consumer._ours.raw_topics.add(EVENTS.topic)
    messages = []
    for tp in (EVENTS, EVENTS._replace(partition=1)):
        fetched(consumer).batches = {tp: run(0, 2, tp)}
        messages += [message async for _, message in consumer.getmany(1.0)]
    heard = []
    for message in reversed(messages):
        consumer.ack(message)
        heard.append(fetched(consumer).wrote_times)

    assert heard == [0, 1]


async def test_raw_records_of_an_assignment_that_is_over_are_not_waited_for(
    consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Consumer, "on_partitions_assigned", lambda *_: asyncio.sleep(0))
    consumer._ours.raw_topics.add(EVENTS.topic)
    await delivered(consumer, {EVENTS: run(0, 5)})
    await consumer.on_partitions_assigned({EVENTS, OTHER})
    fetched(consumer).batches = {OTHER: run(0, 2, OTHER)}
    [message] = [message async for _, message in consumer.getmany(1.0)]
    consumer.ack(message)

    assert fetched(consumer).wrote_times == 1


async def test_a_batch_for_which_there_is_room_is_delivered_without_a_turn_of_the_loop(
    consumer: BatchConsumer,
) -> None:
    app, seen = consumer._ours, list[str]()
    app.flow_control.resume()

    async def deliver() -> None:
        seen.append("batch")

    consumer._delivery = deliver.__code__
    with pytest.raises(StopIteration) as ended:
        consumer.wait_first(deliver(), consumer.suspend_flow.wait()).send(None)

    assert (seen, ended.value.value.stopped) == (["batch"], False)


async def test_fausts_own_delivery_waits_for_nothing_where_there_is_room(consumer: BatchConsumer) -> None:
    app, batch = consumer._ours, cast(list[Any], run(0, 3))
    conductor = cast(Conductor, app.topics)
    channel = cast(Any, batched_topic(app, EVENTS.topic))
    conductor.add(channel)
    conductor._tp_to_callback[EVENTS] = conductor._build_handler(EVENTS, {channel})
    app.flow_control.resume()
    delivery = consumer.callback(_message(EVENTS, batch, 0))
    with pytest.raises(StopIteration):
        consumer.wait_first(delivery, consumer.suspend_flow.wait()).send(None)

    assert channel.queue.get_nowait().value is batch


async def test_what_a_delivery_raises_is_raised(consumer: BatchConsumer) -> None:
    consumer._ours.flow_control.resume()

    async def deliver() -> None:
        raise LookupError("no such partition")

    consumer._delivery = deliver.__code__
    with pytest.raises(LookupError):
        await consumer.wait_first(deliver(), consumer.suspend_flow.wait())


@pytest.mark.parametrize("lacking", ["flow", "the consumer's flow", "room", "the lock"])
async def test_a_batch_for_which_there_is_no_room_is_left_when_a_rebalance_begins(
    consumer: BatchConsumer, lacking: str
) -> None:
    app, ended = consumer._ours, list[str]()
    channel = batched_topic(app, OTHER.topic)
    app.topics.add(channel)
    app.flow_control.resume()
    if lacking == "flow":
        app.flow_control.suspend()
    elif lacking == "the consumer's flow":
        consumer.flow_active = False
    elif lacking == "room":
        for _ in range(channel.queue.maxsize):
            channel.queue.force_put_nowait(cast(Any, "batch"))
    else:
        await app.topics._tp_to_callback_lock.acquire()  # type: ignore[attr-defined]

    async def deliver() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("left")

    consumer._delivery = deliver.__code__
    racing = asyncio.ensure_future(consumer.wait_first(deliver(), consumer.suspend_flow.wait()))
    await asyncio.sleep(0.01)
    assert not racing.done()
    consumer.suspend_flow.set()
    await asyncio.wait_for(racing, 5)
    await asyncio.sleep(0)

    assert ended == ["left"]


async def test_what_is_no_delivery_is_waited_for_as_ever(consumer: BatchConsumer) -> None:
    consumer._ours.flow_control.resume()
    done = await consumer.wait_first(asyncio.sleep(0, "first"), asyncio.Event().wait(), timeout=5)

    assert done.results == ["first"]


async def test_portions_of_a_changelog_are_delivered_as_they_are_partitions_in_turn(consumer: BatchConsumer) -> None:
    def portion(offset: int) -> Any:
        return Portion([Batch(memoryview(b""), offset, offset + 1, 0, is_control=False, is_intact=True, records=0)], 0)

    first, second, other = portion(7), portion(9), portion(3)
    fetched(consumer).batches = {LOG: [first, second], LOG_1: [other]}
    consumer._active_partitions = {LOG, LOG_1}
    got = [(tp, message.offset, message.value) async for tp, message in consumer.getmany(1.0)]

    assert cast(Any, got) == [(LOG, 7, first), (LOG_1, 3, other), (LOG, 9, second)]


async def test_while_the_gate_is_shut_only_changelogs_are_read(consumer: BatchConsumer) -> None:
    consumer._open = False
    await delivered(consumer, {EVENTS: run(0, 1), LOG: run(0, 1, LOG)})

    assert fetched(consumer).asked == [{LOG}]


async def test_during_a_rebalance_nothing_is_read(consumer: BatchConsumer) -> None:
    consumer._revoking = True

    assert await delivered(consumer, {LOG: run(0, 1, LOG)}) == []
    assert fetched(consumer).asked == []


async def test_a_rebalance_between_two_batches_holds_the_second_back(consumer: BatchConsumer) -> None:
    fetched(consumer).batches = {EVENTS: run(0, BATCH_RECORDS + 5)}
    seen = []
    async for _, message in consumer.getmany(1.0):
        seen.append(message.offset)
        consumer._revoking = True

    assert seen == [BATCH_RECORDS - 1]


async def test_the_gate_opens_for_the_rebalance_of_the_present_generation_only(consumer: BatchConsumer) -> None:
    app = consumer._ours
    for revoking, generation, opened in ((False, 3, True), (True, 3, False), (False, 2, False)):
        consumer._open, consumer._revoking = False, revoking
        app.consumer_generation_id, app.tables.recovery._generation_id = 3, generation  # type: ignore[attr-defined]
        app.on_rebalance_end()
        assert consumer.is_open is opened


async def test_a_hole_in_a_source_ends_the_worker(consumer: BatchConsumer, deaths: Deaths) -> None:
    await delivered(consumer, {EVENTS: run(0, 3)})
    consumer.earliest_offsets = _earliest(0)  # type: ignore[method-assign]

    with pytest.raises(deaths.died):
        await delivered(consumer, {EVENTS: run(5, 1)})
    assert deaths.codes == [Code.HOLE]


async def test_a_repeat_within_an_assignment_ends_the_worker(consumer: BatchConsumer, deaths: Deaths) -> None:
    await delivered(consumer, {EVENTS: run(0, 3)})
    consumer.earliest_offsets = _earliest(0)  # type: ignore[method-assign]

    with pytest.raises(deaths.died):
        await delivered(consumer, {EVENTS: run(2, 1)})
    assert deaths.codes == [Code.HOLE]


async def test_the_first_batch_must_join_the_committed_offset(consumer: BatchConsumer, deaths: Deaths) -> None:
    consumer._committed_offset[EVENTS] = 7
    consumer.earliest_offsets = _earliest(0)  # type: ignore[method-assign]

    with pytest.raises(deaths.died):
        await delivered(consumer, {EVENTS: run(8, 1)})


async def test_what_retention_deleted_is_told_and_the_rest_is_read(
    consumer: BatchConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    await delivered(consumer, {EVENTS: run(0, 3)})
    consumer.earliest_offsets = _earliest(5)  # type: ignore[method-assign]

    assert await delivered(consumer, {EVENTS: run(5, 1)}) == [(EVENTS, 5, 1)]
    assert "3..4 were deleted by retention" in caplog.text


async def test_changelogs_may_have_holes(consumer: BatchConsumer) -> None:
    await delivered(consumer, {LOG: run(0, 1, LOG)})

    assert await delivered(consumer, {LOG: run(9, 1, LOG)}) == [(LOG, 9, 1)]


def _earliest(offset: int) -> Any:
    async def earliest_offsets(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, offset)

    return earliest_offsets


async def test_only_a_prefix_of_what_was_delivered_is_committed(consumer: BatchConsumer, deaths: Deaths) -> None:
    await delivered(consumer, {EVENTS: run(0, 3)})
    await delivered(consumer, {EVENTS: run(3, 3)})

    assert consumer._new_offset(EVENTS) is None
    consumer._done[EVENTS].add(2)
    assert consumer._new_offset(EVENTS) == 3
    consumer._done[EVENTS].add(5)
    assert consumer._new_offset(EVENTS) == 6
    assert consumer._new_offset(EVENTS) is None


async def test_a_batch_worked_behind_one_that_was_dropped_ends_the_worker(
    consumer: BatchConsumer, deaths: Deaths
) -> None:
    await delivered(consumer, {EVENTS: run(0, 3)})
    await delivered(consumer, {EVENTS: run(3, 3)})
    consumer._done[EVENTS].add(5)

    with pytest.raises(deaths.died):
        consumer._new_offset(EVENTS)
    assert deaths.codes == [Code.HOLE]


@pytest.fixture
async def stock(consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch) -> list[dict[TP, int]]:
    """What is committed, where a topic that is not batched is read and acknowledged too."""
    app = consumer._ours
    app.topics.add(app.topic(PLAIN.topic, EVENTS.topic))
    await cast(Any, app.topics)._update_indices()
    consumer._active_partitions = {EVENTS, OTHER, LOG, PLAIN}
    taken: list[dict[TP, int]] = []

    async def commit(offsets: dict[TP, int]) -> bool:
        taken.append(dict(offsets))
        return True

    async def flush() -> None:
        """Nothing was sent."""

    monkeypatch.setattr(consumer._thread, "commit", commit, raising=False)
    monkeypatch.setattr(consumer._thread, "assignment", lambda: {EVENTS, OTHER, LOG, PLAIN})
    monkeypatch.setattr(app.producer, "flush", flush)
    return taken


def plain(first: int, count: int) -> list[Any]:
    """Consecutive records as the client gives them."""
    return [
        ConsumerRecord(*PLAIN, first + at, 1_772_443_801_000, 0, b"k", b"v%d" % (first + at), None, 1, 2, ())
        for at in range(count)
    ]


async def test_a_topic_that_is_not_batched_is_delivered_event_by_event_and_committed_as_faust_does(
    consumer: BatchConsumer, stock: list[dict[TP, int]]
) -> None:
    fetched(consumer).batches = cast(Any, {PLAIN: plain(0, 3), EVENTS: run(0, 2)})
    got = [message async for _, message in consumer.getmany(1.0)]
    batch, *events = got
    assert (batch.tp, batch.offset, len(batch.value)) == (EVENTS, 1, 2)
    assert [(each.tp, each.offset, each.key, each.value) for each in events] == [
        (PLAIN, offset, b"k", b"v%d" % offset) for offset in range(3)
    ]

    assert await consumer.commit() is False, "nothing is acknowledged"
    consumer.ack(events[0])
    consumer.ack(events[2])
    assert await consumer.commit() is True
    consumer.ack(events[1])
    consumer.ack(batch)
    assert await consumer.commit() is True
    assert stock == [{PLAIN: 1}, {PLAIN: 3, EVENTS: 2}]
    assert await consumer.commit() is False, "all of it is committed"


async def test_offsets_that_a_topic_skips_are_passed_over_where_it_is_not_batched(
    consumer: BatchConsumer, stock: list[dict[TP, int]]
) -> None:
    fetched(consumer).batches = {PLAIN: plain(0, 1) + plain(4, 1)}
    first, last = [message async for _, message in consumer.getmany(1.0)]
    await consumer._add_gap(PLAIN, 1, 3)  # Faust's fetcher calls it between the two
    consumer.ack(first)
    consumer.ack(last)

    assert await consumer.commit() is True
    assert stock == [{PLAIN: 5}]


async def test_a_fresh_heartbeat_is_a_lease(consumer: BatchConsumer) -> None:
    await asyncio.wait_for(consumer.lease(), 1)


async def test_without_heartbeats_and_expelled_the_worker_dies(consumer: BatchConsumer, deaths: Deaths) -> None:
    fetched(consumer).heartbeat_at = since_boot_s() - 9.5
    consumer._revoking = True

    with pytest.raises(deaths.died):
        await consumer.lease()
    assert deaths.codes == [Code.EXPELLED]


async def test_while_the_broker_is_away_a_write_waits_for_the_next_heartbeat(
    consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched(consumer).heartbeat_at = since_boot_s() - 9.5
    looks = 0

    def last_ok_heartbeat() -> float:
        nonlocal looks
        looks += 1
        return fetched(consumer).heartbeat_at

    monkeypatch.setattr(consumer._thread, "last_ok_heartbeat", last_ok_heartbeat)
    waiting = asyncio.create_task(consumer.lease())
    async with asyncio.timeout(5):
        while looks < 2:  # noqa: ASYNC110 - it looks again by itself
            await asyncio.sleep(0.001)
    assert not waiting.done()

    fetched(consumer).heartbeat_at = since_boot_s()
    await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize(("position", "ends"), [(8, True), (7, False), (None, False)])
async def test_recovery_ends_at_a_tail_that_is_not_readable(
    consumer: BatchConsumer, position: int | None, ends: bool
) -> None:
    offsets = {LOG: 6}
    recovery = SimpleNamespace(
        in_recovery=True,
        active_offsets=offsets,
        active_highwaters={LOG: 7},
        active_remaining=lambda: {LOG: 7 - offsets[LOG]},
    )
    looks = 0

    async def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks > 3:
            consumer._stopped.set()

    async def at(_: TP) -> int | None:
        return position

    tables = SimpleNamespace(recovery=recovery, changelog_queue=asyncio.Queue())
    consumer._ours = cast(Any, SimpleNamespace(tables=tables, consumer_generation_id=1))
    consumer.sleep, consumer.position = cast(Any, sleep), cast(Any, at)  # type: ignore[method-assign]
    await cast(Any, BatchConsumer._finish_recovery).fun(consumer)

    assert (offsets[LOG] == 7) is ends


async def test_the_watchdog_is_told_of_work_lag_and_rebalance(consumer: BatchConsumer) -> None:
    assert consumer.progress()[1] is None
    before, _ = consumer.progress()
    await delivered(consumer, {EVENTS: run(0, 3)})
    after, why = consumer.progress()
    assert (after != before, why) == (True, "stall")
    consumer._open = False
    assert consumer.progress()[1] == "rebalance"


async def test_rejoining_over_and_over_without_ever_reading_is_no_progress(consumer: BatchConsumer) -> None:
    app = consumer._ours
    consumer._open = False
    marks = []
    for generation in range(1, REJOINS + 4):
        app.consumer_generation_id = generation
        consumer._rejoins, consumer._assigned_at = consumer._rejoins + 1, since_boot_s()
        marks.append(consumer.progress())
    assert len(set(marks)) == REJOINS + 1, "the last three are one"
    assert {why for _, why in marks} == {"rebalance"}
    consumer._assigned_at -= REJOINED_WITHIN_S
    assert consumer.progress()[0] != "rejoins", "the last assignment holds: it recovers"
    consumer._assigned_at = since_boot_s()

    app.tables.recovery._generation_id = app.consumer_generation_id  # type: ignore[attr-defined]
    consumer._revoking = False
    consumer.open_after_rebalance()
    consumer._open = False
    assert consumer.progress()[0] != "rejoins", "it was ready in between"


async def test_what_is_due_is_every_source_from_where_it_was_delivered_or_else_committed(
    consumer: BatchConsumer,
) -> None:
    consumer._committed_offset[OTHER] = 7
    await delivered(consumer, {EVENTS: run(0, 3)})

    assert consumer.due().offsets == {EVENTS: 3, OTHER: 7}


async def test_where_the_broker_did_not_say_what_was_committed_the_client_goes_on_where_it_found(
    consumer: BatchConsumer,
) -> None:
    fetched(consumer).places = {EVENTS: 8, OTHER: 8}
    consumer._committed_offset[OTHER] = 7

    assert consumer.due().offsets == {EVENTS: 8, OTHER: 7}


async def test_nothing_is_due_while_a_rebalance_a_halt_a_stop_or_a_full_queue_is_in_the_way(
    consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert consumer.due().offsets != {}
    consumer._open = False
    assert consumer.due().offsets == {}
    consumer._open = True
    fetched(consumer).batches = {EVENTS: run(0, 1)}
    with monkeypatch.context() as patience:
        async for _ in consumer.getmany(1.0):
            assert consumer.due().offsets != {}, "it was handed over just now"
            patience.setattr(undelivered, "SLOW_S", -1.0)
            assert consumer.due().offsets == {}
    assert consumer.due().offsets != {}
    consumer._ours._stopped.set()
    assert consumer.due().offsets == {}
    consumer._ours._stopped.clear()
    consumer._ours.halt.begin("t-0: most of it")
    assert consumer.due().offsets == {}


async def test_what_a_leash_or_a_queue_under_pressure_holds_is_not_due(consumer: BatchConsumer) -> None:
    consumer.on_buffer_full(EVENTS)
    assert consumer.due().offsets == {OTHER: 0}
    consumer.on_buffer_drop(EVENTS)
    leash = consumer._ours.leash = Leash(EVENTS.topic)
    leash.through({OTHER: run(0, 1, OTHER)})
    assert consumer.due().offsets == {EVENTS: 0}


async def test_a_partition_that_stays_paused_is_due(consumer: BatchConsumer) -> None:
    consumer.pause_partitions([EVENTS])

    assert EVENTS not in consumer._readable()
    assert EVENTS in consumer.due().offsets


async def test_a_full_fetch_and_a_new_generation_are_another_turn(consumer: BatchConsumer) -> None:
    turns = [consumer.due().turn]
    await delivered(consumer, {OTHER: run(0, 3, OTHER)})
    assert consumer.due().turn == turns[0]
    await delivered(consumer, {OTHER: run(3, BATCH_RECORDS, OTHER)})
    turns.append(consumer.due().turn)
    consumer._ours.consumer_generation_id += 1
    turns.append(consumer.due().turn)

    assert len(set(turns)) == 3


async def test_lag_is_told_by_the_last_look_where_fetching_tells_none(consumer: BatchConsumer) -> None:
    assert consumer.lags() == {}
    consumer._committed_offset[EVENTS] = 4
    consumer._undelivered.ends = {EVENTS: 9}

    assert consumer.lags() == {EVENTS: 5}


@pytest.mark.parametrize("taken", [True, False])
async def test_the_age_of_the_last_commit_is_that_of_the_offsets_the_broker_took(
    consumer: BatchConsumer, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(offsets: dict[TP, int]) -> bool:
        return taken

    monkeypatch.setattr(consumer._thread, "commit", commit, raising=False)
    consumer._ours.committed_at = 5.0

    assert await consumer._commit({EVENTS: 3}) is taken
    assert (consumer._ours.committed_at > 5.0) is taken


async def test_a_commit_that_hangs_renews_nothing(consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer._thread, "commit", lambda _: asyncio.Event().wait(), raising=False)
    consumer._ours.committed_at = 5.0
    hanging = asyncio.create_task(consumer._commit({EVENTS: 3}))
    await asyncio.sleep(0)

    assert consumer._ours.committed_at == 5.0
    hanging.cancel()


async def test_nothing_waits_for_the_batches_of_a_halted_worker_but_for_those_in_work(consumer: BatchConsumer) -> None:
    halt = consumer._ours.halt
    [_] = await delivered(consumer, {EVENTS: run(0, 3)})
    fetched(consumer).batches = {EVENTS: run(3, 1)}
    waiting = [message async for _, message in consumer.getmany(1.0)]
    for message in waiting:
        consumer._unacked_messages.add(message)

    consumer._clean_unacked_messages()
    assert len(consumer._unacked_messages) == 1
    with halt.at_work.on(Lane("fold", 0)):
        halt.begin("t-0: most of it")
        consumer._clean_unacked_messages()
        assert len(consumer._unacked_messages) == 1
    consumer._clean_unacked_messages()
    assert len(consumer._unacked_messages) == 0
    assert consumer._new_offset(EVENTS) is None, "and nothing of it may be committed"

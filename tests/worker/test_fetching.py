"""The client's thread without a broker: what is fetched when, and what proves the lease."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from streams.worker.app import faust_app
from streams.worker.clock import since_boot_s
from streams.worker.fetching import FetchThread
from streams.worker.rhythm import GATHER_BYTES, GATHER_S, MANY, Ask
from streams.worker.settings import WorkerSettings
from streams.worker.transport import BatchConsumer

EVENTS, RAW = TP("t.permission.events", 0), TP("t.webhooks.raw", 0)
STATE = TP("t.permission.state", 0)


class Broker:
    """The client's side of a broker that never has anything, and what it was asked for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._metadata_max_age_ms = 300_000
        self.cluster = SimpleNamespace(leader_for_partition=lambda _: 0)
        self.asked: asyncio.Queue[tuple[set[str], int, int]] = asyncio.Queue()
        self.answers: asyncio.Queue[Any] = asyncio.Queue()

    async def send(self, _: int, request: Any) -> Any:
        topics = {topic for topic, _ in request.topics}
        self.asked.put_nowait((topics, request._max_wait_ms, request._min_bytes))
        return await self.answers.get()

    async def next(self) -> tuple[set[str], int, int]:
        return await asyncio.wait_for(self.asked.get(), 5)

    def answer(self) -> None:
        self.answers.put_nowait(SimpleNamespace(topics=[], API_VERSION=4))


@pytest.fixture
async def broker() -> Broker:
    return Broker()


def idle(settings: WorkerSettings) -> FetchThread:
    """A thread that was never started, its loop closed."""
    app = faust_app(settings)
    app.loop = asyncio.get_running_loop()
    app.raw_topics.add(RAW.topic)
    cast(Any, app.tables)._changelogs[STATE.topic] = None
    made = cast(BatchConsumer, app.consumer)._fetching
    made.thread_loop.close()
    return made


@pytest.fixture
async def thread(
    settings: WorkerSettings, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FetchThread]:
    """Fetching facts, raw records and a changelog with the client's own fetcher, once all is recovered."""
    made = idle(settings)
    made.thread_loop = asyncio.get_running_loop()
    subscriptions = SubscriptionState()
    subscriptions.subscribe(topics={EVENTS.topic, RAW.topic, STATE.topic})
    cast(BatchConsumer, made.consumer)._open = True
    fetcher = Fetcher(broker, subscriptions)
    coordinator = SimpleNamespace(_do_heartbeat=None, _send_req=None, coordinator_dead=None)
    made._consumer = cast(
        Any, SimpleNamespace(_fetcher=fetcher, _subscription=subscriptions, _coordinator=coordinator, _closed=False)
    )
    monkeypatch.setattr(AIOKafkaConsumerThread, "on_start", lambda _: asyncio.sleep(0))
    await made.on_start()
    subscriptions.assign_from_subscribed({TopicPartition(*tp) for tp in (EVENTS, RAW, STATE)})
    for tp in (EVENTS, RAW, STATE):
        subscriptions.seek(TopicPartition(*tp), 0)
    yield made
    await fetcher.close()


def fetcher_of(thread: FetchThread) -> Any:
    return cast(Any, thread._consumer)._fetcher


def assigned(thread: FetchThread) -> Any:
    return cast(Any, thread._consumer)._subscription.subscription.assignment


def decided(thread: FetchThread) -> Any:
    """What the fetcher would do now."""
    return fetcher_of(thread)._get_actions_per_node(assigned(thread))


async def decision(thread: FetchThread) -> Any:
    """The next that the fetcher makes of its own accord."""
    fetcher = fetcher_of(thread)
    decide, made = fetcher._get_actions_per_node, asyncio.get_running_loop().create_future()

    def told(assignment: Any) -> Any:
        fetcher._get_actions_per_node = decide
        made.set_result(decide(assignment))
        return made.result()

    fetcher._get_actions_per_node = told
    return await asyncio.wait_for(made, 5)


async def test_one_fetch_gathers_all_and_the_next_what_came_of_it(
    thread: FetchThread, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, facts, now_s = {EVENTS.topic, RAW.topic}, {EVENTS.topic}, 1_000.0
    monkeypatch.setattr(thread._rhythm, "_now_s", lambda: now_s)
    assert await broker.next() == (both, round(GATHER_S * 1000), GATHER_BYTES)
    thread._rhythm.took(10)
    broker.answer()
    thread.wrote()
    assert await broker.next() == (facts, 0, 0)
    now_s += GATHER_S / 5
    broker.answer()

    assert await broker.next() == (both, round(GATHER_S * 800), GATHER_BYTES), "raw records are as soon due as ever"


async def test_fetching_goes_on_by_itself_where_nobody_says_that_all_is_written(
    thread: FetchThread, broker: Broker
) -> None:
    await broker.next()
    thread._rhythm.took(10)
    broker.answer()

    assert await broker.next() == ({EVENTS.topic, RAW.topic}, round(GATHER_S * 1000), 1)


async def test_while_raw_records_are_translated_nothing_is_asked_until_another_thread_says_that_all_is_written(
    thread: FetchThread, broker: Broker
) -> None:
    await broker.next()
    thread._rhythm.took(10)
    thread._rhythm._next_at = math.inf  # it must be woken
    fetcher_of(thread)._fetcher_timeout = 60.0
    broker.answer()
    requests, *_ = await decision(thread)
    assert requests == []
    other = threading.Timer(0.05, thread.wrote)  # by then this loop sleeps
    other.start()

    assert await broker.next() == ({EVENTS.topic}, 0, 0)
    other.join()


@pytest.mark.parametrize("translating", [True, False])
async def test_offsets_are_reset_and_a_shorter_wait_is_kept(
    thread: FetchThread, broker: Broker, *, translating: bool
) -> None:
    await broker.next()
    if translating:
        thread._rhythm.took(10)
    fetcher = fetcher_of(thread)
    assigned(thread).state_value(TopicPartition(*EVENTS))._position = None
    fetcher._in_flight.clear()
    fetcher._records[TopicPartition(*RAW)] = SimpleNamespace(calculate_backoff=lambda: 0.001)
    requests, resets, timeout_s, *_ = decided(thread)

    assert (requests, dict(resets), timeout_s) == ([], {0: [TopicPartition(*EVENTS)]}, 0.001)


@pytest.mark.parametrize("translating", [True, False])
async def test_a_partition_without_a_leader_is_told(thread: FetchThread, broker: Broker, *, translating: bool) -> None:
    await broker.next()
    if translating:
        thread._rhythm.took(10)
    broker.cluster.leader_for_partition = lambda _: -1
    *_, invalid_metadata, _ = decided(thread)

    assert invalid_metadata


@pytest.mark.parametrize("what", ["reassigned", "another generation", "flow stopped"])
async def test_nothing_is_taken_until_an_assignment_is_sought(
    thread: FetchThread, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    consumer, client = cast(Any, thread.consumer), cast(Any, thread._consumer)
    consumer.flow_active = what != "flow stopped"
    taken = list[Any]()

    async def fetched_records(*_: Any, **__: Any) -> dict[TP, list[Any]]:
        taken.append("fact")
        return {EVENTS: ["fact"]}

    monkeypatch.setattr(client._fetcher, "fetched_records", fetched_records)
    if what == "reassigned":
        client._subscription.begin_reassignment()
    generation = thread.app.consumer_generation_id + (what == "another generation")

    assert await thread._fetch({EVENTS}, generation, 0.0) == {}
    assert not taken, "what is popped is gone"


async def test_a_thread_that_starts_remembers_heartbeats_heeds_refusals_and_goes_on_after_them(
    thread: FetchThread,
) -> None:
    coordinator = cast(Any, thread._consumer)._coordinator

    assert coordinator._do_heartbeat.__qualname__.startswith("FetchThread._remember_heartbeats")
    assert coordinator._send_req.__module__ == "streams.kafka.refusals"
    assert coordinator._push_error_to_user.__module__ == "streams.kafka.refusals"


async def test_facts_stay_due_where_nobody_could_be_asked_for_them(thread: FetchThread, broker: Broker) -> None:
    await broker.next()
    thread._rhythm.took(10)
    thread._rhythm.wrote()
    decided(thread)  # the one broker is being asked already

    ask = thread._rhythm.next()
    assert isinstance(ask, Ask)
    assert not ask.raw


async def test_a_changelog_is_fetched_only_while_the_worker_recovers(thread: FetchThread, broker: Broker) -> None:
    assert STATE.topic not in (await broker.next())[0]
    cast(BatchConsumer, thread.consumer)._open = False
    broker.answer()

    assert STATE.topic in (await broker.next())[0]


async def test_a_row_that_nobody_takes_holds_nothing_up(
    thread: FetchThread, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread._rhythm, "_now_s", lambda: 1_000.0)
    await broker.next()
    fetcher = fetcher_of(thread)
    fetcher._records[TopicPartition(*STATE)] = SimpleNamespace(calculate_backoff=lambda: 0.001)
    thread._rhythm.took(10)
    assert decided(thread)[2] == pytest.approx(GATHER_S)
    thread._rhythm.asked()
    fetcher._records[TopicPartition(*STATE)] = SimpleNamespace(calculate_backoff=lambda: 60.0)
    broker.answer()

    assert await broker.next()


async def test_raw_records_among_what_is_handed_over_begin_a_round(
    thread: FetchThread, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = cast(Any, thread.consumer)
    consumer.flow_active = True
    there: dict[TP, list[Any]] = {}

    async def fetched_records(*_: Any, **__: Any) -> dict[TP, list[Any]]:
        return there

    monkeypatch.setattr(fetcher_of(thread), "fetched_records", fetched_records)
    there = {EVENTS: ["fact"]}
    assert await thread._fetch({EVENTS, RAW}, thread.app.consumer_generation_id, 0.0) == there
    assert not isinstance(thread._rhythm.next(), float)
    there = {RAW: ["webhook"] * MANY}
    assert await thread._fetch({EVENTS, RAW}, thread.app.consumer_generation_id, 0.0) == there
    assert not isinstance(thread._rhythm.next(), float), "so many that fetching goes ahead"
    there = {RAW: ["webhook"]}
    assert await thread._fetch({EVENTS, RAW}, thread.app.consumer_generation_id, 0.0) == there
    assert isinstance(thread._rhythm.next(), float)


async def test_a_thread_that_has_ended_need_not_hear_what_was_written(settings: WorkerSettings) -> None:
    idle(settings).wrote()


async def test_the_lease_counts_from_the_sending_of_a_good_heartbeat() -> None:
    answers = [True, False]

    async def beat() -> bool:
        await asyncio.sleep(0.02)
        return answers.pop(0)

    coordinator = SimpleNamespace(_do_heartbeat=beat)
    thread = FetchThread.__new__(FetchThread)
    thread._consumer = SimpleNamespace(_coordinator=coordinator)
    assert thread.last_ok_heartbeat() == 0.0
    thread._remember_heartbeats()

    before = since_boot_s()
    assert await coordinator._do_heartbeat() is True
    good = thread.last_ok_heartbeat()
    assert before <= good < before + 0.02
    assert await coordinator._do_heartbeat() is False
    assert thread.last_ok_heartbeat() == good


async def test_the_client_knows_its_place_once_it_was_sought() -> None:
    subscriptions = SubscriptionState()
    thread = FetchThread.__new__(FetchThread)
    thread._consumer = SimpleNamespace(_subscription=subscriptions)
    subscriptions.subscribe(topics={EVENTS.topic})
    assert thread.place_of(EVENTS) == 0
    place = TopicPartition(*EVENTS)
    subscriptions.assign_from_subscribed({place})
    assert thread.place_of(EVENTS) == 0
    subscriptions.seek(place, 8)
    assert thread.place_of(EVENTS) == 8

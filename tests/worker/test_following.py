"""A generation that only folds, without a broker: what it lets through, what it reads, what it never writes."""

import asyncio
import dataclasses
from typing import Any, NamedTuple, cast

import pytest
from faust.types import TP

from schemas.ids import Pair
from streams.worker import handover
from streams.worker.agents import FOLDED, FOLLOWED, SOURCES
from streams.worker.app import build
from streams.worker.exits import Code
from streams.worker.fold import Folded
from streams.worker.following import Following, Leash
from streams.worker.measures import Measures
from streams.worker.outputs import Outbox
from streams.worker.rows import Row
from streams.worker.settings import WorkerSettings
from streams.worker.startup import Unfit, check_topics
from streams.worker.transport import BatchConsumer
from streams.worker.writing import Writer
from tests.ports import free_port
from tests.worker.stand_ins import Around, DictTable, HandSender, OpenGate, Record, record

EVENTS, OTHER = TP("t.permission.events", 0), TP("t.permission.events", 1)
TICKS = TP("t.permission.ticks", 0)


def run(first: int, count: int, tp: TP = EVENTS) -> list[Record]:
    return [record(b"{}", offset=first + at, topic=tp.topic, partition=tp.partition) for at in range(count)]


def offsets(passing: dict[TP, list[Any]]) -> dict[TP, list[int]]:
    return {tp: [one.offset for one in records] for tp, records in passing.items()}


@pytest.fixture
def follower(settings: WorkerSettings) -> WorkerSettings:
    return dataclasses.replace(settings, generation=2)


def test_nothing_passes_before_it_is_known_how_far_the_reading_generation_is() -> None:
    leash = Leash(EVENTS.topic)
    assert leash.through({EVENTS: run(0, 3)}) == {}
    assert leash.held == {EVENTS}


def test_facts_pass_up_to_where_the_reading_generation_is_and_the_rest_waits_in_order() -> None:
    leash = Leash(EVENTS.topic)
    leash.reach({0: 2})
    assert offsets(leash.through({EVENTS: run(0, 4), OTHER: run(0, 1, OTHER)})) == {EVENTS: [0, 1]}
    assert leash.held == {EVENTS, OTHER}
    leash.reach({0: 3, 1: 9})
    assert offsets(leash.through({})) == {EVENTS: [2], OTHER: [0]}
    leash.reach({0: 9, 1: 9})
    assert offsets(leash.through({OTHER: run(1, 1, OTHER)})) == {OTHER: [1], EVENTS: [3]}
    assert leash.held == frozenset()


def test_what_is_no_fact_of_a_pair_passes_at_once() -> None:
    assert offsets(Leash(EVENTS.topic).through({TICKS: run(0, 2, TICKS)})) == {TICKS: [0, 1]}


def test_with_a_new_assignment_what_waited_is_forgotten() -> None:
    leash = Leash(EVENTS.topic)
    leash.through({EVENTS: run(0, 3)})
    leash.forget()
    leash.reach({0: 9})
    assert leash.through({}) == {}


class Fetched:
    """What the client has for each partition, handed out once."""

    def __init__(self) -> None:
        self.there: dict[TP, list[Record]] = {}
        self.asked: list[set[TP]] = []

    async def fetch(self, active: set[TP], generation: int, timeout_s: float) -> dict[TP, list[Record]]:
        self.asked.append(set(active))
        return {tp: self.there.pop(tp) for tp in list(self.there) if tp in active}

    def highwater(self, tp: TP) -> int | None:
        return 10


@pytest.fixture
async def consumer(follower: WorkerSettings) -> BatchConsumer:
    app = build(follower, Measures()).app
    app.loop = asyncio.get_running_loop()
    made = cast(BatchConsumer, app.consumer)
    made._thread.thread_loop.close()
    made._thread = cast(Any, Fetched())
    made._active_partitions = {EVENTS, TICKS}
    made._revoking, made._open = False, True
    return made


async def delivered(consumer: BatchConsumer) -> list[tuple[TP, int]]:
    return [(tp, message.offset) async for tp, message in consumer.getmany(1.0)]


async def test_a_follower_delivers_what_it_may_fetches_no_more_of_what_waits_and_is_not_stalled_by_it(
    consumer: BatchConsumer,
) -> None:
    fetched, leash = cast(Fetched, consumer._thread), consumer._ours.leash
    assert leash is not None
    fetched.there = {EVENTS: run(0, 4), TICKS: run(0, 1, TICKS)}
    leash.reach({0: 2})
    assert await delivered(consumer) == [(TICKS, 0), (EVENTS, 1)]
    for tp, last in ((TICKS, 0), (EVENTS, 1)):
        consumer._done[tp].add(last)
        assert consumer._new_offset(tp) == last + 1
    del consumer._next[TICKS]
    assert consumer.progress()[1] is None, "it waits for the reading generation, not for itself"
    assert await delivered(consumer) == []
    assert fetched.asked == [{EVENTS, TICKS}, {TICKS}]
    leash.reach({0: 4})
    assert await delivered(consumer) == [(EVENTS, 3)]
    assert consumer.progress()[1] == "stall"


async def test_what_was_fetched_before_a_rebalance_is_not_kept(consumer: BatchConsumer) -> None:
    fetched, leash = cast(Fetched, consumer._thread), consumer._ours.leash
    assert leash is not None
    fetched.there = {EVENTS: run(0, 4)}
    fetch = fetched.fetch

    async def and_then(active: set[TP], generation: int, timeout_s: float) -> dict[TP, list[Record]]:
        found = await fetch(active, generation, timeout_s)
        consumer._revoking = True
        return found

    fetched.fetch = and_then  # type: ignore[method-assign]
    assert await delivered(consumer) == []
    assert leash.held == frozenset()


def subscribed(settings: WorkerSettings) -> set[str]:
    app = build(settings, Measures()).app
    return {name for agent in app.agents.values() for topic in [agent.channel] for name in cast(Any, topic).topics}


def test_a_follower_reads_neither_raw_topics_nor_commands_and_writes_no_ticks(
    settings: WorkerSettings, follower: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking: list[str] = []
    monkeypatch.setattr("streams.worker.app.install_ticks", lambda app, *_: ticking.append(app.conf.id))
    own = {f"t.{name}" for name in (*FOLLOWED, "business.events")}
    assert subscribed(follower) == own
    assert subscribed(settings) == own | {f"t.{name}" for name in (*FOLDED, *SOURCES)}
    assert ticking == ["t.worker"]


async def test_a_follower_drops_what_a_pair_hands_on(follower: WorkerSettings) -> None:
    sender = HandSender()
    around = Around(OpenGate(), sender)
    key = Pair("700100200300400", "447700900123").key
    folded = Folded(records=[Row(key, b"{}", [])], rows={key: Row(key, b"{}", [])})
    folded.forwards[0].append(Row(key, b"{}", []))
    for settings, hands_on in ((follower, False), (dataclasses.replace(follower, reading_generation=2), True)):
        assert settings.only_folds is not hands_on
        writer = Writer(around, DictTable(sender, "state"), Outbox(settings.names), Measures(), hands_on=hands_on)
        await writer.write(0, folded)
        assert bool(sender.on("t.permission.events")) is hands_on
    assert len(sender.on("t.permission.records.g2")) == 2


class Offset(NamedTuple):
    offset: int


class Groups:
    """The broker's admin side: offsets by group, members by group with what they subscribe to."""

    def __init__(self, offsets: dict[str, dict[tuple[str, int], int]]) -> None:
        self.offsets = offsets

    async def list_consumer_group_offsets(self, group: str, partitions: Any) -> dict[Any, Offset]:
        known = self.offsets.get(group, {})
        return {place: Offset(known.get((place.topic, place.partition), -1)) for place in partitions}


async def test_numbers_are_folded_before_pairs_and_pairs_as_far_as_the_reading_generation_has(
    follower: WorkerSettings,
) -> None:
    following = Following(follower)
    of_numbers, of_pairs = ("t.business.events", 0), (EVENTS.topic, 0)
    admin = Groups({"t.worker": {of_numbers: 3, of_pairs: 5}, "t.worker.g2": {of_numbers: 2}})
    following.leash.through({EVENTS: run(0, 9)})
    await following._look(admin)
    assert following.leash.through({}) == {}
    admin.offsets["t.worker"][of_numbers] = 7  # what came in since it started is not waited for
    admin.offsets["t.worker.g2"][of_numbers] = 3
    await following._look(admin)
    assert offsets(following.leash.through({})) == {EVENTS: [0, 1, 2, 3, 4]}


RAW = b"t.webhooks.raw"


@pytest.mark.parametrize(
    ("generation", "reading", "of", "state", "members", "told"),
    [
        (2, 2, 1, "Stable", [RAW, b"t.permission.events"], "workers of generation 1 still translate (1)"),
        (2, 2, 1, "Stable", [b"t.permission.events"], None),
        (2, 2, 1, "PreparingRebalance", [b""], "generation 1 are about to share"),
        (2, 2, 2, "Stable", [b"t.permission.events"], "workers of generation 2 only fold (1)"),
        (2, 2, 2, "Stable", [RAW], None),
        (2, 1, 2, "Stable", [RAW], "workers of generation 2 translate (1), and this one would not"),
        (2, 1, 2, "Stable", [b"t.permission.events"], None),
    ],
)
def test_one_generation_translates_and_in_one_group_all_do_the_same(
    settings: WorkerSettings, generation: int, reading: int, of: int, state: str, members: list[bytes], told: str | None
) -> None:
    mine = dataclasses.replace(settings, generation=generation, reading_generation=reading)
    obstacle = handover._in_the_way(mine, of, state, RAW, members)
    assert (obstacle is None) if told is None else (obstacle is not None and told in obstacle)


async def test_a_broker_that_is_away_at_the_handover_is_told_as_that(settings: WorkerSettings) -> None:
    nobody = dataclasses.replace(settings, kafka_bootstrap=f"127.0.0.1:{free_port()}", broker_patience_s=0.0)
    with pytest.raises(Unfit, match="does not tell its groups") as told:
        await handover.take_over(nobody)
    assert told.value.code == Code.BROKER_UNREACHABLE


def test_a_follower_without_its_topics_names_the_command_that_makes_them(follower: WorkerSettings) -> None:
    with pytest.raises(
        Unfit, match=r"t\.permission\.state\.g2\. Create them with: callgrant topics create --generation 2"
    ):
        check_topics({"t.permission.state.g2": 0}, follower)

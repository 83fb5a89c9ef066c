"""A user with two names: whenever the link is learned, the evidence ends under the wa_id. Nothing goes in circles."""

import random
from dataclasses import replace

import pytest

from schemas.codec import decode_fact
from schemas.envelope import header
from schemas.events import PairFact
from schemas.ids import Pair, partition_of
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import decode_state
from streams.worker.rows import Row
from streams.worker.settings import WorkerSettings
from tests.permission.story import (
    DAY,
    HOUR,
    NUMBER,
    SCOPED,
    T0,
    USER,
    accepted,
    call,
    connected,
    delivered,
    linked,
    messaged,
    moved,
    reading,
    refused,
    rejected,
    sent,
    status,
    unanswered,
)
from tests.worker.conftest import Deaths
from tests.worker.seeded import evidence
from tests.worker.stand_ins import Record, fact_record, fold_facts, record
from tests.worker.test_agents import CHANGES, EVENTS, RECORDS, STATE, Bench, until, worked
from tests.worker.test_fold import keep, values

SCOPED_KEY, KEY = Pair(NUMBER, SCOPED).key, Pair(NUMBER, USER).key
PARTITIONS = 8


def scoped(fact: PairFact) -> PairFact:
    """The fact as a payload tells it that names the user by the business-scoped id alone."""
    return replace(fact, user=SCOPED)


def came_back(rows: list[Row], first: int = 0, partitions: int = 1) -> list[Record]:
    """What was sent to `permission.events`, as it is read there."""
    read = [record(row.value, key=row.key, offset=at, headers=row.headers) for at, row in enumerate(rows, first)]
    return [each._replace(partition=partition_of(each.key or b"", partitions)) for each in read]


STORY: list[PairFact] = [
    sent("r1", T0),
    status("r1", "sent", T0 + 1),
    delivered("r1", T0 + 5),
    status("r1", "read", T0 + 60),
    accepted("m1", T0 + HOUR, to="r1"),
    *connected(T0 + 2 * HOUR),
    *unanswered(T0 + 3 * HOUR),
    *call("c9", ("offered", T0 + 4 * HOUR), ("ringing", T0 + 4 * HOUR + 1), ("rejected", T0 + 4 * HOUR + 9)),
    messaged("wamid.TESTMSG1", T0 + 5 * HOUR),
    refused("request", 138_009, T0 + 6 * HOUR, T0 + DAY),
    refused("call", 138_006, T0 + 7 * HOUR),
    reading("temporary", T0 + 8 * HOUR, T0 + 9 * DAY),
    rejected("m2", T0 + 9 * HOUR),
    moved("new", T0 + 10 * HOUR),
]


class Log:
    """`permission.events` and the rows of all its partitions, folded until nothing is left to read."""

    def __init__(self) -> None:
        self.store: dict[bytes, bytes] = {}
        self.folded = 0
        self.changes: list[str] = []
        self.forwarded: list[str] = []

    def add(self, *facts: PairFact) -> None:
        waiting = [
            each._replace(partition=partition_of(each.key or b"", PARTITIONS)) for each in map(fact_record, facts)
        ]
        while waiting:
            arrival = waiting.pop(0)
            done = fold_facts([arrival], self.store.get, DEFAULT_POLICY, PARTITIONS)
            assert done.parked == []
            keep(self.store, done)
            self.changes += [change["type"] for change in values(done.changes)]
            for partition, rows in done.forwards.items():
                back = came_back(rows, partitions=PARTITIONS)
                assert {each.partition for each in back} == {partition}
                self.forwarded += [header(each.headers, "ce_id") or "" for each in back]
                waiting += back
            self.folded += 1
            assert self.folded < 500, "facts go in circles"

    def state(self, key: bytes) -> PairState:
        return decode_state(self.store[key])


def without_names(state: PairState) -> PairState:
    """The evidence without what tells by which name it came."""
    return evidence(state)._replace(aliases=())


@pytest.fixture(scope="module")
def direct() -> Log:
    """The story as it is when every payload names the user by the wa_id."""
    log = Log()
    log.add(*STORY)
    return log


@pytest.mark.parametrize("learned", range(len(STORY) + 1))
def test_whenever_the_link_is_learned_the_evidence_ends_under_the_wa_id(direct: Log, learned: int) -> None:
    log = Log()
    told = [scoped(fact) for fact in STORY]
    log.add(*told[:learned], linked(), *told[learned:])

    assert without_names(log.state(KEY)) == without_names(direct.state(KEY))
    assert log.state(KEY).aliases == (SCOPED,)
    assert log.state(SCOPED_KEY).links != ()
    emptied = PairState(phone_number_id=NUMBER, user=SCOPED, links=log.state(SCOPED_KEY).links)
    assert evidence(log.state(SCOPED_KEY)) == emptied


def test_facts_of_both_names_in_any_order_end_the_same(direct: Log) -> None:
    draw = random.Random(5)
    for _ in range(20):
        told = [fact if draw.random() < 0.5 else scoped(fact) for fact in STORY]
        told += [linked(), *draw.sample(told, 6)]
        draw.shuffle(told)
        log = Log()
        log.add(*told)
        assert without_names(log.state(KEY)) == without_names(direct.state(KEY))


def test_a_fact_handed_on_keeps_its_id_and_says_so() -> None:
    log = Log()
    fact = scoped(STORY[0])
    log.add(fact, linked())
    log.add(scoped(STORY[4]))

    assert log.forwarded == [fact.fact_id, STORY[4].fact_id]
    done = fold_facts([fact_record(scoped(STORY[2]))], log.store.get, DEFAULT_POLICY, 1)
    [row] = done.forwards[0]
    handed_on = decode_fact(row.value or b"")
    assert isinstance(handed_on, PairFact)
    assert (row.key, handed_on.user, handed_on.aliases, handed_on.forwarded) == (KEY, USER, (SCOPED,), True)


def test_a_repeated_link_hands_nothing_on_again_and_the_row_announces_one_last_thing() -> None:
    log = Log()
    log.add(*[scoped(fact) for fact in STORY[:5]], linked())
    handed_on = len(log.forwarded)
    assert handed_on > 0
    log.add(linked(), linked(T0 + DAY))

    assert len(log.forwarded) == handed_on
    assert log.changes.count("pair_merged") == 1


def test_a_second_user_of_one_scoped_id_is_told_once_however_often_it_is_repeated() -> None:
    log, other = Log(), "447700900456"
    log.add(*[scoped(fact) for fact in STORY[:5]], linked(T0 + HOUR), linked(wa_id=other))
    log.add(linked(T0 + DAY), linked(T0 + DAY, other), linked(T0 + 1), scoped(STORY[5]))

    assert log.changes.count("anomaly_raised") == 1
    assert log.state(SCOPED_KEY).forwards_to == other
    assert log.state(Pair(NUMBER, other).key).calls != ()


def test_a_link_away_from_a_wa_id_is_no_link_and_cannot_make_a_circle() -> None:
    log = Log()
    other = "447700900456"
    log.add(*STORY[:5], linked(user=USER, wa_id=other), linked(user=other, wa_id=USER), *STORY[5:])

    assert log.forwarded == []
    assert log.state(KEY).links == ()


def test_a_link_that_comes_after_the_horizon_is_a_link_all_the_same() -> None:
    log = Log()
    log.add(scoped(STORY[0]), replace(linked(), recorded_at=T0 + 90 * DAY))

    assert log.state(KEY).requests != ()


async def test_what_is_handed_on_is_acknowledged_before_the_row_forgets_it(settings: WorkerSettings) -> None:
    bench = Bench(settings)
    facts = [*[scoped(fact) for fact in STORY[:5]], linked()]
    async with bench.facts() as context:
        await worked(context, [fact_record(fact, at) for at, fact in enumerate(facts)])
        assert bench.sender.sends == [CHANGES, RECORDS, EVENTS, STATE]
        await worked(context, came_back(bench.sender.on(EVENTS), len(facts)))

    assert decode_state(bench.table.stored[SCOPED_KEY]).forwards_to == USER
    assert without_names(decode_state(bench.table.stored[KEY])).decisions != ()


@pytest.mark.parametrize("refused_topic", [EVENTS, STATE, "the store"])
async def test_a_crash_at_any_step_hands_on_the_same_facts_again(
    settings: WorkerSettings, deaths: Deaths, refused_topic: str
) -> None:
    batch = [fact_record(fact, at) for at, fact in enumerate([*[scoped(fact) for fact in STORY], linked()])]
    smooth = Bench(settings)
    async with smooth.facts() as context:
        await worked(context, batch)
        await worked(context, came_back(smooth.sender.on(EVENTS), len(batch)))

    broken = Bench(settings)
    broken.table.refuse = refused_topic == "the store"
    broken.sender.refuse = {refused_topic}
    async with broken.facts() as context:
        await context.put(value=batch, partition=0)
        await until(lambda: bool(deaths.codes))
    again = Bench(settings)
    again.sender.log = broken.sender.log
    async with again.facts() as context:
        await worked(context, batch)
        await worked(context, came_back(again.sender.on(EVENTS), len(batch)))

    assert {header(row.headers, "ce_id"): row for row in again.sender.on(EVENTS)} == {
        header(row.headers, "ce_id"): row for row in smooth.sender.on(EVENTS)
    }
    twice = 1 if refused_topic == EVENTS else 2
    assert len(again.sender.on(EVENTS)) == twice * len(smooth.sender.on(EVENTS))
    assert {key: evidence(decode_state(again.table.stored[key])) for key in (KEY, SCOPED_KEY)} == {
        key: evidence(decode_state(smooth.table.stored[key])) for key in (KEY, SCOPED_KEY)
    }

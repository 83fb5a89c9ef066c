"""The judges of the storm over the workers are judged: a dropped, a doubled, a swapped and a shifted fact are each
reported, wherever they show; and the schedule is what was asked for.

What they have in common with the storm over the border is judged in `test_border_checker.py`, `callgrant verify` in
`tests/deploy`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import orjson
import pytest

from schemas.events import PairFact, PermissionReplied, RequestSent
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import encode_state
from streams.permission.answer import answer
from streams.permission.number import Number
from tests.faults.doors import digest_of
from tests.faults.ledger import Ledger, Logged, findings
from tests.faults.storm_worker_blows import MEMBERS, gusts
from tests.faults.storm_worker_past import Item, facts_in, past
from tests.faults.storm_worker_verdict import (
    TOPICS,
    poorer_rows,
    told_everywhere,
    wrong_everywhere,
    wrong_last_words,
)
from tests.faults.test_border_checker import event, folded, links
from tests.faults.verdict import CHANGE_ID, Truth, truth_of, wrong_events, wrong_states
from tests.integration.log import Record

NOW: Final = 1_772_445_600
SEED: Final = 7
FACTS: Final = 300


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return past(SEED, FACTS, NOW)


def test_the_same_seed_and_instant_tell_the_same_bytes_in_the_same_order(items: list[Item]) -> None:
    assert past(SEED, FACTS, NOW) == items
    assert past(SEED, FACTS, NOW + 1) != items
    assert past(SEED + 1, FACTS, NOW) != items


@pytest.fixture(scope="module")
def ledger(items: list[Item]) -> Ledger:
    tried = Counter(item.kept.delivery_id for item in items)
    return Ledger({item.kept.delivery_id: item.kept for item in items}, frozenset(tried), tried, frozenset())


@pytest.fixture(scope="module")
def log(items: list[Item]) -> list[Logged]:
    return [
        Logged(item.kept.delivery_id, item.kept.stored, place % 4, place, item.received_at)
        for place, item in enumerate(items)
    ]


@pytest.fixture(scope="module")
def truth(ledger: Ledger, log: list[Logged]) -> Truth:
    return truth_of(ledger, log)


@pytest.fixture(scope="module")
def facts(truth: Truth) -> list[PairFact]:
    """Of users under their canonical names."""
    return [fact for told in truth.facts_by_pair().values() for fact in told]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The only reply of a pair, which grants for a day or more; the only reply of another one, which declines; the only
    request of a third one."""

    grant: PermissionReplied
    refusal: PermissionReplied
    request: RequestSent


@pytest.fixture(scope="module")
def chosen(truth: Truth) -> Chosen:
    def lonely(kind: type[PairFact], fits: Callable[[Any], bool]) -> Any:
        for told in truth.facts_by_pair().values():
            decisive = [fact for fact in told if fact.type in ("permission_replied", "reading_taken", "request_sent")]
            mine = {fact.fact_id: fact for fact in decisive if isinstance(fact, kind)}
            if len(mine) == 1 and fits(*mine.values()):
                return next(iter(mine.values()))
        raise AssertionError("no such pair was drawn")

    def grants(reply: PermissionReplied) -> bool:
        return (
            reply.response == "accept"
            and reply.message_id is not None
            and (reply.expires_at or 0) > reply.occurred_at + 80_000
        )

    return Chosen(
        lonely(PermissionReplied, grants),
        lonely(PermissionReplied, lambda reply: reply.response == "reject" and reply.message_id is not None),
        lonely(RequestSent, lambda _: True),
    )


def without(facts: list[PairFact], *gone: PairFact) -> list[PairFact]:
    ids = {fact.fact_id for fact in gone}
    return [fact for fact in facts if fact.fact_id not in ids]


def dropped(facts: list[PairFact], chosen: Chosen) -> list[PairFact]:
    return without(facts, chosen.grant)


def doubled(facts: list[PairFact], chosen: Chosen) -> list[PairFact]:
    """Told again under another id, as a retry without a derived id would be."""
    return [*facts, replace(chosen.request, fact_id="again", message_id="wamid.TESTAGAIN")]


def swapped(facts: list[PairFact], chosen: Chosen) -> list[PairFact]:
    """Each with the other one's user."""
    one, other = chosen.grant, chosen.refusal
    return [
        *without(facts, one, other),
        replace(one, phone_number_id=other.phone_number_id, user=other.user),
        replace(other, phone_number_id=one.phone_number_id, user=one.user),
    ]


def shifted(facts: list[PairFact], chosen: Chosen) -> list[PairFact]:
    """An hour late."""
    return [*without(facts, chosen.grant), replace(chosen.grant, occurred_at=chosen.grant.occurred_at + 3_600)]


DAMAGES: Final = [
    pytest.param(dropped, {"lost"}, id="dropped"),
    pytest.param(doubled, {"made up"}, id="doubled"),
    pytest.param(swapped, {"lost", "made up"}, id="swapped"),
    pytest.param(shifted, {"lost", "made up"}, id="shifted"),
]
Damaging = Callable[[list[PairFact], Chosen], list[PairFact]]


def told_facts(truth: Truth) -> list[tuple[PairFact, int]]:
    """Every fact of every delivery as it is to stand in the log, with the instant at which it came in."""
    return [(fact, each.received_at) for kept, logged in truth.deliveries() for each in logged for fact in kept.facts]


@pytest.mark.parametrize(("damage", "kinds"), DAMAGES)
def test_a_damaged_log_of_facts_is_reported(truth: Truth, chosen: Chosen, damage: Damaging, kinds: set[str]) -> None:
    told = [(replace(fact, recorded_at=at), at) for fact, at in told_facts(truth)]
    whole = [event(fact, at) for fact, at in told] + [event(link) for link in links(truth)]
    assert wrong_events(truth, whole) == {}
    assert wrong_events(truth, [*whole, *whole[:50]]) == {}, "what is told again counts once"
    left = damage([fact for fact, _ in told], chosen)
    damaged = [event(fact, fact.recorded_at or NOW) for fact in left] + [event(link) for link in links(truth)]
    assert set(wrong_events(truth, damaged)) == kinds


@pytest.mark.parametrize("damage", [dropped, doubled, swapped, shifted])
def test_a_damaged_state_is_reported(truth: Truth, facts: list[PairFact], chosen: Chosen, damage: Damaging) -> None:
    at = (chosen.request if damage is doubled else chosen.grant).occurred_at + 60
    linked: list[PairFact] = [*links(truth)]
    assert wrong_states(truth, folded([*linked, *facts]), at, Random(SEED)) == {}
    assert wrong_states(truth, folded([*linked, *facts, *facts[:50]]), at, Random(SEED)) == {}
    found = wrong_states(truth, folded([*linked, *damage(facts, chosen)]), at, Random(SEED))
    assert set(found) <= {"answers otherwise", "pairs lost"}
    assert found


def words(states: dict[str, PairState], at: int) -> list[Record]:
    """What was announced last of every pair, once each."""
    told = []
    for place, (name, state) in enumerate(states.items()):
        if state.forwards_to is not None:
            continue
        number, _, user = name.partition("/")
        said = answer(state, at, DEFAULT_POLICY, Number())
        after = {"permission": said["permission"], "reason": said["standing"]["reason"]}
        fact = {"fact_id": "TESTFACT", "occurred_at": state.judged_at}
        value = orjson.dumps({"phone_number_id": number, "user": user, "after": after} | fact)
        told.append(Record(0, place, name.encode(), value, {CHANGE_ID: f"TEST{place}"}))
    return told


def test_last_words_that_are_lost_swapped_or_of_nobody_are_reported(
    truth: Truth, facts: list[PairFact], chosen: Chosen
) -> None:
    at = chosen.grant.occurred_at + 60
    said = words(folded([*links(truth), *facts]), at)
    assert wrong_last_words(truth, said, at) == {}
    assert wrong_last_words(truth, [*said, said[0]], at) == {}, "a repeat is no last word"
    name = f"{chosen.grant.phone_number_id}/{chosen.grant.user}".encode()
    granted = next(each for each in said if each.key == name)
    assert set(wrong_last_words(truth, [each for each in said if each != granted], at)) == {"last words"}
    value = orjson.loads(granted.value) | {"after": {"permission": {"status": "no_permission"}, "reason": "never"}}
    taken_back = replace(granted, value=orjson.dumps(value), headers={CHANGE_ID: "TESTBACK"})
    assert set(wrong_last_words(truth, [*said, taken_back], at)) == {"last words"}
    for later, kinds in ((0, {"last words"}), (1, set[str]())):  # a deadline passes while all is compared
        passed = orjson.dumps(value | {"fact_id": None, "occurred_at": at + later})
        assert set(wrong_last_words(truth, [*said, replace(taken_back, value=passed)], at)) == kinds
    stranger = replace(granted, value=granted.value.replace(chosen.grant.user.encode(), b"447700900999"))
    nobody = replace(stranger, headers={CHANGE_ID: "TESTNOBODY"})
    assert set(wrong_last_words(truth, [*said, nobody], at)) == {"announced of nobody"}


def test_a_row_that_comes_back_poorer_is_reported(facts: list[PairFact], chosen: Chosen) -> None:
    mine = [
        fact for fact in facts if (fact.phone_number_id, fact.user) == (chosen.grant.phone_number_id, chosen.grant.user)
    ]
    [(name, whole)] = folded(mine).items()
    [poorer] = folded(without(mine, chosen.grant)).values()

    def row(state: PairState, offset: int) -> Record:
        return Record(0, offset, name.encode(), encode_state(state), {})

    earlier = whole._replace(decisions=tuple(each._replace(recorded_at=1) for each in whole.decisions))
    assert poorer_rows([row(poorer, 0), row(whole, 1), row(earlier, 2), row(poorer, 3)]) == {}
    assert set(poorer_rows([row(whole, 0), row(poorer._replace(version=99), 1)])) == {"came back poorer"}


def test_a_delivery_dropped_or_stored_more_often_than_it_was_sent_is_told_with_its_topic(
    ledger: Ledger, items: list[Item]
) -> None:
    def raw(item: Item, offset: int) -> Record:
        headers = {name: value.decode() for name, value in item.headers}
        return Record(0, offset, None, item.value, headers)

    left: dict[str, list[Record]] = {topic: [] for topic in TOPICS}
    for place, item in enumerate(items):
        left[item.topic].append(raw(item, place))
    wrong = wrong_everywhere(left, ledger, NOW, Random(SEED))
    assert "raw topics" not in wrong
    assert set(wrong) == {
        "deadletters",
        "business.events",
        "permission.events",
        "permission.changes",
        "permission.state",
    }
    assert any(line.startswith("permission.state: pairs lost: ") for line in told_everywhere(wrong))
    once = next(item for item in items if ledger.tried[item.kept.delivery_id] == 1)
    left[once.topic].append(raw(once, len(items)))
    assert wrong_everywhere(left, ledger, NOW, Random(SEED))["raw topics"] == {
        "more often than tried": [once.kept.delivery_id]
    }


def test_the_past_is_that_of_its_seed_and_as_large_as_asked(
    items: list[Item], ledger: Ledger, log: list[Logged]
) -> None:
    assert past(SEED, FACTS, NOW) == items
    assert past(SEED + 1, FACTS, NOW) != items
    assert FACTS <= facts_in(items) < FACTS + 50
    assert all(item.kept.stored.digest == digest_of(item.value) for item in items)
    assert findings(ledger, log) == {}
    assert max(Counter(item.kept.delivery_id for item in items).values()) > 1, "some bytes come again"
    names = {(fact.phone_number_id, fact.user) for item in items for fact in item.kept.facts}
    joined = {(number, scoped) for item in items for number, scoped, _ in item.kept.links}
    scoped = {(number, name) for number, name in names if name.startswith("GB.")}
    assert scoped & joined
    assert scoped - joined, "some who go by two names are never shown with both"
    assert {reason for item in items for reason in item.kept.parks} == {"not_json"}


@pytest.mark.parametrize("seed", range(20))
def test_the_schedule_is_that_of_its_seed_and_holds_what_was_asked(seed: int) -> None:
    schedule = gusts(seed, kills=10, pauses=5, rebalances=5, brokers=2)
    assert schedule == gusts(seed, kills=10, pauses=5, rebalances=5, brokers=2)
    struck = Counter(blow.what for gust in schedule for blow in gust)
    assert struck == {"kill": 10, "pause": 5, "come": 3, "go": 2, "broker": 2}
    for gust in schedule:
        members = [blow.whom for blow in gust if blow.whom in MEMBERS]
        assert len(members) == len(set(members)), "nobody is struck twice at once"
    moves = [blow.what for gust in schedule for blow in gust if blow.what in ("come", "go")]
    assert moves == ["come", "go", "come", "go", "come"]
    many = gusts(seed, kills=100, pauses=5, rebalances=5, brokers=2)
    assert sum(blow.what == "kill" for gust in many for blow in gust) == 100

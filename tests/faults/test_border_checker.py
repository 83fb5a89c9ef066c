"""The judges of the storm are judged: every defect they are there for is reported, and nothing else is."""

from dataclasses import replace
from random import Random
from typing import Final

import orjson
import pytest

from schemas.envelope import ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC, REASON
from schemas.events import PairFact, UsersLinked
from schemas.ids import derived_id
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from streams.permission.number import Number
from streams.permission.step import step
from tests.faults.doors import Kept, Sending, digest_of
from tests.faults.ledger import Ledger, Logged, findings, ledger_of, told
from tests.faults.parcels import sendings
from tests.faults.storm import blows
from tests.faults.telling_meta import DISPLAYS
from tests.faults.verdict import (
    Truth,
    truth_of,
    wrong_changes,
    wrong_events,
    wrong_letters,
    wrong_numbers,
    wrong_states,
)
from tests.integration.log import Record

NOW: Final = 1_772_445_600
SEED: Final = 7


@pytest.fixture(scope="module")
def sent() -> list[Sending]:
    return sendings(SEED, 60, NOW)


@pytest.fixture
def ledger(sent: list[Sending]) -> Ledger:
    return ledger_of((sending, sending.wanted, 1) for sending in sent)


@pytest.fixture
def log(sent: list[Sending]) -> list[Logged]:
    """Every record once for each request that was sent, as a gateway would store it."""
    kept = [one for sending in sent for one in sending.kept]
    return [Logged(one.delivery_id, one.stored, place % 4, place, NOW + 1) for place, one in enumerate(kept)]


@pytest.fixture
def truth(ledger: Ledger, log: list[Logged]) -> Truth:
    return truth_of(ledger, log)


def another_body(record: Logged) -> Logged:
    return replace(record, stored=record.stored._replace(digest=digest_of(b"another")))


def test_a_log_as_it_was_sent_has_no_findings(ledger: Ledger, log: list[Logged]) -> None:
    assert findings(ledger, log) == {}
    assert told(findings(ledger, log)) == "as it should be"


def test_a_dropped_delivery_is_reported(ledger: Ledger, log: list[Logged]) -> None:
    dropped = log[5].delivery_id
    assert findings(ledger, [each for each in log if each.delivery_id != dropped]) == {"lost": [dropped]}


def test_a_delivery_that_nobody_acknowledged_may_be_missing(sent: list[Sending], log: list[Logged]) -> None:
    unknown = next(sending for sending in sent if sending.kept)
    ledger = ledger_of((one, 0 if one == unknown else one.wanted, 1) for one in sent)
    missing = {one.delivery_id for one in unknown.kept} - ledger.acknowledged
    assert findings(ledger, [each for each in log if each.delivery_id not in missing]) == {}


def test_a_delivery_doubled_with_another_body_is_reported(ledger: Ledger, log: list[Logged]) -> None:
    assert findings(ledger, [*log, another_body(log[5])]) == {"doubled with another body": [log[5].delivery_id]}


def test_an_altered_delivery_is_reported_and_counts_as_lost(ledger: Ledger, log: list[Logged]) -> None:
    altered = log[5].delivery_id
    others = [each for each in log if each.delivery_id != altered]
    assert findings(ledger, [*others, another_body(log[5])]) == {"altered": [altered], "lost": [altered]}


def test_an_invented_delivery_is_reported(ledger: Ledger, log: list[Logged]) -> None:
    assert findings(ledger, [*log, replace(log[5], delivery_id="made-up")]) == {"made up": ["made-up"]}


def test_a_delivery_under_another_providers_name_is_reported(ledger: Ledger, log: list[Logged]) -> None:
    renamed = replace(log[5], stored=log[5].stored._replace(provider="somebody"))
    assert findings(ledger, [*log, renamed]) == {"under another name": [log[5].delivery_id]}


def test_a_delivery_that_stands_there_more_often_than_it_was_sent_is_reported(
    ledger: Ledger, log: list[Logged]
) -> None:
    assert findings(ledger, [*log, log[5]]) == {"more often than tried": [log[5].delivery_id]}


def test_a_refused_delivery_on_the_log_is_reported(sent: list[Sending], ledger: Ledger, log: list[Logged]) -> None:
    [forged, *_] = [digest for sending in sent for digest in sending.never]
    stored = log[5].stored._replace(digest=forged)
    assert findings(ledger, [*log, replace(log[5], delivery_id="forged", stored=stored)]) == {
        "refused and stored": ["forged"]
    }


def test_the_same_seed_makes_the_same_requests_and_the_same_schedule(sent: list[Sending]) -> None:
    assert sendings(SEED, 60, NOW) == sent
    assert sendings(SEED + 1, 60, NOW) != sent
    schedule = blows(SEED, 100_000, 10, 3)
    assert schedule == blows(SEED, 100_000, 10, 3)
    assert sum(blow.whom != "broker" for blow in schedule) == 10
    assert sum(blow.whom != "gateway" for blow in schedule) == 3


def event(fact: PairFact, at: int = NOW + 1) -> Record:
    said = orjson.loads(orjson.dumps(fact))
    said |= {"recorded_at": at, "occurred_at": said["occurred_at"] or at}
    return Record(0, 0, f"{fact.phone_number_id}/{fact.user}".encode(), orjson.dumps(said), {})


def links(truth: Truth) -> list[UsersLinked]:
    return [
        UsersLinked(
            fact_id=derived_id("users_linked", number, scoped, wa_id),
            phone_number_id=number,
            user=scoped,
            wa_id=wa_id,
            occurred_at=NOW,
            recorded_at=NOW,
            provider="meta",
        )
        for number, scoped, wa_id in sorted(truth.links())
    ]


@pytest.fixture
def events(truth: Truth) -> list[Record]:
    return [event(fact) for kept, _ in truth.deliveries() for fact in kept.facts] + [*map(event, links(truth))]


def test_a_dropped_an_altered_and_an_invented_fact_are_reported(truth: Truth, events: list[Record]) -> None:
    assert wrong_events(truth, events) == {}
    first = orjson.loads(events[0].value)
    without = [each for each in events if orjson.loads(each.value)["fact_id"] != first["fact_id"]]
    assert set(wrong_events(truth, without)) == {"lost"}
    altered = replace(events[0], value=orjson.dumps(first | {"occurred_at": 1}))
    assert set(wrong_events(truth, [*without, altered])) == {"lost", "made up"}
    invented = replace(events[0], value=orjson.dumps(first | {"fact_id": "made-up"}))
    assert wrong_events(truth, [*events, invented]) == {"made up": ["made-up"]}
    elsewhere = replace(events[0], key=b"700100200300400/447700900999")
    assert wrong_events(truth, [*events, elsewhere]) == {"on another pair's partition": [first["fact_id"]]}
    handed_on = replace(events[0], value=orjson.dumps(first | {"fact_id": "made-up", "forwarded": True}))
    assert wrong_events(truth, [*events, handed_on]) == {"handed on and never told": ["made-up"]}
    unlinked = [each for each in events if orjson.loads(each.value)["type"] != "users_linked"]
    assert set(wrong_events(truth, unlinked)) == {"links lost"}


def test_a_missing_an_invented_and_an_altered_dead_letter_are_reported(sent: list[Sending], truth: Truth) -> None:
    bodies = {one.delivery_id: sending.wire.partition(b"\r\n\r\n")[2] for sending in sent for one in sending.kept}

    def letter(kept: Kept, each: Logged, reason: str) -> Record:
        origin = {ORIGIN_TOPIC: f"border.{each.stored.topic}", ORIGIN_PARTITION: str(each.partition)}
        said = origin | {ORIGIN_OFFSET: str(each.offset), REASON: reason}
        return Record(0, 0, None, bodies[kept.delivery_id], said)

    bad = [(kept, each, reason) for kept, logged in truth.deliveries() for each in logged for reason in kept.parks]
    letters = [letter(*one) for one in bad]
    assert {letter.headers[REASON] for letter in letters} == {"not_json", "unknown_number"}
    assert wrong_letters(truth, letters) == {}
    assert set(wrong_letters(truth, letters[1:])) == {"lost"}
    assert set(wrong_letters(truth, [*letters, letter(*bad[0][:2], "unreadable")])) == {"made up"}
    assert set(wrong_letters(truth, [*letters[1:], replace(letters[0], value=b"another")])) == {"lost", "made up"}


def test_a_number_that_nobody_showed_is_reported() -> None:
    def seen(number: str, display: str) -> Record:
        said = {"type": "business_seen", "phone_number_id": number, "display_phone_number": display}
        return Record(0, 0, None, orjson.dumps(said), {})

    known = [seen(*each) for each in DISPLAYS.items()]
    assert wrong_numbers(known) == {}
    assert set(wrong_numbers(known[1:])) == {"lost"}
    assert set(wrong_numbers([*known, seen("700100200300499", "442079460999")])) == {"made up"}


def folded(facts: list[PairFact]) -> dict[str, PairState]:
    states: dict[str, PairState] = {}
    waiting = list(facts)
    while waiting:
        fact = waiting.pop(0)
        name = f"{fact.phone_number_id}/{fact.user}"
        state = states.get(name) or PairState(phone_number_id=fact.phone_number_id, user=fact.user)
        done = step(state, fact, DEFAULT_POLICY, Number())
        states[name] = done.state
        waiting += done.forwards
    return states


def test_a_state_that_lacks_a_fact_or_has_one_more_is_reported(truth: Truth) -> None:
    def wrong(states: dict[str, PairState]) -> set[str]:
        return set(wrong_states(truth, states, NOW + 2, Random(SEED)))

    linked: list[PairFact] = [*links(truth)]
    facts = [fact for told in truth.facts_by_pair().values() for fact in told]
    states = folded([*linked, *facts])
    assert wrong(states) == set()
    reply = next(fact for fact in facts if fact.type == "permission_replied")
    lacking = [fact for fact in facts if (fact.phone_number_id, fact.user) == (reply.phone_number_id, reply.user)]
    lacking = [fact for fact in lacking if fact.type != "permission_replied"]
    name = f"{reply.phone_number_id}/{reply.user}"
    assert wrong(states | folded(lacking)) == {"answers otherwise" if lacking else "pairs lost"}
    assert wrong({other: state for other, state in states.items() if other != name}) == {"pairs lost"}
    stranger = replace(reply, user="447700900999", phone_number_id="700100200300499")
    assert wrong(states | folded([stranger])) == {"pairs made up"}


def test_a_change_that_says_two_things_is_reported() -> None:
    def change(value: bytes) -> Record:
        return Record(0, 0, None, value, {"ce_id": "TESTCHANGE"})

    assert wrong_changes([change(b"{}"), change(b"{}")]) == {}
    assert wrong_changes([change(b"{}"), change(b'{"type":1}')]) == {"one id, two contents": ["TESTCHANGE"]}

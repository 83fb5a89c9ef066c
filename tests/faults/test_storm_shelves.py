"""A long storm told in blocks and judged on shelves: nothing of it differs from one told and judged at once."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import orjson
import pytest

from schemas.envelope import DELIVERY_ID, ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC, REASON
from schemas.state_row import encode_state
from tests.faults.doors import Kept
from tests.faults.ledger import Ledger
from tests.faults.storm_worker_past import Past
from tests.faults.storm_worker_shelves import Shelves
from tests.faults.storm_worker_verdict import RAW, TOPICS, logged, told_everywhere, wrong_everywhere, wrong_on_shelves
from tests.faults.telling_meta import DISPLAYS
from tests.faults.test_border_checker import event, folded, links
from tests.faults.test_storm_checker import NOW, SEED, told_facts, words
from tests.faults.verdict import CHANGE_ID, truth_of
from tests.integration.log import Record

FACTS: Final = 120
BLOCK: Final = 40
Left = dict[str, list[Record]]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    return Past(tmp_path_factory.mktemp("past") / "told", SEED, FACTS, NOW, BLOCK)


def ledger_of(past: Past) -> Callable[[Mapping[str, Kept]], Ledger]:
    tried = Counter(item.kept.delivery_id for item in past.each())

    def of(kept: Mapping[str, Kept]) -> Ledger:
        return Ledger(kept, frozenset(tried) & kept.keys(), tried, frozenset())

    return of


@pytest.fixture(scope="module")
def left(past: Past) -> Left:
    """All that workers without a fault leave."""
    found: Left = {topic: [] for topic in TOPICS}
    kept = {item.kept.delivery_id: item.kept for item in past.each()}
    for place, item in enumerate(past.each()):
        headers = {name: value.decode() for name, value in item.headers}
        found[item.topic].append(Record(0, place, None, item.value, headers))
        for reason in item.kept.parks:
            origin = {ORIGIN_TOPIC: f"storm.{item.topic}", ORIGIN_PARTITION: "0", ORIGIN_OFFSET: str(place)}
            found["deadletters"].append(Record(0, place, None, item.value, {**origin, REASON: reason}))
    raw = [logged(topic, record) for topic in RAW for record in found[topic]]
    truth = truth_of(ledger_of(past)(kept), raw)
    told = [(replace(fact, recorded_at=at), at) for fact, at in told_facts(truth)]
    found["permission.events"] = [event(fact, at) for fact, at in told] + [event(link) for link in links(truth)]
    for number, display in DISPLAYS.items():
        seen = {"type": "business_seen", "phone_number_id": number, "display_phone_number": display}
        found["business.events"].append(Record(0, 0, number.encode(), orjson.dumps(seen), {}))
    facts = [fact for each in truth.facts_by_pair().values() for fact in each]
    states = folded([*links(truth), *facts])
    found["permission.changes"] = words(states, NOW)
    found["permission.state"] = [
        Record(0, place, name.encode(), encode_state(state), {}) for place, (name, state) in enumerate(states.items())
    ]
    return found


def judged(past: Past, left: Left, folder: Path, shelves: int) -> list[str]:
    """What is told when so many shelves are judged one after the other."""
    made = Shelves(folder / f"shelves-{shelves}", shelves, 1)
    assert made.count == shelves
    made.know(past.links)
    for item in past.each():
        made.tell(item.kept)
    for topic, records in left.items():
        for record in records:
            made.leave(topic, record, logged(topic, record).delivery_id if topic in RAW else None)
    wrong = wrong_on_shelves(made, ledger_of(past), NOW, SEED)
    made.remove()
    return sorted(told_everywhere(wrong))


def test_a_past_in_blocks_is_that_of_its_seed_and_can_be_had_by_places(past: Past, tmp_path: Path) -> None:
    items = list(past.each())
    assert len(items) == len(past)
    assert FACTS <= past.facts == len({fact.fact_id for item in items for fact in item.kept.facts}) < FACTS + 90
    assert [*past.between(0, 50), *past.between(50, 70), *past.between(70, len(past) + 9)] == items
    again = Past(tmp_path / "again", SEED, FACTS, NOW, BLOCK)
    assert list(again.each()) == items
    again.remove()
    assert not (tmp_path / "again").exists()


def test_what_workers_without_a_fault_leave_is_as_it_should_be_on_any_number_of_shelves(
    past: Past, left: Left, tmp_path: Path
) -> None:
    kept = {item.kept.delivery_id: item.kept for item in past.each()}
    assert wrong_everywhere(left, ledger_of(past)(kept), NOW, Random(SEED)) == {}
    assert [judged(past, left, tmp_path, shelves) for shelves in (1, 3)] == [[], []]


def _with_every_third_alone(topic: str) -> Callable[[Left], Left]:
    return lambda left: left | {topic: left[topic][::3]}


def _with_a_strange_one(topic: str) -> Callable[[Left], Left]:
    def damage(left: Left) -> Left:
        one = left[topic][0]
        strange = {CHANGE_ID: "TESTSTRANGE", DELIVERY_ID: "TESTSTRANGE", ORIGIN_OFFSET: "999999"}
        headers = {name: strange.get(name, value) for name, value in one.headers.items()}
        value = one.value
        for user in (b"447700900999", b"447700900998"):
            value = value if one.key is None else value.replace(one.key.partition(b"/")[2], user)
        key = None if one.key is None else one.key.partition(b"/")[0] + b"/447700900999"
        return left | {topic: [*left[topic], Record(0, 10**6, key, value, headers)]}

    return damage


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic != "business.events"])
@pytest.mark.parametrize("damage", [_with_every_third_alone, _with_a_strange_one])
def test_a_damage_is_told_by_the_same_kinds_on_three_shelves_as_on_one(
    past: Past, left: Left, tmp_path: Path, topic: str, damage: Callable[[str], Callable[[Left], Left]]
) -> None:
    damaged = damage(topic)(left)
    at_once = judged(past, damaged, tmp_path, 1)
    assert at_once
    assert kinds(judged(past, damaged, tmp_path, 3)) == kinds(at_once)


def kinds(told: list[str]) -> set[str]:
    """Topic and kind: what lies on two shelves is counted on each."""
    return {line.rpartition(": ")[0] for line in told}

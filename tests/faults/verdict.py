"""What must hold after a storm: facts, numbers, states and dead letters are those of what was sent, and no others.

Owns the comparison with the tests' own judge (`tests/oracle`), which reads the facts that the sender's ledger names for
what stands on the log. Refuses to read a webhook: nothing here knows a dialect.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import orjson

from schemas.envelope import ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC, REASON
from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import decode_state, version_of
from streams.permission.answer import answer
from streams.permission.number import Number
from tests.faults.doors import Kept, digest_of
from tests.faults.ledger import Ledger, Logged
from tests.faults.lives import AT_RECEIPT, DAY_S
from tests.faults.telling import Link
from tests.faults.telling_meta import DISPLAYS
from tests.integration.log import Record
from tests.oracle.business import Business
from tests.oracle.judge import judge

Findings = dict[str, list[Any]]
PairName = tuple[str, str]
Said = tuple[bytes, int]
"""What a fact says but for aliases, as one JSON text, and when it was recorded."""


@dataclass(slots=True)
class Truth:
    """What stands on the log and is known from the ledger: each delivery with all instants at which it came in."""

    received: dict[str, list[Logged]]
    kept: Mapping[str, Kept]

    def deliveries(self) -> Iterator[tuple[Kept, list[Logged]]]:
        for delivery_id, logged in self.received.items():
            yield self.kept[delivery_id], logged

    def links(self) -> set[Link]:
        return {link for kept, _ in self.deliveries() for link in kept.links}

    def facts_by_pair(self) -> dict[PairName, list[PairFact]]:
        """By the canonical name of the user where it is known."""
        digits = {(number, scoped): wa_id for number, scoped, wa_id in self.links()}
        found: dict[PairName, list[PairFact]] = defaultdict(list)
        for kept, logged in self.deliveries():
            first_at = min(each.received_at for each in logged)
            for fact in kept.facts:
                user = digits.get((fact.phone_number_id, fact.user), fact.user)
                at = first_at if fact.occurred_at == AT_RECEIPT else fact.occurred_at
                found[fact.phone_number_id, user].append(replace(fact, user=user, occurred_at=at))
        return found


def truth_of(ledger: Ledger, log: Iterable[Logged]) -> Truth:
    """Of what is on the log as it was sent; `ledger.findings` tells of the rest."""
    received: dict[str, list[Logged]] = defaultdict(list)
    for logged in log:
        kept = ledger.kept.get(logged.delivery_id)
        if kept is not None and kept.stored == logged.stored:
            received[logged.delivery_id].append(logged)
    return Truth(received, ledger.kept)


def wrong_events(truth: Truth, events: Iterable[Record]) -> Findings:
    """Every fact of the log is an event, and no event is made up; what one pair hands on to another was told of it."""
    expected: dict[Said, str] = {}
    for kept, logged in truth.deliveries():
        for fact in kept.facts:
            for received_at in {each.received_at for each in logged}:
                expected[_expected(fact, received_at)] = fact.fact_id
    told = set(expected.values())
    links = truth.links()
    digits = {(number, wa_id) for number, _, wa_id in links}
    found: set[Said] = set()
    shown: set[Link] = set()
    wrong: Findings = defaultdict(list)
    for record in events:
        event = orjson.loads(record.value)
        if record.key != f"{event['phone_number_id']}/{event['user']}".encode():
            wrong["on another pair's partition"].append(event["fact_id"])
        if event["type"] == "users_linked":
            shown.add((event["phone_number_id"], event["user"], event["wa_id"]))
        elif event["forwarded"]:
            if event["fact_id"] not in told or (event["phone_number_id"], event["user"]) not in digits:
                wrong["handed on and never told"].append(event["fact_id"])
        else:
            found.add(_said(event))
    wrong["lost"] += [expected[said] for said in expected.keys() - found]
    wrong["made up"] += [orjson.loads(text)["fact_id"] for text, _ in found - expected.keys()]
    wrong["links lost"] += links - shown
    wrong["links made up"] += shown - links
    return {kind: each for kind, each in wrong.items() if each}


def _expected(fact: PairFact, received_at: int) -> Said:
    event = orjson.loads(orjson.dumps(fact))
    event["recorded_at"] = received_at
    event["occurred_at"] = event["occurred_at"] or received_at
    return _said(event)


def _said(event: dict[str, Any]) -> Said:
    recorded_at = event.pop("recorded_at")
    del event["aliases"]
    return orjson.dumps(event, option=orjson.OPT_SORT_KEYS), recorded_at


def wrong_numbers(events: Iterable[Record]) -> Findings:
    """Each number is known by its two forms, and no other one."""
    found = set()
    for record in events:
        event = orjson.loads(record.value)
        found.add((event["type"], event["phone_number_id"], event["display_phone_number"]))
    expected = {("business_seen", number, display) for number, display in DISPLAYS.items()}
    wrong: Findings = {"lost": list(expected - found), "made up": list(found - expected)}
    return {kind: each for kind, each in wrong.items() if each}


def wrong_letters(truth: Truth, letters: Iterable[Record]) -> Findings:
    """What could not be judged is put aside with its bytes, reason and origin, and nothing else is."""
    expected = {
        (each.stored.topic, each.partition, each.offset, reason, kept.stored.digest)
        for kept, logged in truth.deliveries()
        for each in logged
        for reason in kept.parks
    }
    found = set()
    for letter in letters:
        said = letter.headers
        topic = said[ORIGIN_TOPIC].partition(".")[2]
        place = (topic, int(said[ORIGIN_PARTITION]), int(said[ORIGIN_OFFSET]))
        found.add((*place, said[REASON], digest_of(letter.value)))
    wrong: Findings = {
        "lost": [place[:4] for place in expected - found],
        "made up": [place[:4] for place in found - expected],
    }
    return {kind: each for kind, each in wrong.items() if each}


def newest(records: Sequence[Record]) -> dict[str, PairState]:
    """What a replica of `permission.state` holds: the higher version, at equality the later offset."""
    kept: dict[bytes, bytes] = {}
    for record in records:
        assert record.key is not None
        if record.key not in kept or version_of(record.value) >= version_of(kept[record.key]):
            kept[record.key] = record.value
    return {key.decode(): decode_state(value) for key, value in kept.items()}


def wrong_states(truth: Truth, states: Mapping[str, PairState], at: int, dice: Random) -> Findings:
    """Every pair answers as the judge does at `at`, and every third at a drawn instant of its past or future."""
    wrong: Findings = defaultdict(list)
    facts = truth.facts_by_pair()
    forwarding = {f"{number}/{scoped}": wa_id for number, scoped, wa_id in truth.links()}
    expected = {f"{number}/{user}" for number, user in facts}
    wrong["pairs lost"] += map(_masked, (expected | forwarding.keys()) - states.keys())
    wrong["pairs made up"] += map(_masked, states.keys() - expected - forwarding.keys())
    for name, wa_id in forwarding.items():
        if name in states and states[name].forwards_to != wa_id:
            wrong["does not hand on"].append(_masked(name))
    for place, (pair, told) in enumerate(sorted(facts.items())):
        state = states.get("/".join(pair))
        if state is None:
            continue
        for instant in (at, at + dice.randint(-15 * DAY_S, 7 * DAY_S))[: 1 + (place % 3 == 0)]:
            said = answer(state, instant, DEFAULT_POLICY, Number())
            due = judge(told, *pair, instant, DEFAULT_POLICY, Business())
            if said != due:
                differs = [name for name in due if said[name] != due[name]]
                wrong["answers otherwise"].append((_masked("/".join(pair)), instant, differs))
                break
    return {kind: each for kind, each in wrong.items() if each}


def _masked(name: str) -> str:
    """A pair, recognisable in these made-up numbers by its last three digits."""
    number, _, user = name.partition("/")
    return f"{number}/…{user[-3:]}"


CHANGE_ID: Final = "ce_id"


def wrong_changes(changes: Iterable[Record]) -> Findings:
    """An announcement may come again; it never says something else. Of a passed deadline it never tells of another."""
    contents: dict[str, set[bytes]] = defaultdict(set)
    for change in changes:
        said = orjson.loads(change.value or b"{}")
        told = change.value
        if said.get("type") == "permission_expired" and said["fact_id"] is None:
            told = orjson.dumps([said["phone_number_id"], said["user"], said["occurred_at"], said["data"]])
        contents[change.headers[CHANGE_ID]].add(digest_of(told))
    twice = [name for name, said in contents.items() if len(said) > 1]
    return {"one id, two contents": twice} if twice else {}

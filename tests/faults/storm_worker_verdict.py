"""What must hold after a storm over the workers: all they wrote is what was sent comes to, and nothing else.

Owns reading the topics, the last words of every pair, and the order of the comparisons. The comparisons themselves are
those of the storm over the border (`ledger.py`, `verdict.py`), by the tests' own judge. Refuses to read a webhook.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.envelope import DELIVERY_ID, PROVIDER, RECEIVED_AT, SECRET_SLOT, received_at_of
from schemas.marks import Decision
from schemas.policy import DEFAULT_POLICY
from schemas.state_row import decode_state, encode_state
from schemas.topics import MAX_RECORD_BYTES, TopicNames
from tests.faults.doors import Kept, Stored, digest_of
from tests.faults.ledger import Ledger, Logged, findings
from tests.faults.storm_worker_shelves import FIRST, Shelves
from tests.faults.verdict import (
    CHANGE_ID,
    Findings,
    PairName,
    Truth,
    newest,
    truth_of,
    wrong_changes,
    wrong_events,
    wrong_letters,
    wrong_numbers,
    wrong_states,
)
from tests.integration.log import Record
from tests.oracle.business import Business
from tests.oracle.judge import judge
from tests.worker.replica import LostEvidence, kept_by_version

RAW: Final = ("webhooks.raw", "actions.raw")
TOPICS: Final = (
    *RAW,
    "deadletters",
    "business.events",
    "permission.events",
    "permission.changes",
    "permission.state",
)
NOTHING_YET: Final = {"permission": {"status": "no_permission"}, "reason": "never"}


async def put_away(bootstrap: str, names: TopicNames, partitions: int, shelves: Shelves) -> Counter[str]:
    """Every record of what is compared on its shelf, in order of offset within a partition; how many there are."""
    parts = {TopicPartition(names.of(topic), each): topic for topic in TOPICS for each in range(partitions)}
    counted: Counter[str] = Counter()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, max_partition_fetch_bytes=MAX_RECORD_BYTES)
    await consumer.start()
    try:
        consumer.assign(list(parts))
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(list(parts))
        while any([await consumer.position(part) < end for part, end in ends.items()]):
            for part, records in (await consumer.getmany(timeout_ms=200, max_records=20_000)).items():
                topic = parts[part]
                counted[topic] += len(records)
                for record in map(_record, records):
                    shelves.leave(topic, record, record.headers[DELIVERY_ID] if topic in RAW else None)
    finally:
        await consumer.stop()
    return counted


def wrong_on_shelves(
    shelves: Shelves, ledger_of: Callable[[Mapping[str, Kept]], Ledger], announced_until: int, seed: int
) -> dict[str, Findings]:
    """The same as `wrong_everywhere`, one shelf after the other."""
    wrong: dict[str, Findings] = {}
    numbers = shelves.left(FIRST, "business.events")
    for shelf in range(shelves.count):
        left = {topic: shelves.left(shelf, topic) for topic in TOPICS} | {"business.events": numbers}
        found = wrong_everywhere(left, ledger_of(shelves.told(shelf)), announced_until, Random(seed + shelf))
        for topic, kinds in found.items():
            for kind, each in kinds.items():
                wrong.setdefault(topic, {}).setdefault(kind, []).extend(each)
    return wrong


def wrong_everywhere(
    left: Mapping[str, Sequence[Record]], ledger: Ledger, announced_until: int, dice: Random
) -> dict[str, Findings]:
    """By topic what differs from the ledger and the judge; empty when all is as it should be. `announced_until`: every
    deadline up to this instant was announced."""
    raw = [logged(topic, record) for topic in RAW for record in left[topic]]
    truth = truth_of(ledger, raw)
    states, changes = left["permission.state"], left["permission.changes"]
    wrong: dict[str, Findings] = {
        "raw topics": findings(ledger, raw),
        "deadletters": wrong_letters(truth, left["deadletters"]),
        "business.events": wrong_numbers(left["business.events"]),
        "permission.events": wrong_events(truth, left["permission.events"]),
        "permission.changes": wrong_changes(changes) | wrong_last_words(truth, changes, announced_until),
        "permission.state": poorer_rows(states) | wrong_states(truth, newest(states), announced_until, dice),
    }
    return {topic: found for topic, found in wrong.items() if found}


def wrong_last_words(truth: Truth, changes: Iterable[Record], at: int) -> Findings:
    """The last thing announced of a pair, repeats left out, is how it stands at `at`; of nobody else anything is
    announced, but that a name of a user stands for another one. Deadlines that passed after `at`, while all this was
    compared, are left out."""
    heard: set[str] = set()
    last: dict[PairName, dict[str, Any]] = {}
    for change in changes:
        if change.headers[CHANGE_ID] in heard:
            continue
        heard.add(change.headers[CHANGE_ID])
        said = orjson.loads(change.value)
        if said["fact_id"] is None and said["occurred_at"] > at:
            continue
        last[said["phone_number_id"], said["user"]] = said["after"]
    facts = truth.facts_by_pair()
    other_names = {(number, scoped) for number, scoped, _ in truth.links()}
    wrong: Findings = {"announced of nobody": [_masked(pair) for pair in last.keys() - facts.keys() - other_names]}
    wrong["last words"] = []
    for pair, told in facts.items():
        after, due = last.get(pair, NOTHING_YET), judge(told, *pair, at, DEFAULT_POLICY, Business())
        if (after["permission"], after["reason"]) != (due["permission"], due["standing"]["reason"]):
            wrong["last words"].append(_masked(pair))
    return {kind: each for kind, each in wrong.items() if each}


def poorer_rows(states: Iterable[Record]) -> Findings:
    """On the way no reader of rows, who keeps the higher version, takes one that lacks what it had. A decision counts
    by its id and word: told through another door, it came in earlier or says more."""
    try:
        kept_by_version(map(_by_ids, states))
    except LostEvidence as fault:
        return {"came back poorer": [str(fault)]}
    return {}


def _by_ids(record: Record) -> Record:
    if not record.value:
        return record
    state = decode_state(record.value)
    decisions = tuple(Decision(id=each.id, at=0, recorded_at=0, what=each.what) for each in state.decisions)
    return replace(record, value=encode_state(state._replace(decisions=decisions)))


def logged(topic: str, record: Record) -> Logged:
    """A record of a raw topic as the ledger knows it."""
    said = record.headers
    received_at = received_at_of(said[RECEIVED_AT])
    assert received_at is not None
    stored = Stored(topic, said[PROVIDER], said[SECRET_SLOT], digest_of(record.value))
    return Logged(said[DELIVERY_ID], stored, record.partition, record.offset, received_at)


def _record(each: Any) -> Record:
    headers = {name: value.decode("utf-8", "replace") for name, value in each.headers}
    return Record(each.partition, each.offset, each.key, each.value, headers)


def told_everywhere(wrong: dict[str, Findings]) -> Sequence[str]:
    """A line for each kind: how many, and the first five."""
    return [
        f"{topic}: {kind}: {len(each)}, like {each[:5]}"
        for topic, found in wrong.items()
        for kind, each in found.items()
    ]


def _masked(pair: PairName) -> str:
    return f"{pair[0]}/…{pair[1][-3:]}"

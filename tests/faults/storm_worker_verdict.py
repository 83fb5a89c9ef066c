"""What must hold after a storm over the workers: all they wrote is what was sent comes to, and nothing else.

Owns reading the topics, the last words of every pair, and the order of the comparisons. The comparisons themselves are
those of the storm over the border (`ledger.py`, `verdict.py`), by the tests' own judge. Refuses to read a webhook.
"""

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, Final

import orjson

from schemas.envelope import DELIVERY_ID, PROVIDER, RECEIVED_AT, SECRET_SLOT, received_at_of
from schemas.policy import DEFAULT_POLICY
from schemas.topics import TopicNames
from tests.faults.doors import Stored, digest_of
from tests.faults.ledger import Ledger, Logged, findings
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
from tests.integration.log import Log, Record
from tests.oracle.business import Business
from tests.oracle.judge import judge
from tests.worker.replica import kept_by_version

RAW: Final = ("webhooks.raw", "actions.raw")
NOTHING_YET: Final = {"permission": {"status": "no_permission"}, "reason": "never"}


async def wrong_everywhere(
    log: Log, names: TopicNames, ledger: Ledger, announced_until: int, dice: Random
) -> dict[str, Findings]:
    """By topic what differs from the ledger and the judge; empty when all is as it should be. `announced_until`: every
    deadline up to this instant was announced. Raises `LostEvidence` where a row came back poorer."""
    raw = [logged(name, record) for name in RAW for record in await log.everything_on(names.of(name))]
    truth = truth_of(ledger, raw)
    states = await log.everything_on(names.of("permission.state"))
    changes = await log.everything_on(names.of("permission.changes"))
    kept_by_version(states)
    wrong: dict[str, Findings] = {
        "raw": findings(ledger, raw),
        "deadletters": wrong_letters(truth, await log.everything_on(names.of("deadletters"))),
        "business.events": wrong_numbers(await log.everything_on(names.of("business.events"))),
        "permission.events": wrong_events(truth, await log.everything_on(names.of("permission.events"))),
        "permission.changes": wrong_changes(changes) | wrong_last_words(truth, changes, announced_until),
        "permission.state": wrong_states(truth, newest(states), announced_until, dice),
    }
    return {topic: found for topic, found in wrong.items() if found}


def wrong_last_words(truth: Truth, changes: Iterable[Record], at: int) -> Findings:
    """The last thing announced of a pair, repeats left out, is how it stands; of no other pair anything is announced
    but that its user has another name."""
    heard: set[str] = set()
    last: dict[PairName, dict[str, Any]] = {}
    for change in changes:
        if change.headers[CHANGE_ID] in heard:
            continue
        heard.add(change.headers[CHANGE_ID])
        said = orjson.loads(change.value)
        last[said["phone_number_id"], said["user"]] = said["after"]
    facts = truth.facts_by_pair()
    scoped = {(number, name) for number, name, _ in truth.links()}
    wrong: Findings = {"announced of nobody": [], "last words": []}
    wrong["announced of nobody"] += [_masked(pair) for pair in last.keys() - facts.keys() - scoped]
    for pair, told in facts.items():
        after, due = last.get(pair, NOTHING_YET), judge(told, *pair, at, DEFAULT_POLICY, Business())
        if (after["permission"], after["reason"]) != (due["permission"], due["standing"]["reason"]):
            wrong["last words"].append(_masked(pair))
    return {kind: each for kind, each in wrong.items() if each}


def logged(topic: str, record: Record) -> Logged:
    """A record of a raw topic as the ledger knows it."""
    said = record.headers
    received_at = received_at_of(said[RECEIVED_AT])
    assert received_at is not None
    stored = Stored(topic, said[PROVIDER], said[SECRET_SLOT], digest_of(record.value))
    return Logged(said[DELIVERY_ID], stored, record.partition, record.offset, received_at)


def told_everywhere(wrong: dict[str, Findings]) -> Sequence[str]:
    """A line for each kind: how many, and the first five."""
    return [
        f"{topic}: {kind}: {len(each)}, like {each[:5]}"
        for topic, found in wrong.items()
        for kind, each in found.items()
    ]


def _masked(pair: PairName) -> str:
    return f"{pair[0]}/…{pair[1][-3:]}"

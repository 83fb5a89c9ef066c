"""Whatever a fact of `permission.events` says, the fold of its batch goes on: it is folded or parked, never raised."""

import json
import random
from typing import Any

import orjson
import pytest

from schemas import generate
from schemas.codec import encode_fact
from schemas.events import FACT_TYPES, PairFact
from schemas.ids import Pair
from schemas.policy import DEFAULT_POLICY
from schemas.state_row import decode_state
from streams.worker.fold import fold_deadlines
from tests.permission.story import DAY, NUMBER, SCOPED, T0, USER, linked
from tests.worker.stand_ins import Record, fold_facts, record
from tests.worker.test_fold import due_in, keep, nothing
from tests.worker.test_forwarding import KEY, SCOPED_KEY, STORY, Log, scoped

ODD: list[Any] = [-1, 0, -(10**15), 10**12, 10**15, 2**63, 2**64, 1e20, True, "", " ", "\x00", "x" * 600, None]


def examples() -> list[dict[str, Any]]:
    """Every example of a fact of a pair."""
    pair_facts = [name for name, kind in FACT_TYPES.items() if "user" in kind.__dataclass_fields__]
    paths = [path for name in pair_facts for path in sorted((generate.EXAMPLES / name).glob("v1/*.json"))]
    assert len({path.parent.parent for path in paths}) == len(pair_facts)
    return [orjson.loads(path.read_bytes()) for path in paths]


def odd_facts(seed: int, count: int, user: str) -> list[Record]:
    """Facts of one pair, some of them with fields that no translation would write."""
    draw = random.Random(seed)
    told = examples() + [orjson.loads(encode_fact(fact)) for fact in STORY]
    made = []
    for at in range(count):
        fields = dict(draw.choice(told)) | {"phone_number_id": NUMBER, "user": user}
        for name in draw.sample(sorted(fields.keys() - {"type", "phone_number_id", "user"}), draw.choice([0, 1, 1, 2])):
            fields[name] = draw.choice(ODD)
        made.append(record(json.dumps(fields).encode(), key=Pair(NUMBER, user).key, offset=at))
    return made


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("row", ["nothing known", "a long story", "forwards", "forwards to another"])
def test_a_batch_of_odd_facts_is_folded_or_parked_and_its_rows_can_be_read(row: str, seed: int) -> None:
    log = Log()
    user, key = (SCOPED, SCOPED_KEY) if row.startswith("forwards") else (USER, KEY)
    if row != "nothing known":
        facts: list[PairFact] = [scoped(fact) for fact in STORY] if user == SCOPED else STORY
        log.add(*facts)
    if user == SCOPED:
        log.add(linked(T0 + DAY))
    batch = odd_facts(seed, 150, user)
    if row == "forwards to another":
        batch.append(record(encode_fact(linked(T0, wa_id="447700900456")), key=key, offset=150))

    folded = fold_facts(batch, log.store.get, DEFAULT_POLICY, 1)

    assert len(folded.flags) == len(batch)
    assert folded.new + folded.repeated + folded.late + len(folded.parked) == len(batch)
    assert folded.new > 0
    assert folded.parked != []
    keep(log.store, folded)
    for stored in folded.rows:
        assert decode_state(log.store[stored]).pair.key == stored
    until = T0 + 3_650 * DAY
    keep(log.store, fold_deadlines(due_in(log.store, until), until, log.store.get, DEFAULT_POLICY, 1))


def test_a_fact_beyond_every_calendar_is_parked_and_leaves_no_trace() -> None:
    fields = orjson.loads(encode_fact(STORY[0])) | {"occurred_at": 10**15}
    batch = [record(json.dumps(fields).encode(), key=KEY), record(encode_fact(STORY[1]), key=KEY, offset=1)]
    folded = fold_facts(batch, nothing, DEFAULT_POLICY, 1)

    assert (folded.flags, dict(folded.reasons)) == ([True, False], {"fold_failed": 1})
    assert decode_state(folded.rows[KEY].value or b"").version == 1
    assert len(folded.records) == 1


def test_an_odd_fact_at_a_forwarding_row_is_parked_and_hands_nothing_on() -> None:
    log = Log()
    log.add(linked())
    odd = orjson.loads(encode_fact(scoped(STORY[0]))) | {"occurred_at": 10**15}
    folded = fold_facts([record(json.dumps(odd).encode(), key=SCOPED_KEY)], log.store.get, DEFAULT_POLICY, 1)

    assert (folded.flags, folded.rows, folded.forwards) == ([True], {}, {})

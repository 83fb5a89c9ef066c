from collections import Counter
from typing import Any

import orjson
import pytest

from schemas.envelope import header
from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.state_row import decode_state
from streams.permission.number import Number
from streams.worker.deadlines import Deadline, due, index_key
from streams.worker.fold import FactFold, Folded, fold_deadlines, refuse_commands
from tests.permission.story import DAY, HOUR, NUMBER, PRODUCTION, T0, USER, delivered, messaged, replied, sent
from tests.worker.stand_ins import fact_record, fold_facts, record

KEY = f"{NUMBER}/{USER}".encode()
WEEK = 7 * DAY
STORY: list[PairFact] = [
    sent("r1", T0),
    delivered("r1", T0 + 5),
    replied("m1", T0 + HOUR, to="r1", until=T0 + HOUR + WEEK),
    replied("m2", T0 + 2 * HOUR, "reject"),
]


def nothing(key: bytes) -> bytes | None:
    """An empty store."""
    return None


def folded_in(store: dict[bytes, bytes], facts: list[PairFact]) -> Folded:
    """Fold a batch and store it, as the table would."""
    folded = fold_facts([fact_record(fact, at) for at, fact in enumerate(facts)], store.get, DEFAULT_POLICY, 1)
    keep(store, folded)
    return folded


def keep(store: dict[bytes, bytes], folded: Folded) -> None:
    for key, row in folded.rows.items():
        assert row.value is not None
        store[key] = row.value
    for key, mark in folded.index.items():
        if mark is None:
            store.pop(key, None)
        else:
            store[key] = mark


def due_in(store: dict[bytes, bytes], until: int) -> list[Deadline]:
    return due(sorted((key, value) for key, value in store.items() if key.startswith(b"\0x")), until, 1_000)


def values(rows: list[Any]) -> list[dict[str, Any]]:
    return [orjson.loads(row.value) for row in rows]


def test_a_fact_becomes_a_row_a_record_and_the_change_it_caused() -> None:
    reply = replied("m1", T0 + HOUR, until=T0 + HOUR + WEEK)
    folded = folded_in({}, [reply])

    assert [change["type"] for change in values(folded.changes)] == ["permission_granted"]
    assert folded.change_types == Counter({"permission_granted": 1})
    assert [row["fact"]["fact_id"] for row in values(folded.records)] == [reply.fact_id]
    assert list(folded.rows) == [KEY]
    assert (folded.new, folded.repeated, folded.latest_at) == (1, 0, T0 + HOUR)
    assert header(folded.changes[0].headers, "ce_type") == "callgrant.permission.granted.v1"
    assert header(folded.changes[0].headers, "ce_id") == values(folded.changes)[0]["change_id"]
    assert header(folded.records[0].headers, "ce_type") == "callgrant.permission.record.v1"


def test_facts_of_one_pair_in_one_batch_leave_one_row_whose_version_counts_each_step() -> None:
    store: dict[bytes, bytes] = {}
    folded = folded_in(store, STORY)

    state = decode_state(store[KEY])
    assert state.version == len(STORY)
    assert header(folded.rows[KEY].headers, "version") == str(len(STORY))
    told = [change["type"] for change in values(folded.changes)]
    assert told == ["limit_reached", "permission_granted", "permission_revoked"]
    ids = [header(row.headers, "ce_id") for row in folded.records]
    assert len(set(ids)) == len(ids) == len(STORY)


def test_a_fact_met_twice_writes_nothing_and_is_counted() -> None:
    store: dict[bytes, bytes] = {}
    folded_in(store, STORY)
    before = dict(store)

    again = folded_in(store, STORY)

    assert (again.rows, again.changes, again.records, again.parked) == ({}, [], [], [])
    assert (again.new, again.repeated) == (0, len(STORY))
    assert store == before


@pytest.mark.parametrize("cut", range(1, len(STORY)))
def test_where_a_batch_is_cut_changes_no_row_and_no_output(cut: int) -> None:
    whole: dict[bytes, bytes] = {}
    all_at_once = folded_in(whole, STORY)
    cut_in_two: dict[bytes, bytes] = {}
    first, second = folded_in(cut_in_two, STORY[:cut]), folded_in(cut_in_two, STORY[cut:])

    assert cut_in_two[KEY] == whole[KEY]
    assert first.changes + second.changes == all_at_once.changes
    assert first.records + second.records == all_at_once.records


def test_an_unreadable_fact_is_parked_with_its_origin_and_the_rest_is_folded() -> None:
    bad = record(b"{not json", key=KEY, offset=7, headers=[("ce_id", b"x")])
    store: dict[bytes, bytes] = {}
    folded = fold_facts([fact_record(STORY[0]), bad, fact_record(STORY[1])], store.get, DEFAULT_POLICY, 1)

    assert folded.flags == [False, True, False]
    assert folded.new == 2
    [letter] = folded.parked
    assert (letter.key, letter.value) == (KEY, b"{not json")
    told = {name: header(letter.headers, name) for name in ("reason", "path", "origin_topic", "origin_offset", "ce_id")}
    assert told == {
        "reason": "not_json",
        "path": "$",
        "origin_topic": "permission.events",
        "origin_offset": "7",
        "ce_id": "x",
    }


def test_a_fact_under_another_pairs_key_is_parked() -> None:
    fact = fact_record(STORY[0])._replace(key=f"{NUMBER}/447700900124".encode())
    folded = fold_facts([fact, fact_record(STORY[0])._replace(key=None)], nothing, DEFAULT_POLICY, 1)

    assert [header(letter.headers, "reason") for letter in folded.parked] == ["key_mismatch", "key_mismatch"]
    assert folded.rows == {}


def test_a_fact_on_a_partition_its_key_does_not_belong_to_is_parked() -> None:
    right = {fold_facts([fact_record(STORY[0], partition=p)], nothing, DEFAULT_POLICY, 8).new: p for p in range(8)}
    wrong = fold_facts([fact_record(STORY[0], partition=(right[1] + 1) % 8)], nothing, DEFAULT_POLICY, 8)

    assert [header(letter.headers, "reason") for letter in wrong.parked] == ["wrong_partition"]


def test_a_tombstone_among_the_facts_is_parked() -> None:
    folded = fold_facts([record(None, key=KEY)], nothing, DEFAULT_POLICY, 1)

    assert folded.reasons == Counter({"no_value": 1})
    assert folded.parked[0].value is None


def test_a_fact_on_which_the_fold_raises_is_parked_without_quoting_it() -> None:
    asked: list[str] = []

    def raising_once(name: str) -> Number:
        asked.append(name)
        if len(asked) == 1:
            raise KeyError(USER)
        return PRODUCTION

    store: dict[bytes, bytes] = {}
    fold = FactFold(store.get, DEFAULT_POLICY, 1, raising_once)
    for fact in STORY:
        fold.take(fact_record(fact))
    folded = fold.finish()
    keep(store, folded)

    assert folded.reasons == Counter({"fold_failed": 1})
    assert header(folded.parked[0].headers, "detail") == "KeyError"
    assert decode_state(store[KEY]).version == len(STORY) - 1


def test_a_command_is_parked_because_nobody_decides_it_yet() -> None:
    folded = refuse_commands([record(b"{}", key=KEY, topic="permission.commands")])

    assert folded.reasons == Counter({"commands_not_supported": 1})
    assert folded.flags == [], "a refused command says nothing about a bad deploy"


def test_a_temporary_grant_is_found_in_the_time_index_and_named_on_the_row() -> None:
    store: dict[bytes, bytes] = {}
    folded = folded_in(store, STORY[:3])

    until = T0 + HOUR + WEEK
    assert due_in(store, until - 1) == []
    assert due_in(store, until) == [Deadline(until, KEY)]
    assert header(folded.rows[KEY].headers, "due_at") == str(until)


def test_a_due_grant_is_announced_once_and_leaves_the_index() -> None:
    store: dict[bytes, bytes] = {}
    folded_in(store, STORY[:3])
    until = T0 + HOUR + WEEK

    folded = fold_deadlines(due_in(store, until), until, store.get, DEFAULT_POLICY, 1)
    keep(store, folded)

    assert [change["type"] for change in values(folded.changes)] == ["permission_expired"]
    assert due_in(store, until + DAY) == []
    assert decode_state(store[KEY]).judged_at == until


def test_a_deadline_is_told_under_ids_of_its_own_though_the_row_keeps_its_version() -> None:
    store: dict[bytes, bytes] = {}
    told = folded_in(store, STORY[:3])
    until = T0 + HOUR + WEEK
    passed = fold_deadlines(due_in(store, until), until, store.get, DEFAULT_POLICY, 1)

    assert header(passed.rows[KEY].headers, "version") == header(told.rows[KEY].headers, "version") == "3"
    for rows in ([*told.records, *passed.records], [told.rows[KEY], passed.rows[KEY]]):
        assert len({header(row.headers, "ce_id") for row in rows}) == len(rows)


def test_a_tick_and_a_late_fact_announce_an_expiry_under_one_id() -> None:
    by_tick: dict[bytes, bytes] = {}
    folded_in(by_tick, STORY[:3])
    by_fact = dict(by_tick)
    later = T0 + HOUR + WEEK + DAY

    ticked = fold_deadlines(due_in(by_tick, later), later, by_tick.get, DEFAULT_POLICY, 1)
    outrun = folded_in(by_fact, [sent("r2", later)])

    [ticked_id] = [change["change_id"] for change in values(ticked.changes)]
    assert ticked_id in [change["change_id"] for change in values(outrun.changes)]


def test_a_stale_index_row_is_dropped_and_one_that_came_early_is_moved() -> None:
    store: dict[bytes, bytes] = {}
    folded_in(store, STORY[:3])
    until = T0 + HOUR + WEEK
    early, unknown = Deadline(T0 + DAY, KEY), Deadline(T0 + DAY, f"{NUMBER}/447700900125".encode())
    store[index_key(early)] = store[index_key(unknown)] = b""
    del store[index_key(Deadline(until, KEY))]

    folded = fold_deadlines(due_in(store, T0 + 2 * DAY), T0 + 2 * DAY, store.get, DEFAULT_POLICY, 1)
    keep(store, folded)

    assert folded.rows == {}
    assert due_in(store, until) == [Deadline(until, KEY)]


def test_a_damaged_list_of_a_row_parks_the_facts_that_need_it_and_goes_with_the_row_as_it_is() -> None:
    store: dict[bytes, bytes] = {}
    folded_in(store, STORY)
    begins = store[KEY].index(b"[[", store[KEY].index(b'"requests":'))
    store[KEY] = store[KEY][:begins] + b"[[3" + store[KEY][begins + 2 :]
    damaged = store[KEY][begins : begins + 60]

    folded = folded_in(store, [messaged("m3", T0 + 3 * HOUR), delivered("r1", T0 + 4), messaged("m4", T0 + 4 * HOUR)])

    assert (folded.flags, dict(folded.reasons)) == ([False, False], {"state_unreadable": 1})
    assert (folded.new, len(folded.records), len(folded.parked), len(folded.unreadable)) == (2, 2, 1, 1)
    assert damaged in store[KEY]
    assert len(orjson.loads(store[KEY].replace(b"[[3", b"[["))["messages"]) == 2


def test_a_deadline_of_a_row_with_a_damaged_list_is_told_as_unreadable_and_the_row_is_left_alone() -> None:
    store: dict[bytes, bytes] = {}
    folded_in(store, STORY[:3])
    store[KEY] = store[KEY].replace(b'"decisions":[[', b'"decisions":[[[')
    until = T0 + 30 * DAY

    folded = fold_deadlines(due_in(store, until), until, store.get, DEFAULT_POLICY, 1)

    assert (folded.rows, folded.changes, len(folded.unreadable)) == ({}, [], 1)

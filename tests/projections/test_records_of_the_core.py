"""What the core tells of whole stories, stored and read back: the rows fit the tables, and every end has its cause."""

import random
from collections import Counter
from typing import Any, get_args

import orjson
import pytest
from pydantic import BaseModel

from projections.questions import QUESTIONS, Asked, ask
from projections.store import Store
from schemas.events import PairFact
from schemas.records import CallOutcome, CallRow, EndCause, FinalClass, GrantRow, Record, RequestRow, encode_record
from tests.permission.story import (
    DAY,
    HOUR,
    T0,
    Told,
    accepted,
    call,
    connected,
    delivered,
    given,
    messaged,
    moved,
    reading,
    refused,
    rejected,
    replied,
    sent,
    status,
    unanswered,
)
from tests.projections.histories import call_row, record
from tests.projections.test_views import load

RESTING: list[PairFact] = [sent("wamid.TESTREQ1", T0), accepted("wamid.TESTYES1", T0 + 60, to="wamid.TESTREQ1")]
ROW_ENDS = [T0 + hour * HOUR for hour in (1, 2, 3, 4)]
ENDS: dict[str, list[PairFact]] = {
    "expired": [messaged("wamid.TESTMSG1", T0 + 9 * DAY)],
    "revoked_via_request": [rejected("wamid.TESTNO1", T0 + DAY, to="wamid.TESTREQ1")],
    "revoked_via_profile": [rejected("wamid.TESTNO1", T0 + DAY)],
    "auto_revoke_inferred": unanswered(*ROW_ENDS),
    "auto_revoked": [*unanswered(*ROW_ENDS), replied("wamid.TESTNO1", T0 + DAY, "reject", source="automatic")],
    "replaced": [accepted("wamid.TESTYES2", T0 + DAY)],
    "reading": [reading("no_permission", T0 + DAY)],
    "refused_138006": [refused("call", 138_006, T0 + DAY)],
    "number_changed": [moved("old", T0 + DAY)],
}
CALLS: list[PairFact] = [
    *connected(T0 + HOUR),
    *unanswered(T0 + 2 * HOUR),
    *call("wacid.TEST3", ("offered", T0 + 3 * HOUR), ("rejected", T0 + 3 * HOUR + 9)),
    *call("wacid.TEST4", ("offered", T0 + 4 * HOUR), ("ended", T0 + 4 * HOUR + 9), status="cancelled"),
    *call("wacid.TEST5", ("offered", T0 + 5 * HOUR), ("ended", T0 + 5 * HOUR + 9), status="failed"),
    *call("wacid.TEST6", ("offered", T0 + 6 * HOUR), ("ringing", T0 + 6 * HOUR + 2)),
    *call("wacid.TEST7", ("ended", T0 + 7 * HOUR), start=T0 + 7 * HOUR - 40, direction="user_initiated"),
]
REQUESTS: list[PairFact] = [
    refused("request", 138_009, T0, T0 + DAY),
    sent("wamid.TESTREQ2", T0 + DAY),
    status("wamid.TESTREQ2", "failed", T0 + DAY + 3, 131_026),
    sent("wamid.TESTREQ3", T0 + 2 * DAY),
    delivered("wamid.TESTREQ3", T0 + 2 * DAY + 5),
    sent("wamid.TESTREQ4", T0 + 3 * DAY),
    delivered("wamid.TESTREQ4", T0 + 3 * DAY + 5),
    rejected("wamid.TESTNO4", T0 + 4 * DAY, to="wamid.TESTREQ4"),
]


def values(told: Told) -> list[bytes]:
    return [encode_record(one.record) for one in told.steps if one.record is not None]


def test_every_row_of_the_core_has_the_shape_that_is_published() -> None:
    shapes: dict[str, type[BaseModel]] = {"requests": RequestRow, "grants": GrantRow, "calls": CallRow}
    seen: Counter[str] = Counter()
    for facts in (*ENDS.values(), CALLS, REQUESTS):
        for value in values(given(*RESTING, *facts)):
            told: dict[str, Any] = orjson.loads(value)
            Record.model_validate(told)
            for name, shape in shapes.items():
                for row in told[name]:
                    shape.model_validate(row)
                    seen[name] += 1
    assert min(seen[name] for name in shapes) > 5


def test_each_cause_of_an_end_has_its_story() -> None:
    assert set(ENDS) == set(get_args(EndCause))
    for cause, facts in ENDS.items():
        ended = [row["end_cause"] for row in given(*RESTING, *facts).rows("grants").values() if row["end_cause"]]
        assert ended == [cause]


@pytest.mark.clickhouse
@pytest.mark.parametrize("cause", ENDS)
def test_an_end_of_any_cause_is_counted_under_it(embedded: Store, cause: str) -> None:
    told = values(given(*RESTING, *ENDS[cause]))
    random.Random(7).shuffle(told)
    load(embedded, told * 2)

    counted = {row["cause"]: row["ended"] for row in ask(embedded, QUESTIONS["revocations"], Asked()).rows}
    assert counted[cause] == 1
    others = {name: count for name, count in counted.items() if name != cause and count}
    # By the clock of today the grant that replaced the first has run out too.
    assert others == ({"expired": 1} if cause == "replaced" else {})


@pytest.mark.clickhouse
def test_calls_of_every_outcome_are_read_as_they_were_told(store: Store) -> None:
    told = given(*RESTING, *CALLS)
    load(store, values(told))

    rows = told.rows("calls")
    assert {row["outcome"] for row in rows.values()} == set(get_args(CallOutcome))
    names = ("call_id", "direction", "outcome", "connected_at", "ended_at", "duration_s", "pulses")
    found = store.ask(
        "SELECT call_id, direction, outcome, toUnixTimestamp(connected_at), toUnixTimestamp(ended_at), duration_s, "
        "pulses FROM v_calls ORDER BY call_id"
    )
    expected = [tuple(row[name] for name in names) for _, row in sorted(rows.items())]
    assert [tuple(row) for row in found.rows] == [(*row[:5], row[5] or 0, row[6]) for row in expected]


@pytest.mark.clickhouse
def test_refused_and_failed_requests_are_counted_in_their_classes(store: Store) -> None:
    told = given(*REQUESTS)
    load(store, values(told))

    [found] = ask(store, QUESTIONS["funnel"], Asked()).rows
    classes = Counter(row["final_class"] for row in told.rows("requests").values())
    assert classes == {"refused": 1, "failed": 1, "superseded": 1, "declined": 1}
    assert {name: found[name] for name in get_args(FinalClass) if found[name]} == classes
    assert (found["requested"], found["accepted_by_api"], found["delivered"]) == (4, 3, 2)


@pytest.mark.clickhouse
def test_a_day_of_calls_adds_up_and_the_newest_version_counts(store: Store) -> None:
    connected_row = {"outcome": "connected", "connected_at": 1_772_445_610, "ended_at": 1_772_445_666, "duration_s": 56}
    rows = [
        call_row("A"),
        call_row("A", version=2, pulses=10, **connected_row),
        call_row("B", outcome="unanswered", campaign="camp-42"),
        call_row("C", outcome="rejected"),
        call_row("C", outcome="rejected", version=2, is_deleted=1),
    ]
    load(store, [encode_record(record(calls=[row])) for row in rows])

    found = store.ask(
        "SELECT toString(day), campaign, placed, connected, unanswered, rejected, seconds, pulses FROM v_calls_daily "
        "ORDER BY campaign"
    )
    assert [tuple(row) for row in found.rows] == [
        ("2026-03-02", "", 1, 1, 0, 0, 56, 10),
        ("2026-03-02", "camp-42", 1, 0, 1, 0, 0, 0),
    ]

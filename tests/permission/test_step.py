"""Design 4, 6: what is announced, under which id, and which rows are told."""

from dataclasses import replace

import orjson
import pytest

from schemas.changes import Change, encode_change
from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.records import GrantRow, Record, RequestRow, encode_record
from schemas.state_row import CANONICAL_VERSION, row_version
from streams.permission.horizon import HORIZON_S
from streams.permission.standing import timeline
from streams.permission.step import Step, gather, pass_time, step
from tests.permission.story import (
    DAY,
    HOUR,
    NUMBER,
    PRODUCTION,
    T0,
    USER,
    accepted,
    call,
    delivered,
    given,
    messaged,
    reading,
    rejected,
    replied,
    sent,
)

UNTIL = T0 + 7 * DAY


def test_a_tick_announces_a_passed_deadline_once() -> None:
    told = given(accepted("a1", T0)).when_time_reaches(UNTIL).when_time_reaches(UNTIL + HOUR)
    assert told.announced == [("permission_granted", "profile"), ("permission_expired", "expired")]
    assert told.changes[-1]["occurred_at"] == UNTIL
    assert told.steps[-1].state is told.steps[-2].state, "nothing due, nothing stored"


def test_a_tick_a_second_before_the_deadline_announces_nothing() -> None:
    told = given(accepted("a1", T0))
    assert told.when_time_reaches(UNTIL - 1).announced == told.announced


def test_a_fact_that_outruns_the_tick_announces_the_same_expiry_under_the_same_id() -> None:
    story = given(accepted("a1", T0))
    by_tick = story.when_time_reaches(UNTIL + HOUR).changes[-1]
    by_fact = story.then(sent("r2", UNTIL + 2 * HOUR)).changes
    assert by_tick in by_fact


def test_an_expiry_that_a_fact_outran_is_announced_before_the_new_grant() -> None:
    told = given(accepted("a1", T0), accepted("a2", UNTIL + HOUR))
    assert told.announced == [
        ("permission_granted", "profile"),
        ("permission_expired", "expired"),
        ("permission_granted", "profile"),
    ]


def test_a_renewed_grant_is_not_announced_as_expired() -> None:
    told = given(accepted("a1", T0), accepted("a2", T0 + 6 * DAY)).when_time_reaches(UNTIL + HOUR)
    assert [kind for kind, _ in told.announced] == ["permission_granted", "permission_granted"]
    assert told.steps[-1].deadline == T0 + 13 * DAY


def test_a_late_fact_announces_what_is_true_now() -> None:
    told = given(accepted("a2", T0 + DAY), accepted("a1", T0))
    assert told.announced == [("permission_granted", "profile")], "the older accept changes nothing that holds"
    assert told.at(T0 + HOUR).status == "temporary"


def test_a_second_decline_of_another_request_is_announced() -> None:
    told = given(rejected("a1", T0, to="r1"), rejected("a2", T0 + 2 * DAY, to="r2"))
    assert told.announced == [("permission_declined", "declined")] * 2


def test_equal_announcements_have_equal_ids_and_others_do_not() -> None:
    one = given(accepted("a1", T0), rejected("a2", T0 + HOUR))
    two = given(accepted("a1", T0), rejected("a2", T0 + HOUR))
    assert one.changes == two.changes
    assert len({change["change_id"] for change in one.changes}) == len(one.changes)


def test_changes_and_records_are_of_their_published_shape() -> None:
    told = given(
        sent("r1", T0),
        delivered("r1", T0 + 5),
        accepted("a1", T0 + HOUR, to="r1"),
        replied("a2", T0 + 2 * HOUR, "reject", source="automatic"),
    ).when_time_reaches(T0 + 30 * DAY)
    for change in told.changes:
        Change.model_validate_json(encode_change(change), strict=True)
    for one in told.steps:
        if one.record is not None:
            encoded = encode_record(one.record)
            assert encoded.startswith(b"{")
            assert encoded.endswith(b"}")
            Record.model_validate_json(encoded, strict=True)
            for row in orjson.loads(encoded)["requests"]:
                RequestRow.model_validate(row, strict=True)
            for row in orjson.loads(encoded)["grants"]:
                GrantRow.model_validate(row, strict=True)


def test_the_version_grows_by_one_with_each_stored_change() -> None:
    told = given(sent("r1", T0), delivered("r1", T0 + 5), delivered("r1", T0 + 5), accepted("a1", T0 + HOUR, to="r1"))
    assert [one.state.version for one in told.steps] == [1, 2, 2, 3]
    assert told.rows("requests")["r1"]["version"] == CANONICAL_VERSION + 3


def test_a_grant_that_an_earlier_fact_makes_part_of_another_is_deleted() -> None:
    told = given(replied("a2", T0 + DAY, permanent=True), replied("a1", T0, permanent=True))
    assert [row["granted_at"] for row in told.rows("grants").values()] == [T0]


def test_only_the_rows_that_changed_are_told() -> None:
    told = given(sent("r1", T0), delivered("r1", T0 + 5), sent("r2", T0 + DAY))
    record = told.steps[-1].record
    assert record is not None
    assert [row["request_id"] for row in record["requests"]] == ["r2"]
    assert record["grants"] == []


@pytest.mark.parametrize("quiet", [messaged("m1", T0 + HOUR), delivered("x1", T0 + HOUR)])
def test_the_record_of_a_fact_brings_the_fact_and_no_row_that_it_did_not_touch(quiet: PairFact) -> None:
    done = given(accepted("a1", T0), quiet).steps[-1]
    assert done.record == {
        "phone_number_id": NUMBER,
        "user": USER,
        "fact": {
            "fact_id": quiet.fact_id,
            "type": quiet.type,
            "occurred_at": T0 + HOUR,
            "recorded_at": T0 + HOUR + 1,
            "version": 1,
            "body": quiet,
        },
        "requests": [],
        "grants": [],
        "calls": [],
        "changes": [],
    }
    assert (done.deadline, done.repeated, done.late, done.forwards, done.changes) == (UNTIL, False, False, (), ())


def test_a_fact_known_already_changes_nothing_and_keeps_the_deadline() -> None:
    told = given(accepted("a1", T0), accepted("a1", T0))
    done = told.steps[-1]
    assert done == Step(told.steps[0].state, UNTIL, repeated=True)
    assert done.state is told.steps[0].state


def test_a_fact_beyond_the_horizon_is_stored_as_late_and_keeps_the_deadline() -> None:
    state = given(accepted("a1", T0)).state
    late = replace(rejected("a0", T0), recorded_at=T0 + HORIZON_S + 1)
    done = step(state, late, DEFAULT_POLICY, PRODUCTION)
    assert (done.state, done.deadline, done.late) == (state._replace(version=2, late=1), UNTIL, True)
    assert done.record is not None
    assert (done.record["fact"]["body"], done.record["grants"], done.record["changes"]) == (late, [], [])


def test_a_row_of_a_grant_is_of_its_pair_and_of_the_version_that_told_it() -> None:
    told = given(accepted("a1", T0), rejected("a2", T0 + HOUR))
    (row,) = (told.steps[-1].record or {})["grants"]
    assert row.items() >= {"phone_number_id": NUMBER, "user": USER, "version": row_version(told.state)}.items()
    assert (row["is_deleted"], row["ended_at"]) == (0, T0 + HOUR)


def test_a_tick_moves_the_clock_to_the_deadline_and_is_no_new_version() -> None:
    told = given(accepted("a1", T0)).when_time_reaches(UNTIL + HOUR)
    state = told.state
    assert (state.version, state.judged_at, state.due_at) == (1, UNTIL, None)
    assert state.walked == timeline(state, UNTIL, DEFAULT_POLICY, PRODUCTION).walked(PRODUCTION)
    done = told.steps[-1]
    assert done.deadline is None
    assert done.record is not None
    assert "fact" not in done.record
    assert [(row["end_cause"], row["ended_at"]) for row in done.record["grants"]] == [("expired", UNTIL)]
    assert [row["type"] for row in done.record["changes"]] == ["permission_expired"]


def test_what_is_gathered_is_what_is_kept_and_nothing_is_told() -> None:
    state = given(accepted("a1", T0)).state
    done = gather(state, rejected("a2", T0 + HOUR))
    assert (done.changes, done.record, done.forwards, done.repeated) == ((), None, (), False)
    assert (done.state.version, done.state.judged_at, done.state.recorded_at) == (2, T0 + HOUR, T0 + HOUR + 1)
    assert gather(state, accepted("a1", T0)) == Step(state, repeated=True)
    older = gather(state, rejected("a0", T0 - HOUR)).state
    assert (older.judged_at, older.recorded_at) == (T0, T0 + 1)


def test_a_reading_after_an_expiry_tells_of_both_and_of_the_drift() -> None:
    told = given(accepted("a1", T0), reading("permanent", UNTIL + HOUR))
    assert [change["type"] for change in told.steps[-1].changes] == [
        "permission_expired",
        "drift_detected",
        "permission_granted",
    ]


def test_a_call_filed_under_an_earlier_day_is_taken_back_from_the_later_one() -> None:
    told = given(*call("c1", ("ended", T0 + DAY)), *call("c1", ("offered", T0 - HOUR)))
    (record,) = [one.record for one in told.steps[-1:]]
    assert record is not None
    assert [(row["anchor_at"], row["is_deleted"]) for row in record["calls"]] == [(T0 + DAY, 1), (T0 - HOUR, 0)]


def test_a_call_that_stays_in_its_day_is_told_anew_and_taken_back_from_nowhere() -> None:
    told = given(*call("c1", ("ended", T0 + HOUR)), *call("c1", ("offered", T0)))
    record = told.steps[-1].record
    assert record is not None
    assert [(row["anchor_at"], row["is_deleted"]) for row in record["calls"]] == [(T0, 0)]


def test_a_passed_deadline_is_announced_under_one_id_whenever_it_is_found() -> None:
    """After a crash the timer may come again behind other facts, or a fact outruns it: it is the same deadline."""
    state = given(sent("r1", T0), accepted("a1", T0 + HOUR, to="r1")).state
    deadline = T0 + HOUR + 7 * DAY
    by_timer = pass_time(state, deadline, DEFAULT_POLICY, PRODUCTION)
    meanwhile = step(state, messaged("m1", T0 + DAY), DEFAULT_POLICY, PRODUCTION).state
    behind_a_fact = pass_time(meanwhile, deadline, DEFAULT_POLICY, PRODUCTION)
    by_a_fact = step(meanwhile, messaged("m2", deadline + DAY), DEFAULT_POLICY, PRODUCTION)

    told = [done.changes[0] for done in (by_timer, behind_a_fact, by_a_fact)]
    assert [change["type"] for change in told] == ["permission_expired"] * 3
    assert len({change["change_id"] for change in told}) == 1
    assert len({change["version"] for change in told}) == 2
    other = given(sent("r1", T0), accepted("a1", T0 + HOUR, to="r1", until=deadline + 1)).state
    assert pass_time(other, deadline + 1, DEFAULT_POLICY, PRODUCTION).changes[0]["change_id"] != told[0]["change_id"]

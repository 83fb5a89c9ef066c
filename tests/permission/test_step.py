"""Design 4, 6: what is announced, under which id, and which rows are told."""

import orjson

from schemas.changes import Change, encode_change
from schemas.records import GrantRow, Record, RequestRow, encode_record
from schemas.state import CANONICAL_VERSION
from tests.permission.story import DAY, HOUR, T0, accepted, delivered, given, rejected, replied, sent

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

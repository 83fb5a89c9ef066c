"""The simulator's own rules, one hand-made life at a time."""

from streams.simulator import rules
from streams.simulator.cast import TEMPLATES, cast
from streams.simulator.happenings import (
    DAY_S,
    WEEK_S,
    Answer,
    Happening,
    Replied,
    RequestSent,
    StatusName,
    StatusReported,
)
from streams.simulator.rules import Permission

NOON = 1_772_452_800
HOUR = 3_600
PAIR = cast(1, 1)[0]


def asked(request_id: str, at: int) -> Happening:
    return RequestSent(
        pair=PAIR, message_id=request_id, at=at, template=TEMPLATES[0], campaign=None, origin="conversation"
    )


def status(request_id: str, name: StatusName, at: int) -> Happening:
    code = 131026 if name == "failed" else None
    return StatusReported(pair=PAIR, message_id=request_id, at=at, status=name, category="utility", error_code=code)


def replied(answer: Answer, at: int, request_id: str | None = None) -> Happening:
    return Replied(pair=PAIR, message_id=f"TESTREPLY{at}", at=at, answer=answer, request_id=request_id)


def ends(*happenings: Happening, at: int) -> list[tuple[str, str | None]]:
    return [(grant.kind, grant.end_cause) for grant in rules.grants(happenings, at)]


def classes(*happenings: Happening, at: int) -> list[str]:
    return [row.final_class for row in rules.requests(happenings, at)]


def test_a_temporary_permission_holds_until_the_second_before_seven_days_have_passed() -> None:
    life = [asked("r1", NOON), replied("temporary", NOON + HOUR, "r1")]
    gone_at = NOON + HOUR + WEEK_S
    assert rules.permission(life, NOON + HOUR - 1) == Permission("no_permission")
    assert rules.permission(life, gone_at - 1) == Permission("temporary", gone_at)
    assert rules.permission(life, gone_at) == Permission("no_permission")
    assert ends(*life, at=gone_at - 1) == [("temporary", None)]
    assert ends(*life, at=gone_at) == [("temporary", "expired")]


def test_temporary_on_temporary_is_a_new_grant_and_the_old_one_is_replaced() -> None:
    life = [replied("temporary", NOON), replied("temporary", NOON + DAY_S)]
    assert ends(*life, at=NOON + DAY_S) == [("temporary", "replaced"), ("temporary", None)]
    assert rules.permission(life, NOON + DAY_S) == Permission("temporary", NOON + DAY_S + WEEK_S)


def test_permanent_on_permanent_is_the_same_grant() -> None:
    life = [replied("permanent", NOON), replied("permanent", NOON + DAY_S)]
    assert ends(*life, at=NOON + DAY_S) == [("permanent", None)]


def test_the_users_latest_choice_of_kind_replaces_the_running_grant_in_both_directions() -> None:
    up = [replied("temporary", NOON), replied("permanent", NOON + 1)]
    down = [replied("permanent", NOON), replied("temporary", NOON + 1)]
    assert ends(*up, at=NOON + 1) == [("temporary", "replaced"), ("permanent", None)]
    assert ends(*down, at=NOON + 1) == [("permanent", "replaced"), ("temporary", None)]


def test_a_reject_ends_the_grant_by_the_way_it_came() -> None:
    granted = replied("permanent", NOON, "r1")
    assert ends(granted, replied("reject", NOON + 1, "r1"), at=NOON + 1) == [("permanent", "revoked_via_request")]
    assert ends(granted, replied("reject", NOON + 1), at=NOON + 1) == [("permanent", "revoked_via_profile")]


def test_a_reject_without_a_grant_ends_nothing() -> None:
    assert ends(replied("reject", NOON, "r1"), at=NOON) == []
    run_out = replied("temporary", NOON - WEEK_S)
    assert ends(run_out, replied("reject", NOON, "r1"), at=NOON) == [("temporary", "expired")]


def test_the_first_answer_decides_the_class_and_the_last_whether_the_mind_was_changed() -> None:
    life = [
        asked("r1", NOON),
        status("r1", "delivered", NOON + 5),
        replied("reject", NOON + 60, "r1"),
        replied("permanent", NOON + 120, "r1"),
    ]
    before, after = rules.requests(life, NOON + 119)[0], rules.requests(life, NOON + 120)[0]
    assert (before.final_class, before.changed_mind) == ("declined", False)
    assert (after.final_class, after.changed_mind) == ("declined", True)


def test_an_unanswered_request_runs_out_seven_days_after_its_delivery() -> None:
    life = [asked("r1", NOON), status("r1", "sent", NOON + 1), status("r1", "delivered", NOON + HOUR)]
    assert classes(*life, at=NOON + HOUR + WEEK_S - 1) == ["open"]
    assert classes(*life, at=NOON + HOUR + WEEK_S) == ["expired_no_response"]


def test_a_request_that_never_arrived_runs_out_seven_days_after_it_was_sent() -> None:
    life = [asked("r1", NOON), status("r1", "sent", NOON + 1)]
    assert classes(*life, at=NOON + WEEK_S - 1) == ["open"]
    assert classes(*life, at=NOON + WEEK_S) == ["expired_no_response"]


def test_reading_stands_in_for_a_delivery_that_was_not_reported() -> None:
    row = rules.requests([asked("r1", NOON), status("r1", "read", NOON + HOUR)], NOON + HOUR)[0]
    assert (row.delivered_at, row.read_at, row.expires_at) == (NOON + HOUR, NOON + HOUR, NOON + HOUR + WEEK_S)


def test_the_arrival_of_a_newer_request_supersedes_an_unanswered_one() -> None:
    old = [asked("r1", NOON), status("r1", "delivered", NOON + 5)]
    newer = [asked("r2", NOON + 2 * DAY_S), status("r2", "delivered", NOON + 2 * DAY_S + 60)]
    assert classes(*old, *newer, at=NOON + 2 * DAY_S + 59) == ["open", "open"]
    assert classes(*old, *newer, at=NOON + 2 * DAY_S + 60) == ["superseded", "open"]
    assert classes(*old, replied("reject", NOON + 9, "r1"), *newer, at=NOON + 3 * DAY_S) == ["declined", "open"]


def test_a_newer_request_that_comes_after_the_end_supersedes_nothing() -> None:
    life = [asked("r1", NOON), asked("r2", NOON + WEEK_S), status("r2", "delivered", NOON + WEEK_S)]
    assert classes(*life, at=NOON + WEEK_S) == ["expired_no_response", "open"]


def test_a_failed_request_stays_failed_and_supersedes_nothing() -> None:
    life = [asked("r1", NOON), status("r1", "delivered", NOON + 5)]
    failed = [asked("r2", NOON + 2 * DAY_S), status("r2", "failed", NOON + 2 * DAY_S + 9)]
    assert classes(*life, *failed, at=NOON + 3 * DAY_S) == ["open", "failed"]
    assert rules.requests([*life, *failed], NOON + 3 * DAY_S)[1].error_code == 131026


def test_requests_are_allowed_once_a_day_and_twice_a_week_and_failed_ones_do_not_count() -> None:
    once = [asked("r1", NOON)]
    twice = [*once, asked("r2", NOON + 2 * DAY_S)]
    assert rules.may_request_from([], NOON) == NOON
    assert rules.may_request_from(once, NOON + HOUR) == NOON + DAY_S
    assert rules.may_request_from(once, NOON + DAY_S) == NOON + DAY_S
    assert rules.may_request_from(twice, NOON + 3 * DAY_S) == NOON + WEEK_S
    assert rules.may_request_from([*once, status("r1", "failed", NOON + 9)], NOON + HOUR) == NOON + HOUR


def test_a_permanent_permission_forbids_requests_and_a_temporary_one_does_not() -> None:
    assert rules.may_request_from([replied("permanent", NOON)], NOON + DAY_S) is None
    assert rules.may_request_from([replied("temporary", NOON)], NOON + DAY_S) == NOON + DAY_S


def test_only_what_is_still_on_the_screen_can_be_answered() -> None:
    arrived = [asked("r1", NOON), status("r1", "delivered", NOON + 5)]
    newer = [asked("r2", NOON + DAY_S), status("r2", "delivered", NOON + DAY_S + 5)]
    answered = [*arrived, replied("reject", NOON + HOUR, "r1")]
    assert not rules.may_answer(arrived, "r1", NOON + 4)
    assert rules.may_answer(arrived, "r1", NOON + 5)
    assert not rules.may_answer(arrived, "r1", NOON + 5 + WEEK_S)
    assert not rules.may_answer([*arrived, *newer], "r1", NOON + DAY_S + 5)
    assert rules.may_answer([*answered, *newer], "r1", NOON + DAY_S + 5)
    assert not rules.may_answer([*answered, *newer, replied("reject", NOON + 2 * DAY_S, "r2")], "r1", NOON + 3 * DAY_S)

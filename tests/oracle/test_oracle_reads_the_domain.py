"""The independent judge says what the domain's own table of scenarios says (`domain.md` (b)); a row a line."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from tests.oracle.business import Business, Restriction, Setting
from tests.oracle.histories import (
    CALL,
    DAY_S,
    HALF_HOUR_S,
    NUMBER,
    T0,
    USER,
    WEEK_S,
    Plan,
    all_of_a_call,
    moved,
    reading,
    refusal,
    reply,
    request_sent,
    status,
)
from tests.oracle.judge import judge
from tests.oracle.rows import call_rows, grant_rows, request_rows

PRODUCTION = Business()
R1, R2 = "wamid.TESTREQ0001", "wamid.TESTREQ0002"
ANSWERED = T0 + HALF_HOUR_S
HOUR_S = 3_600

ASKED: list[PairFact] = [request_sent("REQ0001", T0), status("REQ0001", T0 + 5, "delivered")]
ASKED_TWICE: list[PairFact] = [request_sent("REQ0001", T0), request_sent("REQ0002", T0 + DAY_S)]
TEMPORARY = reply("YES", ANSWERED, context_id=R1, expires_at=ANSWERED + WEEK_S)
PERMANENT = reply("EVER", ANSWERED, context_id=R1, is_permanent=True)
BY_PROFILE = reply("EVER", ANSWERED, is_permanent=True)
CALLBACK = reply("BACK", ANSWERED, context_id=CALL, source="automatic", expires_at=ANSWERED + WEEK_S)
DECLINED = reply("NO", ANSWERED, "reject", context_id=R1)
TAKEN: list[PairFact] = [reply("NO", T0 + 5_400, "reject", context_id=R1), *ASKED, TEMPORARY]
LATER = ANSWERED + DAY_S
LESS: list[PairFact] = [PERMANENT, reply("LESS", LATER, expires_at=LATER + WEEK_S)]
MORE: list[PairFact] = [
    TEMPORARY,
    reply("BACK", T0 + 4 * DAY_S, context_id=CALL, source="automatic", expires_at=T0 + 11 * DAY_S),
]
META_AT = 1_767_168_000
META: list[PairFact] = [reply("META", META_AT, expires_at=1_768_550_400)]


def line(facts: list[PairFact], at: int) -> dict[str, Any]:
    return judge(facts, NUMBER, USER, at, DEFAULT_POLICY, Business())


def short(facts: list[PairFact], at: int) -> str:
    """Permission, reason, usage of both windows with release, and whether one may ask and call, in one line."""
    said = line(facts, at)
    ask, call = said["actions"]
    until = said["permission"].get("expiration_time")
    status = said["permission"]["status"] + (f"<{until - T0}" if until else "")
    used = " ".join(
        f"{limit['current_usage']}/{limit['max_allowed']}"
        + (f"@{limit['limit_expiration_time'] - T0}" if "limit_expiration_time" in limit else "")
        for limit in ask["limits"]
    )
    may = "".join("SC"[index] if action["can_perform_action"] else "-" for index, action in enumerate((ask, call)))
    return f"{status} {said['standing']['reason']} {used} {may}"


@pytest.mark.parametrize(
    ("row", "facts", "at", "expected"),
    [
        (1, [], T0, "no_permission never 0/1 0/2 S-"),
        (2, ASKED, T0 + 60, "no_permission never 1/1@86400 1/2 --"),
        (2, ASKED, T0 + DAY_S - 1, "no_permission never 1/1@86400 1/2 --"),
        (2, ASKED, T0 + DAY_S, "no_permission never 0/1 1/2 S-"),
        (3, [*ASKED, TEMPORARY], ANSWERED, "temporary<606600 None 1/1@86400 1/2 -C"),
        (3, [*ASKED, TEMPORARY], ANSWERED + WEEK_S - 1, "temporary<606600 None 0/1 0/2 SC"),
        (3, [*ASKED, TEMPORARY], ANSWERED + WEEK_S, "no_permission expired 0/1 0/2 S-"),
        (4, [*ASKED, PERMANENT], T0 + 400 * DAY_S, "permanent None 0/1 0/2 -C"),
        (5, [*ASKED, DECLINED], ANSWERED, "no_permission declined 1/1@86400 1/2 --"),
        (5, [*ASKED, DECLINED], T0 + DAY_S, "no_permission declined 0/1 1/2 S-"),
        (7, [BY_PROFILE], ANSWERED, "permanent None 0/1 0/2 -C"),
        (8, [CALLBACK], ANSWERED, "temporary<606600 None 0/1 0/2 SC"),
        (8, [CALLBACK], ANSWERED + WEEK_S, "no_permission expired 0/1 0/2 S-"),
        (9, [TEMPORARY, reply("NO", T0 + 2 * DAY_S, "reject")], T0 + 2 * DAY_S, "no_permission revoked 0/1 0/2 S-"),
        (15, ASKED_TWICE, T0 + DAY_S, "no_permission never 1/1@172800 2/2@604800 --"),
        (15, ASKED_TWICE, T0 + 2 * DAY_S, "no_permission never 0/1 2/2@604800 --"),
        (15, ASKED_TWICE, T0 + WEEK_S - 1, "no_permission never 0/1 2/2@604800 --"),
        (15, ASKED_TWICE, T0 + WEEK_S, "no_permission never 0/1 1/2 S-"),
        (15, ASKED_TWICE, T0 + WEEK_S + DAY_S, "no_permission never 0/1 0/2 S-"),
        (18, [ASKED[0], status("REQ0001", T0 + 9, "failed")], T0 + 8, "no_permission never 1/1@86400 1/2 --"),
        (18, [ASKED[0], status("REQ0001", T0 + 9, "failed")], T0 + 10, "no_permission never 0/1 0/2 S-"),
        (23, TAKEN, ANSWERED, "temporary<606600 None 1/1@86400 1/2 -C"),
        (23, TAKEN, T0 + 5400, "no_permission revoked 1/1@86400 1/2 --"),
        (25, LESS, LATER, "temporary<693000 None 0/1 0/2 SC"),
        (25, LESS, LATER + WEEK_S, "no_permission expired 0/1 0/2 S-"),
        (26, [PERMANENT, replace(CALLBACK, occurred_at=LATER)], LATER + 8 * DAY_S, "permanent None 0/1 0/2 -C"),
        (27, MORE, T0 + 8 * DAY_S, "temporary<950400 None 0/1 0/2 SC"),
        (29, META, META_AT + 8 * DAY_S, "temporary<-3891600 None 0/1 0/2 SC"),
        (30, [reply("YES", ANSWERED, context_id=R1)], ANSWERED, "temporary<606600 None 0/1 0/2 SC"),
    ],
)
def test_a_scenario_ends_as_the_domain_says(row: int, facts: list[PairFact], at: int, expected: str) -> None:
    assert short(facts, at) == expected


def test_labels_follow_what_was_asked_and_answered() -> None:
    assert line([], T0)["standing"]["label"] == "not_requested"
    assert line(ASKED, T0 + 60)["standing"]["label"] == "pending"
    assert line(ASKED, T0 + 5 + WEEK_S)["standing"]["label"] == "no_answer"
    assert line([ASKED[0], status("REQ0001", T0 + 9, "failed")], T0 + 10)["standing"]["label"] == "not_requested"
    assert line([*ASKED, DECLINED], ANSWERED)["standing"]["label"] == "denied"
    assert line([*ASKED, DECLINED, request_sent("REQ0002", LATER)], LATER)["standing"]["label"] == "pending"
    assert line([*ASKED, TEMPORARY], ANSWERED + WEEK_S)["standing"]["label"] == "expired"
    taken = reply("AUTO", LATER, "reject", source="automatic")
    assert line([*ASKED, PERMANENT, taken], LATER)["standing"]["label"] == "auto_revoked"


def test_row_6_a_request_may_be_answered_again_and_keeps_both_answers() -> None:
    yes = reply("YES", T0 + 2 * DAY_S, context_id=R1, expires_at=T0 + 9 * DAY_S)
    facts = [yes, DECLINED, *ASKED]
    (row,) = request_rows(facts, NUMBER, USER, T0 + 2 * DAY_S, DEFAULT_POLICY, Business())
    assert (row["first_response"], row["last_response"]) == ("declined", "accepted_temporary")
    assert row["final_class"] == "declined"
    assert row["expires_at"] == T0 + 9 * DAY_S


def test_row_22_what_came_three_times_counts_once() -> None:
    facts = [TEMPORARY, *ASKED, TEMPORARY, replace(TEMPORARY, recorded_at=LATER)]
    assert line(facts, ANSWERED) == line([*ASKED, TEMPORARY], ANSWERED)
    assert len(grant_rows(facts, NUMBER, USER, ANSWERED, DEFAULT_POLICY, Business())) == 1


def test_row_24_a_reject_of_the_same_second_wins_and_is_flagged() -> None:
    said = line([*ASKED, replace(PERMANENT, message_id="wamid.TESTZ"), reply("A", ANSWERED, "reject")], ANSWERED)
    assert said["permission"] == {"status": "no_permission"}
    assert (said["standing"]["flags"], said["standing"]["confirmed"]) == (["same_second_conflict"], False)


def test_row_28_a_reject_of_an_older_request_takes_a_permanent_grant() -> None:
    facts = [*ASKED, BY_PROFILE, reply("NO", LATER, "reject", context_id=R1)]
    (grant,) = grant_rows(facts, NUMBER, USER, LATER, DEFAULT_POLICY, Business())
    assert (grant["via"], grant["ended_at"], grant["end_cause"]) == ("profile", LATER, "revoked_via_request")
    assert line(facts, LATER)["standing"]["reason"] == "revoked"


def test_row_31_an_answer_to_a_superseded_request_holds_and_is_flagged() -> None:
    second: list[PairFact] = [
        request_sent("REQ0002", T0 + 2 * DAY_S),
        status("REQ0002", T0 + 2 * DAY_S + 5, "delivered"),
    ]
    at = T0 + 2 * DAY_S + HOUR_S
    before = request_rows([*ASKED, *second], NUMBER, USER, at, DEFAULT_POLICY, Business())
    assert [row["final_class"] for row in before] == ["superseded", "open"]
    assert before[0]["superseded_at"] == before[0]["expires_at"] == T0 + 2 * DAY_S + 5
    late = reply("LATE", at, context_id=R1, expires_at=at + WEEK_S)
    said = line([*ASKED, *second, late], at)
    assert said["standing"]["flags"] == ["reply_to_expired_request"]
    assert short([*ASKED, *second, late], at) == "temporary<781200 None 1/1@259200 2/2@604800 -C"
    after = request_rows([*ASKED, *second, late], NUMBER, USER, at, DEFAULT_POLICY, Business())
    assert [row["final_class"] for row in after] == ["accepted_temporary", "open"]


def test_row_51_an_unanswered_request_ends_seven_days_after_it_arrived() -> None:
    classes = [
        request_rows(ASKED, NUMBER, USER, T0 + 5 + WEEK_S + second, DEFAULT_POLICY, Business())[0]["final_class"]
        for second in (-1, 0)
    ]
    assert classes == ["open", "expired_no_response"]


def everything_said(facts: list[PairFact], at: int) -> tuple[object, ...]:
    asked = (facts, NUMBER, USER, at, DEFAULT_POLICY, Business())
    return line(facts, at), request_rows(*asked), grant_rows(*asked)


@pytest.mark.parametrize("lost", range(6))
@pytest.mark.parametrize("defect", ["lost", "a second late", "somebody else's"])
def test_the_judge_notices_one_wrong_fact_among_many(lost: int, defect: str) -> None:
    second: list[PairFact] = [
        request_sent("REQ0002", T0 + 2 * DAY_S),
        status("REQ0002", T0 + 2 * DAY_S + 5, "delivered"),
    ]
    facts: list[PairFact] = [*ASKED, TEMPORARY, *second, reply("NO", T0 + 3 * DAY_S, "reject", context_id=R2)]
    wrong = [fact for place, fact in enumerate(facts) if place != lost]
    if defect == "a second late":
        wrong.append(replace(facts[lost], occurred_at=facts[lost].occurred_at + 1))
    if defect == "somebody else's":
        wrong.append(replace(facts[lost], user="447700900124"))
    assert everything_said(wrong, T0 + 4 * DAY_S) != everything_said(facts, T0 + 4 * DAY_S)


def call(n: int, at: int, end: str = "missed", *, by_user: bool = False, lasts_s: int = 30) -> list[PairFact]:
    """A call that starts, or is given up, at an instant."""
    return all_of_a_call(
        Plan(f"wacid.TESTCALL{n:04d}", by_user, end, at - (0 if end != "missed" else lasts_s), lasts_s)
    )


def missed(*hours: float) -> list[PairFact]:
    """Calls nobody picked up, over so many hours after the grant of half past."""
    return [fact for n, hour in enumerate(hours) for fact in call(n, ANSWERED + int(hour * HOUR_S))]


EVER: list[PairFact] = [BY_PROFILE]
FOURTH = ANSWERED + 4 * HOUR_S
TAKEN_BACK: list[PairFact] = [*EVER, *missed(1, 2, 3, 4), reply("AUTO", FOURTH + 3, "reject", source="automatic")]
AGAIN = reply("AGAIN", T0 + 6 * HOUR_S + HALF_HOUR_S, expires_at=1_773_070_200)
A_DAY_AND_AN_HOUR = T0 + DAY_S + HOUR_S
ASKED_AND_CALLED_BY = [*ASKED_TWICE, *call(9, A_DAY_AND_AN_HOUR, "answered", by_user=True)]
USED_UP = [*EVER, refusal("call", "TESTREFUSED", T0 + 5_400, 138012, T0 + 19_800)]
CALLED_100_TIMES: list[PairFact] = [
    *EVER,
    *(fact for n in range(100) for fact in call(n, ANSWERED + 60 * (n + 1), "answered")),
]


def called(facts: list[PairFact], at: int, number: Business = PRODUCTION) -> str:
    """Permission or its reason, streak, calls used with release, and whether one may ask and call, in one line."""
    said = judge(facts, NUMBER, USER, at, DEFAULT_POLICY, number)
    ask, dial = said["actions"]
    (used,) = dial["limits"]
    release = f"@{used['limit_expiration_time']}" if "limit_expiration_time" in used else ""
    may = "".join("SC"[index] if action["can_perform_action"] else "-" for index, action in enumerate((ask, dial)))
    how = said["standing"]["reason"] or said["permission"]["status"]
    sure = "" if said["standing"]["confirmed"] else "?"
    streak = said["standing"]["unanswered_streak"]
    return f"{how}{sure} {streak} {used['current_usage']}/{used['max_allowed']}{release} {may}"


@pytest.mark.parametrize(
    ("row", "facts", "at", "expected"),
    [
        (10, [*EVER, *missed(1, 2)], ANSWERED + 2 * HOUR_S, "permanent 2 0/100 -C"),
        (11, TAKEN_BACK, FOURTH - HOUR_S, "permanent 3 0/100 -C"),
        (11, TAKEN_BACK, FOURTH, "auto_revoke_inferred? 4 0/100 S-"),
        (11, TAKEN_BACK, FOURTH + 3, "auto_revoked 0 0/100 S-"),
        (12, [*EVER, *missed(1, 2, 3, 5), *call(9, FOURTH, "answered")], ANSWERED + 5 * HOUR_S, "permanent 1 1/100 -C"),
        (
            13,
            [*EVER, *missed(1, 2, 3, 5), *call(9, FOURTH, "answered", by_user=True)],
            ANSWERED + 5 * HOUR_S,
            "permanent 1 0/100 -C",
        ),
        (14, [*TAKEN_BACK, AGAIN, *call(9, T0 + 27_000)], AGAIN.occurred_at, "temporary 0 0/100 SC"),
        (14, [*TAKEN_BACK, AGAIN, *call(9, T0 + 27_000)], T0 + 27_000, "temporary 1 0/100 SC"),
        (
            16,
            [*ASKED_TWICE, *call(9, A_DAY_AND_AN_HOUR, "answered", by_user=True)],
            A_DAY_AND_AN_HOUR - 1,
            "never 0 0/100 --",
        ),
        (
            16,
            [*ASKED_TWICE, *call(9, A_DAY_AND_AN_HOUR, "answered", by_user=True)],
            A_DAY_AND_AN_HOUR,
            "never 0 0/100 S-",
        ),
        (17, [*ASKED, TEMPORARY, *call(9, T0 + 2_400, "answered")], T0 + 2_400, "temporary 0 1/100 SC"),
        (19, CALLED_100_TIMES, ANSWERED + 60 * 99, "permanent 0 99/100 -C"),
        (19, CALLED_100_TIMES, ANSWERED + 60 * 100, "permanent 0 100/100@1772530260 --"),
        (19, CALLED_100_TIMES, 1_772_530_260 - 1, "permanent 0 100/100@1772530260 --"),
        (19, CALLED_100_TIMES, 1_772_530_260, "permanent 0 99/100 -C"),
        (32, [TEMPORARY, reading(T0 + 2 * DAY_S, "no_permission")], T0 + 2 * DAY_S, "reading 0 0/100 S-"),
        (33, [refusal("request", "TESTREFUSED", ANSWERED, 138017)], ANSWERED, "permanent? 0 0/100 -C"),
        (34, [TEMPORARY, refusal("call", "TESTREFUSED", LATER, 138006)], LATER, "refused_138006? 0 0/100 S-"),
        (
            35,
            [*EVER, refusal("call", "TESTREFUSED", T0 + 5_400, 138012, T0 + 19_800)],
            T0 + 5_400,
            "permanent 0 0/100 --",
        ),
        (
            35,
            [*EVER, refusal("call", "TESTREFUSED", T0 + 5_400, 138012, T0 + 19_800)],
            T0 + 19_800,
            "permanent 0 0/100 -C",
        ),
        (39, [*EVER, moved(LATER, "old")], LATER, "number_changed? 0 0/100 S-"),
        (39, [moved(LATER, "new")], LATER, "number_changed? 0 0/100 S-"),
    ],
)
def test_a_scenario_with_calls_ends_as_the_domain_says(row: int, facts: list[PairFact], at: int, expected: str) -> None:
    assert called(facts, at) == expected


@pytest.mark.parametrize(
    ("row", "first_at", "times", "release"),
    [(20, 1_762_000_000, 10, 1_762_086_460), (21, 1_757_000_000, 5, 1_757_086_460)],
)
def test_the_call_limit_is_that_of_its_date(row: int, first_at: int, times: int, release: int) -> None:
    facts: list[PairFact] = [reply("EVER", first_at, is_permanent=True)]
    facts += [fact for n in range(times) for fact in call(n, first_at + 60 * (n + 1), "answered")]
    at = first_at + 60 * times
    assert called(facts, at) == f"permanent 0 {times}/{times}@{release} --"


def test_what_holds_for_the_number_holds_for_the_pair() -> None:
    paused = Business(restrictions=(Restriction(T0 + 5_400, "business_initiated", T0 + 5_400 + WEEK_S),))
    no = reply("NO", T0 + 9_000, "reject")
    assert called([*EVER, no], T0 + 5_400, paused) == "permanent 0 0/100 --"  # row 36
    assert called([*EVER, no], T0 + 9_000, paused) == "revoked 0 0/100 --"
    assert called([*EVER, no], T0 + 5_400 + WEEK_S, paused) == "revoked 0 0/100 S-"
    assert called(EVER, ANSWERED, Business(country="US")) == "permanent 0 0/100 --"  # row 37
    off = Business(settings=(Setting(T0, False),))
    assert called(EVER, ANSWERED, off) == "permanent 0 0/100 --"  # row 40
    assert judge(EVER, NUMBER, USER, ANSWERED, DEFAULT_POLICY, off)["actions"][1]["reason"] == "calling_disabled"


def test_row_38_a_sandbox_bears_more() -> None:
    sandbox = Business(profile="sandbox")
    assert called([*EVER, *missed(1, 2, 3, 4)], FOURTH, sandbox) == "permanent 4 0/100 -C"
    asked = [request_sent(f"MANY{n}", T0 + n * 60) for n in range(25)]
    said = judge(asked, NUMBER, USER, T0 + HOUR_S, DEFAULT_POLICY, sandbox)
    assert [limit["current_usage"] for limit in said["actions"][0]["limits"]] == [25, 25]
    assert said["actions"][0]["limits"][0]["limit_expiration_time"] == T0 + DAY_S


@pytest.mark.parametrize(
    ("row", "end", "outcome", "streak", "pulses"),
    [
        (42, "rejected", "rejected", 1, 0),
        (42, "rejected_failed", "rejected", 1, 0),
        (43, "failed", "technical_failure", 0, 0),
        (44, "answered", "connected", 0, 10),
    ],
)
def test_a_call_is_told_once_whatever_comes_first(row: int, end: str, outcome: str, streak: int, pulses: int) -> None:
    facts = call(1, LATER, end, lasts_s=56)
    for told in (facts, [*reversed(facts), *facts]):
        (found,) = call_rows(told, NUMBER, USER, LATER + HOUR_S)
        assert (found["outcome"], found["pulses"]) == (outcome, pulses)
        assert line(told, LATER + HOUR_S)["standing"]["unanswered_streak"] == streak
        assert found["connected_at"] == (LATER if end == "answered" else None)

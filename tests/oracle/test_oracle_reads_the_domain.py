"""The independent judge says what the domain's own table of scenarios says (`domain.md` (b)); a row a line."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from tests.oracle.business import Business
from tests.oracle.histories import CALL, DAY_S, HALF_HOUR_S, NUMBER, T0, USER, WEEK_S, reply, request_sent, status
from tests.oracle.judge import judge
from tests.oracle.rows import grant_rows, request_rows

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
    assert said["standing"]["flags"] == ["same_second_conflict"]


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

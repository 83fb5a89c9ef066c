"""The walk over all evidence: as-of leaves out what came later, word by word; notices; what a walk may continue."""

from dataclasses import replace
from typing import cast

import pytest

from schemas.events import CallOffered, PairFact, ReplySource
from schemas.ids import derived_id
from schemas.marks import Request
from schemas.policy import DEFAULT_POLICY, Policy
from schemas.state import PairState, Walked
from streams.permission.standing import Notice, as_of, goes_on, timeline
from tests.permission.story import (
    DAY,
    HOUR,
    MINUTE,
    NUMBER,
    PRODUCTION,
    T0,
    accepted,
    call,
    connected,
    delivered,
    disposed,
    evidence,
    given,
    messaged,
    reading,
    refused,
    rejected,
    replied,
    sent,
    status,
    unanswered,
)

SHORTER = Policy.model_validate(DEFAULT_POLICY.model_dump(by_alias=True) | {"defaults": {"temporary_seconds": 60}})
# Every kind of mark, each with signs at several instants.
LIFE: tuple[PairFact, ...] = (
    status("r1", "sent", T0 - 2),
    sent("r1", T0, campaign="camp-1", origin="broadcast"),
    delivered("r1", T0 + 5),
    status("r1", "read", T0 + 60),
    rejected("a1", T0 + HOUR, to="r1"),
    status("r1", "failed", T0 + 2 * HOUR, 131_026),
    *call("c1", ("offered", T0 + DAY), ("ringing", T0 + DAY + 2), ("accepted", T0 + DAY + 9)),
    *call("c1", ("ended", T0 + DAY + 66), start=T0 + DAY + 8),
    disposed("c1", T0 + DAY + 99),
    *call(
        "c2",
        ("offered", T0 + DAY + HOUR),
        ("ringing", T0 + DAY + HOUR + 2),
        ("rejected", T0 + DAY + HOUR + 9),
        ("ended", T0 + DAY + HOUR + 10),
    ),
    *call("c3", ("offered", T0 + 2 * DAY - 60), ("ended", T0 + 2 * DAY), status="failed"),
    replace(
        cast(CallOffered, call("c3", ("offered", T0 + 2 * DAY - 30))[0]),
        fact_id=derived_id("call_offered", NUMBER, "c3", "started"),
        reported=True,
    ),
    disposed("c4", T0 + 2 * DAY + 5),
    messaged("m1", T0 + 2 * DAY + 6),
    refused("call", 138_012, T0 + 2 * DAY + 7),
    reading("temporary", T0 + 3 * DAY, T0 + 8 * DAY),
)


def bare(state: PairState) -> PairState:
    """Without receipts, which say when and not what, and without messages of which nothing is known any more."""
    calls = tuple(each._replace(recorded_at=0) for each in state.calls)
    requests = tuple(each for each in state.requests if each != Request(each.message_id))
    return state._replace(calls=calls, requests=requests)


@pytest.mark.parametrize("at", sorted({fact.occurred_at - early for fact in LIFE for early in (0, 1)}))
def test_the_evidence_as_of_an_instant_is_what_had_happened_by_then(at: int) -> None:
    earlier = given(*(fact for fact in LIFE if fact.occurred_at <= at))
    assert evidence(bare(as_of(given(*LIFE).state, at))) == evidence(bare(earlier.state))


def test_as_of_the_latest_instant_the_state_is_the_very_one() -> None:
    state = given(*LIFE).state
    assert as_of(state, state.judged_at) is state
    assert as_of(state, state.judged_at + 1) is state
    assert as_of(state, state.judged_at - 1).judged_at == state.judged_at - 1


def test_what_a_message_was_is_known_only_once_it_was_sent() -> None:
    early = (delivered("r1", T0 - 5), sent("r1", T0, campaign="camp-1"))
    (entry,) = as_of(given(*early).state, T0 - 1).requests
    assert entry == Request("r1", delivered_at=T0 - 5)


def test_a_notice_says_of_which_call_when_and_how_long_the_row_was() -> None:
    ends = [T0 + place * HOUR for place in range(1, 5)]
    told = given(replied("a0", T0, permanent=True), *unanswered(*ends))
    assert timeline(told.state, ends[3], DEFAULT_POLICY, PRODUCTION).notices == [
        Notice("user_nudged", f"c{ends[1]}", ends[1], 2),
        Notice("streak_at_risk", f"c{ends[2]}", ends[2], 3),
    ]


def test_a_notice_says_of_which_word_and_when() -> None:
    told = given(rejected("a1", T0), replied("a2", T0 + HOUR, to="r9"))
    assert timeline(told.state, T0 + HOUR, DEFAULT_POLICY, PRODUCTION).notices == [
        Notice("revoke_without_grant", "a1", T0, 0),
        Notice("unknown_request", "a2", T0 + HOUR, 0),
    ]


def test_the_walk_so_far_holds_until_something_runs_out_or_the_rules_are_others() -> None:
    state = given(accepted("a1", T0, until=T0 + DAY)).state
    assert state.walked is not None
    assert goes_on(state, T0, DEFAULT_POLICY.rules_of("production")) is state.walked
    assert goes_on(state, T0 + DAY - 1, DEFAULT_POLICY.rules_of("production")) is state.walked
    assert goes_on(state, T0 + DAY, DEFAULT_POLICY.rules_of("production")) is None, "the permission ran out"
    assert goes_on(state, T0 - 1, DEFAULT_POLICY.rules_of("production")) is None, "earlier than what was judged"
    assert goes_on(state, T0, DEFAULT_POLICY.rules_of("sandbox")) is None
    assert goes_on(state, T0, SHORTER.rules_of("production")) is None
    assert goes_on(state._replace(walked=None), T0, DEFAULT_POLICY.rules_of("production")) is None


def test_an_announcement_tells_the_service_window_before_and_after() -> None:
    starts = [T0 + place * MINUTE for place in range(100)]
    told = given(replied("a0", T0 - DAY, permanent=True, source="automatic"), *connected(*starts))
    (full,) = [change for change in told.changes if change["type"] == "limit_reached"]
    sides = [full[side]["service_window_until"] for side in ("before", "after")]
    assert sides == [starts[98] + DAY, starts[99] + DAY]


def test_a_timeline_beside_another_is_the_same_as_one_alone() -> None:
    state = given(*LIFE, accepted("a2", T0 + 4 * DAY)).state
    for fact in (sent("r2", T0 + 5 * DAY), rejected("a3", T0 + 5 * DAY), *unanswered(T0 + 5 * DAY)):
        new = given(*LIFE, accepted("a2", T0 + 4 * DAY), replace(fact, recorded_at=fact.occurred_at)).state
        beside = timeline(state, new.judged_at, DEFAULT_POLICY, PRODUCTION)
        line = timeline(new, new.judged_at, DEFAULT_POLICY, PRODUCTION, beside)
        alone = timeline(new, new.judged_at, DEFAULT_POLICY, PRODUCTION)
        assert (line.hold, line.unanswered, line.ended, line.since) == (
            alone.hold,
            alone.unanswered,
            alone.ended,
            alone.since,
        )
        assert line.lives == alone.lives


def test_what_the_next_fact_continues_from_is_all_that_the_walk_came_to() -> None:
    policy = DEFAULT_POLICY
    story = (sent("r1", T0), replied("a0", T0 + 1, permanent=True), sent("r2", T0 + 2), rejected("a1", T0 + 3, to="r9"))
    told = given(*story, *unanswered(T0 + 60, T0 + 90))
    walked = Walked(
        by=policy.rules_of("production"),
        since=T0 + 90,
        reason="revoked",
        decided_by="a1",
        flags=("unknown_request",),
        confirmed=True,
        grant=None,
        streak=((f"c{T0 + 60}", T0 + 60), (f"c{T0 + 90}", T0 + 90)),
        priors="ng",
    )
    assert timeline(told.state, T0 + 90, policy, PRODUCTION).walked(PRODUCTION) == walked
    assert told.state.walked == walked
    held = timeline(told.state, T0 + 2, policy, PRODUCTION)
    assert held.hold.grant is not None
    assert held.walked(PRODUCTION).grant == tuple(held.hold.grant)


def test_a_word_told_anew_with_another_end_is_judged_anew() -> None:
    told = given(accepted("a1", T0, until=T0 + 6 * DAY), accepted("a1", T0, until=T0 + 5 * DAY))
    assert told.at(T0).until == T0 + 5 * DAY
    assert told.steps[-1].deadline == T0 + 5 * DAY
    assert [row["expires_at"] for row in told.rows("grants").values()] == [T0 + 5 * DAY]


def test_a_request_known_by_its_reply_alone_says_what_held_in_the_second_before_the_reply() -> None:
    for at, prior in ((T0 - 1, "declined"), (T0, "never")):
        lives = timeline(
            given(rejected("a0", at, to="r1"), accepted("a1", T0, to="r9")).state, T0 + DAY, DEFAULT_POLICY, PRODUCTION
        ).lives
        assert [life.prior for life in lives if life.request_id == "r9"] == [prior]


def test_in_one_second_a_call_comes_before_a_word() -> None:
    told = given(replied("a0", T0 - DAY, permanent=True), *unanswered(T0 - HOUR, T0), accepted("a1", T0))
    assert (told.at(T0 - 1).streak, told.at(T0).streak) == (1, 0), "the accept begins a new row"
    assert [one["type"] for one in told.changes if one["type"] == "user_nudged"] == ["user_nudged"]


@pytest.mark.parametrize(
    "words",
    [
        [accepted("a1", T0), rejected("a2", T0)],
        [accepted("a1", T0), accepted("a2", T0), rejected("a3", T0)],
        [accepted("a1", T0), rejected("a2", T0), rejected("a3", T0)],
        [accepted("a1", T0), replied("a2", T0, permanent=True), rejected("a3", T0)],
    ],
)
def test_each_word_of_a_second_in_which_others_say_otherwise_is_told_as_a_conflict(words: list[PairFact]) -> None:
    told = given(accepted("a0", T0 - HOUR), *words, accepted("a9", T0 + HOUR))
    notices = timeline(told.state, T0 + HOUR, DEFAULT_POLICY, PRODUCTION).notices
    assert [one.id for one in notices if one.kind == "same_second_conflict"] == [f"a{n + 1}" for n in range(len(words))]


def test_what_is_odd_about_a_grant_is_told_once_and_not_again_with_the_reading_that_agrees() -> None:
    told = given(accepted("a1", T0, to="r9"), reading("temporary", T0 + HOUR))
    assert [one.id for one in timeline(told.state, T0 + HOUR, DEFAULT_POLICY, PRODUCTION).notices] == ["a1"]


@pytest.mark.parametrize(
    ("count", "source", "streak"), [(4, None, 0), (3, None, 3), (2, "user_action", 2), (2, "automatic", 0)]
)
def test_whatsapps_own_reject_begins_a_new_row_and_the_users_does_not(
    count: int, source: ReplySource | None, streak: int
) -> None:
    calls = unanswered(*(T0 + place * MINUTE for place in range(1, count + 1)))
    told = given(replied("a0", T0, permanent=True), *calls, replied("a1", T0 + HOUR, "reject", source=source))
    assert told.at(T0 + HOUR).streak == streak
    if count == 4:
        assert [row["end_cause"] for row in told.rows("grants").values()] == ["auto_revoked"], "it confirms"


def test_a_request_sent_in_the_second_of_a_word_was_sent_after_it() -> None:
    for facts in ((rejected("a1", T0, to="r9"), sent("r1", T0)), (sent("r1", T0), rejected("a1", T0, to="r9"))):
        told = given(*facts)
        assert told.rows("requests")["r1"]["prior"] == "declined"
        whole = timeline(told.state, T0 + DAY, DEFAULT_POLICY, PRODUCTION).lives
        assert [life.prior for life in whole if life.request_id == "r1"] == ["declined"]

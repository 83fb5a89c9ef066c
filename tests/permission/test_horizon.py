"""Design 4: what is older than the horizon is settled; a fact that comes later than that changes nothing."""

from dataclasses import replace

import orjson
import pytest

from schemas.events import PairFact
from schemas.ids import derived_id
from schemas.policy import DEFAULT_POLICY
from schemas.state import Base, PairState
from schemas.state_row import decode_state, encode_state
from streams.permission.answer import answer, answerable_from
from streams.permission.horizon import EVERY, HORIZON_S, LIFE_S, settled, too_late
from streams.permission.step import Step, deadline_of, pass_time, step
from tests.permission.story import (
    DAY,
    HOUR,
    NUMBER,
    PRODUCTION,
    T0,
    USER,
    accepted,
    call,
    connected,
    delivered,
    disposed,
    given,
    linked,
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


def lived(*facts: PairFact) -> tuple[PairState, list[Step]]:
    """The pair as a worker keeps it: with the horizon."""
    state, steps = PairState(phone_number_id=NUMBER, user=USER), []
    for fact in facts:
        done = step(state, fact, DEFAULT_POLICY, PRODUCTION)
        steps.append(done)
        state = done.state
    return state, steps


def quiet(since: int, count: int = 2 * EVERY) -> list[PairFact]:
    """Messages that move the receipts on, enough of them that settling is tried."""
    return [messaged(f"m{since}-{place}", since + place * HOUR) for place in range(count)]


OLD = [
    sent("r1", T0),
    delivered("r1", T0 + 5),
    rejected("a1", T0 + HOUR, to="r1"),
    sent("r2", T0 + 2 * DAY),
    delivered("r2", T0 + 2 * DAY + 5),
    replied("a2", T0 + 2 * DAY + HOUR, to="r2", permanent=True),
    *unanswered(T0 + 3 * DAY),
]
LATER = T0 + HORIZON_S + LIFE_S + 20 * DAY


def test_old_evidence_is_settled_and_the_answer_stays() -> None:
    state, _ = lived(*OLD, *quiet(LATER))
    whole = given(*OLD, *quiet(LATER)).state
    assert state.base is not None
    assert (state.requests, state.calls, state.decisions) == ((), (), ())
    assert len(encode_state(state)) < len(encode_state(whole))
    at = LATER + 3 * DAY
    assert answer(state, at, DEFAULT_POLICY, PRODUCTION) == answer(whole, at, DEFAULT_POLICY, PRODUCTION)


def test_what_was_settled_survives_the_store() -> None:
    state, _ = lived(*OLD, *quiet(LATER))
    assert decode_state(encode_state(state)) == state


def test_the_running_row_and_the_count_of_requests_go_on() -> None:
    state, steps = lived(*OLD, *quiet(LATER), *unanswered(LATER + 3 * DAY), sent("r3", LATER + 4 * DAY))
    assert answer(state, LATER + 4 * DAY, DEFAULT_POLICY, PRODUCTION)["standing"]["unanswered_streak"] == 2
    record = steps[-1].record
    assert record is not None
    assert [(row["attempt"], row["prior"]) for row in record["requests"]] == [(3, "granted")]


def test_nothing_is_taken_back_when_it_is_settled() -> None:
    _, steps = lived(*OLD, *quiet(LATER), accepted("a3", LATER + 3 * DAY))
    rows = [row for done in steps for row in [*(done.record or {})["requests"], *(done.record or {})["grants"]]]
    assert all(row["is_deleted"] == 0 for row in rows)


def test_a_fact_beyond_the_horizon_is_counted_and_changes_nothing() -> None:
    state, _ = lived(accepted("a1", T0 + 40 * DAY))
    late = replace(rejected("a0", T0 + 41 * DAY), recorded_at=T0 + 41 * DAY + HORIZON_S + 1)
    done = step(state, late, DEFAULT_POLICY, PRODUCTION)
    assert (done.late, done.changes, done.state.late) == (True, (), 1)
    at = T0 + 41 * DAY + HOUR
    assert answer(done.state, at, DEFAULT_POLICY, PRODUCTION) == answer(state, at, DEFAULT_POLICY, PRODUCTION)


def test_a_question_before_what_is_settled_cannot_be_answered() -> None:
    state, _ = lived(*OLD, *quiet(LATER))
    assert T0 + 3 * DAY <= answerable_from(state) < LATER
    assert answerable_from(given(*OLD).state) == 0


def test_a_request_is_settled_with_its_answers_or_not_at_all() -> None:
    cut = LATER + (2 * EVERY - 1) * HOUR + 1 - HORIZON_S - LIFE_S
    straddling: list[PairFact] = [
        sent("r9", cut - HOUR),
        delivered("r9", cut - HOUR + 5),
        rejected("a9", cut + 6 * DAY, to="r9"),
    ]
    state, _ = lived(*OLD, *straddling, *quiet(LATER))
    assert state.base is not None
    assert [entry.message_id for entry in state.requests] == ["r9"]


def settled_up_to(until: int, *facts: PairFact) -> tuple[PairState, PairState]:
    """The pair before and after settling at the moment when all up to `until` may go."""
    state = given(*facts).state._replace(version=EVERY, recorded_at=until + HORIZON_S + LIFE_S)
    return state, settled(state, DEFAULT_POLICY, PRODUCTION, HORIZON_S)


def test_what_is_left_behind_is_all_that_the_rules_still_need() -> None:
    _, state = settled_up_to(
        T0 + 4 * DAY,
        *OLD,
        status("x1", "delivered", T0 + HOUR),
        messaged("m1", T0 + 3 * DAY + HOUR),
        refused("call", 138_000, T0, action_id="off"),
        refused("call", 138_000, T0 + DAY, action_id="off still"),
        refused("request", 138_013, T0, action_id="country"),
        refused("call", 138_012, T0 + DAY, action_id="limit"),
    )
    grant_id = derived_id("grant", NUMBER, "a2")
    assert state.base == Base(
        until=T0 + 4 * DAY,
        reason="declined",
        decided_by="a2",
        decided_at=T0 + 2 * DAY + HOUR,
        flags=(),
        confirmed=True,
        grant=(grant_id, "permanent", "request", "user_action", T0 + 2 * DAY + HOUR, None, "r2", True, (), None, None),
        streak=((f"c{T0 + 3 * DAY}", T0 + 3 * DAY),),
        attempts=2,
        service_at=T0 + 3 * DAY + HOUR,
        asked=True,
    )
    assert [mark.action_id for mark in state.refusals] == ["off still", "country"]
    assert (state.decisions, state.requests, state.calls, state.messages) == ((), (), (), ())
    assert state.walked is not None, "the next fact goes on, or finds by which rules its pair was judged"


@pytest.mark.parametrize(
    ("code", "denial", "lifted"),
    [
        (138_000, [reading("no_permission", T0 + HOUR, can_request=True)], True),
        (138_013, [reading("no_permission", T0 + HOUR, can_call=True)], True),
        (138_000, connected(T0 + HOUR), True),
        (138_013, connected(T0 + HOUR), True),
        (138_000, connected(T0 + HOUR, direction="user_initiated"), True),
        (138_013, connected(T0 + HOUR, direction="user_initiated"), False),
        (138_000, [reading("no_permission", T0 + HOUR)], False),
        (138_000, [reading("no_permission", T0 - HOUR, can_request=True)], False),
    ],
)
def test_an_error_that_was_denied_before_it_was_settled_blocks_nothing_afterwards(
    code: int, denial: list[PairFact], lifted: bool
) -> None:
    whole, state = settled_up_to(T0 + 4 * DAY, refused("call", code, T0), *denial)
    assert state.base is not None
    assert (state.refusals == ()) is lifted
    at = T0 + 90 * DAY
    assert answer(state, at, DEFAULT_POLICY, PRODUCTION) == answer(whole, at, DEFAULT_POLICY, PRODUCTION)


def test_an_odd_grant_and_a_dialects_inference_are_left_behind_as_such() -> None:
    odd = replace(accepted("a1", T0, to="r9", until=T0 + 200 * DAY), inferred=("is_permanent",))
    _, state = settled_up_to(T0 + 2 * DAY, odd)
    assert state.base is not None
    assert (state.base.flags, state.base.confirmed) == (("unknown_request",), False)


def test_what_is_settled_later_goes_on_from_what_was_settled_before() -> None:
    _, state = settled_up_to(T0 + 4 * DAY, *OLD)
    for fact in (sent("r3", T0 + 90 * DAY), status("x1", "delivered", T0 + 90 * DAY), *unanswered(T0 + 91 * DAY)):
        state = step(state, fact, DEFAULT_POLICY, PRODUCTION, None).state
    later = state._replace(version=EVERY, recorded_at=T0 + 100 * DAY + HORIZON_S + LIFE_S)
    base = settled(later, DEFAULT_POLICY, PRODUCTION, HORIZON_S).base
    assert base is not None
    assert (base.until, base.attempts, base.service_at) == (T0 + 100 * DAY, 3, 0)
    assert (base.decided_by, base.decided_at) == ("a2", T0 + 2 * DAY + HOUR)
    assert base.streak == ((f"c{T0 + 3 * DAY}", T0 + 3 * DAY), (f"c{T0 + 91 * DAY}", T0 + 91 * DAY))


def test_without_a_word_there_is_none_in_what_is_left_behind() -> None:
    _, state = settled_up_to(T0 + 4 * DAY, *unanswered(T0))
    assert state.base is not None
    assert (state.base.reason, state.base.decided_by, state.base.decided_at, state.base.grant) == (
        "never",
        None,
        0,
        None,
    )


def test_settling_waits_until_a_day_can_go_at_once() -> None:
    before, after = settled_up_to(T0 + DAY - 1, accepted("a1", T0))
    assert after is before
    _, after = settled_up_to(T0 + DAY, accepted("a1", T0))
    assert after.base is not None


def test_settling_is_tried_only_at_every_so_many_changes_and_only_where_there_is_a_horizon() -> None:
    state = given(accepted("a1", T0)).state._replace(version=EVERY + 1, recorded_at=LATER)
    assert settled(state, DEFAULT_POLICY, PRODUCTION, HORIZON_S) is state
    state = state._replace(version=EVERY)
    assert settled(state, DEFAULT_POLICY, PRODUCTION, None) is state
    assert settled(state, DEFAULT_POLICY, PRODUCTION, HORIZON_S) is not state
    empty = PairState(phone_number_id=NUMBER, user=USER, version=EVERY, recorded_at=LATER)
    assert settled(empty, DEFAULT_POLICY, PRODUCTION, HORIZON_S) is empty


def test_what_lies_exactly_at_the_end_goes_and_what_lies_after_it_stays() -> None:
    until = T0 + 4 * DAY
    facts: list[PairFact] = [
        *OLD,
        *(message for at in (until, until + 1) for message in (sent(f"r{at}", at), messaged(f"m{at}", at))),
        *(word for at in (until, until + 1) for word in (rejected(f"a{at}", at), refused("call", 138_012, at))),
        *unanswered(until + 31),
        *call("c9", ("rejected", until)),
    ]
    _, state = settled_up_to(until, *facts)
    assert state.base is not None
    assert (state.base.until, state.base.attempts, state.base.decided_by) == (until, 3, f"a{until}")
    assert [one.message_id for one in state.requests] == [f"r{until + 1}"]
    assert [[one.at for one in marks] for marks in (state.messages, state.refusals, state.decisions)] == [
        [until + 1]
    ] * 3
    assert [one.call_id for one in state.calls] == [f"c{until + 31}"]


@pytest.mark.parametrize(
    "straddling",
    [
        [sent("r9", T0 + 4 * DAY), delivered("r9", T0 + 4 * DAY + 1)],
        [sent("r9", T0 + 4 * DAY), status("r9", "sent", T0 + 4 * DAY + 1)],
        [sent("r9", T0 + 4 * DAY), status("r9", "read", T0 + 4 * DAY + 1)],
        [sent("r9", T0 + 4 * DAY), status("r9", "failed", T0 + 4 * DAY + 1)],
        [sent("r9", T0 + 4 * DAY), rejected("a9", T0 + 4 * DAY + 1, to="r9")],
        call("c9", ("offered", T0 + 4 * DAY), ("ringing", T0 + 4 * DAY + 1)),
        call("c9", ("offered", T0 + 4 * DAY), ("accepted", T0 + 4 * DAY + 1)),
        call("c9", ("offered", T0 + 4 * DAY), ("rejected", T0 + 4 * DAY + 1)),
        call("c9", ("ended", T0 + 4 * DAY + 1), start=T0 + 4 * DAY),
        [*call("c9", ("offered", T0 + 4 * DAY)), disposed("c9", T0 + 4 * DAY + 1)],
    ],
)
def test_what_goes_on_beyond_the_end_is_kept_whole_and_the_end_lies_before_it(straddling: list[PairFact]) -> None:
    _, state = settled_up_to(T0 + 4 * DAY, *OLD, *straddling)
    assert state.base is not None
    assert state.base.until == T0 + 4 * DAY - 1
    assert len(state.requests) + len(state.calls) == 1
    _, state = settled_up_to(T0 + 4 * DAY + 1, *OLD, *straddling)
    assert state.base is not None
    assert (state.base.until, state.requests, state.calls) == (T0 + 4 * DAY + 1, (), ())


def test_nothing_is_settled_where_all_of_it_goes_on_beyond_the_end() -> None:
    before, after = settled_up_to(T0 + 4 * DAY, sent("r9", T0), delivered("r9", T0 + 5 * DAY))
    assert after is before
    before, after = settled_up_to(T0 + 4 * DAY, sent("r9", T0), delivered("r9", T0 + 5 * DAY), sent("r8", T0 + 3 * DAY))
    assert after is before


def test_what_ends_a_second_before_what_goes_on_is_settled() -> None:
    _, state = settled_up_to(T0 + 4 * DAY, rejected("a1", T0 - 1), sent("r9", T0), delivered("r9", T0 + 5 * DAY))
    assert state.base is not None
    assert (state.base.until, state.decisions) == (T0 - 1, ())


def test_each_thing_that_goes_on_moves_the_end_before_the_next_one() -> None:
    chain: list[PairFact] = [
        sent("r7", T0 + 2 * DAY + HOUR + 1),
        delivered("r7", T0 + 3 * DAY),
        sent("r8", T0 + 3 * DAY),
        delivered("r8", T0 + 4 * DAY),
        sent("r9", T0 + 4 * DAY),
        delivered("r9", T0 + 5 * DAY),
    ]
    _, state = settled_up_to(T0 + 4 * DAY + HOUR, *OLD[:-2], *chain)
    assert state.base is not None
    assert state.base.until == T0 + 2 * DAY + HOUR
    assert [one.message_id for one in state.requests] == ["r7", "r8", "r9"]


def test_a_fact_is_too_late_beyond_the_horizon_or_at_what_is_settled() -> None:
    on_time = replace(rejected("a1", T0), recorded_at=T0 + HORIZON_S)
    state, before = PairState(phone_number_id=NUMBER, user=USER), replace(on_time, recorded_at=T0 + HORIZON_S + 1)
    assert [too_late(state, fact, HORIZON_S) for fact in (on_time, before)] == [False, True]
    assert not too_late(state, before, None)
    _, state = settled_up_to(T0 + 4 * DAY, *OLD)
    assert too_late(state, rejected("a9", T0 + 4 * DAY), HORIZON_S)
    assert not too_late(state, rejected("a9", T0 + 4 * DAY + 1), HORIZON_S)
    assert not too_late(state, linked(T0), HORIZON_S), "a link is timeless"


def test_a_settled_pair_that_was_never_asked_is_said_not_to_have_been() -> None:
    labels = [
        answer(settled_up_to(T0 + 4 * DAY, *facts)[1], T0 + 60 * DAY, DEFAULT_POLICY, PRODUCTION)["standing"]["label"]
        for facts in (unanswered(T0), [sent("r1", T0), status("r1", "failed", T0 + 5)], [sent("r1", T0)])
    ]
    assert labels == ["not_requested", "not_requested", "no_answer"]


def test_a_row_of_before_that_does_not_tell_whether_it_was_asked_is_read_by_its_count() -> None:
    _, state = settled_up_to(T0 + 4 * DAY, sent("r1", T0))
    assert state.base is not None
    row = orjson.loads(encode_state(state))
    row["base"].pop()
    row["walked"] = None
    old = decode_state(orjson.dumps(row))
    assert old.base == state.base._replace(asked=None)
    assert answer(old, T0 + 60 * DAY, DEFAULT_POLICY, PRODUCTION)["standing"]["label"] == "no_answer"


def test_the_count_of_requests_goes_on_where_all_that_is_left_is_walked() -> None:
    _, state = settled_up_to(T0 + 4 * DAY, *OLD)
    state = step(state, sent("r4", T0 + 61 * DAY), DEFAULT_POLICY, PRODUCTION).state
    done = step(state, sent("r3", T0 + 60 * DAY), DEFAULT_POLICY, PRODUCTION)
    rows = (done.record or {})["requests"]
    assert [(row["request_id"], row["attempt"], row["prior"]) for row in rows] == [
        ("r3", 3, "granted"),
        ("r4", 4, "granted"),
    ]


@pytest.mark.parametrize(
    "facts",
    [
        OLD,
        [accepted("a0", T0), rejected("a1", T0 + DAY)],
        [rejected("a1", T0 + DAY, to="r1")],
        [replied("a0", T0, permanent=True), replied("a1", T0 + DAY, "reject", source="automatic")],
        [replied("a0", T0, permanent=True), *unanswered(T0 + 1, T0 + 2, T0 + 3, T0 + 4)],
        [accepted("a0", T0, until=T0 + DAY)],
        [accepted("a0", T0, to="r9", until=T0 + 200 * DAY), *unanswered(T0 + 1, T0 + 2)],
        [replied("a0", T0, until=T0 + 200 * DAY, source="automatic")],
        [replied("a0", T0, permanent=True), moved("old", T0 + DAY)],
        [replied("a0", T0, "reject", source="automatic")],
    ],
)
def test_whatever_was_settled_the_answer_stays_and_later_facts_go_on_from_it(facts: list[PairFact]) -> None:
    whole, state = settled_up_to(T0 + 5 * DAY, *facts)
    assert state.base is not None
    for fact in (None, *unanswered(T0 + 90 * DAY), sent("r8", T0 + 91 * DAY), rejected("a9", T0 + 92 * DAY, to="r8")):
        if fact is not None:
            whole, state = (step(one, fact, DEFAULT_POLICY, PRODUCTION, None).state for one in (whole, state))
        for at in (T0 + 12 * DAY, T0 + 89 * DAY, T0 + 100 * DAY, T0 + 300 * DAY):
            assert answer(state, at, DEFAULT_POLICY, PRODUCTION) == answer(whole, at, DEFAULT_POLICY, PRODUCTION)


def test_a_question_about_the_week_after_what_was_settled_is_refused_or_answered_as_before() -> None:
    whole, state = settled_up_to(T0 + 4 * DAY, *OLD)
    for at in range(max(answerable_from(state), T0 + 4 * DAY), T0 + 12 * DAY, HOUR):
        assert answer(state, at, DEFAULT_POLICY, PRODUCTION) == answer(whole, at, DEFAULT_POLICY, PRODUCTION)


def test_the_service_window_that_a_settled_sign_opened_is_still_known() -> None:
    _, state = settled_up_to(T0 + 4 * DAY, *OLD, messaged("m1", T0 + 4 * DAY - HOUR))
    standing = answer(state, T0 + 4 * DAY + HOUR, DEFAULT_POLICY, PRODUCTION)["standing"]
    assert standing["service_window_until"] == T0 + 5 * DAY - HOUR


def test_what_was_settled_still_runs_out() -> None:
    _, state = settled_up_to(T0 + 4 * DAY, accepted("a1", T0, until=T0 + 200 * DAY))
    assert deadline_of(state, DEFAULT_POLICY, PRODUCTION) == T0 + 200 * DAY
    done = pass_time(state, T0 + 200 * DAY, DEFAULT_POLICY, PRODUCTION)
    assert [change["type"] for change in done.changes] == ["permission_expired"]
    empty = PairState(phone_number_id=NUMBER, user=USER)
    assert deadline_of(empty, DEFAULT_POLICY, PRODUCTION) is None


@pytest.mark.parametrize(
    "later",
    [
        [sent(f"q{place}", LATER + place * HOUR) for place in range(EVERY)],
        [replied(f"b{place}", LATER + place * HOUR, permanent=True) for place in range(EVERY)],
        [reading("permanent", LATER + place * HOUR) for place in range(EVERY)],
    ],
    ids=["requests", "replies", "readings"],
)
def test_whatever_comes_later_settles_what_is_old(later: list[PairFact]) -> None:
    state, _ = lived(*OLD, *later)
    assert state.base is not None
    assert (state.base.decided_by, state.base.attempts) == ("a2", 2)

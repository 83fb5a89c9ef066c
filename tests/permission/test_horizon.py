"""Design 4: what is older than the horizon is settled; a fact that comes later than that changes nothing."""

from dataclasses import replace

from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState, decode_state, encode_state
from streams.permission.answer import answer, answerable_from
from streams.permission.horizon import EVERY, HORIZON_S, LIFE_S
from streams.permission.step import Step, step
from tests.permission.story import (
    DAY,
    HOUR,
    NUMBER,
    PRODUCTION,
    T0,
    USER,
    accepted,
    delivered,
    given,
    messaged,
    rejected,
    replied,
    sent,
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

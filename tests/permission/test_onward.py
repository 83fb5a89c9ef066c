"""A fact that continues what was judged gives what walking all evidence anew gives, to the last field."""

from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as some

from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.state import decode_state, encode_state
from streams.permission.answer import answer
from streams.permission.number import Number
from streams.permission.standing import goes_on, timeline
from streams.permission.step import gather, pass_time, step
from tests.permission.story import (
    DAY,
    HOUR,
    PRODUCTION,
    T0,
    evidence,
    given,
)
from tests.permission.test_laws import EMPTY, histories


@settings(max_examples=200)  # a few dozen miss what one kind of status alone does
@forall(
    histories, some.lists(some.integers(0, 14), max_size=3), some.sampled_from([PRODUCTION, Number(profile="sandbox")])
)
def test_going_on_from_what_was_judged_is_walking_all_of_it_anew(
    history: list[PairFact], late: list[int], number: Number
) -> None:
    """Mostly in order of time, as most facts come; some of them late."""
    facts = sorted(history, key=lambda fact: fact.occurred_at)
    for place in late:
        if place < len(facts):
            facts.append(facts.pop(place))
    state = EMPTY
    for fact in facts:
        anew = step(state._replace(walked=None), fact, DEFAULT_POLICY, number, None)
        on = step(decode_state(encode_state(state)), fact, DEFAULT_POLICY, number, None)
        assert on.state._replace(walked=None) == anew.state._replace(walked=None)
        assert (on.changes, on.record, on.deadline, on.repeated) == (
            anew.changes,
            anew.record,
            anew.deadline,
            anew.repeated,
        )
        if anew.state.walked is not None:
            assert on.state.walked == anew.state.walked
        state = on.state


@forall(histories, some.sampled_from([0, HOUR, 8 * DAY]))
def test_what_is_kept_of_the_walk_is_what_the_evidence_gives(history: list[PairFact], later: int) -> None:
    state = given(*sorted(history, key=lambda fact: fact.occurred_at)).state
    state = pass_time(state, state.judged_at + later, DEFAULT_POLICY, PRODUCTION).state
    walked = goes_on(state, state.judged_at, DEFAULT_POLICY, PRODUCTION)
    if walked is not None:
        assert walked == timeline(state, state.judged_at, DEFAULT_POLICY, PRODUCTION).walked(PRODUCTION)


@forall(histories)
def test_gathering_keeps_the_evidence_that_judging_each_fact_keeps(history: list[PairFact]) -> None:
    state = EMPTY
    for fact in history:
        state = gather(state, fact).state
    whole = given(*history).state
    assert evidence(state) == evidence(whole)
    for at in (T0, T0 + 8 * DAY, T0 + 60 * DAY):
        assert answer(state, at, DEFAULT_POLICY, PRODUCTION) == answer(whole, at, DEFAULT_POLICY, PRODUCTION)

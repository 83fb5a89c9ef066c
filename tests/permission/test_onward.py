"""A fact that continues what was judged gives what walking all evidence anew gives, to the last field."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as some

from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.state import Walked
from schemas.state_row import decode_state, encode_state, judged, open_state
from streams.permission.answer import answer
from streams.permission.evolve import evolve
from streams.permission.number import Number
from streams.permission.onward import Onward, onward
from streams.permission.standing import goes_on, timeline
from streams.permission.step import gather, pass_time, step
from tests.permission.story import (
    DAY,
    HOUR,
    PRODUCTION,
    T0,
    accepted,
    call,
    connected,
    delivered,
    disposed,
    evidence,
    given,
    refused,
    rejected,
    replied,
    sent,
    status,
    unanswered,
)
from tests.permission.test_laws import EMPTY, histories

OF_OTHER_RULES = Walked("of other rules", 0, "never", None, (), True, None, (), "")
"""Says nothing to whoever goes by today's: all evidence is walked."""


def the_same_anew(facts: Sequence[PairFact], number: Number = PRODUCTION) -> None:
    """Each fact in turn, from what was judged and from all evidence, from a row read whole and from one whose lists
    are read when they are needed: the same step.
    """
    state = EMPTY
    for fact in facts:
        anew = step(state._replace(walked=OF_OTHER_RULES), fact, DEFAULT_POLICY, number, None)
        row = encode_state(state)
        on = step(decode_state(row), fact, DEFAULT_POLICY, number, None)
        opened = step(open_state(row), fact, DEFAULT_POLICY, number, None)
        assert encode_state(opened.state) == encode_state(on.state)
        assert opened[1:] == on[1:]
        assert on.state._replace(walked=None) == anew.state._replace(walked=None)
        assert (on.changes, on.record, on.deadline, on.repeated) == (
            anew.changes,
            anew.record,
            anew.deadline,
            anew.repeated,
        )
        if anew.state.walked not in (None, OF_OTHER_RULES):
            assert on.state.walked == anew.state.walked
        state = on.state


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
    the_same_anew(facts, number)


@forall(histories, some.sampled_from([0, HOUR, 8 * DAY]))
def test_what_is_kept_of_the_walk_is_what_the_evidence_gives(history: list[PairFact], later: int) -> None:
    state = given(*sorted(history, key=lambda fact: fact.occurred_at)).state
    state = pass_time(state, state.judged_at + later, DEFAULT_POLICY, PRODUCTION).state
    walked = goes_on(state, state.judged_at, DEFAULT_POLICY.rules_of("production"))
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


ANSWERED = (sent("r1", T0), delivered("r1", T0 + 5), rejected("a1", T0 + HOUR, to="r1"))
PUSHED = (sent("r1", T0), delivered("r1", T0 + 5), sent("r2", T0 + 9))
LATER = T0 + 2 * DAY


@pytest.mark.parametrize(
    "facts",
    [
        [rejected("a1", T0, to="r1"), sent("r1", T0 + 5)],
        [delivered("r1", T0), sent("r1", T0 + 5)],
        [delivered("r2", T0), sent("r1", T0 + 1), sent("r2", T0 + 5)],
        [status("r2", "read", T0), sent("r1", T0 + 1), sent("r2", T0 + 5)],
        [status("r2", "failed", T0, 131_026), sent("r1", T0 + 1), sent("r2", T0 + 5)],
        [sent("r1", T0), sent("r2", T0), delivered("r2", T0 + 9), delivered("r1", T0 + 9)],
        [sent("r2", T0), sent("r1", T0), status("r1", "read", T0 + 9), delivered("r2", T0 + 9)],
        [sent("r1", T0 + 9), sent("r2", T0), delivered("r2", T0 + 20), delivered("r1", T0 + 30)],
        [*ANSWERED, status("r1", "read", T0 + 2 * HOUR), status("r1", "failed", T0 + 3 * HOUR, 131_026)],
        [*ANSWERED, sent("r2", LATER), delivered("r2", LATER + 5), status("r2", "read", LATER + 9)],
        [*ANSWERED, sent("r2", LATER), status("r2", "sent", LATER + 1), status("r2", "failed", LATER + 5, 131_026)],
        [*ANSWERED, sent("r2", LATER), delivered("r2", LATER + 5), accepted("a2", LATER + HOUR, to="r2")],
        [*ANSWERED, sent("r2", LATER), delivered("r2", LATER + 5), accepted("a2", LATER + HOUR, to="r1")],
        [*ANSWERED, accepted("a2", T0 + 8 * DAY, to="r1"), rejected("a3", T0 + 30 * DAY, to="r1")],
        [*ANSWERED, accepted("a2", T0 + HOUR, to="r1"), rejected("a0", T0 + HOUR, to="r1")],
        [sent("r1", T0), sent("r2", T0 + 1), accepted("a2", T0 + 9, to="r2"), accepted("a1", T0 + 10, to="r1")],
        [sent("r1", T0), accepted("a2", T0 + 9, to="r9"), accepted("a1", T0 + 10, to="r1")],
        [sent("r1", T0), refused("request", 138_009, T0 + 9, T0 + DAY), accepted("a1", T0 + 9, to="r1")],
        [replied("a0", T0, permanent=True), *unanswered(T0 + 1, T0 + 2, T0 + 3, T0 + 4), accepted("a1", T0 + 9)],
        [
            replied("a0", T0, permanent=True),
            *unanswered(T0 + 1, T0 + 2, T0 + 3, T0 + 4),
            replied("a1", T0 + 9, "reject", source="automatic"),
            *unanswered(T0 + 10),
        ],
        [
            replied("a0", T0, permanent=True),
            *unanswered(T0 + 1, T0 + 2, T0 + 3),
            sent("r1", T0 + 5),
            *unanswered(T0 + 4),
        ],
        [replied("a0", T0, permanent=True), *unanswered(T0 + 1), *connected(T0 + 60), *unanswered(T0 + 99)],
        [replied("a0", T0, permanent=True), *call("c1", ("ended", T0 + 60)), *call("c1", ("accepted", T0 + 30))],
        [replied("a0", T0, permanent=True), *call("c1", ("ended", T0 + 60)), *call("c1", ("rejected", T0 + 30))],
        [accepted("a0", T0, until=T0 + DAY), *unanswered(T0 + DAY - 1, T0 + DAY, T0 + DAY + 1)],
        [accepted("a0", T0, until=T0 + DAY), sent("r1", T0 + DAY), delivered("r1", T0 + DAY + 1)],
        [accepted("a0", T0, until=T0 + DAY), sent("r1", T0 + 2 * DAY), rejected("a1", T0 + DAY - 1)],
        [sent("r1", T0), accepted("a1", T0 + 8 * DAY, to="r1"), status("r1", "failed", T0 + 9 * DAY, 131_026)],
        [sent("r1", T0), accepted("a1", T0 + 8 * DAY, to="r1"), delivered("r1", T0 + 9 * DAY)],
        [*PUSHED, delivered("r2", T0 + 20), status("r1", "read", T0 + 30)],
        [*PUSHED, status("r2", "read", T0 + 20), status("r1", "read", T0 + 30)],
        [
            *PUSHED,
            sent("r3", T0 + 10),
            delivered("r3", T0 + 15),
            delivered("r2", T0 + 20),
            status("r1", "read", T0 + 30),
        ],
        [
            *PUSHED,
            sent("r3", T0 + 10),
            delivered("r2", T0 + 15),
            delivered("r3", T0 + 20),
            status("r1", "read", T0 + 30),
        ],
        [
            sent("r1", T0),
            *PUSHED[2:],
            accepted("a2", T0 + 15, to="r2"),
            delivered("r2", T0 + 20),
            delivered("r1", T0 + 30),
        ],
        [sent("r1", T0), *PUSHED[2:], accepted("a2", T0 + 15, to="r2"), status("r1", "read", T0 + 30)],
        [sent("r1", T0), accepted("a1", T0 + 8 * DAY, to="r1"), status("r1", "read", T0 + 9 * DAY)],
        [
            accepted("a0", T0, until=T0 + DAY),
            sent("r1", T0 + 2 * DAY),
            *unanswered(T0 + DAY - 1),
            *unanswered(T0 + DAY),
        ],
        [replied("a0", T0, permanent=True), *call("c1", ("rejected", T0 + 30)), *call("c1", ("accepted", T0 + 31))],
        [replied("a0", T0, permanent=True), *call("c1", ("rejected", T0 + 30), ("ended", T0 + 31), status="failed")],
        [
            replied("a0", T0, permanent=True),
            *call("c1", ("rejected", T0 + 30), ("ended", T0 + 31), start=T0 + 9, status="failed"),
        ],
        [replied("a0", T0, permanent=True), *call("c1", ("ended", T0 + 60)), *call("c1", ("accepted", T0 + 70))],
        [
            accepted("a0", T0),
            sent("r1", T0 + 5),
            rejected("a1", T0 + 9, to="r1"),
            accepted("a2", T0 + 9 * DAY, to="r1"),
        ],
    ],
)
def test_where_facts_cross_going_on_is_walking_all_of_it_anew(facts: list[PairFact]) -> None:
    the_same_anew(facts)
    the_same_anew(sorted(facts, key=lambda fact: fact.occurred_at))
    the_same_anew(facts[::-1])


HELD = (replied("a0", T0 - DAY, permanent=True), sent("r1", T0), delivered("r1", T0 + 5))


def gone_on(before: Sequence[PairFact], fact: PairFact) -> Onward | None:
    """What the fact did as a continuation of what was judged before it."""
    state = given(*before).state
    new = judged(evolve(state, fact), state.version + 1, max(state.judged_at, fact.occurred_at), fact.recorded_at)
    walked = goes_on(state, new.judged_at, DEFAULT_POLICY.rules_of("production"))
    assert walked is not None
    return onward(state, new, fact, DEFAULT_POLICY, PRODUCTION, walked)


@pytest.mark.parametrize(
    ("before", "fact"),
    [
        (HELD[:1], HELD[1]),
        (HELD[:1], replace(sent("r1", T0), occurred_at=T0 - DAY)),
        (HELD[:2], HELD[2]),
        (HELD, status("r1", "read", T0 + 9)),
        (HELD[:2], status("r1", "failed", T0 + 9, 131_026)),
        (HELD, sent("r2", T0 + 9)),
        ((*HELD, status("r2", "sent", T0 + 8)), sent("r2", T0 + 9)),
        ((*HELD, sent("r2", T0 + 9)), delivered("r2", T0 + 20)),
        (HELD, rejected("a1", T0 + 9, to="r1")),
        (HELD, rejected("a1", T0 + 9)),
        ((*HELD, rejected("a1", T0 + 9, to="r1")), accepted("a2", T0 + 20, to="r1")),
        ((*HELD, sent("r2", T0 + 9), rejected("a1", T0 + 20, to="r1")), accepted("a2", T0 + 30, to="r2")),
        *((HELD, fact) for fact in call("c1", ("offered", T0 + 9), ("ringing", T0 + 10))),
        (HELD, call("c1", ("ended", T0 + 60))[-1]),
        (HELD, call("c1", ("rejected", T0 + 60))[-1]),
        (HELD, call("c1", ("accepted", T0 + 60))[-1]),
        ((*HELD, *call("c1", ("rejected", T0 + 60))), call("c1", ("ended", T0 + 60))[-1]),
        ((*HELD, *call("c1", ("rejected", T0 + 60))), call("c1", ("ended", T0 + 61), status="failed")[-1]),
        ((*HELD, *call("c1", ("ended", T0 + 60))), disposed("c1", T0 + 90)),
    ],
)
def test_a_plain_fact_in_order_of_time_walks_nothing_again(before: Sequence[PairFact], fact: PairFact) -> None:
    assert gone_on(before, fact) is not None


@pytest.mark.parametrize(
    ("fact", "touched"),
    [
        (status("r1", "sent", T0 + 9), []),
        (status("r1", "read", T0 + 9), ["r1"]),
        (status("r1", "failed", T0 + 9, 131_026), ["r1"]),
    ],
)
def test_a_status_of_a_request_that_nobody_answered_touches_that_request_alone(
    fact: PairFact, touched: list[str]
) -> None:
    for before in (HELD, (*HELD, sent("r2", T0 + 6))):
        on = gone_on(before, fact)
        assert on is not None
        assert (on.lines, on.lives[0], [life.request_id for life in on.lives[1]]) == (None, (), touched)
        assert on.walked == given(*before).state.walked, "the next fact goes on from where this one did"


def test_a_delivery_told_late_says_that_an_older_request_was_answered_too_late() -> None:
    """The delivery of a newer request ended the older one before its answer, which had been judged in time."""
    the_same_anew(
        [
            sent("r1", T0),
            sent("r2", T0 + DAY),
            accepted("a1", T0 + 2 * DAY, to="r1"),
            accepted("a2", T0 + 2 * DAY + HOUR, to="r1"),
            delivered("r2", T0 + DAY + 5),
        ]
    )


def test_a_request_told_late_that_had_arrived_in_the_second_of_an_answer_says_that_it_came_too_late() -> None:
    at = T0 + 2 * DAY
    the_same_anew([sent("r1", T0), delivered("r2", at), accepted("a1", at, to="r1"), sent("r2", at)])

"""Facts told under two names of one user, and pairs so old that most of them was settled.

The judge is told of neither: it reads all facts as facts of one name, and all of them at once.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any

from hypothesis import given, note
from hypothesis import strategies as st

from schemas.events import PairFact, UsersLinked
from schemas.ids import derived_id
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import decode_state, encode_state
from streams.permission.answer import answer, answerable_from
from streams.permission.horizon import EVERY, HORIZON_S
from streams.permission.number import Number
from streams.permission.step import pass_time, step
from tests.oracle.business import Business
from tests.oracle.histories import (
    BUSINESSES,
    DAY_S,
    NUMBER,
    T0,
    USER,
    WEEK_S,
    histories,
    message,
    reading,
    refusal,
    reply,
)
from tests.oracle.judge import judge
from tests.oracle.rows import call_rows, grant_rows
from tests.oracle.test_oracle_agrees import ALONE, all_requests, as_core, boundaries, core_rows, in_order, stored

SCOPED = "GB.TEST10000000000000001"


def link(at: int, scoped: str = SCOPED, wa_id: str = USER) -> UsersLinked:
    """A payload of that instant showed both names."""
    return UsersLinked(
        fact_id=derived_id("users_linked", NUMBER, scoped, wa_id),
        phone_number_id=NUMBER,
        user=scoped,
        occurred_at=at,
        recorded_at=at,
        provider="meta",
        wa_id=wa_id,
    )


def delivered(
    facts: Iterable[PairFact], number: Number, records: list[dict[str, Any]] | None = None
) -> dict[str, PairState]:
    """The states by user, after every fact and everything one pair hands on to another. `records`: takes the rows."""
    states: dict[str, PairState] = {}
    waiting = deque(facts)
    while waiting:
        fact = waiting.popleft()
        state = states.get(fact.user) or PairState(phone_number_id=NUMBER, user=fact.user)
        done = step(state, fact, DEFAULT_POLICY, number, horizon_s=None)
        states[fact.user] = decode_state(encode_state(done.state))
        waiting.extendleft(reversed(done.forwards))
        if records is not None and done.record is not None:
            records.append(done.record)
    return states


@st.composite
def under_two_names(draw: st.DrawFn) -> tuple[list[PairFact], list[PairFact]]:
    """A history, and how it was told: each fact under either name, some under both, the link anywhere and repeated."""
    facts = draw(histories())
    told = [replace(fact, user=draw(st.sampled_from([USER, SCOPED]))) for fact in facts]
    told += [replace(fact, user=SCOPED) for fact in draw(st.lists(st.sampled_from(facts), max_size=3))]
    seen = draw(st.lists(st.sampled_from([T0 - DAY_S, T0, T0 + WEEK_S]), min_size=1, max_size=3))
    return facts, draw(st.permutations([*told, *map(link, seen)]))


@given(under_two_names(), BUSINESSES, st.data())
def test_facts_under_two_names_are_one_users_whenever_the_link_is_learned(
    both: tuple[list[PairFact], list[PairFact]], number: Business, data: st.DataObject
) -> None:
    facts, told = both
    states = delivered(told, as_core(number))
    assert states[SCOPED].forwards_to == USER
    state = states[USER]
    turns = boundaries(facts, number)
    for at in [*data.draw(st.lists(st.sampled_from(turns), max_size=10, unique=True)), turns[-1]]:
        note(f"at {at}")
        assert answer(state, at, DEFAULT_POLICY, as_core(number)) == judge(facts, at=at, number=number, **ALONE)
        requests, grants, calls = core_rows(state, at, as_core(number))
        assert requests == all_requests(facts, at, number)
        assert grants == grant_rows(facts, at=at, number=number, **ALONE)
        assert calls == call_rows(facts, NUMBER, USER, at)


@given(under_two_names(), BUSINESSES, st.sampled_from([0, DAY_S]))
def test_no_row_of_a_name_that_only_forwards_stays_beside_those_of_the_user(
    both: tuple[list[PairFact], list[PairFact]], number: Business, later_by: int
) -> None:
    facts, told = both
    until = max(fact.occurred_at for fact in told) + later_by
    records: list[dict[str, Any]] = []
    states = delivered(told, as_core(number), records)
    ends = [pass_time(state, until, DEFAULT_POLICY, as_core(number)).record for state in states.values()]
    records += [record for record in ends if record is not None]
    requests, grants, calls = stored(records, until)
    assert in_order(requests) == in_order(all_requests(facts, until, number))
    assert in_order(grants) == in_order(grant_rows(facts, at=until, number=number, **ALONE))
    assert in_order(calls) == in_order(call_rows(facts, NUMBER, USER, until))


READINGS: list[dict[str, Any]] = [
    {"status": status, "expires_at": until, "can_request": asks, "can_call": calls, "inferred": inferred}
    for status, until in (("no_permission", None), ("temporary", T0 + WEEK_S), ("permanent", None))
    for asks, calls in ((None, None), (False, True))
    for inferred in ((), ("status",))
]


def test_two_readings_of_one_id_that_differ_are_merged_alike_in_every_order_with_the_link() -> None:
    before: list[PairFact] = [reply("REPLY0001", T0), refusal("call", "TESTACTION1", T0 + DAY_S - 5, 138012)]
    plain, at = reading(T0 + DAY_S, "no_permission"), T0 + DAY_S + 1
    for said, otherwise in combinations(READINGS, 2):
        one, other = replace(plain, **said), replace(plain, **otherwise, occurred_at=T0 + DAY_S - 1)
        told: list[PairFact] = [replace(one, user=SCOPED), replace(other, user=SCOPED), link(T0)]
        both = ([*before, one, other], [*before, other, one])
        answers = [judge(facts, at=at, number=Business(), **ALONE) for facts in both]
        for order in permutations(told):
            states = delivered([*before, *order], Number())
            answers.append(answer(states[USER], at, DEFAULT_POLICY, Number()))
        assert all(each == answers[0] for each in answers), (said, otherwise)


CHAPTER_S = 50 * DAY_S
"""Longer than the horizon and the longest life together, so that what lies a chapter back may be settled."""


def in_chapter(fact: PairFact, chapter: int) -> PairFact:
    """The fact, so many chapters later and about other messages, calls and actions."""
    made: Any = fact
    moved: dict[str, Any] = {"fact_id": f"{fact.fact_id}-{chapter}"}
    for name in fact.__dataclass_fields__:
        told = getattr(fact, name)
        if told is None:
            continue
        if name.endswith("_at"):
            moved[name] = told + chapter * CHAPTER_S
        elif name in ("message_id", "call_id", "action_id", "context_id"):
            moved[name] = f"{told}-{chapter}"
    later: PairFact = replace(made, **moved)
    return later


@given(st.lists(histories(), min_size=2, max_size=4), BUSINESSES, st.data())
def test_what_was_settled_is_missed_by_no_answer(
    chapters: list[list[PairFact]], number: Business, data: st.DataObject
) -> None:
    facts = [in_chapter(fact, place) for place, told in enumerate(chapters) for fact in told]
    state = PairState(phone_number_id=NUMBER, user=USER)
    for fact in facts:
        done = step(state, fact, DEFAULT_POLICY, as_core(number), HORIZON_S)
        assert not done.late
        state = decode_state(encode_state(done.state))
    last = [in_chapter(fact, len(chapters) - 1) for fact in chapters[-1]]
    turns = [at for at in boundaries(last, number) if at >= answerable_from(state)]
    for at in [*data.draw(st.lists(st.sampled_from(turns), max_size=10, unique=True)), turns[-1]]:
        note(f"at {at}, settled until {state.base.until if state.base is not None else None}")
        assert answer(state, at, DEFAULT_POLICY, as_core(number)) == judge(facts, at=at, number=number, **ALONE)


@given(histories(), BUSINESSES)
def test_what_another_name_had_settled_arrives_as_the_judge_says_it_was(
    facts: list[PairFact], number: Business
) -> None:
    later = T0 + 2 * CHAPTER_S
    told = [*facts, *(message(f"TESTQUIET{place}", later + place) for place in range(EVERY + 1))]
    states = {user: PairState(phone_number_id=NUMBER, user=user) for user in (SCOPED, USER)}
    waiting = deque([*(replace(fact, user=SCOPED) for fact in told), link(later + 60)])
    while waiting:
        fact = waiting.popleft()
        done = step(states[fact.user], fact, DEFAULT_POLICY, as_core(number), HORIZON_S)
        assert not done.late
        states[fact.user] = decode_state(encode_state(done.state))
        waiting.extend(done.forwards)
    for at in (later + 60, later + WEEK_S):
        assert answer(states[USER], at, DEFAULT_POLICY, as_core(number)) == judge(told, at=at, number=number, **ALONE)

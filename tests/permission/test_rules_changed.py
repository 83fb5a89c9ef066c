"""A number that turns out to be of another profile: what was told of its pairs is corrected with their next fact."""

from typing import Any, Literal

import pytest
from hypothesis import given as forall
from hypothesis import strategies as some

from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from streams.permission.number import Number
from streams.permission.step import Step, pass_time, step
from tests.permission.story import (
    DAY,
    HOUR,
    PRODUCTION,
    T0,
    Told,
    accepted,
    delivered,
    given,
    linked,
    messaged,
    rejected,
    replied,
    sent,
    unanswered,
)
from tests.permission.test_laws import EMPTY, histories

SANDBOX = Number(profile="sandbox")
REVOKED = (replied("a0", T0, permanent=True), *unanswered(*[T0 + each * HOUR for each in (1, 2, 3, 4)]))
KINDS: tuple[Literal["requests", "grants", "calls"], ...] = ("requests", "grants", "calls")


def turned(told: Told, number: Number) -> Told:
    """What is known of the number is another from here on."""
    return Told(told.state, told.steps, number, told.facts, told.policy)


def stored(told: Told) -> dict[str, dict[str, Any]]:
    """The rows as a store keeps them, without their versions and what the clock alone says."""
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        for name, row in told.rows(kind).items():
            kept = {field: said for field, said in row.items() if field != "version"}
            if kept.get("final_class") == "expired_no_response":
                kept["final_class"] = "open"
            if kept.get("end_cause") == "expired":
                kept["end_cause"] = kept["ended_at"] = None
            found[f"{kind}/{name}"] = kept
    return found


@pytest.mark.parametrize(("was", "now"), [(PRODUCTION, SANDBOX), (SANDBOX, PRODUCTION)])
@pytest.mark.parametrize("fact", [messaged("m1", T0 + 6 * HOUR), sent("r1", T0 + 6 * HOUR), *unanswered(T0 + 6 * HOUR)])
def test_whatever_comes_next_corrects_rows_and_announcement(was: Number, now: Number, fact: PairFact) -> None:
    told = turned(given(*REVOKED, number=was), now).then(fact)
    assert stored(told) == stored(given(*REVOKED, fact, number=now))
    last = [change for change in told.changes if change["type"].startswith("permission_")][-1]
    assert last["after"]["permission"]["status"] == told.at(told.state.judged_at).status
    assert last["fact_id"] == fact.fact_id or now is PRODUCTION


def test_a_grant_that_under_the_other_rules_never_was_is_taken_back() -> None:
    again = replied("a1", T0 + 5 * HOUR, permanent=True)
    told = turned(given(*REVOKED, again), SANDBOX)
    assert len(told.rows("grants")) == 2
    assert len(told.then(rejected("a9", T0 + 6 * HOUR)).rows("grants")) == 1


def test_what_had_been_due_is_announced_whether_the_timer_or_a_fact_comes_first() -> None:
    """The timer speaks by the rules of what was told; the next fact says what holds now."""
    story = turned(given(accepted("a0", T0), *REVOKED[1:], number=SANDBOX), PRODUCTION)
    late = messaged("m1", T0 + 8 * DAY)
    by_timer, by_fact = story.when_time_reaches(T0 + 7 * DAY).then(late), story.then(late)
    for told in (by_timer, by_fact):
        assert told.announced[-2:] == [
            ("permission_expired", "expired"),
            ("permission_revoked", "auto_revoke_inferred"),
        ]
        assert told.changes[-2]["after"]["reason"] == "expired"
    assert by_timer.changes[-2]["change_id"] == by_fact.changes[-2]["change_id"]
    assert stored(by_timer) == stored(by_fact)


def test_what_other_rules_would_have_said_on_the_way_is_no_news() -> None:
    told = turned(given(*REVOKED[:7], number=SANDBOX), PRODUCTION).then(messaged("m1", T0 + 6 * HOUR))
    assert told.at(T0 + 6 * HOUR).streak == 3, "a production number's user was nudged at the second"
    assert told.noticed == []


@forall(
    histories,
    some.lists(some.integers(1, 20 * DAY), max_size=12, unique=True),
    some.lists(some.booleans(), min_size=60, max_size=60),
    some.sampled_from([PRODUCTION, SANDBOX]),
)
def test_however_often_the_profile_changed_the_rows_are_those_of_the_last_one(
    history: list[PairFact], rings: list[int], flips: list[bool], last: Number
) -> None:
    facts = [*history, replied("a0", T0, permanent=True), *unanswered(*[T0 + each for each in rings])]
    state: PairState = EMPTY
    steps: list[Step] = []
    for place, fact in enumerate(facts):
        number = SANDBOX if flips[place % 60] else PRODUCTION
        steps.append(pass_time(state, state.judged_at + (place % 3) * 3 * DAY, DEFAULT_POLICY, number))
        steps.append(step(steps[-1].state, fact, DEFAULT_POLICY, number, None))
        state = steps[-1].state
    end = max(state.judged_at, T0 + 45 * DAY)
    told = Told(state, tuple(steps), last, tuple(facts)).then(messaged("end", end))
    assert stored(told) == stored(given(*facts, messaged("end", end), number=last))


def test_a_change_right_after_older_evidence_was_settled_is_found_too() -> None:
    def taken(state: PairState, fact: PairFact, number: Number) -> Step:
        return step(state, fact, DEFAULT_POLICY, number)

    state = EMPTY
    for fact in (sent("r0", T0 - 60 * DAY), delivered("r0", T0 - 60 * DAY + 9), *REVOKED):
        state = taken(state, fact, PRODUCTION).state
    count = 0
    while state.base is None:
        count += 1
        state = taken(state, messaged(f"m{count}", T0 + DAY + count), PRODUCTION).state
    told = taken(state, messaged("next", T0 + 3 * DAY), SANDBOX)
    assert [change["type"] for change in told.changes] == ["permission_granted"]


def test_the_last_word_of_a_pair_that_is_handed_on_takes_back_what_it_had_told() -> None:
    told = turned(given(*REVOKED, replied("a1", T0 + 5 * HOUR, permanent=True)), SANDBOX)
    scoped = told.state._replace(user="GB.10000000000000000042")
    done = step(scoped, linked(T0 + 6 * HOUR), DEFAULT_POLICY, SANDBOX, None)
    assert done.record is not None
    assert len([row for row in done.record["grants"] if row["is_deleted"]]) == 2

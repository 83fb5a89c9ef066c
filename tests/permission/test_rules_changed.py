"""A number that turns out to be of another profile: what was told of its pairs is corrected with their next fact."""

from typing import Any, Literal

import pytest
from hypothesis import given as forall
from hypothesis import strategies as some

from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY, Policy
from schemas.state import PairState
from schemas.state_row import encode_state
from streams.permission.number import Number
from streams.permission.step import Step, pass_time, step
from streams.worker.rows import DUE_AT, PairRows
from tests.permission.story import (
    DAY,
    HOUR,
    PRODUCTION,
    SANDBOX,
    T0,
    Told,
    accepted,
    delivered,
    given,
    linked,
    messaged,
    reading,
    rejected,
    replied,
    sent,
    unanswered,
)
from tests.permission.test_laws import EMPTY, histories

SHORTER = Policy.model_validate(DEFAULT_POLICY.model_dump(by_alias=True) | {"defaults": {"temporary_seconds": 3 * DAY}})
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
    assert last["fact_id"] == fact.fact_id


def test_a_grant_that_under_the_other_rules_never_was_is_taken_back() -> None:
    again = replied("a1", T0 + 5 * HOUR, permanent=True)
    told = turned(given(*REVOKED, again), SANDBOX)
    assert len(told.rows("grants")) == 2
    assert len(told.then(rejected("a9", T0 + 6 * HOUR)).rows("grants")) == 1


def test_what_had_been_due_is_announced_whether_the_timer_or_a_fact_comes_first() -> None:
    """The timer speaks by the rules of what was told; the next fact says what holds now."""
    story = turned(given(accepted("a0", T0), *REVOKED[1:], number=SANDBOX), PRODUCTION)
    late = messaged("m1", T0 + 8 * DAY)
    rung = story.when_time_reaches(T0 + 7 * DAY)
    assert [change["type"] for change in rung.steps[-1].changes] == ["permission_expired"]
    by_timer, by_fact = rung.then(late), story.then(late)
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


def test_a_reading_right_after_the_change_drifts_from_what_stands_by_the_present_rules() -> None:
    told = turned(given(*REVOKED), SANDBOX).then(reading("no_permission", T0 + 6 * HOUR))
    drift, revoked = told.changes[-2:]
    assert drift["data"]["fields"][0] == {"field": "status", "local": "permanent", "remote": "no_permission"}
    assert drift["before"]["permission"]["status"] == "permanent"
    assert (revoked["cause"], revoked["before"]["reason"]) == ("reading", "auto_revoke_inferred")


def test_the_deadline_of_a_stored_row_is_the_one_that_its_timer_will_announce() -> None:
    """Recovery and repair make a row's headers anew."""
    told = given(accepted("a0", T0), *REVOKED[1:], number=SANDBOX)
    stored = PairRows(DEFAULT_POLICY, lambda _: PRODUCTION).again(b"TEST", encode_state(told.state))
    assert told.state.due_at == T0 + 7 * DAY
    assert (DUE_AT, str(T0 + 7 * DAY).encode()) in stored.headers


def test_settling_under_another_policy_file_leaves_the_walk_to_the_next_fact() -> None:
    state = EMPTY
    for fact in (sent("r0", T0 - 60 * DAY), delivered("r0", T0 - 60 * DAY + 9), replied("a1", T0)):
        state = step(state, fact, DEFAULT_POLICY, PRODUCTION).state
    count = 0
    while state.base is None:
        count += 1
        state = step(state, messaged(f"m{count}", T0 + 2 * DAY + count), SHORTER, PRODUCTION).state
    assert state.walked is None
    done = step(state, sent("r9", T0 + 4 * DAY), SHORTER, PRODUCTION)
    assert [change["type"] for change in done.changes] == ["permission_expired", "limit_reached"]

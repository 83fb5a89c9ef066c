"""Laws of the fold (design 4): order, repetition, prefix and resume, as-of, release instants, totality."""

from dataclasses import replace
from typing import Any

from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as some

from schemas.events import PairFact, PermissionReplied, RequestSent
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import decode_state, encode_state, open_state, version_of
from streams.permission.answer import answer
from streams.permission.evolve import evolve
from streams.permission.grants import Grant
from streams.permission.standing import beat_of, timeline
from streams.permission.step import deadline_of, pass_time, step
from tests.permission.story import (
    DAY,
    HOUR,
    NUMBER,
    PRODUCTION,
    T0,
    USER,
    call,
    evidence,
    given,
    messaged,
    moved,
    reading,
    refused,
    replied,
    sent,
    status,
)

EMPTY = PairState(phone_number_id=NUMBER, user=USER)

# Few ids and few instants, so that repeats, ties and replies to expired or unknown requests come up all the time.
instants = some.builds(
    lambda days, extra: T0 + days * DAY + extra, some.integers(0, 20), some.sampled_from([0, 0, 1, HOUR, DAY - 1])
)
requests = some.sampled_from(["r1", "r2", "r3", "r4"])
calls = some.sampled_from(["c1", "c2", "c3", "c4", "c5", "c6"])
directions = some.sampled_from(["business_initiated", "user_initiated"])
facts: some.SearchStrategy[PairFact] = some.one_of(
    some.builds(
        lambda name, at, kind, direction, lasts, status: call(
            name,
            (kind, at),
            direction=direction,
            start=at - lasts if kind == "ended" and lasts else None,
            status=status,
        )[-1],
        calls,
        instants,
        some.sampled_from(["offered", "ringing", "accepted", "rejected", "ended", "ended", "ended"]),
        directions,
        some.sampled_from([0, 0, 0, 60]),
        some.sampled_from(["completed", "completed", "failed", "cancelled"]),
    ),
    some.builds(
        refused,
        some.sampled_from(["request", "call"]),
        some.sampled_from([138_000, 138_006, 138_009, 138_012, 138_013, 138_014, 138_017]),
        instants,
        some.one_of(some.none(), instants),
    ),
    some.builds(
        reading,
        some.sampled_from(["no_permission", "temporary", "permanent"]),
        instants,
        some.one_of(some.none(), instants),
        can_call=some.booleans(),
        can_request=some.booleans(),
    ),
    some.builds(messaged, some.sampled_from(["m1", "m2"]), instants),
    some.builds(moved, some.sampled_from(["old", "new"]), instants),
    some.builds(sent, requests, instants),
    some.builds(status, requests, some.sampled_from(["sent", "delivered", "read"]), instants),
    some.builds(status, requests, some.just("failed"), instants, some.sampled_from([131_026, 131_049, None])),
    some.builds(
        replied,
        some.sampled_from(["a1", "a2", "a3", "a4", "a5"]),
        instants,
        some.sampled_from(["accept", "reject"]),
        to=some.one_of(some.none(), requests, some.just("wacid.TESTUIC0001")),
        permanent=some.booleans(),
        until=some.one_of(some.none(), instants),
        source=some.sampled_from(["user_action", "automatic", None]),
    ),
)
histories = some.lists(facts, max_size=14)


def folded(history: list[PairFact], state: PairState = EMPTY) -> PairState:
    """The state after all facts."""
    for fact in history:
        state = step(state, fact, DEFAULT_POLICY, PRODUCTION, None).state
    return state


@forall(histories, some.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_evidence(history: list[PairFact], chance: object) -> None:
    shuffled = list(history)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types its Random as object
    assert evidence(folded(shuffled)) == evidence(folded(history))


@forall(histories)
def test_adding_facts_twice_changes_nothing(history: list[PairFact]) -> None:
    state = folded(history)
    assert folded(history, state) is state


@forall(histories, some.integers(0, 14))
def test_a_prefix_stored_and_resumed_equals_the_whole(history: list[PairFact], cut: int) -> None:
    resumed = folded(history[cut:], decode_state(encode_state(folded(history[:cut]))))
    assert encode_state(resumed) == encode_state(folded(history))


@forall(histories, instants)
def test_as_of_an_instant_is_the_same_as_leaving_later_facts_out(history: list[PairFact], at: int) -> None:
    # Facts of one id share the earliest instant, so the later copy of a fact says nothing about when it became known.
    earliest: dict[str, PairFact] = {}
    for fact in history:
        earliest.setdefault(fact.fact_id, fact)
    known = [fact for fact in earliest.values() if fact.occurred_at <= at]
    whole, part = folded(list(earliest.values())), folded(known)
    assert answer(whole, at, DEFAULT_POLICY, PRODUCTION) == answer(part, at, DEFAULT_POLICY, PRODUCTION)


@forall(histories, instants)
def test_a_refused_request_opens_exactly_at_retry_at_and_not_a_second_before(history: list[PairFact], at: int) -> None:
    state = folded([fact for fact in history if fact.occurred_at <= at])
    asking = answer(state, at, DEFAULT_POLICY, PRODUCTION)["actions"][0]
    if asking["retry_at"] is not None:
        assert asking["retry_at"] > at
        assert answer(state, asking["retry_at"], DEFAULT_POLICY, PRODUCTION)["actions"][0]["can_perform_action"]
        assert not answer(state, asking["retry_at"] - 1, DEFAULT_POLICY, PRODUCTION)["actions"][0]["can_perform_action"]


@forall(histories)
def test_a_stored_state_is_read_back_as_it_was(history: list[PairFact]) -> None:
    state = folded(history)
    assert decode_state(encode_state(state)) == state
    assert version_of(encode_state(state)) == state.version


@forall(histories, instants)
def test_time_passing_announces_what_the_standing_says(history: list[PairFact], until: int) -> None:
    state = folded(history)
    done = pass_time(state, until, DEFAULT_POLICY, PRODUCTION)
    assert evidence(done.state) == evidence(state)
    assert len(done.changes) <= 1
    if until >= state.judged_at:
        assert timeline(done.state, done.state.judged_at, DEFAULT_POLICY, PRODUCTION).hold.grant == (
            timeline(state, until, DEFAULT_POLICY, PRODUCTION).hold.grant
        )


@forall(histories, instants)
def test_the_deadline_kept_in_the_state_is_the_one_its_evidence_gives(history: list[PairFact], until: int) -> None:
    state = folded(history)
    later = pass_time(state, until, DEFAULT_POLICY, PRODUCTION).state
    for one in (state, later):
        assert one.due_at == deadline_of(one, DEFAULT_POLICY, PRODUCTION)


@forall(histories)
def test_the_last_announcement_says_what_is_held(history: list[PairFact]) -> None:
    told = given(*history)
    if told.changes:
        after = told.changes[-1]["after"]
        now = answer(told.state, told.state.judged_at, DEFAULT_POLICY, PRODUCTION)
        assert after["permission"] == now["permission"]
        assert after["reason"] == now["standing"]["reason"]


@forall(histories)
def test_no_change_id_has_two_contents(history: list[PairFact]) -> None:
    seen: dict[str, dict[str, object]] = {}
    for change in given(*history).changes + given(*reversed(history)).changes:
        said = held_by_its_id(change)
        assert seen.setdefault(change["change_id"], said) == said


def held_by_its_id(change: dict[str, Any]) -> dict[str, Any]:
    """That of a passed deadline is derived from the deadline alone: what else is said of the pair may be newer."""
    if change["fact_id"] is not None:
        return change
    return {name: said for name, said in change.items() if name not in ("before", "after", "version")}


@forall(histories, some.lists(some.integers(0, 14), max_size=4))
def test_ticks_between_facts_in_order_announce_nothing_else(history: list[PairFact], places: list[int]) -> None:
    """A repeated batch meets its ticks at other places: the same must be announced, under the same ids."""
    in_order = sorted(history, key=lambda fact: fact.occurred_at)
    plain, ticked = given(), given()
    for place, fact in enumerate(in_order):
        if place in places:
            ticked = ticked.when_time_reaches(fact.occurred_at)
        plain, ticked = plain.then(fact), ticked.then(fact)
    end = T0 + 60 * DAY
    plain, ticked = plain.when_time_reaches(end), ticked.when_time_reaches(end)
    assert ticked.changes == plain.changes


@forall(histories)
def test_rows_told_step_by_step_end_as_the_whole_history_says(history: list[PairFact]) -> None:
    told = given(*history)
    line = timeline(told.state, told.state.judged_at, DEFAULT_POLICY, PRODUCTION)
    classes = {life.request_id: life.final_class for life in line.lives}
    for name, row in told.rows("requests").items():
        # A class that time alone changed is left to the reader's clock: timers announce, they never decide.
        assert row["final_class"] == classes[name] or (row["final_class"], classes[name]) == (
            "open",
            "expired_no_response",
        )
    assert told.rows("requests").keys() == classes.keys()
    assert told.rows("grants").keys() == {grant.grant_id for grant in line.grants}


@settings(max_examples=50)
@forall(facts, facts)
def test_two_facts_of_one_id_merge_to_the_same_whichever_comes_first(one: PairFact, other: PairFact) -> None:
    named = RequestSent | PermissionReplied
    if isinstance(one, named) and isinstance(other, named) and one.type == other.type:
        other = replace(other, message_id=one.message_id, fact_id=one.fact_id)  # type: ignore[arg-type]  # of one type
    assert evidence(evolve(evolve(EMPTY, one), other)) == evidence(evolve(evolve(EMPTY, other), one))


@forall(histories)
def test_every_mark_word_grant_and_life_has_all_its_fields(history: list[PairFact]) -> None:
    """`filled` makes them without their constructors, and counts nothing."""
    state = EMPTY
    for fact in history:
        done = step(open_state(encode_state(state)), fact, DEFAULT_POLICY, PRODUCTION, None)
        state, line = done.state, timeline(done.state, done.state.judged_at, DEFAULT_POLICY, PRODUCTION)
        beats = [beat for call in state.calls if (beat := beat_of(call, DEFAULT_POLICY)) is not None]
        marks = (*state.decisions, *state.requests, *state.refusals, *state.calls, *state.messages)
        made: list[Any] = [
            done,
            state,
            *filter(None, [state.walked]),
            *marks,
            line.hold,
            *line.grants,
            *line.lives,
            *beats,
        ]
        for each in made:
            assert len(each) == len(each._fields), type(each)
        if state.walked is not None and state.walked.grant is not None:
            assert len(state.walked.grant) == len(Grant._fields)

"""Design 7: a pair known by another name of the user hands its evidence on, and the canonical pair ends the same."""

from dataclasses import replace
from itertools import permutations
from typing import Any, cast

import pytest
from hypothesis import given as forall
from hypothesis import strategies as some

from schemas.events import (
    CallOffered,
    CallRefused,
    MessageStatus,
    PairFact,
    RequestRefused,
    UserMessaged,
    UserNumberChanged,
    UsersLinked,
)
from schemas.ids import derived_id
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import decode_state, encode_state
from streams.permission.identity import facts_of
from streams.permission.step import Step, step
from tests.permission.story import (
    DAY,
    HOUR,
    NUMBER,
    PRODUCTION,
    SCOPED,
    T0,
    USER,
    Told,
    accepted,
    call,
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
from tests.permission.test_horizon import LATER, lived, quiet
from tests.permission.test_laws import histories

EMPTY = PairState(phone_number_id=NUMBER, user=SCOPED)


def said_to(state: PairState, *facts: PairFact) -> tuple[PairState, list[Step]]:
    """The row of the other name after facts that came under it; stored and read back on the way."""
    steps = []
    for fact in facts:
        done = step(state, replace(fact, user=SCOPED), DEFAULT_POLICY, PRODUCTION, None)
        steps.append(done)
        state = decode_state(encode_state(done.state))
    return state, steps


def handed_on(*facts: PairFact, after: tuple[PairFact, ...] = ()) -> Told:
    """The canonical pair when all of it came under the other name, `after` of it once the link was known."""
    end = max((fact.occurred_at for fact in facts), default=T0)
    _, steps = said_to(EMPTY, *facts, linked(end), *after)
    return given(*[fact for done in steps for fact in done.forwards])


STORY: tuple[PairFact, ...] = (
    sent("r1", T0, campaign="camp-1", origin="broadcast"),
    status("r1", "sent", T0 + 2),
    delivered("r1", T0 + 5),
    status("r1", "read", T0 + 60),
    rejected("a1", T0 + HOUR, to="r1"),
    accepted("a2", T0 + 2 * HOUR, to="r1"),
    sent("r2", T0 + DAY, kind="free_form", template=None),
    status("r2", "failed", T0 + DAY + 9, 131_026),
    replied("a3", T0 + DAY + HOUR, permanent=True, source=None),
    *call("c1", ("offered", T0 + DAY), ("ringing", T0 + DAY + 2), ("accepted", T0 + DAY + 9)),
    *call("c1", ("ended", T0 + DAY + 66), start=T0 + DAY + 10),
    disposed("c1", T0 + DAY + 99),
    *call("c2", ("rejected", T0 + DAY + HOUR + 9), ("ended", T0 + DAY + HOUR + 9)),
    *call("c3", ("offered", T0 + 2 * DAY), ("ended", T0 + 2 * DAY + 30), direction="user_initiated"),
    *call("c4", ("ended", T0 + 2 * DAY + HOUR), status="failed"),
    refused("request", 138_009, T0 + 2 * DAY, T0 + 9 * DAY),
    refused("call", 138_012, T0 + 2 * DAY + 1),
    messaged("m1", T0 + 2 * DAY + 5),
    reading("temporary", T0 + 3 * DAY, T0 + 8 * DAY, can_call=True, can_request=False),
    replied("a4", T0 + 4 * DAY, to="c3", until=T0 + 11 * DAY, source="automatic"),
    *unanswered(T0 + 5 * DAY),
)


OFFERED = cast(CallOffered, call("c5", ("offered", T0 + 6 * DAY))[0])
FROM_CHAT: dict[str, Any] = {"campaign": "camp-2", "origin": "conversation"}
# What the story has not: every field that a mark keeps, and the words that only some dialects have.
ODD: tuple[PairFact, ...] = (
    replace(sent("r5", T0 + 5 * DAY, **FROM_CHAT), reservation_id="res-1"),
    replace(rejected("a5", T0 + 5 * DAY), revoked=True),
    replace(accepted("a6", T0 + 5 * DAY), inferred=("is_permanent",)),
    replace(reading("no_permission", T0 + 5 * DAY, can_request=True, can_call=False), inferred=("status",)),
    reading("permanent", T0 + 5 * DAY + 1, can_request=False, can_call=True),
    replace(OFFERED, **FROM_CHAT, reservation_id="res-2"),
    replace(
        OFFERED,
        fact_id=derived_id("call_offered", NUMBER, "c5", "started"),
        occurred_at=T0 + 6 * DAY - 1,
        reported=True,
        **FROM_CHAT,
        reservation_id="res-2",
    ),
    replace(cast(CallRefused, refused("call", 138_012, T0 + 6 * DAY + 2, T0 + 7 * DAY)), **FROM_CHAT),
    replace(cast(RequestRefused, refused("request", 138_009, T0 + 6 * DAY + 3)), **FROM_CHAT),
)


def same(one: Told, other: Told) -> None:
    """Two pairs of which everything that is asked and stored is the same."""
    instants = sorted({fact.occurred_at for fact in STORY} | {T0 + place * DAY for place in range(13)})
    for at in instants:
        assert one.at(at).body == other.at(at).body, at
    kept = ("version",)
    for kind in ("requests", "grants", "calls"):
        mine, theirs = one.rows(kind), other.rows(kind)
        assert _without(mine, kept) == _without(theirs, kept)


def _without(rows: dict[str, dict[str, object]], left_out: tuple[str, ...]) -> dict[str, dict[str, object]]:
    return {key: {name: row[name] for name in row if name not in left_out} for key, row in rows.items()}


def test_a_story_told_under_another_name_ends_as_if_it_had_been_told_under_the_canonical_one() -> None:
    same(handed_on(*STORY), given(*STORY))


@pytest.mark.parametrize("told", [STORY, ODD, (moved("old", T0),), (moved("new", T0),)])
def test_what_is_handed_on_is_what_was_told_apart_from_what_no_mark_keeps(told: tuple[PairFact, ...]) -> None:
    state = given(*told).state._replace(aliases=(SCOPED,))
    handed = [replace(fact, recorded_at=0) for fact in facts_of(state)]
    kept: dict[str, Any] = {"provider": "forwarded", "aliases": (SCOPED,), "recorded_at": 0}
    for fact in told:
        nameless: dict[str, Any] = {"message_id": ""} if isinstance(fact, UserMessaged | UserNumberChanged) else {}
        assert replace(fact, **kept, **nameless) in handed
    assert len(handed) == len(told)


def test_what_is_handed_on_was_received_when_it_was() -> None:
    told: tuple[PairFact, ...] = (
        sent("r1", T0, recorded_at=T0 + 7),
        replace(rejected("a1", T0), recorded_at=T0 + 8),
        replace(refused("call", 138_012, T0), recorded_at=T0 + 9),
        replace(call("c1", ("ringing", T0))[0], recorded_at=T0 + 10),
    )
    received = {fact.fact_id: fact.recorded_at for fact in facts_of(given(*told).state)}
    assert received == {fact.fact_id: fact.recorded_at for fact in told}


def test_it_ends_the_same_wherever_in_the_story_the_link_is_learned() -> None:
    for cut in (0, 5, 12, 20):
        same(handed_on(*STORY[:cut], after=STORY[cut:]), given(*STORY))


@forall(histories, some.integers(0, 14))
def test_any_history_handed_on_gives_the_same_answers(history: list[PairFact], cut: int) -> None:
    told, whole = handed_on(*history[:cut], after=tuple(history[cut:])), given(*history)
    for at in sorted({fact.occurred_at for fact in history} | {T0 + 30 * DAY}):
        assert told.at(at).body == whole.at(at).body


def test_a_forwarded_fact_keeps_its_id_and_says_where_it_comes_from() -> None:
    _, steps = said_to(EMPTY, *STORY, linked(T0 + 9 * DAY))
    forwards = {fact.fact_id: fact for fact in steps[-1].forwards}
    assert forwards.keys() == {fact.fact_id for fact in STORY}
    for fact in forwards.values():
        assert (fact.user, fact.aliases, fact.forwarded) == (USER, (SCOPED,), True)
        assert fact.phone_number_id == NUMBER


def test_once_it_forwards_a_row_hands_on_each_fact_as_it_comes_and_announces_nothing() -> None:
    row, steps = said_to(EMPTY, accepted("a1", T0), linked(T0 + HOUR), accepted("a1", T0), rejected("a2", T0 + DAY))
    assert [(change["type"], change["cause"]) for change in steps[1].changes] == [("pair_merged", "users_linked")]
    assert steps[1].changes[0]["data"] == {"canonical_user": USER}
    for done in steps[2:]:
        assert (len(done.forwards), done.changes, done.record) == (1, (), None)
    assert (row.forwards_to, steps[-1].deadline) == (USER, None)


def test_a_link_learned_before_anything_else_hands_nothing_on_and_announces_nothing() -> None:
    _, (done,) = said_to(EMPTY, linked(T0))
    assert (done.forwards, done.changes) == ((), ())
    assert done.state.forwards_to == USER


def test_a_link_told_again_is_nothing_new() -> None:
    _, steps = said_to(EMPTY, linked(T0), linked(T0), linked(T0 + HOUR))
    assert [done.repeated for done in steps] == [False, True, True]
    assert all(done.forwards == () for done in steps)


def test_of_two_links_the_earliest_holds_and_then_the_smaller_name() -> None:
    other = "447700900456"
    for links in ((linked(T0), linked(T0 + 1, other)), (linked(T0 + 1, other), linked(T0))):
        row, _ = said_to(EMPTY, *links)
        assert row.forwards_to == USER
    row, steps = said_to(EMPTY, linked(T0, other), linked(T0))
    assert row.forwards_to == min(USER, other)
    assert (row.version, row.phone_number_id, row.user) == (2, NUMBER, SCOPED)
    record = steps[-1].record
    assert record is not None
    assert (record["fact"]["version"], record["fact"]["body"].wa_id) == (0, USER)


THIRD, OTHER = "447700900789", "447700900456"


def oddities(*links: UsersLinked) -> list[dict[str, Any]]:
    """What the row of the other name announces of contradicting links."""
    _, steps = said_to(EMPTY, *links)
    told = [change for done in steps for change in done.changes]
    for done in steps:
        assert [row["change_id"] for row in (done.record or {"changes": []})["changes"]] == [
            change["change_id"] for change in done.changes
        ]
    return [change for change in told if change["type"] == "anomaly_raised"]


def test_a_second_user_of_one_scoped_id_is_an_anomaly_told_once_and_alike_whichever_link_came_first() -> None:
    early, late = linked(T0), linked(T0 + 1, OTHER)
    (told,) = oddities(early, late)
    assert (told["cause"], told["fact_id"], told["occurred_at"]) == ("link_conflict", late.fact_id, T0 + 1)
    assert told["data"] == {"kind": "link_conflict", "canonical_user": USER, "other_user": OTHER}
    assert (told["user"], told["before"]) == (SCOPED, told["after"])
    assert oddities(late, early) == [told]
    again = [linked(T0 + HOUR), linked(T0 + HOUR, OTHER), linked(T0 - 1), linked(T0 - 2, OTHER), early, late]
    assert oddities(early, late, *again) == [told]
    assert oddities(early, linked(T0 - HOUR), linked(T0 + HOUR)) == []


def test_each_further_user_is_one_more_anomaly_whatever_the_order() -> None:
    links = [linked(T0), linked(T0 + 1, OTHER), linked(T0 + 2, THIRD)]
    for order in permutations(links):
        assert {change["data"]["other_user"] for change in oddities(*order)} == {OTHER, THIRD}
        assert len(oddities(*order)) == 2


def test_of_two_links_what_comes_later_goes_to_the_one_that_holds_and_what_was_handed_on_stays() -> None:
    facts = (
        accepted("a1", T0),
        linked(T0 + 9),
        rejected("a2", T0 + 10),
        linked(T0 + 5, OTHER),
        accepted("a3", T0 + 20),
    )
    _, steps = said_to(EMPTY, *facts)
    handed = [(fact.user, fact.occurred_at - T0) for done in steps for fact in done.forwards]
    assert handed == [(USER, 0), (USER, 10), (OTHER, 20)]


def test_a_changed_number_is_handed_on_too() -> None:
    for role in ("old", "new"):
        fact = moved(role, T0 + DAY)
        told = handed_on(replied("a1", T0, permanent=True), fact)
        assert (told.at(T0 + DAY).reason, told.at(T0 + DAY - 1).status) == ("number_changed", "permanent")


def test_a_reply_without_an_id_is_handed_on_under_its_own() -> None:
    nameless = replace(accepted("a1", T0), message_id=None, fact_id=derived_id("permission_replied", NUMBER, "digest"))
    told = handed_on(nameless)
    assert [fact.fact_id for fact in told.facts] == [nameless.fact_id]
    assert told.at(T0).body == given(nameless).at(T0).body


def test_statuses_of_messages_that_may_be_requests_are_handed_on() -> None:
    told = handed_on(delivered("r1", T0 + 5)).then(sent("r1", T0))
    assert told.rows("requests")["r1"]["delivered_at"] == T0 + 5
    assert [fact.status for fact in told.facts if isinstance(fact, MessageStatus)] == ["delivered"]


def handed_on_once_settled(*facts: PairFact) -> list[PairFact]:
    """What the row of the other name hands on when all of the facts lie beyond the horizon."""
    state, _ = lived(*facts, *quiet(LATER))
    assert state.base is not None
    assert (state.decisions, state.requests, state.calls) == ((), (), ())
    return [
        replace(fact, provider="meta", recorded_at=fact.occurred_at + 1)
        for fact in facts_of(state)
        if not isinstance(fact, UserMessaged)
    ]


@pytest.mark.parametrize(
    ("before", "word"),
    [
        ([accepted("a0", T0)], rejected("a1", T0 + DAY)),
        ([accepted("a0", T0)], replied("a1", T0 + DAY, "reject", source="automatic")),
        ([rejected("a0", T0)], replied("a1", T0 + DAY, permanent=True, to="r1")),
        ([rejected("a0", T0)], accepted("a1", T0 + DAY, to="r1", until=LATER + 90 * DAY)),
    ],
)
def test_of_what_was_settled_the_latest_word_and_the_running_row_are_handed_on(
    before: list[PairFact], word: PairFact
) -> None:
    row = [call(f"c{at}", ("ended", at))[-1] for at in (T0 + 2 * DAY, T0 + 3 * DAY)]
    assert handed_on_once_settled(*before, word, *row) == [word, *row]


def test_of_a_settled_change_of_number_no_word_is_handed_on() -> None:
    assert handed_on_once_settled(replied("a1", T0, permanent=True), moved("old", T0 + DAY)) == []


def test_a_settled_grant_that_whatsapp_gave_is_still_whatsapps_once_it_is_handed_on() -> None:
    callback = replied("a1", T0 + 5, until=LATER + 90 * DAY, source="automatic")
    whole, handed = given(callback), given(*handed_on_once_settled(sent("r1", T0), callback))
    assert (handed.at(LATER).via, handed.at(LATER).status) == (whole.at(LATER).via, "temporary")


def test_a_row_that_forwards_keeps_its_names_its_counts_and_when_it_last_heard() -> None:
    named = replace(accepted("a1", T0), user=SCOPED, aliases=("GB.2",))
    state = step(EMPTY._replace(late=3, dropped=2), named, DEFAULT_POLICY, PRODUCTION, None).state
    row = step(state, linked(T0 + HOUR), DEFAULT_POLICY, PRODUCTION, None).state
    assert (row.aliases, row.late, row.dropped, row.version) == (("GB.2",), 3, 2, 2)
    assert (row.judged_at, row.recorded_at, row.forwards_to) == (T0 + HOUR, T0 + HOUR + 1, USER)
    assert (row.decisions, row.walked, row.due_at) == ((), None, None)
    again = step(row, linked(T0, "447700900456"), DEFAULT_POLICY, PRODUCTION, None).state
    assert (again.version, again.recorded_at) == (3, T0 + 1)

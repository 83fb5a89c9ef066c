"""Design 7: a pair known by another name of the user hands its evidence on, and the canonical pair ends the same."""

from dataclasses import replace

from hypothesis import given as forall
from hypothesis import strategies as some

from schemas.events import DispositionRecorded, MessageStatus, PairFact, UsersLinked
from schemas.ids import derived_id
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState, decode_state, encode_state
from streams.permission.step import Step, step
from tests.permission.story import (
    DAY,
    HOUR,
    NUMBER,
    PRODUCTION,
    T0,
    USER,
    Told,
    accepted,
    call,
    delivered,
    given,
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
from tests.permission.test_laws import histories

SCOPED = "GB.10000000000000000042"
EMPTY = PairState(phone_number_id=NUMBER, user=SCOPED)


def linked(at: int, wa_id: str = USER) -> UsersLinked:
    """A payload showed that both names are one user."""
    return UsersLinked(
        fact_id=derived_id("users_linked", NUMBER, SCOPED, wa_id),
        phone_number_id=NUMBER,
        user=SCOPED,
        occurred_at=at,
        recorded_at=at + 1,
        provider="meta",
        wa_id=wa_id,
    )


def disposed(call_id: str, at: int, outcome: str = "sold") -> DispositionRecorded:
    """An agent's note."""
    return DispositionRecorded(
        fact_id=derived_id("disposition_recorded", NUMBER, call_id, at, outcome),
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=at,
        recorded_at=at + 1,
        provider="actions",
        call_id=call_id,
        outcome=outcome,
    )


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
    assert [change["type"] for change in steps[1].changes] == ["pair_merged"]
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
    row, _ = said_to(EMPTY, linked(T0, other), linked(T0))
    assert row.forwards_to == min(USER, other)


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

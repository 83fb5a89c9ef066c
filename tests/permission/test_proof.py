"""Design 7: what another name of the user had settled arrives at the canonical pair as what it was."""

from dataclasses import replace

import pytest

from schemas.events import PairFact, PermissionReplied
from schemas.marks import Decision
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState, Proof
from schemas.state_row import decode_state, encode_state, open_state
from streams.permission.answer import answer
from streams.permission.horizon import EVERY
from streams.permission.proof import MOST
from streams.permission.step import step
from tests.permission.story import (
    DAY,
    HOUR,
    NUMBER,
    PRODUCTION,
    SCOPED,
    T0,
    USER,
    accepted,
    call,
    connected,
    delivered,
    given,
    linked,
    messaged,
    moved,
    reading,
    refused,
    rejected,
    replied,
    sent,
    unanswered,
)
from tests.permission.test_horizon import LATER, quiet

EVER = LATER + 300 * DAY
ASKED: list[PairFact] = [sent("r1", T0), delivered("r1", T0 + 5)]
FOUR = unanswered(*(T0 + DAY + place * HOUR for place in range(4)))
GIVEN = replied("a1", T0 + HOUR, to="r1", permanent=True)
CALLBACK: list[PairFact] = [
    replied(
        f"a{place}", T0 + place * 6 * DAY, to="wacid.TESTUIC1", until=T0 + place * 6 * DAY + 7 * DAY, source="automatic"
    )
    for place in range(3)
]


def lives(*facts: PairFact, user: str = SCOPED, state: PairState | None = None) -> PairState:
    """The pair of a name as a worker keeps it: with the horizon, stored and read back after each fact."""
    state = state or PairState(phone_number_id=NUMBER, user=user)
    for fact in facts:
        done = step(open_state(encode_state(state)), replace(fact, user=user), DEFAULT_POLICY, PRODUCTION)
        state = done.state
    return decode_state(encode_state(state))


def linked_to(target: PairState, state: PairState) -> PairState:
    """The canonical pair once it has heard what the other name hands on."""
    for fact in step(state, linked(LATER + 9 * DAY), DEFAULT_POLICY, PRODUCTION).forwards:
        target = step(target, fact, DEFAULT_POLICY, PRODUCTION).state
    return decode_state(encode_state(target))


EMPTY = PairState(phone_number_id=NUMBER, user=USER)
STORIES: dict[str, list[PairFact]] = {
    "declined": [*ASKED, rejected("a1", T0 + HOUR, to="r1")],
    "revoked in the request": [*ASKED, GIVEN, rejected("a2", T0 + DAY, to="r1")],
    "revoked in the profile": [*ASKED, GIVEN, rejected("a2", T0 + DAY)],
    "revoked by the dialect's own word": [*ASKED, replace(rejected("a1", T0 + HOUR, to="r1"), revoked=True)],
    "revoked, and the source is inferred": [*ASKED, GIVEN, replied("a2", T0 + DAY, "reject", source=None)],
    "revoked by WhatsApp": [*ASKED, GIVEN, *FOUR, replied("a2", T0 + 2 * DAY, "reject", source="automatic")],
    "revoked by the row, as is inferred": [*ASKED, GIVEN, *FOUR],
    "revoked by the row, which went on": [*ASKED, GIVEN, *FOUR, *unanswered(T0 + 2 * DAY)],
    "revoked by the row, which then ended": [*ASKED, GIVEN, *FOUR, *connected(T0 + 2 * DAY), *unanswered(T0 + 3 * DAY)],
    "revoked by the row, and a reading confirms it": [*ASKED, GIVEN, *FOUR, reading("no_permission", T0 + 2 * DAY)],
    "expired": [*ASKED, accepted("a1", T0 + HOUR, to="r1")],
    "expired at an end that nobody named": [*ASKED, replied("a1", T0 + HOUR, to="r1", until=None)],
    "given in the request": [*ASKED, GIVEN],
    "given in the profile": [replied("a1", T0, permanent=True)],
    "given too late": [*ASKED, replied("a1", T0 + 9 * DAY, to="r1", permanent=True)],
    "given when a newer request had come": [*ASKED, sent("r2", T0 + 60), delivered("r2", T0 + 65), GIVEN],
    "given to a request that nobody knows": [replied("a1", T0, to="r9", permanent=True)],
    "given, as a dialect leaves open": [replace(GIVEN, inferred=("is_permanent",))],
    "given, and the source is inferred": [*ASKED, replied("a1", T0 + HOUR, to="r1", permanent=True, source=None)],
    "given in a conflict": [*ASKED, accepted("a0", T0 + HOUR, to="r1"), GIVEN],
    "given for a time instead of for ever": [GIVEN, accepted("a2", T0 + DAY, until=EVER)],
    "given to call back": [replied("a1", T0, to="wacid.TESTUIC1", until=EVER, source="automatic")],
    "given to call back, three times on": [*CALLBACK, replied("a3", T0 + 18 * DAY, until=EVER, source="automatic")],
    "read": [reading("temporary", T0, EVER, can_call=True)],
    "read where another was held": [accepted("a1", T0, until=EVER), reading("permanent", T0 + DAY)],
    "read to agree, with another end": [accepted("a1", T0, until=T0 + 5 * DAY), reading("temporary", T0 + DAY, EVER)],
    "read by a dialect that does not tell": [replace(reading("permanent", T0), inferred=("status",))],
    "read to be gone": [GIVEN, reading("no_permission", T0 + DAY)],
    "known from error 138017": [refused("request", 138_017, T0)],
    "gone by error 138006": [*ASKED, GIVEN, refused("call", 138_006, T0 + DAY)],
    "another number": [GIVEN, moved("old", T0 + DAY)],
    "the new number": [moved("new", T0 + DAY)],
    "a row and nothing else": unanswered(T0, T0 + HOUR, T0 + 2 * HOUR),
    "a row that a call ended": [*unanswered(T0), *connected(T0 + HOUR), *unanswered(T0 + 2 * HOUR, T0 + 3 * HOUR)],
    "asked and never answered": ASKED,
    "asked in vain": [sent("r1", T0), replace(delivered("r1", T0 + 5), status="failed")],
}


@pytest.mark.parametrize("story", STORIES)
def test_what_was_settled_arrives_as_what_it_was(story: str) -> None:
    facts = [*STORIES[story], *quiet(LATER)]
    state = lives(*facts)
    assert state.base is not None
    assert (state.decisions, state.calls, state.requests) == ((), (), ())
    whole, handed = given(*facts).state, linked_to(EMPTY, state)
    for at in (LATER + 10 * DAY, EVER - 1, EVER):
        assert answer(handed, at, DEFAULT_POLICY, PRODUCTION) == answer(whole, at, DEFAULT_POLICY, PRODUCTION), at


def test_only_a_pair_that_may_hand_on_keeps_what_it_would_and_only_what_tells_it() -> None:
    facts = [*STORIES["revoked in the request"], *quiet(LATER)]
    assert lives(*facts, user=USER).proof is None
    proof = lives(*STORIES["declined"], *facts).proof
    assert proof is not None
    assert [word.id for word in proof.decisions] == ["a1", "a2"]
    assert [[mark.message_id for mark in proof.requests], *map(len, proof[2:])] == [["r1"], 0, 0]


def test_what_is_kept_is_what_the_latest_words_need_however_often_it_was_settled() -> None:
    state = lives(*STORIES["revoked by WhatsApp"], *quiet(LATER))
    assert state.proof is not None
    assert len(state.proof.decisions) == 2
    row = unanswered(LATER + 60 * DAY, LATER + 61 * DAY)
    state = lives(rejected("a5", LATER + 59 * DAY), *row, *quiet(LATER + 150 * DAY), state=state)
    assert state.proof is not None
    assert (state.proof.decisions[-1].id, len(state.proof.calls)) == ("a5", 2)
    again = lives(accepted("a6", LATER + 151 * DAY, until=EVER), *quiet(LATER + 250 * DAY), state=state)
    assert again.proof is not None
    assert [word.id for word in again.proof.decisions] == ["a6"]


def test_what_no_few_words_tell_is_handed_on_as_a_plain_word() -> None:
    """A grant that WhatsApp prolonged again and again has no few words that tell since when it was held."""
    often = [
        replied(f"b{place:02}", T0 + place * DAY, until=T0 + (place + 3) * DAY, source="automatic")
        for place in range(2 * MOST)
    ]
    since = T0 + 2 * MOST * DAY
    state = lives(*often, replied("b99", since, until=EVER, source="automatic"), *quiet(since + 60 * DAY))
    assert (state.base is not None, state.proof) == (True, None)
    told = answer(linked_to(EMPTY, state), EVER - 1, DEFAULT_POLICY, PRODUCTION)
    assert told["permission"] == {"status": "temporary", "expiration_time": EVER}


def test_a_row_that_was_stored_before_is_read_and_hands_on_a_plain_word() -> None:
    state = lives(*STORIES["given in the profile"], *quiet(LATER))._replace(proof=None)
    stored = encode_state(state)
    assert b"proof" not in stored
    assert decode_state(stored) == open_state(stored) == state
    told = answer(linked_to(EMPTY, state), LATER + 10 * DAY, DEFAULT_POLICY, PRODUCTION)
    assert (told["permission"], told["standing"]["via"]) == ({"status": "permanent"}, "profile")


def test_what_proves_is_stored_with_the_row() -> None:
    state = lives(*STORIES["revoked by the row, as is inferred"], *quiet(LATER))
    assert isinstance(state.proof, Proof)
    assert open_state(encode_state(state)) == state
    word = Decision("a1", T0 + HOUR, T0 + HOUR + 1, "permanent", None, "user_action", "r1")
    assert tuple(state.proof.decisions) == (word,)


OWN: dict[str, list[PairFact]] = {
    "older evidence": [rejected("a0", T0 - DAY)],
    "newer evidence": [replied("b1", T0 + 20 * DAY, permanent=True), *unanswered(T0 + 21 * DAY)],
    "evidence of every age": [accepted("a0", T0 - DAY), rejected("b1", T0 + 20 * DAY), *unanswered(T0 + 21 * DAY)],
    "nothing but calls and messages": [*unanswered(T0 - DAY), messaged("m1", T0 + 20 * DAY)],
}


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize(
    "story", ["declined", "expired", "revoked by the row, as is inferred", "given in the request", "read to be gone"]
)
def test_the_canonical_pair_ends_the_same_whether_it_had_settled_its_own_when_the_link_was_learned(
    own: str, story: str
) -> None:
    told, mine = STORIES[story], OWN[own]
    last = quiet(LATER, 3 * EVERY)
    early = lives(*sorted([*told, *mine], key=lambda fact: fact.occurred_at), *last, user=USER)
    target = lives(*mine, *last, user=USER)
    assert target.base is not None
    late = linked_to(target, lives(*told, *quiet(LATER)))
    for state in (
        late,
        linked_to(late, lives(*told, *quiet(LATER))),
        lives(*quiet(LATER + 9 * DAY), user=USER, state=late),
    ):
        for at in (LATER + 12 * DAY, EVER):
            assert told_of(state, at) == told_of(early, at)


def told_of(state: PairState, at: int) -> list[object]:
    """What is held, or why nothing is. Of what is older than the latest word settled here no more is known."""
    said = answer(state, at, DEFAULT_POLICY, PRODUCTION)
    standing, held = said["standing"], said["permission"]["status"] != "no_permission"
    row = standing["unanswered_streak"] if held else None
    return [said["permission"], standing["label"], standing["reason"], standing["confirmed"], row]


def test_nothing_is_settled_while_more_of_what_is_handed_on_may_be_on_its_way() -> None:
    target = lives(rejected("b1", T0 - DAY), *quiet(LATER))
    target = replace_user(target)._replace(version=EVERY - 1)
    *_, word = STORIES["given in the request"]
    assert isinstance(word, PermissionReplied)
    handed = step(target, replace(word, user=USER, forwarded=True), DEFAULT_POLICY, PRODUCTION).state
    assert [mark.id for mark in handed.decisions] == ["a1"]
    own = step(handed._replace(version=EVERY - 1), messaged("m9", LATER + 9 * DAY), DEFAULT_POLICY, PRODUCTION).state
    assert own.decisions == ()


def replace_user(state: PairState) -> PairState:
    """The same row under the wa_id."""
    return state._replace(user=USER, proof=None)


def test_what_was_settled_here_is_not_heard_again_by_the_other_name() -> None:
    row = unanswered(T0 + HOUR, T0 + 2 * HOUR)
    target = lives(replied("a1", T0, permanent=True), *row, *quiet(LATER), user=USER)
    assert target.base is not None
    for fact in (replied("a1", T0, permanent=True), rejected("a0", T0 - 1), row[0], call("c1", ("ended", T0 - 1))[0]):
        assert step(target, replace(fact, forwarded=True), DEFAULT_POLICY, PRODUCTION).late
    assert not step(target, replace(rejected("a2", T0 + 1), forwarded=True), DEFAULT_POLICY, PRODUCTION).late
    assert step(target, rejected("a2", T0 + 1), DEFAULT_POLICY, PRODUCTION).late

"""Design 4: two facts of one id become one by a fixed rule, whichever comes first; bounds keep the newest."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from schemas.events import CallEnded, PairFact, Template
from schemas.marks import MAX_MESSAGES, MAX_UNMATCHED
from tests.permission.story import (
    DAY,
    HOUR,
    T0,
    Told,
    accepted,
    call,
    delivered,
    disposed,
    given,
    linked,
    messaged,
    reading,
    refused,
    rejected,
    replied,
    sent,
    status,
    unanswered,
)


def row(kind: Any, name: str) -> Callable[[Told], dict[str, Any]]:
    """One row of a pair."""
    return lambda told: told.rows(kind)[name]


def ended(at: int, ended_at: int, duration_s: int) -> PairFact:
    """The end of a call that had been picked up, without its start."""
    (fact,) = call("c1", ("ended", at))
    assert isinstance(fact, CallEnded)
    return replace(fact, ended_at=ended_at, duration_s=duration_s)


request, refusal, rung = row("requests", "r1"), row("requests", "t1"), row("calls", "c1")


@pytest.mark.parametrize(
    ("one", "other", "seen", "expected"),
    [
        (sent("r1", T0), sent("r1", T0 + 9), lambda told: request(told)["sent_at"], T0),
        (
            sent("r1", T0),
            sent("r1", T0, template=Template(name="test_a", language="de", category="MARKETING")),
            lambda told: request(told)["template_name"],
            "test_a",
        ),
        (sent("r1", T0, campaign="b"), sent("r1", T0, campaign="a"), lambda told: request(told)["campaign"], "a"),
        (delivered("r1", T0 + 5), delivered("r1", T0 + 9), lambda told: request(told)["delivered_at"], T0 + 5),
        (status("r1", "read", T0 + 5), status("r1", "read", T0 + 9), lambda told: request(told)["read_at"], T0 + 5),
        (
            status("r1", "failed", T0 + 5, 131_049),
            status("r1", "failed", T0 + 9, 131_026),
            lambda told: (request(told)["failed_at"], request(told)["error_code"]),
            (T0 + 5, 131_026),
        ),
        (
            refused("request", 138_009, T0, T0 + DAY, "t1"),
            refused("request", 138_009, T0 + 9, T0 + HOUR, "t1"),
            lambda told: (told.at(T0 + HOUR - 1).ask_refused, refusal(told)["anchor_at"]),
            (("provider_block", T0 + HOUR), T0),
        ),
        (call("c1", ("offered", T0))[0], call("c1", ("offered", T0 + 9))[0], lambda told: rung(told)["anchor_at"], T0),
        (
            call("c1", ("rejected", T0))[0],
            call("c1", ("rejected", T0 + 9))[0],
            lambda told: told.at(T0).streak,
            1,
        ),
        (
            call("c1", ("accepted", T0 + 1))[0],
            call("c1", ("ended", T0 + 60), start=T0 + 4)[0],
            lambda told: rung(told)["connected_at"],
            T0 + 4,
        ),
        (
            ended(T0 + 60, T0 + 58, 50),
            ended(T0 + 62, T0 + 57, 51),
            lambda told: (rung(told)["ended_at"], rung(told)["duration_s"]),
            (T0 + 57, 50),
        ),
        (accepted("a1", T0), accepted("a1", T0 + 9), lambda told: told.at(T0).body["standing"]["granted_at"], T0),
        (
            rejected("a1", T0),
            accepted("a1", T0),
            lambda told: told.at(T0).status,
            "no_permission",
        ),
    ],
)
def test_of_two_facts_with_one_id_the_same_is_kept_whichever_comes_first(
    one: PairFact, other: PairFact, seen: Callable[[Told], Any], expected: Any
) -> None:
    known: list[PairFact] = (
        [sent("r1", T0)] if getattr(one, "message_id", "") == "r1" and one.type != "request_sent" else []
    )
    told = [given(*known, one, other), given(*known, other, one)]
    assert [seen(each) for each in told] == [expected, expected]


def test_of_several_notes_on_a_call_the_latest_holds() -> None:
    notes = [disposed("c1", T0 + 60, "no answer"), disposed("c1", T0 + 90, "follow up"), disposed("c1", T0 + 90, "a")]
    for order in (notes, notes[::-1]):
        told = given(*call("c1", ("offered", T0), ("ended", T0 + 30)), *order)
        assert rung(told)["disposition"] == "follow up"


def test_a_fact_that_says_less_than_what_is_known_is_nothing_new() -> None:
    told = given(*unanswered(T0), call(f"c{T0}", ("ended", T0 + 99))[0])
    assert told.steps[-1].repeated
    assert given(messaged("m1", T0), messaged("m1", T0 + 1)).steps[-1].repeated
    assert given(messaged("m1", T0), messaged("m1", T0 - 1)).at(T0 - 1).window_until == T0 - 1 + DAY


def test_names_that_a_fact_shows_are_kept_once_and_in_order() -> None:
    both, one = replace(accepted("a1", T0), aliases=("GB.2", "GB.1")), replace(sent("r1", T0), aliases=("GB.1",))
    facts: list[PairFact] = [both, one]
    assert given(*facts).state.aliases == given(*facts[::-1]).state.aliases == ("GB.1", "GB.2")


def test_the_newest_messages_are_kept_and_the_rest_is_counted() -> None:
    facts = [messaged(f"m{place:03}", T0 + place) for place in range(MAX_MESSAGES + 3)]
    for order in (facts, facts[::-1]):
        told = given(*order)
        assert [told.at(T0 + place).window_until for place in (2, 3, 4)] == [None, T0 + 3 + DAY, T0 + 4 + DAY]
    assert given(*facts).state.dropped == 3
    assert given(*facts).at(T0 + DAY).window_until == T0 + MAX_MESSAGES + 2 + DAY


def test_what_says_nothing_new_beyond_the_bound_is_repeated() -> None:
    told = given(*[messaged(f"m{place:03}", T0 + place) for place in range(1, MAX_MESSAGES + 1)], messaged("m", T0))
    assert told.steps[-1].repeated


def test_a_pair_that_goes_by_its_number_leads_nowhere() -> None:
    told = given(linked(T0))
    assert told.state.forwards_to is None


def test_a_word_that_comes_out_of_order_is_put_in_its_place() -> None:
    words = [accepted("a1", T0), rejected("a2", T0 + HOUR), replied("a3", T0 + 2 * HOUR, permanent=True)]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)):
        told = given(*[words[place] for place in order])
        assert [told.at(T0 + place * HOUR).status for place in range(3)] == ["temporary", "no_permission", "permanent"]


@pytest.mark.parametrize(
    "fact",
    [
        sent("r1", T0),
        delivered("r1", T0),
        status("r1", "failed", T0, 131_026),
        replace(accepted("a1", T0), aliases=("GB.1", "GB.2")),
        refused("call", 138_006, T0),
        messaged("m1", T0),
        disposed("c1", T0),
        linked(T0),
        reading("permanent", T0),
        *call("c1", ("offered", T0), ("ringing", T0), ("accepted", T0), ("rejected", T0), ("ended", T0), start=T0),
    ],
)
def test_a_fact_told_again_leaves_the_very_state(fact: PairFact) -> None:
    told = given(fact)
    assert given(fact, after=told).state is told.state


def test_what_is_known_is_not_lost_to_a_fact_that_does_not_say_it() -> None:
    known, silent = status("r1", "failed", T0, 131_026), status("r1", "failed", T0)
    for facts in ((known, silent), (silent, known)):
        (entry,) = given(*facts).state.requests
        assert (entry.failed_at, entry.error_code) == (T0, 131_026)


def test_a_refusal_is_known_by_its_door_and_its_action() -> None:
    told = given(refused("call", 138_012, T0, action_id="x"), refused("request", 138_009, T0, action_id="x"))
    assert [(mark.id, mark.door) for mark in told.state.refusals] == [("call:x", "call"), ("request:x", "request")]


def test_the_word_of_an_error_goes_where_the_refusal_turns_out_to_be_another_and_no_other_word_does() -> None:
    facts = (accepted("a1", T0), refused("call", 138_006, T0 + 9, action_id="x"))
    assert [word.id for word in given(*facts).state.decisions] == ["a1", "!call:x"]
    told = given(*facts, refused("call", 138_000, T0 + 9, action_id="x"))
    assert [word.id for word in told.state.decisions] == ["a1"]


def test_a_call_of_which_only_a_note_is_known_was_received_with_it() -> None:
    (mark,) = given(disposed("c1", T0)).state.calls
    assert (mark.recorded_at, mark.disposed_at, mark.disposition) == (T0 + 1, T0, "sold")


def test_the_names_of_a_user_are_gathered() -> None:
    told = given(
        replace(accepted("a1", T0), aliases=("GB.2",)),
        replace(rejected("a2", T0 + 1), aliases=("GB.1", "GB.2")),
        replace(rejected("a3", T0 + 2), aliases=("GB.1",)),
    )
    assert told.state.aliases == ("GB.1", "GB.2")


def test_requests_we_know_are_kept_however_many_there_are() -> None:
    told = given(*(sent(f"r{place}", T0 + place) for place in range(MAX_UNMATCHED + 3)))
    assert (len(told.state.requests), told.state.dropped) == (MAX_UNMATCHED + 3, 0)
    told = told.then(delivered("x1", T0))
    assert (len(told.state.requests), told.state.dropped) == (MAX_UNMATCHED + 4, 0)


def test_of_statuses_of_other_messages_the_newest_are_kept_whatever_they_are_called() -> None:
    told = given(*(delivered(f"x{99 - place}", T0 + place) for place in range(MAX_UNMATCHED + 2)))
    kept = {entry.message_id for entry in told.state.requests}
    assert kept == {f"x{99 - place}" for place in range(2, MAX_UNMATCHED + 2)}
    assert told.state.dropped == 2


def test_two_reports_of_one_request_of_which_one_says_less_come_to_the_same_in_any_order() -> None:
    whole, less = sent("r1", T0, campaign="camp-1"), sent("r1", T0, template=None)
    assert given(whole, less).state.requests == given(less, whole).state.requests

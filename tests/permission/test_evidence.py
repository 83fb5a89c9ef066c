"""Design 4: two facts of one id become one by a fixed rule, whichever comes first; bounds keep the newest."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from schemas.events import CallEnded, PairFact, Template
from schemas.marks import MAX_MESSAGES
from tests.permission.story import (
    DAY,
    HOUR,
    T0,
    Told,
    accepted,
    call,
    delivered,
    given,
    messaged,
    refused,
    rejected,
    replied,
    sent,
    status,
    unanswered,
)
from tests.permission.test_identity import disposed, linked


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

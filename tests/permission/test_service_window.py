"""Domain 2.3: free-form requests may be sent for 24 hours after the user's last own sign."""

import pytest

from schemas.events import PairFact
from tests.permission.story import (
    DAY,
    HOUR,
    T0,
    accepted,
    call,
    connected,
    delivered,
    given,
    messaged,
    reading,
    rejected,
    replied,
    sent,
    unanswered,
)


@pytest.mark.parametrize(
    "sign",
    [
        [messaged("m1", T0)],
        [accepted("a1", T0)],
        [rejected("a1", T0)],
        connected(T0),
        connected(T0, direction="user_initiated"),
        call("c1", ("offered", T0), ("ended", T0 + HOUR), direction="user_initiated"),
        call("c1", ("accepted", T0), ("ended", T0 + HOUR)),
    ],
    ids=["message", "accept", "reject", "pick-up", "user's call", "user's call nobody took", "reported pick-up"],
)
def test_a_sign_of_the_user_opens_the_window_for_a_day(sign: list[PairFact]) -> None:
    told = given(*sign)
    assert told.at(T0 - 1).window_until is None
    assert told.at(T0).window_until == T0 + DAY
    assert told.at(T0 + DAY - 1).window_until == T0 + DAY
    assert told.at(T0 + DAY).window_until is None


@pytest.mark.parametrize(
    "sign",
    [
        [replied("a1", T0, to="wacid.TESTUIC0001", until=T0 + DAY, source="automatic")],
        [replied("a1", T0, "reject", source="automatic")],
        [sent("r1", T0), delivered("r1", T0)],
        [reading("permanent", T0)],
        unanswered(T0),
    ],
    ids=["automatic accept", "automatic reject", "request", "reading", "call nobody took"],
)
def test_what_the_user_did_not_do_opens_nothing(sign: list[PairFact]) -> None:
    assert given(*sign).at(T0).window_until is None


def test_the_last_of_several_signs_counts() -> None:
    told = given(messaged("m2", T0 + HOUR), messaged("m1", T0))
    assert told.at(T0 + DAY).window_until == T0 + HOUR + DAY


def test_nothing_ever_heard_of_is_no_window_even_in_the_first_days_of_time() -> None:
    assert given().at(DAY - 1).window_until is None
    assert given().at(0).window_until is None

"""Design 13: what the rows of a call and of an announcement say, apart from what is judged elsewhere."""

from schemas.marks import Call
from streams.permission.rows import call_row, change_row
from tests.permission.story import DAY, T0, accepted, given, sent, unanswered


def test_a_call_whose_direction_nobody_told_is_the_businesss() -> None:
    assert call_row(Call("c1", T0, ringing_at=T0))["direction"] == "business_initiated"
    assert call_row(Call("c1", T0, "user_initiated", offered_at=T0))["direction"] == "user_initiated"


def test_a_call_began_when_it_was_placed_else_with_its_first_sign() -> None:
    assert call_row(Call("c1", T0 + 9, offered_at=T0 + 5, ringing_at=T0))["started_at"] == T0 + 5
    assert call_row(Call("c1", T0 + 9, ringing_at=T0))["started_at"] == T0


def test_a_call_has_an_end_once_the_provider_has_said_its_last_word() -> None:
    assert call_row(Call("c1", T0, offered_at=T0, ended_at=T0 + 5))["ended_at"] is None
    assert call_row(Call("c1", T0, terminated_at=T0 + 6, ended_at=T0 + 5))["ended_at"] == T0 + 5
    assert call_row(Call("c1", T0, terminated_at=T0 + 6))["ended_at"] == T0 + 6


def test_the_row_of_an_announcement_is_flat() -> None:
    told = given(sent("r1", T0), accepted("a1", T0 + 60, to="r1"), *unanswered(T0 + 100, T0 + 200))
    granted, nudged = (
        next(one for one in told.changes if one["type"] == name) for name in ("permission_granted", "user_nudged")
    )
    (grant,) = told.rows("grants").values()
    assert change_row(granted) == {
        "change_id": granted["change_id"],
        "type": "permission_granted",
        "occurred_at": T0 + 60,
        "before": "pending",
        "after": "granted",
        "cause": granted["cause"],
        "reason": None,
        "via": "request",
        "source": "user_action",
        "grant_id": grant["grant_id"],
        "version": granted["version"],
    }
    assert (change_row(nudged)["type"], change_row(nudged)["grant_id"]) == ("user_nudged", None)
    assert (change_row(nudged)["before"], change_row(nudged)["after"]) == ("granted", "granted")
    assert told.at(T0 + DAY).label == "granted"

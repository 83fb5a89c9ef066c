"""The row of a pair keeps its frequent words as letters, and reads them either way."""

from typing import Any

import orjson
import pytest

from schemas.state_row import StateUnreadable, decode_state, encode_state
from tests.permission.story import HOUR, T0, accepted, connected, given, sent, unanswered

STATE = given(
    sent("r1", T0), accepted("a1", T0 + HOUR, to="r1"), *unanswered(T0 + 2 * HOUR), *connected(T0 + 3 * HOUR)
).state


def row() -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(encode_state(STATE))
    return told


def test_frequent_words_are_stored_as_letters() -> None:
    stored = row()
    assert stored["decisions"][0][5] == "u"
    assert stored["requests"][0][3] == "t"
    assert [call[2] for call in stored["calls"]] == ["b", "b"]


def test_a_row_that_was_stored_in_whole_words_is_the_same_state() -> None:
    stored = row()
    stored["decisions"][0][5] = "user_action"
    stored["requests"][0][3] = "template"
    stored["calls"][0][2] = "business_initiated"
    assert decode_state(orjson.dumps(stored)) == STATE


def test_how_a_grant_ended_is_left_out_of_the_row_while_it_lasts() -> None:
    stored = row()
    assert len(stored["walked"][6]) == 9
    assert decode_state(encode_state(STATE)).walked == STATE.walked
    stored["walked"][6] += [None, None]
    assert decode_state(orjson.dumps(stored)) == STATE


@pytest.mark.parametrize("marks", [{}, "text", 3, [3], ["text"], [{}], [[]], [["r1"] * 14], None])
def test_marks_that_are_no_arrays_of_their_kind_make_the_row_unreadable(marks: Any) -> None:
    with pytest.raises(StateUnreadable):
        decode_state(orjson.dumps(row() | {"requests": marks}))

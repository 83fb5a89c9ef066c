"""The row of a pair keeps its frequent words as letters, and reads them either way."""

from typing import Any

import orjson
import pytest

from schemas.mark_lists import unopened
from schemas.marks import Request
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


@pytest.mark.parametrize(
    "otherwise",
    [
        {"version": "3"},
        {"version": True},
        {"judged_at": None},
        {"recorded_at": 1.5},
        {"dropped": None, "late": 1},
        {"late": "1"},
        {"due_at": "soon"},
        {"aliases": [1]},
        {"aliases": None},
        {"user": 447700900123},
        {"phone_number_id": None},
    ],
)
def test_a_row_with_a_field_of_another_type_is_unreadable(otherwise: dict[str, Any]) -> None:
    with pytest.raises(StateUnreadable):
        decode_state(orjson.dumps(row() | otherwise))


def test_a_mark_that_was_asked_for_from_the_end_is_found_where_it_stands() -> None:
    words = unopened(Request, [["r1", 1], ["r2", 2]])
    assert words[-1].message_id == "r2"
    assert words.find("r2") == (1, True)
    assert [mark.message_id for mark in words.put(1, Request("r2", 3), instead=True)] == ["r1", "r2"]

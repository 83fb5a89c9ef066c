"""The row of a pair keeps its frequent words as letters and reads them either way; its lists can be left unread."""

from typing import Any

import orjson
import pytest

from schemas.mark_lists import Marks, StateUnreadable, unopened
from schemas.marks import Request
from schemas.state_row import LATEST, decider_named, decode_state, encode_state, open_state
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


def test_a_row_opened_and_written_again_is_the_same_bytes_and_its_lists_stay_unread() -> None:
    value = encode_state(STATE)
    opened = open_state(value)
    lists = [marks for marks in (opened.decisions, opened.requests, opened.calls) if isinstance(marks, Marks)]
    assert [bool(marks) for marks in lists] == [True] * 3
    assert encode_state(opened) == value
    assert [marks.is_opened for marks in lists] == [False] * 3
    assert opened._replace(walked=None) == STATE._replace(walked=None)
    assert all(marks.is_opened for marks in lists)


def test_an_opened_row_may_name_the_word_that_decided_as_the_latest_one() -> None:
    opened = open_state(encode_state(STATE))
    assert opened.walked is not None
    assert opened.walked.decided_by == LATEST
    assert decider_named(opened.walked, opened.decisions) == STATE.walked


@pytest.mark.parametrize("indent", [0, orjson.OPT_INDENT_2])
@pytest.mark.parametrize("first", ["requests", "walked", "calls", "user"])
def test_a_row_of_any_other_form_is_opened_all_the_same(first: str, indent: int) -> None:
    stored = row()
    for more in ({"new": [[1], [2]]}, {}):
        otherwise = {first: stored.pop(first), **more, **stored, "new": [[1], [2]]}
        stored = row()
        opened = open_state(orjson.dumps(otherwise, option=indent))
        assert opened.walked is not None
        assert opened._replace(walked=decider_named(opened.walked, opened.decisions)) == STATE


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (b',"requests":[[', b',"requests":[ ['),
        (b',"requests":[[', b',"requests": [['),
        (b',"calls":[[', b',"calls": [['),
        (b',"calls":[[', b',"calls" :[['),
        (b',"calls":[[', b', "calls" :[['),
        (b',"calls":[[', b',"\\u0063alls" :[['),
        (b',"calls":[[', b',"\\u0063alls":[['),
        (b',"calls":[[', b',"calls"\n:[['),
        (b',"calls":[[', b',"new":[1,[2]],"calls":[['),
        (b']],"calls"', b']] ,"calls"'),
    ],
)
def test_a_row_of_mixed_form_loses_no_mark(ours: bytes, theirs: bytes) -> None:
    value = encode_state(STATE).replace(ours, theirs)
    assert value != encode_state(STATE)
    assert open_state(value) == decode_state(value) == STATE
    last = encode_state(STATE)[:-1] + b',"messages": [["m0",5]],"new":[1,[2]]}'
    assert [mark.fact_id for mark in open_state(last).messages] == ["m0"]


@pytest.mark.parametrize("word", [[], {}])
def test_an_array_or_object_in_the_place_of_a_word_is_unreadable_once_it_is_looked_at(word: Any) -> None:
    stored = row()
    stored["calls"][0][2] = word
    for read in (open_state, decode_state):
        calls = read(orjson.dumps(stored)).calls
        with pytest.raises(StateUnreadable):
            list(calls)


@pytest.mark.parametrize("fields", [8, 10, 12])
def test_a_grant_of_another_width_is_none_of_ours(fields: int) -> None:
    stored = row()
    stored["walked"][6] = [*stored["walked"][6], None, None, None][:fields]
    with pytest.raises(StateUnreadable):
        open_state(orjson.dumps(stored))


def test_a_row_whose_lists_stand_before_its_other_fields_is_opened_all_the_same() -> None:
    stored = row()
    lists = {name: stored.pop(name) for name in ("decisions", "requests", "calls")}
    last = {"walked": stored.pop("walked")}
    assert open_state(orjson.dumps(stored | lists | last)) == STATE


def test_a_row_with_spaces_is_opened_all_the_same() -> None:
    value = encode_state(STATE)
    for key in (b',"requests"', b',"calls"'):
        assert open_state(value.replace(key, key.replace(b",", b", "))) == STATE


def test_text_that_looks_like_the_end_of_a_list_is_text() -> None:
    odd = ']],"requests":[['
    state = given(
        sent("r1", T0, campaign=odd), sent(odd, T0 + HOUR, campaign=']],"calls":[['), accepted("a1", T0 + HOUR, to=odd)
    ).state
    assert open_state(encode_state(state)).requests == state.requests
    assert encode_state(open_state(encode_state(state))) == encode_state(state)


@pytest.mark.parametrize("odd", ['"', "\\", "é", "\n", "\U0001f600", "x"])
def test_a_name_that_stands_in_an_unread_list_is_never_missed(odd: str) -> None:
    name = f"r{odd}1"
    decisions = open_state(encode_state(given(sent(name, T0), accepted("a1", T0 + HOUR, to=name)).state)).decisions
    assert isinstance(decisions, Marks)
    assert decisions.may_name(name)
    assert decisions.may_name("r2") == (b"\\" in decisions.text)
    assert not decisions.is_opened


@pytest.mark.parametrize("damaged", [b'[["r1"]', b"[[]]", b"[[{]]", b"[[1],2]]", b'[["r1",' + b"1," * 20 + b"1]]"])
def test_a_damaged_list_is_told_when_it_is_looked_into_and_kept_as_it_is(damaged: bytes) -> None:
    value = encode_state(STATE)
    begins, ends = value.index(b"[[", value.index(b'"requests":')), value.index(b',"calls"')
    value = value[:begins] + damaged + value[ends:]
    with pytest.raises(StateUnreadable):
        open_state(value).requests[0]
    with pytest.raises(StateUnreadable):
        decode_state(value)


@pytest.mark.parametrize("value", [b"", b"}", b"[]", b"null", b'{"schema":2}', b"{", b'{"schema":1,"decisions":[[1]]}'])
def test_what_is_no_row_is_told_at_once(value: bytes) -> None:
    with pytest.raises(StateUnreadable):
        open_state(value)


def test_a_row_that_names_the_latest_of_no_words_is_told_at_once() -> None:
    stored = row()
    del stored["decisions"]
    with pytest.raises(StateUnreadable):
        open_state(orjson.dumps(stored))

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.actions import MAX_ACTIONS
from streams.gateway.actions import MAX_AHEAD_S, Actions, Unacceptable, read_actions

JSON = "application/json"
LINES = "application/x-ndjson"
NOW_AT = 1_772_445_600  # 2026-03-02T10:00:00Z


def sent(user: str = "447700900123", **fields: Any) -> dict[str, Any]:
    return {
        "type": "request_sent",
        "phone_number_id": "700100200300400",
        "user": user,
        "message_id": "wamid.TESTREQ0001",
        "occurred_at": "2026-03-02T09:00:00Z",
        "kind": "free_form",
        **fields,
    }


def read(body: bytes, kind: str) -> Actions | Unacceptable:
    return read_actions(body, kind, now_at=NOW_AT)


def faults(found: Actions | Unacceptable) -> list[tuple[object, object]]:
    assert isinstance(found, Unacceptable)
    assert found.status == 422
    return [(fault["index"], fault["path"]) for fault in found.faults]


def test_one_action_is_kept_byte_for_byte() -> None:
    body = json.dumps(sent(note="a  b"), indent=2).encode()
    assert read(body + b"\n", JSON) == Actions((body,))


def test_each_line_is_kept_byte_for_byte_and_blank_ones_are_not_counted() -> None:
    first, second = (json.dumps(sent(user)).encode() for user in ("447700900123", "447700900124"))
    for kind in (LINES, "application/json; charset=utf-8", "Application/JSONL"):
        assert read(first + b"\r\n\n  " + second + b"\n\n", kind) == Actions((first, second))


def test_elements_of_an_array_are_kept_with_unknown_fields() -> None:
    body = json.dumps([sent(campaign="camp-42", new_field={"deep": [1, None]}), sent("447700900124")]).encode()
    found = read(body, JSON)
    assert isinstance(found, Actions)
    assert [orjson.loads(value) for value in found.values] == orjson.loads(body)


def test_an_empty_array_asks_for_nothing_and_gets_it() -> None:
    assert read(b" [] ", JSON) == Actions(())


def test_every_fault_is_told_by_index_and_path_and_nothing_is_kept() -> None:
    batch = [
        sent(),
        sent(user="not a user", occurred_at="yesterday"),
        sent(type="call_teleported"),
        "no object",
        sent(kind="template", template={"language": "en"}),
        sent(phone_number_id=700100200300400),
    ]
    assert faults(read(json.dumps(batch).encode(), JSON)) == [
        (1, "$.occurred_at"),
        (1, "$.user"),
        (2, "$.type"),
        (3, "$"),
        (4, "$.template.name"),
        (5, "$.phone_number_id"),
    ]


def test_an_action_may_be_an_hour_ahead_of_our_clock_and_no_more() -> None:
    allowed, ahead = (sent(occurred_at=NOW_AT + MAX_AHEAD_S + more) for more in (0, 1))
    assert MAX_AHEAD_S == 3600
    assert read(orjson.dumps(allowed), JSON) == Actions((orjson.dumps(allowed),))
    found = read(orjson.dumps([allowed, ahead, sent(occurred_at="2026-03-02T12:00:00+01:00"), "x"]), JSON)
    assert faults(found) == [(1, "$.occurred_at"), (3, "$")]
    assert isinstance(found, Unacceptable)
    assert "at most 3600 s ahead" in str(found.faults[0]["message"])


def test_a_missing_field_of_the_only_action_is_named() -> None:
    body = sent()
    del body["message_id"]
    assert faults(read(orjson.dumps(body), JSON)) == [(0, "$.message_id")]


def test_a_line_that_is_not_json_is_a_fault_of_that_line() -> None:
    good = json.dumps(sent()).encode()
    assert faults(read(good + b"\n{broken\n" + good, LINES)) == [(1, "$")]
    assert faults(read(good + b"\n{broken}\n" + good, JSON)) == [(1, "$")]


def test_no_fault_quotes_what_was_sent() -> None:
    found = read(orjson.dumps(sent(user="447700900123x", message_id=["wamid.TESTREQ0001"])), JSON)
    assert isinstance(found, Unacceptable)
    assert "447700900123" not in repr(found)
    assert "wamid" not in repr(found)


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe{}", b"not json", b"[{]", b'{"a":\n"b"', b"[" * 2_000, b'"\\ud83d"'])
def test_what_is_not_json_is_400(body: bytes) -> None:
    found = read(body, JSON)
    assert isinstance(found, Unacceptable)
    assert found.status == 400


@pytest.mark.parametrize("body", [b"", b"  \n\r\n\t"])
def test_an_empty_body_is_400(body: bytes) -> None:
    for kind in (JSON, LINES):
        found = read(body, kind)
        assert isinstance(found, Unacceptable)
        assert found.status == 400


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/json2"])
def test_another_kind_of_body_is_415(kind: str) -> None:
    found = read(orjson.dumps(sent()), kind)
    assert isinstance(found, Unacceptable)
    assert found.status == 415


def test_the_most_is_taken_and_one_more_is_not() -> None:
    one = orjson.dumps(sent())
    for kind, many, too_many in (
        (JSON, orjson.dumps([sent()] * MAX_ACTIONS), orjson.dumps([sent()] * (MAX_ACTIONS + 1))),
        (LINES, b"\n".join([one] * MAX_ACTIONS), b"\n".join([one] * (MAX_ACTIONS + 1))),
        (LINES, one, one + b"\n" * 100_000),
    ):
        assert isinstance(read(many, kind), Actions)
        found = read(too_many, kind)
        assert isinstance(found, Unacceptable)
        assert found.status in {422, 400}


def test_an_element_that_cannot_be_written_again_is_a_fault_and_no_crash() -> None:
    deep = orjson.dumps(sent())[:-1] + b',"deep":' + b"[" * 900 + b"]" * 900 + b"}"
    for body, kind in ((deep, JSON), (deep, LINES), (b"[" + deep + b"]", JSON)):
        assert faults(read(body, kind)) == [(0, "$")]


def test_a_key_that_stands_twice_in_a_very_long_body_is_refused_without_a_search() -> None:
    filled = b'"filled":[' + b"{}," * 100_000 + b"{}]"
    long = twice("user", "447700900199")[:-1] + b"," + filled + b"}"
    assert faults(read(long, JSON)) == [(0, "$")]
    found = read(b"[" + long + b"]", JSON)
    assert isinstance(found, Unacceptable)
    assert found.status == 422


@given(st.binary(max_size=200), st.sampled_from([JSON, LINES]))
def test_no_bytes_make_it_raise(body: bytes, kind: str) -> None:
    assert isinstance(read(body, kind), (Actions, Unacceptable))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"occurred_at": NaN}', "line 1 column 17"),
        (b'{"user": "\\ud83d"}', "surrogate in string at line 1"),
        (b'{"type": "request_sent",\n "user"}', "line 2 column"),
        (b"\xef\xbb\xbf{}", "line 1 column 1"),
    ],
)
def test_what_is_not_json_is_told_with_its_place(body: bytes, says: str) -> None:
    found = read(body, JSON)
    assert isinstance(found, Unacceptable)
    assert found.status == 400
    assert says in found.detail
    found = read(orjson.dumps(sent()) + b"\n" + body.replace(b"\n", b""), LINES)
    assert faults(found) == [(1, "$")]


def twice(key: str, first: object, inside: str = "") -> bytes:
    """An action in which a key stands twice."""
    text = json.dumps(sent(template={"name": "test_cpr_template"}))
    place = text.index(f'"{inside}": {{') + len(inside) + 5 if inside else 1
    return f"{text[:place]}{json.dumps(key)}: {json.dumps(first)}, {text[place:]}".encode()


def test_a_key_that_stands_twice_is_a_fault_with_its_path() -> None:
    user, name = twice("user", "447700900199"), twice("name", "other", "template")
    good = orjson.dumps(sent())
    assert faults(read(user, JSON)) == [(0, "$.user")]
    assert faults(read(name, JSON)) == [(0, "$.template.name")]
    assert faults(read(good + b"\n" + user + b"\n" + name, LINES)) == [(1, "$.user"), (2, "$.template.name")]
    assert faults(read(b"[" + good + b",[" + user + b"]]", JSON)) == [(1, "$[0].user"), (1, "$")]
    found = read(twice("447700900123", 1).replace(b"{", b'{"447700900123": 2, ', 1), JSON)
    assert faults(found) == [(0, "$.*")]
    assert "447700900" not in repr(found)


def test_escapes_are_not_taken_for_a_key_that_stands_twice() -> None:
    note = sent(note='a "quoted" word')
    for body in (
        json.dumps(note),
        json.dumps(note).replace('\\"', "\\u0022"),
        json.dumps(note).replace("note", "n\\u006fte"),
    ):
        assert isinstance(read(body.encode(), JSON), Actions)


@pytest.mark.parametrize("huge", [2**64, 10**300])
def test_a_number_without_end_is_a_fault_of_its_field_and_kept_where_nobody_reads_it(huge: int) -> None:
    body = json.dumps(sent(type="call_refused", action_id="TEST-1", error_code=huge, occurred_at=huge)).encode()
    assert faults(read(body, JSON)) == [(0, "$.occurred_at"), (0, "$.error_code")]
    unread = json.dumps(sent(note=huge)).encode()
    assert read(unread, JSON) == Actions((unread,))


def test_whole_floats_are_taken_and_kept_as_they_came() -> None:
    said = b'{"type":"call_started","phone_number_id":"700100200300400","user":"447700900123",'
    said += b'"call_id":"wacid.TESTCALL0001","occurred_at":1772443800.0}'
    assert read(said, JSON) == Actions((said,))
    assert faults(read(said.replace(b"00.0", b"00.5"), JSON)) == [(0, "$.occurred_at")]

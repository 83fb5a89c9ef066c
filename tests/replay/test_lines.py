import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Unreadable
from schemas.policy import DEFAULT_POLICY
from streams.providers.known import NONE_KNOWN
from streams.providers.translation import Translation
from streams.replay.lines import Arrival, arrival_of, exact_arrival_of
from streams.replay.meaning import meaning
from streams.replay.scout import scout
from streams.replay.sources import Line
from tests.replay.written import NUMBER, T0, in_base64, reply, sent, user

REPLY = reply(user(1), "wamid.TESTREPLY01", T0, permanent=True)
REQUEST = sent(user(1), "wamid.TESTREQ01", T0)


def read(raw: bytes | str | dict[str, Any]) -> Translation | Unreadable:
    if isinstance(raw, dict):
        raw = json.dumps(raw)
    return meaning(Line("", 1, raw.encode() if isinstance(raw, str) else raw), NONE_KNOWN)


def types(done: Translation | Unreadable) -> list[str]:
    assert isinstance(done, Translation)
    assert done.parked == ()
    return [fact.type for fact in done.facts]


@pytest.mark.parametrize("line", [REPLY, REQUEST], ids=["webhook", "action"])
def test_a_line_that_is_cut_says_the_same_as_one_that_is_parsed(line: dict[str, Any]) -> None:
    raw = json.dumps(line).encode() + b"\r\n"
    cut, exact = arrival_of(raw), exact_arrival_of(raw)
    assert isinstance(cut, Arrival)
    assert isinstance(exact, Arrival)
    assert cut.cut
    assert not exact.cut
    assert (cut.provider, cut.received_at) == (exact.provider, exact.received_at)
    assert json.loads(cut.body) == json.loads(exact.body)


@pytest.mark.parametrize(
    "line",
    [
        dict(reversed(REPLY.items())),
        REPLY | {"delivery_id": "test-1"},
        {"delivery_id": "test-1"} | REPLY,
        REPLY | {"received_at": T0 + 1},
        REPLY | {"received_at": str(T0 + 1)},
        REPLY | {"received_at": float(T0 + 1)},
        in_base64(REPLY),
    ],
    ids=["other order", "key behind", "key before", "epoch seconds", "seconds as text", "a whole float", "base64"],
)
def test_every_form_of_a_line_means_the_same(line: dict[str, Any]) -> None:
    assert read(line) == read(REPLY)


def test_a_name_that_is_no_unicode_costs_nothing() -> None:
    contact = {"profile": {"name": "\ud800"}, "wa_id": user(1)}
    line = json.dumps(reply(user(1), "wamid.TESTREPLY01", T0, permanent=True, contacts=[contact]))
    assert "\\ud800" in line
    assert types(read(line)) == ["permission_replied", "business_seen"]
    turned = json.dumps(dict(reversed(json.loads(line).items())))
    assert read(turned) == read(line)
    assert types(read(line.replace("\\ud800", "\xff").encode("latin-1"))) == ["permission_replied", "business_seen"]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("{}", "an empty object"),
        ({"received_at": T0}, "neither webhook nor action"),
        (REPLY | REQUEST, "both action and webhook"),
        (REPLY | {"body_base64": ""}, "both body and body_base64"),
        ({"received_at": T0, "webhook": "meta"}, "webhook without body or body_base64"),
        ({"webhook": "meta", "body": {}}, "missing"),
    ],
)
def test_what_a_line_says_twice_or_not_at_all_is_named(raw: Any, said: str) -> None:
    done = read(raw)
    assert isinstance(done, Unreadable)
    assert done.detail.startswith(said)


@pytest.mark.parametrize("body", [{"body": {}}, {"body_base64": "e30="}, {"body_base64": "IHsKfSA="}])
def test_an_empty_body_is_parked_and_not_passed_over(body: dict[str, Any]) -> None:
    done = read({"received_at": T0, "webhook": "meta"} | body)
    assert not isinstance(done, Unreadable)
    assert [(fault.reason, fault.path) for fault in done.parked] == [("empty_body", "$")]


@pytest.mark.parametrize(
    ("raw", "reason", "path"),
    [
        ("{", "not_json", "$"),
        ("no line", "not_json", "$"),
        (json.dumps(REPLY)[:-1], "not_json", "$"),
        (json.dumps(REPLY) + "}", "not_json", "$"),
        (json.dumps(REPLY) * 2, "not_json", "$"),
        ("[]", "unreadable_line", "$"),
        ("null", "unreadable_line", "$"),
        ({"webhook": "meta", "body": {}}, "unreadable_line", "$.received_at"),
        (REPLY | {"received_at": "2026-03-02T09:00:00"}, "unreadable_line", "$.received_at"),
        (REPLY | {"received_at": 1_772_442_000_000}, "unreadable_line", "$.received_at"),
        (REPLY | {"received_at": None}, "unreadable_line", "$.received_at"),
        (REPLY | {"received_at": -1}, "unreadable_line", "$.received_at"),
        ({"received_at": T0}, "unreadable_line", "$"),
        ({}, "unreadable_line", "$"),
        ({"received_at": T0, "webhook": 7, "body": {}}, "unreadable_line", "$.webhook"),
        ({"received_at": T0, "webhook": "meta"}, "unreadable_line", "$"),
        (REPLY | {"body_base64": ""}, "unreadable_line", "$"),
        (REPLY | REQUEST, "unreadable_line", "$"),
        ({"received_at": T0, "webhook": "meta", "body_base64": "?"}, "unreadable_line", "$.body_base64"),
        ({"received_at": T0, "webhook": "meta", "body_base64": 7}, "unreadable_line", "$.body_base64"),
    ],
)
def test_a_broken_line_is_told_with_place_and_reason(raw: Any, reason: str, path: str) -> None:
    done = read(raw)
    assert isinstance(done, Unreadable)
    assert (done.reason, done.path) == (reason, path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"received_at": T0, "webhook": "nobody", "body": {}}, "unknown_provider"),
        ({"received_at": T0, "action": {"type": "nothing"}}, "invalid_action"),
        ({"received_at": T0, "action": []}, "invalid_action"),
        ({"received_at": T0, "webhook": "meta", "body": 7}, "unreadable"),
        ({"received_at": T0, "webhook": "meta", "body_base64": "e30x"}, "not_json"),
    ],
)
def test_content_that_cannot_be_judged_is_parked_by_its_translation(line: dict[str, Any], reason: str) -> None:
    done = read(line)
    assert isinstance(done, Translation)
    assert [fault.reason for fault in done.parked] == [reason]


def test_what_is_nested_too_deeply_is_told_and_does_not_raise() -> None:
    for deep in (300, 2_000, 100_000):
        body = "[" * deep + "]" * deep
        for raw in (
            f'{{"received_at": {T0}, "webhook": "meta", "body": {body}}}',
            f'{{"received_at": "2026-03-02T09:00:00Z", "webhook": "meta", "body": {{"entry": {body}}}}}',
        ):
            done = read(raw)
            assert isinstance(done, Unreadable) or done.parked


def test_no_detail_quotes_a_value() -> None:
    line = sent("not a user 447700900123", "wamid.TESTREQ01", T0)
    line["action"]["phone_number_id"] = "x" + NUMBER
    done = read(line)
    assert isinstance(done, Translation)
    assert "447700900123" not in str(done.parked)
    assert NUMBER not in str(done.parked)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(user(1)) | st.just(NUMBER),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spoiled(draw: st.DrawFn) -> Line:
    """A line of which one value anywhere was put in by somebody else."""
    said = json.loads(json.dumps(draw(st.sampled_from([REPLY, REQUEST]))))
    place = said
    while True:
        key = draw(st.sampled_from(range(len(place)) if isinstance(place, list) else sorted(place)))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
            place[key] = draw(JSON)
            return Line("", 1, json.dumps(said).encode())
        place = place[key]


@settings(max_examples=300, database=None, deadline=None)
@given(line=spoiled())
def test_any_json_in_any_field_never_raises_and_is_never_quoted(line: Line) -> None:
    done = meaning(line, NONE_KNOWN)
    for fault in (done,) if isinstance(done, Unreadable) else done.parked:
        assert user(1) not in fault.detail
    scout([line], DEFAULT_POLICY)


@settings(max_examples=200, database=None, deadline=None)
@given(raw=st.binary(max_size=60) | st.text().map(str.encode) | JSON.map(lambda said: json.dumps(said).encode()))
def test_any_bytes_are_a_line_or_told_to_be_none(raw: bytes) -> None:
    assert isinstance(meaning(Line("", 1, raw), NONE_KNOWN), Unreadable)
    form = b'{"received_at": "2026-03-02T09:00:00Z", "webhook": "meta", "body": {' + raw + b"}}"
    done = meaning(Line("", 1, form), NONE_KNOWN)
    try:
        orjson.loads(form)
    except orjson.JSONDecodeError:
        return
    assert isinstance(done, Translation)

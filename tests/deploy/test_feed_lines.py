"""What each line of a history would deliver."""

import base64
import json
from typing import Any

import orjson
import pytest

from deploy.feed_lines import arrival_in
from schemas.codec import Unreadable
from streams.replay.lines import Arrival
from streams.replay.sources import Line
from tests.gateway.test_actions import sent
from tests.gateway.test_sendlog import exchange

AT = "2026-03-02T09:00:01Z"
ENTRY: dict[str, Any] = {"object": "whatsapp_business_account", "entry": []}


def arrival(line: bytes | dict[str, Any]) -> Arrival | Unreadable:
    return arrival_in(Line("", 1, line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"))


@pytest.mark.parametrize(
    ("line", "provider", "body"),
    [
        ({"received_at": AT, "webhook": "meta", "body": ENTRY}, "meta", ENTRY),
        ({"body": ENTRY, "webhook": "meta", "received_at": AT}, "meta", ENTRY),
        ({"received_at": AT, "webhook": "meta", "body": ENTRY, "note": {"a": 1}}, "meta", ENTRY),
        ({"received_at": AT, "action": sent()}, "actions", sent()),
        ({"received_at": AT, "webhook": "meta-sendlog", "body": exchange()}, "meta-sendlog", exchange()),
    ],
)
def test_a_line_is_read_as_a_whole_in_any_order_of_its_keys(line: dict[str, Any], provider: str, body: object) -> None:
    found = arrival(line)
    assert isinstance(found, Arrival)
    assert (found.provider, orjson.loads(found.body)) == (provider, body)


def test_bytes_that_are_no_json_come_as_they_were() -> None:
    raw = b"not json \xff\x00"
    found = arrival({"received_at": AT, "webhook": "meta", "body_base64": base64.b64encode(raw).decode()})
    assert isinstance(found, Arrival)
    assert found.body == raw


def test_a_body_in_the_usual_line_is_kept_byte_for_byte() -> None:
    body = b'{"entry": [] ,"big": 123456789012345678901234567890}'
    found = arrival(b'{"received_at": "%s", "webhook": "meta", "body": %s}\n' % (AT.encode(), body))
    assert isinstance(found, Arrival)
    assert found.body == body


@pytest.mark.parametrize(
    ("line", "reason", "path"),
    [
        (b"{broken\n", "not_json", "$"),
        (b"[]\n", "unreadable_line", "$"),
        ({"received_at": "yesterday", "webhook": "meta", "body": {}}, "unreadable_line", "$.received_at"),
        (b'{"received_at": "%s", "webhook": "meta", "body": {"a": }}\n' % AT.encode(), "not_json", "$"),
        ({"received_at": AT, "webhook": "meta", "body_base64": "?"}, "unreadable_line", "$.body_base64"),
        ({"received_at": AT, "webhook": "carrier-pigeon", "body": {}}, "unknown_provider", "$.webhook"),
        ({"received_at": AT, "action": sent(user="?")}, "invalid_action", "$.user"),
        ({"received_at": AT, "webhook": "meta-sendlog", "body": {}}, "invalid_action", "$.request"),
    ],
)
def test_a_line_no_door_would_take_is_told_with_its_path(line: Any, reason: str, path: str) -> None:
    found = arrival(line)
    assert isinstance(found, Unreadable)
    assert (found.reason, found.path) == (reason, path)


def test_a_line_without_end_is_not_kept() -> None:
    found = arrival_in(Line("", 1, b"", whole=False))
    assert isinstance(found, Unreadable)
    assert found.reason == "line_too_long"

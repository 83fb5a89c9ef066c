"""The send log's door: which exchanges it takes, and what it tells about the others."""

import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import header
from schemas.sendlog import Exchange, check_exchange, endpoint_of
from streams.gateway.actions import Actions, Unacceptable
from streams.gateway.app import Gateway
from streams.gateway.clock import now_ms
from streams.gateway.sendlog import read_exchanges
from tests.gateway.asgi import KEY, Reply, ask, gateway
from tests.kafka.sessions import Cluster

DOOR = "/v1/actions/meta"
NUMBER = "700100200300400"
BEARER = ("Authorization", f"Bearer {KEY}")
JSON = ("Content-Type", "application/json")
NOW_AT = 1_772_445_600


def exchange(**changed: Any) -> dict[str, Any]:
    """A call that was taken; a part given as `...` is left out."""
    parts: dict[str, Any] = {
        "request": {
            "method": "POST",
            "path": f"/v25.0/{NUMBER}/calls",
            "body": {"messaging_product": "whatsapp", "to": "447700900123", "action": "connect"},
        },
        "response": {"status": 200, "body": {"messaging_product": "whatsapp", "calls": [{"id": "wacid.TESTCALL0001"}]}},
        "sent_at": "2026-03-02T09:00:00Z",
        **changed,
    }
    return {name: part for name, part in parts.items() if part is not ...}


def requested(**changed: Any) -> dict[str, Any]:
    request = exchange()["request"] | changed
    return exchange(request={name: part for name, part in request.items() if part is not ...})


def asked(address: object, **changed: Any) -> dict[str, Any]:
    """A reading at an address."""
    return requested(method="GET", path=address, body=...) | changed


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def app(cluster: Cluster) -> AsyncIterator[Gateway]:
    async with gateway(cluster=cluster) as found:
        yield found


async def post(app: Gateway, body: bytes, *headers: tuple[str, str]) -> Reply:
    reply = await ask(app, "POST", DOOR, headers or (BEARER, JSON), body)
    assert reply is not None
    return reply


async def test_an_exchange_is_kept_as_it_was_posted_with_the_other_webhooks(app: Gateway, cluster: Cluster) -> None:
    body = json.dumps(exchange(note="a  b"), indent=1).encode()
    reply = await post(app, body)
    assert (reply.status, orjson.loads(reply.body)) == (202, {"accepted": 1})
    [(topic, _, [record])] = cluster.log
    assert (topic, record.key, record.value) == ("t.webhooks.raw", None, body)
    assert header(record.headers, "provider") == "meta-sendlog"
    assert header(record.headers, "secret_slot") == "tests/current"


async def test_exchanges_may_come_as_an_array_or_one_a_line(app: Gateway, cluster: Cluster) -> None:
    two = [exchange(), exchange(campaign="camp-42")]
    assert (await post(app, orjson.dumps(two))).status == 202
    lines = b"\n\n".join(map(orjson.dumps, two))
    assert (await post(app, lines, BEARER, ("Content-Type", "application/x-ndjson"))).status == 202
    assert [orjson.loads(value or b"") for value in cluster.values] == two * 2
    assert len({header(record.headers, "delivery_id") for _, _, records in cluster.log for record in records}) == 4


async def test_whole_floats_are_the_integers_they_are_and_kept_as_they_came(app: Gateway, cluster: Cluster) -> None:
    said = orjson.dumps(exchange(sent_at=1_772_442_000.0, response={"status": 200.0, "body": {}}))
    assert (await post(app, said)).status == 202
    assert cluster.values == [said]
    assert (await post(app, orjson.dumps(exchange(response={"status": 200.5, "body": {}})))).status == 422


async def test_one_bad_exchange_keeps_all_of_them_out(app: Gateway, cluster: Cluster) -> None:
    tomorrow_at = now_ms() // 1000 + 86_400
    reply = await post(app, orjson.dumps([exchange(), exchange(sent_at=...), exchange(sent_at=tomorrow_at), 7]))
    assert reply.status == 422
    told = [(fault["index"], fault["path"]) for fault in orjson.loads(reply.body)["faults"]]
    assert told == [(1, "$.sent_at"), (2, "$.sent_at"), (3, "$")]
    assert cluster.log == []


async def test_the_door_needs_the_key_of_actions(app: Gateway, cluster: Cluster) -> None:
    for headers in ((JSON,), (JSON, ("Authorization", "Bearer tests:wrong"))):
        assert (await post(app, orjson.dumps(exchange()), *headers)).status == 401
    reply = await ask(app, "GET", DOOR, [BEARER])
    assert reply is not None
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert cluster.log == []


@pytest.mark.parametrize(
    ("said", "path", "says"),
    [
        (exchange(response=...), "$.response", "required"),
        (exchange(response={"body": {}}), "$.response.status", "required"),
        (exchange(response={"status": "200"}), "$.response.status", "integer"),
        (exchange(response={"status": 99}), "$.response.status", "greater"),
        (exchange(request=...), "$.request", "required"),
        (exchange(sent_at="yesterday"), "$.sent_at", "RFC 3339"),
        (exchange(origin="mail"), "$.origin", "broadcast"),
        (exchange(campaign="a\nb"), "$.campaign", "control characters"),
        (exchange(template={"has_call_permission": "perhaps"}), "$.template.has_call_permission", "boolean"),
        (requested(method="DELETE"), "$.request.method", "'GET' or 'POST'"),
        (requested(path=...), "$.request.path", "either path or url"),
        (requested(url=f"https://graph.facebook.com/{NUMBER}/calls"), "$.request.path", "either path or url"),
        (requested(path="/"), "$.request.path", "endpoint"),
        (requested(path="/v25.0/calls"), "$.request.path", "phone_number_id"),
        (requested(path=...) | {"request": {"method": "POST", "url": "x/calls", "body": {}}}, "$.request.url", "phone"),
        (requested(body=...), "$.request.body", "JSON object"),
        (requested(body="{}"), "$.request.body", "dictionary"),
        (requested(headers={"Authorization": "Bearer TEST"}), "$.request.headers", "access token"),
        (requested(path=f"/{NUMBER}/calls?access_token=TEST"), "$.request.path", "leave it out"),
        (requested(path=f"/{NUMBER}/calls?a=1&access%5Ftoken=TEST"), "$.request.path", "leave it out"),
        (requested(path=f"/{NUMBER}/calls#access_token=TEST"), "$.request.path", "leave it out"),
        (exchange(phone_number_id="700100200300499"), "$.phone_number_id", "leave it out"),
        (asked(f"/{NUMBER}/call_permissions"), "$.request.path", "user_wa_id or recipient"),
        (asked(f"/{NUMBER}/call_permissions?user_wa_id="), "$.request.path", "user_wa_id or recipient"),
    ],
)
def test_a_fault_names_its_path_and_what_to_do(said: dict[str, Any], path: str, says: str) -> None:
    found = check_exchange(said)
    assert isinstance(found, list)
    assert [fault["path"] for fault in found] == [path]
    assert says in found[0]["message"]


@pytest.mark.parametrize(
    "said",
    [
        exchange(unknown={"deep": []}),
        exchange(response=None),
        exchange(response={"status": 502, "body": "<html>"}),
        requested(method="post"),
        requested(path=f"https://graph.facebook.com/v25.0/{NUMBER}/calls"),
        requested(path="/messages") | {"phone_number_id": NUMBER},
        requested(path="/v25.0/900100200300400/message_templates"),
        asked(f"/{NUMBER}/call_permissions?user_wa_id=447700900123"),
    ],
)
def test_what_has_the_shape_is_taken_whatever_it_is_about(said: dict[str, Any]) -> None:
    assert isinstance(check_exchange(said), Exchange)


@pytest.mark.parametrize(
    ("address", "number", "name"),
    [
        (f"/v25.0/{NUMBER}/messages", NUMBER, "messages"),
        (f"{NUMBER}/messages/", NUMBER, "messages"),
        (f"https://api.kapso.ai/meta/whatsapp/v24.0/{NUMBER}/calls?x=1", NUMBER, "calls"),
        ("https://waba-v2.360dialog.io/messages", None, "messages"),
        ("messages", None, "messages"),
    ],
)
def test_the_last_two_steps_of_an_address_say_what_it_is_about(address: str, number: str | None, name: str) -> None:
    found = endpoint_of(address)
    assert found is not None
    assert (found.number, found.name) == (number, name)


def test_no_fault_quotes_what_was_sent() -> None:
    bad = requested(path="/447700900123x/calls", method="447700900123", body=["wamid.TEST"])
    found = read_exchanges(orjson.dumps(bad), "application/json", now_at=NOW_AT)
    assert isinstance(found, Unacceptable)
    assert found.status == 422
    assert "447700900" not in repr(found)
    assert "wamid" not in repr(found)


@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/x-ndjson"]))
def test_no_bytes_make_it_raise(body: bytes, kind: str) -> None:
    assert isinstance(read_exchanges(body, kind, now_at=NOW_AT), (Actions, Unacceptable))


@given(st.text(max_size=60))
def test_no_address_makes_it_raise(address: str) -> None:
    endpoint_of(address)
    assert check_exchange(asked(f"//[{address}/calls")) is not None

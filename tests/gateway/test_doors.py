import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator

import orjson
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from schemas.envelope import header
from streams.gateway.app import CLOSED_PROVIDERS, Gateway
from streams.gateway.clock import now_ms
from tests.gateway.asgi import KEY, SECRET, SETTINGS, TOKEN, Headers, Reply, ask, gateway, signature, signed
from tests.gateway.test_actions import sent
from tests.kafka.sessions import Cluster

BODY = b'{"object":"whatsapp_business_account","entry":[]}'
BEARER = ("Authorization", f"Bearer {KEY}")
JSON = ("Content-Type", "application/json")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def app(cluster: Cluster) -> AsyncIterator[Gateway]:
    async with gateway(cluster=cluster) as found:
        yield found


async def post(app: Gateway, headers: Headers, body: bytes = BODY, target: str = "/webhooks/meta") -> Reply:
    reply = await ask(app, "POST", target, headers, body)
    assert reply is not None
    return reply


async def test_a_signed_webhook_is_stored_as_it_came_and_then_answered_200(app: Gateway, cluster: Cluster) -> None:
    body = b'{"entry": [] , "object":"\\ud83d"}\n'
    assert (await post(app, signed(body), body)).status == 200
    [(topic, _, [record])] = cluster.log
    assert (topic, record.key, record.value) == ("t.webhooks.raw", None, body)
    assert [name for name, _ in record.headers] == [
        "provider", "received_at", "delivery_id", "secret_slot", "content-type",
    ]  # fmt: skip
    assert header(record.headers, "provider") == "meta"
    assert header(record.headers, "secret_slot") == "current"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Hub-Signature", "sha1=" + "0" * 40)],
        [("X-Hub-Signature-256", "")],
        [("X-Hub-Signature-256", signature(BODY, "another"))],
        [("X-Hub-Signature-256", signature(BODY).upper())],
        [("X-Hub-Signature-256", "sha256=" + signature(BODY)[7:].upper())],
        [("X-Hub-Signature-256", signature(BODY)), ("X-Hub-Signature-256", signature(BODY))],
        [("X-Hub-Signature-256", signature(BODY)), ("x-hub-signature-256", "sha256=" + "0" * 64)],
    ],
    ids=["none", "only sha1", "empty", "another secret", "upper case", "upper-case hex", "twice", "twice, one wrong"],
)
async def test_what_is_not_authentic_is_401_empty_and_not_stored(
    app: Gateway, cluster: Cluster, headers: Headers
) -> None:
    reply = await post(app, headers)
    assert (reply.status, reply.body) == (401, b"")
    assert cluster.log == []


async def test_without_a_configured_secret_every_door_is_closed(cluster: Cluster) -> None:
    closed = dataclasses.replace(SETTINGS, meta_app_secrets=(), meta_verify_tokens=(), api_keys=())
    async with gateway(closed, cluster) as app:
        assert (await post(app, signed(BODY, ""))).status == 401
        assert (await post(app, signed(BODY))).status == 401
        assert (await post(app, [("Authorization", "Bearer :"), JSON], b"{}", "/v1/actions")).status == 401
        reply = await ask(app, "GET", "/webhooks/meta?hub.mode=subscribe&hub.verify_token=&hub.challenge=1")
        assert reply is not None
        assert reply.status == 403
    assert cluster.log == []


@pytest.mark.parametrize("provider", CLOSED_PROVIDERS)
async def test_the_doors_of_other_providers_are_closed(app: Gateway, cluster: Cluster, provider: str) -> None:
    reply = await post(app, signed(BODY), BODY, f"/webhooks/{provider}")
    assert (reply.status, reply.body) == (401, b"")
    assert cluster.log == []


async def test_a_body_over_the_limit_is_413_by_its_length_or_by_its_bytes(cluster: Cluster) -> None:
    small = dataclasses.replace(SETTINGS, max_body_bytes=1_000)
    async with gateway(small, cluster) as app:
        large = b"x" * 1_001
        assert (await post(app, signed(large), large)).status == 413
        chunked = [("X-Hub-Signature-256", signature(large))]
        reply = await ask(app, "POST", "/webhooks/meta", chunked, [large[:600], large[600:]])
        assert reply is not None
        assert reply.status == 413
        assert reply.headers["connection"] == "close"
        assert (await post(app, signed(large[1:]), large[1:])).status == 200
    assert cluster.values == [large[1:]]


async def test_a_sender_that_leaves_before_the_end_gets_no_answer_and_nothing_is_stored(
    app: Gateway, cluster: Cluster
) -> None:
    assert await ask(app, "POST", "/webhooks/meta", signed(BODY), BODY[:5], leaves=True) is None
    assert cluster.log == []


async def test_verification_sends_the_challenge_back_as_plain_text(app: Gateway) -> None:
    query = f"hub.mode=subscribe&hub.verify_token={TOKEN}&hub.challenge=1158201444"
    reply = await ask(app, "GET", f"/webhooks/meta?{query}")
    assert reply is not None
    assert (reply.status, reply.body) == (200, b"1158201444")
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.headers["x-content-type-options"] == "nosniff"
    reply = await ask(app, "GET", f"/webhooks/meta?{query.replace(TOKEN, 'wrong')}")
    assert reply is not None
    assert (reply.status, reply.body) == (403, b"")


async def test_actions_are_stored_one_a_record_and_counted(app: Gateway, cluster: Cluster) -> None:
    batch = [sent("447700900123"), sent("447700900124", note="kept")]
    reply = await post(app, [BEARER, JSON], json.dumps(batch).encode(), "/v1/actions")
    assert (reply.status, orjson.loads(reply.body)) == (202, {"accepted": 2})
    [(topic, _, records)] = cluster.log
    assert topic == "t.actions.raw"
    assert [orjson.loads(record.value or b"") for record in records] == batch
    assert {header(record.headers, "provider") for record in records} == {"actions"}
    assert {header(record.headers, "secret_slot") for record in records} == {"tests/current"}
    assert len({header(record.headers, "delivery_id") for record in records}) == 2


async def test_one_bad_action_keeps_all_of_them_out(app: Gateway, cluster: Cluster) -> None:
    body = json.dumps([sent(), sent(user="?"), sent(kind="letter")]).encode()
    reply = await post(app, [BEARER, JSON], body, "/v1/actions")
    assert reply.status == 422
    assert reply.headers["content-type"] == "application/problem+json"
    told = orjson.loads(reply.body)
    assert told["status"] == 422
    assert [(fault["index"], fault["path"]) for fault in told["faults"]] == [(1, "$.user"), (2, "$.kind")]
    assert all(fault["message"] for fault in told["faults"])
    assert cluster.log == []


async def test_an_action_of_tomorrow_is_told_by_its_path_and_nothing_is_stored(app: Gateway, cluster: Cluster) -> None:
    tomorrow_at = now_ms() // 1000 + 86_400
    reply = await post(app, [BEARER, JSON], orjson.dumps([sent(), sent(occurred_at=tomorrow_at)]), "/v1/actions")
    assert reply.status == 422
    assert [(fault["index"], fault["path"]) for fault in orjson.loads(reply.body)["faults"]] == [(1, "$.occurred_at")]
    assert cluster.log == []


@pytest.mark.parametrize(
    "headers",
    [
        [JSON],
        [JSON, ("Authorization", "Bearer tests:wrong")],
        [JSON, ("Authorization", "Bearer nobody:key-of-the-tests")],
        [JSON, ("Authorization", f"Basic {KEY}")],
        [JSON, BEARER, BEARER],
    ],
    ids=["no key", "wrong secret", "unknown id", "another scheme", "twice"],
)
async def test_actions_without_a_key_are_401_and_not_stored(app: Gateway, cluster: Cluster, headers: Headers) -> None:
    reply = await post(app, headers, orjson.dumps(sent()), "/v1/actions")
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert cluster.log == []


@pytest.mark.parametrize(("body", "kind", "status"), [(b"{", "application/json", 400), (b"{}", "text/html", 415)])
async def test_actions_that_are_not_json_are_told_so(
    app: Gateway, cluster: Cluster, body: bytes, kind: str, status: int
) -> None:
    reply = await post(app, [BEARER, ("Content-Type", kind)], body, "/v1/actions")
    assert reply.status == status
    assert orjson.loads(reply.body)["status"] == status
    assert cluster.log == []


async def test_without_an_acknowledgement_the_answer_is_503_and_says_when_to_come_again(cluster: Cluster) -> None:
    settings = dataclasses.replace(SETTINGS, acknowledge_within_s=0.1)
    async with gateway(settings, cluster) as app:
        cluster.answers.clear()
        replies = [await post(app, signed(BODY)) for _ in range(2)]  # the first waits, the second is told at once
        replies.append(await post(app, [BEARER, JSON], orjson.dumps(sent()), "/v1/actions"))
        ready = await ask(app, "GET", "/readyz")
        assert ready is not None
        replies.append(ready)
        assert {reply.status for reply in replies} == {503}
        assert all(int(reply.headers["retry-after"]) > 0 for reply in replies)
        live = await ask(app, "GET", "/livez")
        assert live is not None
        assert live.status == 200


async def test_a_batch_the_broker_refuses_is_503_and_the_next_webhook_is_stored(app: Gateway, cluster: Cluster) -> None:
    cluster.refuse[BODY] = MessageSizeTooLargeError()
    assert (await post(app, signed(BODY))).status == 503
    assert [(await post(app, signed(b"%d" % n), b"%d" % n)).status for n in range(8)] == [200] * 8
    assert cluster.values == [b"%d" % n for n in range(8)]


async def test_an_action_request_that_would_not_fit_is_503_and_nothing_of_it_is_stored(cluster: Cluster) -> None:
    async with gateway(dataclasses.replace(SETTINGS, max_pending_bytes=3_000), cluster) as app:
        body = json.dumps([sent()] * 3).encode()
        assert (await post(app, [BEARER, JSON], body, "/v1/actions")).status == 503
    assert cluster.log == []


@pytest.mark.parametrize(
    ("method", "target", "status", "allowed"),
    [
        ("GET", "/", 404, None),
        ("POST", "/webhooks/meta/", 404, None),
        ("POST", "/webhooks/unknown", 404, None),
        ("GET", "/../etc/passwd", 404, None),
        ("PUT", "/webhooks/meta", 405, "POST, GET"),
        ("HEAD", "/webhooks/meta", 405, "POST, GET"),
        ("GET", "/webhooks/infobip", 405, "POST"),
        ("GET", "/v1/actions", 405, "POST"),
        ("POST", "/metrics", 405, "GET, HEAD"),
    ],
)
async def test_there_is_no_other_door(
    app: Gateway, cluster: Cluster, method: str, target: str, status: int, allowed: str | None
) -> None:
    reply = await ask(app, method, target, signed(BODY), BODY)
    assert reply is not None
    assert reply.status == status
    assert reply.headers.get("allow") == allowed
    assert cluster.log == []


async def test_metrics_count_by_door_outcome_and_slot_and_never_hold_content(app: Gateway) -> None:
    await post(app, signed(BODY))
    await post(app, signed(BODY, "another"))
    await post(app, [BEARER, JSON], orjson.dumps(sent()), "/v1/actions")
    await post(app, signed(BODY), BODY, "/447700900123")
    reply = await ask(app, "GET", "/metrics")
    assert reply is not None
    text = reply.body.decode()
    assert 'callgrant_gateway_requests_total{door="meta",outcome="accepted"} 1.0' in text
    assert 'callgrant_gateway_requests_total{door="meta",outcome="unauthenticated"} 1.0' in text
    assert 'callgrant_gateway_signature_slots_total{door="actions",slot="tests/current"} 1.0' in text
    assert "callgrant_gateway_acknowledge_seconds_count 2.0" in text
    assert "callgrant_gateway_ready 1.0" in text
    assert "447700900123" not in text
    assert SECRET not in text


async def test_a_body_that_does_not_come_is_408(cluster: Cluster) -> None:
    async with gateway(dataclasses.replace(SETTINGS, read_within_s=0.05), cluster) as app:
        said: list[dict[str, object]] = []

        async def silent() -> dict[str, object]:
            await asyncio.get_running_loop().create_future()
            raise AssertionError("a silent sender never says anything")

        async def send(message: object) -> None:
            assert isinstance(message, dict)
            said.append(message)

        headers = [(b"x-hub-signature-256", signature(BODY).encode())]
        scope = {"type": "http", "method": "POST", "path": "/webhooks/meta", "query_string": b"", "headers": headers}
        await app(scope, silent, send)
        assert said[0]["status"] == 408
        assert (b"connection", b"close") in said[0]["headers"]  # type: ignore[operator]

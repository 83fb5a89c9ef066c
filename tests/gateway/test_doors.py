import asyncio
import dataclasses
import json
from collections import Counter
from collections.abc import AsyncIterator
from random import Random

import orjson
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from schemas.envelope import header
from streams.gateway.app import Gateway
from streams.gateway.clock import now_ms
from streams.gateway.settings import TOKENS_SETTING
from tests.gateway.asgi import KEY, SECRET, SETTINGS, TOKEN, Headers, Reply, ask, gateway, signature, signed
from tests.gateway.test_actions import sent
from tests.kafka.sessions import Cluster

BODY = b'{"object":"whatsapp_business_account","entry":[]}'
BEARER = ("Authorization", f"Bearer {KEY}")
JSON = ("Content-Type", "application/json")
TOKEN_HEADER = "X-Callgrant-Token"


def token_of(provider: str) -> str:
    return f"{provider}-token-of-the-tests"


async def metrics(app: Gateway) -> str:
    reply = await ask(app, "GET", "/metrics")
    assert reply is not None
    return reply.body.decode()


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
    closed = dataclasses.replace(SETTINGS, meta_app_secrets=(), meta_verify_tokens=(), api_keys=(), provider_tokens=())
    async with gateway(closed, cluster) as app:
        assert (await post(app, signed(BODY, ""))).status == 401
        assert (await post(app, signed(BODY))).status == 401
        assert (await post(app, [("Authorization", "Bearer :"), JSON], b"{}", "/v1/actions")).status == 401
        for provider in TOKENS_SETTING:
            for token in ("", token_of(provider)):
                assert (await post(app, [(TOKEN_HEADER, token)], BODY, f"/webhooks/{provider}")).status == 401
        reply = await ask(app, "GET", "/webhooks/meta?hub.mode=subscribe&hub.verify_token=&hub.challenge=1")
        assert reply is not None
        assert reply.status == 403
    assert cluster.log == []


@pytest.mark.parametrize("provider", TOKENS_SETTING)
async def test_a_provider_with_its_token_in_header_or_query_is_stored_under_its_name(
    app: Gateway, cluster: Cluster, provider: str
) -> None:
    token = token_of(provider)
    assert (await post(app, [(TOKEN_HEADER, token)], b"by header", f"/webhooks/{provider}")).status == 200
    assert (await post(app, [], b"by query", f"/webhooks/{provider}?a=b&token={token}")).status == 200
    records = [record for _, _, batch in cluster.log for record in batch]
    assert [record.value for record in records] == [b"by header", b"by query"]
    assert {header(record.headers, "provider") for record in records} == {provider}
    assert {header(record.headers, "secret_slot") for record in records} == {"current"}
    assert token not in repr(records)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], ""),
        ([], "token="),
        ([], "Token={right}"),
        ([], "token=%ff"),
        ([], "token={right}&token={right}"),
        ([], "&" * 5_000 + "token={right}"),
        ([], "a=b&" * 40 + "token={right}"),
        ([(TOKEN_HEADER, "{right}")], "token={right}"),
        ([(TOKEN_HEADER, "{right}"), (TOKEN_HEADER, "{right}")], ""),
        ([(TOKEN_HEADER, "{right}"), (TOKEN_HEADER, "another")], ""),
        ([(TOKEN_HEADER, "{right}, {right}")], ""),
        ([(TOKEN_HEADER, "{right}x")], ""),
        ([(TOKEN_HEADER, "another")], ""),
        ([(TOKEN_HEADER, "infobip-token-of-the-tests")], ""),
        ([("Authorization", "Bearer {right}")], ""),
        ([("X-Hub-Signature-256", "{signature}")], ""),
    ],
)
async def test_whoever_presents_no_token_or_two_or_another_is_401_empty_and_not_stored(
    app: Gateway, cluster: Cluster, headers: Headers, query: str
) -> None:
    told = {"right": token_of("gupshup"), "signature": signature(BODY)}
    given = [(name, value.format(**told)) for name, value in headers]
    reply = await post(app, given, BODY, f"/webhooks/gupshup?{query.format(**told)}")
    assert (reply.status, reply.body) == (401, b"")
    assert reply.headers["connection"] == "close"
    assert cluster.log == []


async def test_two_tokens_hold_at_once_and_each_counts_by_its_slot(cluster: Cluster) -> None:
    both = dataclasses.replace(SETTINGS, provider_tokens=(("ycloud", "new"), ("ycloud", "old"), ("zernio", "other")))
    async with gateway(both, cluster) as app:
        for token, status in (("new", 200), ("old", 200), ("other", 401)):
            assert (await post(app, [(TOKEN_HEADER, token)], BODY, "/webhooks/ycloud")).status == status
        text = await metrics(app)
    for slot in ("current", "previous"):
        assert f'slots_total{{kind="webhook",provider="ycloud",slot="{slot}"}} 1.0' in text
    assert 'slots_total{kind="webhook",provider="zernio",slot="current"} 0.0' in text


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


@pytest.mark.parametrize("encodings", [["gzip"], [" BR "], ["identity, gzip"], ["gzip", "identity"], ["utf-8"]])
async def test_a_packed_body_is_refused_by_its_head_at_every_door_and_told_what_to_change(
    app: Gateway, cluster: Cluster, encodings: list[str]
) -> None:
    packed = [("Content-Encoding", encoding) for encoding in encodings]
    token = (TOKEN_HEADER, token_of("gupshup"))
    doors: dict[str, Headers] = {
        "/webhooks/meta": signed(BODY),
        "/webhooks/gupshup": [token],
        "/v1/actions": [BEARER, JSON],
        "/v1/actions/meta": [BEARER, JSON],
    }
    for target, headers in doors.items():
        reply = await ask(app, "POST", target, [*headers, *packed])
        assert reply is not None
        assert (reply.status, reply.headers["accept-encoding"], reply.headers["connection"]) == (
            415, "identity", "close",
        )  # fmt: skip
        assert orjson.loads(reply.body)["detail"] == "send the body as it is, without Content-Encoding"
    assert cluster.log == []
    text = await metrics(app)
    assert 'kind="webhook",outcome="refused",provider="meta",reason="packed"} 1.0' in text
    assert 'kind="action",outcome="refused",provider="business",reason="packed"} 2.0' in text


async def test_who_has_no_secret_hears_nothing_of_encodings(app: Gateway) -> None:
    packed = ("Content-Encoding", "gzip")
    for target, headers in (("/webhooks/meta", []), ("/webhooks/gupshup", [(TOKEN_HEADER, "x")]), ("/v1/actions", [])):
        assert (await post(app, [*headers, packed], BODY, target)).status == 401


async def test_an_encoding_that_changes_nothing_is_taken(app: Gateway, cluster: Cluster) -> None:
    for encoding in ("", "identity", "Identity "):
        assert (await post(app, [*signed(BODY), ("Content-Encoding", encoding)])).status == 200
    assert [record.value for _, _, records in cluster.log for record in records] == [BODY] * 3


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
        ("OPTIONS", "/webhooks/meta", 405, "POST, GET"),
        ("TRACE", "/webhooks/meta", 405, "POST, GET"),
        ("OPTIONS", "/v1/actions", 405, "POST"),
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


async def test_metrics_count_by_provider_kind_outcome_and_reason_and_never_hold_content(app: Gateway) -> None:
    await post(app, signed(BODY))
    await post(app, signed(BODY, "another"))
    await post(app, [])
    await post(app, [BEARER, JSON], orjson.dumps(sent()), "/v1/actions")
    await post(app, [BEARER, JSON], b"{}", "/v1/actions")
    await post(app, signed(BODY), BODY, "/447700900123")
    await post(app, [], b"a body of 447700900124", f"/webhooks/gupshup?token={token_of('gupshup')}")
    await ask(app, "GET", "/webhooks/meta?hub.mode=subscribe&hub.verify_token=447700900125&hub.challenge=1")
    text = await metrics(app)
    for labels in (
        'kind="webhook",outcome="accepted",provider="meta",reason="none"',
        'kind="webhook",outcome="unauthenticated",provider="meta",reason="wrong"',
        'kind="webhook",outcome="unauthenticated",provider="meta",reason="missing"',
        'kind="webhook",outcome="accepted",provider="gupshup",reason="none"',
        'kind="verification",outcome="unauthenticated",provider="meta",reason="wrong"',
        'kind="action",outcome="accepted",provider="business",reason="none"',
        'kind="action",outcome="refused",provider="business",reason="invalid"',
        'kind="other",outcome="refused",provider="none",reason="no_door"',
    ):
        assert f"callgrant_gateway_requests_total{{{labels}}} 1.0" in text
    assert 'signature_slots_total{kind="action",provider="business",slot="tests/current"} 1.0' in text
    assert "callgrant_gateway_acknowledge_seconds_count 3.0" in text
    assert "callgrant_gateway_ready 1.0" in text
    assert "4477009001" not in text
    assert not any(secret in text for secret in (SECRET, token_of("gupshup"), "key-of-the-tests"))


async def test_a_refusal_by_the_broker_is_counted_with_its_reason(cluster: Cluster) -> None:
    async with gateway(dataclasses.replace(SETTINGS, acknowledge_within_s=0.1), cluster) as app:
        cluster.refuse[BODY] = MessageSizeTooLargeError()
        assert (await post(app, signed(BODY))).status == 503
        cluster.answers.clear()
        assert [(await post(app, signed(b"x"), b"x")).status for _ in range(2)] == [503, 503]
        text = await metrics(app)
    for reason in ("refused_by_broker", "late", "away"):
        assert f'outcome="unavailable",provider="meta",reason="{reason}"}} 1.0' in text


async def test_whatever_is_asked_has_one_of_the_defined_answers(app: Gateway, cluster: Cluster) -> None:
    dice = Random(20260302)
    paths = ["/webhooks/meta", "/webhooks/gupshup", "/v1/actions", "/v1/actions/meta", "/livez", "/metrics", "/\x00"]
    right = [("x-hub-signature-256", signature(BODY)), (TOKEN_HEADER, token_of("gupshup")), BEARER, JSON]
    wrong = [
        ("x-hub-signature-256", "a" * 9_000),
        ("host", "\xff"),
        ("content-encoding", "gzip"),
        ("authorization", ""),
    ]
    queries = ["", "hub.mode=subscribe", "token=" + token_of("gupshup"), "%zz&;=" * 20, "hub.challenge=%0d%0aX:y"]
    seen: Counter[int] = Counter()
    for _ in range(3_000):
        method = dice.choice(["GET", "POST", "POST", "POST", "PUT", "HEAD", "OPTIONS"])
        headers = [dice.choice(right + (wrong if dice.random() < 0.2 else [])) for _ in range(dice.randint(0, 4))]
        body = [dice.choice([BODY, b"{}", b"[", b"\x00\xff", b"[" * 2_000, dice.randbytes(50)]) for _ in range(2)]
        reply = await ask(
            app, method, f"{dice.choice(paths)}?{dice.choice(queries)}", headers, body[: dice.randint(1, 2)]
        )
        assert reply is not None
        seen[reply.status] += 1
    assert set(seen) == {200, 400, 401, 403, 404, 405, 415, 422}


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

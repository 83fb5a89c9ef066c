import asyncio
import json
import random
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.topics import create_topics
from schemas.envelope import header, received_at_of
from schemas.topics import MAX_RECORD_BYTES, TopicNames
from streams.gateway.clock import now_ms
from streams.kafka.outcomes import Acknowledged, NotAcknowledged
from streams.kafka.producer import HEADER_ROOM_BYTES, BatchProducer, ProducerLimits
from streams.kafka.session import KafkaSession, Record
from tests.gateway.asgi import KEY, signature
from tests.gateway.process import PATIENCE_S, Running, client, started, status, stored, until, until_ready
from tests.gateway.test_actions import sent
from tests.kafka.test_producer import until as came_true

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]
PARTITIONS = 3
BEARER = {"Authorization": f"Bearer {KEY}"}
MIB = 1024 * 1024


def signed(body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature-256": signature(body), "Content-Type": "application/json"}


def noise(length: int) -> bytes:
    """Bytes that no compression makes smaller."""
    return random.Random(length).randbytes(length)


@pytest.fixture(scope="module")
def prefix(broker: str) -> str:
    names = TopicNames(f"test-{secrets.token_hex(4)}.")
    asyncio.run(create_topics(broker, names, PARTITIONS))
    return names.prefix


@pytest.fixture(scope="module")
def gateway(broker: str, prefix: str) -> Iterator[Running]:
    with started(broker, prefix) as running:
        asyncio.run(until_ready(running))
        yield running


@pytest.fixture
async def http(gateway: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with client(gateway) as found:
        yield found


def speak(gateway: Running, *said: bytes) -> bytes:
    """All the answer to raw bytes, until the gateway closes."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as line:
        heard = b""
        with suppress(BrokenPipeError, ConnectionResetError):  # it may close while we are still talking
            for part in said:
                line.sendall(part)
        with suppress(ConnectionResetError):
            while part := line.recv(65_536):
                heard += part
        return heard


async def test_a_signed_webhook_stands_on_the_topic_byte_for_byte_with_its_headers(
    broker: str, prefix: str, http: httpx.AsyncClient
) -> None:
    bodies = [b'{"entry": [] ,"name":"\\ud83d"}\n', b"not json \xff\x00", b"", noise(3 * MIB), noise(4 * MIB)]
    began = datetime.now(UTC).timestamp()  # noqa: TID251 - compared with another process's clock
    answers = [await http.post("/webhooks/meta", content=body, headers=signed(body)) for body in bodies]
    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"")] * len(bodies)
    records = await stored(broker, f"{prefix}webhooks.raw")
    assert sorted(record.value or b"" for record in records) == sorted(bodies)
    for record in records:
        assert record.key is None
        headers = list(record.headers)
        assert [name for name, _ in headers] == [
            "provider", "received_at", "delivery_id", "secret_slot", "content-type",
        ]  # fmt: skip
        assert header(headers, "provider") == "meta"
        received_at = received_at_of(header(headers, "received_at") or "")
        assert received_at is not None
        assert began - 1 <= received_at <= began + 60
        assert record.timestamp // 1000 == received_at


async def test_what_is_not_authentic_leaves_nothing_on_any_topic(
    broker: str, prefix: str, http: httpx.AsyncClient
) -> None:
    before = [len(await stored(broker, prefix + topic)) for topic in ("webhooks.raw", "actions.raw")]
    body = b'{"forged":true}'
    for value in (None, "", signature(body, "another"), signature(body).upper(), signature(body)[:-1]):
        headers = {} if value is None else {"X-Hub-Signature-256": value}
        answer = await http.post("/webhooks/meta", content=body, headers=headers)
        assert (answer.status_code, answer.content) == (401, b"")
    twice = [("X-Hub-Signature-256", signature(body))] * 2
    assert (await http.post("/webhooks/meta", content=body, headers=twice)).status_code == 401
    assert (await http.post("/webhooks/gupshup", content=body, headers=signed(body))).status_code == 401
    assert (await http.post("/v1/actions", json=sent(), headers={"Authorization": "Bearer a:b"})).status_code == 401
    assert [len(await stored(broker, prefix + topic)) for topic in ("webhooks.raw", "actions.raw")] == before


async def test_actions_are_stored_all_or_not_at_all(broker: str, prefix: str, http: httpx.AsyncClient) -> None:
    topic = f"{prefix}actions.raw"
    before = len(await stored(broker, topic))
    good = [sent(f"4477009001{n:02d}") for n in range(100)]
    answer = await http.post("/v1/actions", json=[*good, sent(user="?")], headers=BEARER)
    assert answer.status_code == 422
    assert [(fault["index"], fault["path"]) for fault in answer.json()["faults"]] == [(100, "$.user")]
    assert len(await stored(broker, topic)) == before
    answer = await http.post("/v1/actions", json=good, headers=BEARER)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 100})
    lines = [json.dumps(action).encode() for action in good[:2]]
    answer = await http.post(
        "/v1/actions", content=b"\n".join(lines), headers={**BEARER, "Content-Type": "application/x-ndjson"}
    )
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
    records = (await stored(broker, topic))[before:] if before == 0 else await stored(broker, topic)
    values = [json.loads(record.value or b"") for record in records]
    assert all(action in values for action in good)
    assert len(values) == before + 102
    assert {header(list(record.headers), "provider") for record in records} == {"actions"}


async def test_a_body_over_4_mib_is_413_however_its_length_is_told(gateway: Running, http: httpx.AsyncClient) -> None:
    head = b"POST /webhooks/meta HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\n"
    declared = await asyncio.to_thread(speak, gateway, head + b"Content-Length: 4194305\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    chunked = await asyncio.to_thread(speak, gateway, head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 200)
    assert [heard.split(b" ")[1] for heard in (declared, chunked)] == [b"413", b"413"]
    both = await asyncio.to_thread(
        speak, gateway, head + b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n", chunk
    )
    assert both.startswith(b"HTTP/1.1 400")
    longer = await asyncio.to_thread(speak, gateway, head + b"Content-Length: 10\r\n\r\n" + b"x" * 100)
    assert longer.startswith(b"HTTP/1.1 401")  # of the ten bytes; what follows them is no request
    assert longer.count(b"HTTP/1.1") == 1
    assert (await http.get("/readyz")).status_code == 200


async def test_who_sends_slowly_is_closed(broker: str, prefix: str) -> None:
    with started(broker, prefix, read_within_s=1.0) as hasty:
        await until_ready(hasty)
        await _slow_ones_are_closed(hasty)


async def _slow_ones_are_closed(gateway: Running) -> None:
    head = b"POST /webhooks/meta HTTP/1.1\r\nHost: x\r\n"
    body_missing = head + b"X-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\nContent-Length: 100\r\n\r\nabc"
    slow_body, slow_head, silent, slow_second = await asyncio.gather(
        asyncio.to_thread(speak, gateway, body_missing),
        asyncio.to_thread(speak, gateway, head),
        asyncio.to_thread(speak, gateway),
        asyncio.to_thread(speak, gateway, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /liv"),
    )
    assert slow_body.startswith(b"HTTP/1.1 408")
    assert (slow_head, silent) == (b"", b"")
    assert slow_second.startswith(b"HTTP/1.1 200")


async def test_a_head_without_end_is_refused_before_it_fills_the_memory(gateway: Running) -> None:
    endless = b"POST /webhooks/meta HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 200_000
    assert (await asyncio.to_thread(speak, gateway, endless)).startswith(b"HTTP/1.1 431")


async def test_a_refused_batch_does_not_poison_the_ones_after_it(broker: str, topic_prefix: str) -> None:
    topics = [
        NewTopic(f"{topic_prefix}webhooks.raw", 1, 1, topic_configs={"max.message.bytes": "200000"}),
        NewTopic(f"{topic_prefix}actions.raw", 1, 1),
    ]
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics(topics)
    finally:
        await admin.close()
    with started(broker, topic_prefix) as running:
        await until_ready(running)
        async with client(running) as http:
            large = noise(300_000)
            small = [b'{"n":%d}' % n for n in range(200)]

            async def post(body: bytes) -> int:
                return (await http.post("/webhooks/meta", content=body, headers=signed(body))).status_code

            for start in range(0, 200, 50):  # each time one large among small ones, all at once
                part = small[start : start + 50]
                answers = await asyncio.gather(*map(post, [*part[:25], large, *part[25:]]))
                assert answers.pop(25) == 503
                assert set(answers) == {200}
            await until_ready(running)  # of the session that replaces the last one
        assert running.end() == 0
        refusals = [told for told in running.said if told["event"] == "batch_refused"]
        assert len(refusals) == 4
        assert all("max.message.bytes" in told["mend"] for told in refusals)
    assert sorted(record.value or b"" for record in await stored(broker, f"{topic_prefix}webhooks.raw")) == sorted(
        small
    )


async def test_a_stop_in_the_middle_answers_what_it_took_and_every_200_has_its_record(
    broker: str, topic_prefix: str
) -> None:
    await create_topics(broker, TopicNames(topic_prefix), PARTITIONS)
    with started(broker, topic_prefix) as running:
        await until_ready(running)
        acknowledged: list[bytes] = []

        async def post_on(http: httpx.AsyncClient, lane: int) -> None:
            for n in range(10_000):
                body = b'{"lane":%d,"n":%d}' % (lane, n)
                try:
                    answer = await http.post("/webhooks/meta", content=body, headers=signed(body))
                except httpx.TransportError:
                    return
                if answer.status_code != 200:
                    return
                acknowledged.append(body)

        async with client(running) as http:
            lanes = [asyncio.create_task(post_on(http, lane)) for lane in range(20)]
            await until(lambda: len(acknowledged) > 200)
            code = await asyncio.to_thread(running.end)
            await asyncio.gather(*lanes)
        assert code == 0
        assert running.said[-1]["event"] == "stopped"
    values = {record.value for record in await stored(broker, f"{topic_prefix}webhooks.raw")}
    assert set(acknowledged) <= values


async def test_topics_that_are_missing_at_start_are_waited_for(broker: str, topic_prefix: str) -> None:
    with started(broker, topic_prefix) as running:
        assert status(running, "/livez") == 200
        await until(lambda: any(told["event"] == "cluster_away" for told in running.said))
        assert status(running, "/readyz") == 503
        assert "callgrant topics create" in next(t for t in running.said if t["event"] == "cluster_away")["mend"]
        await create_topics(broker, TopicNames(topic_prefix), PARTITIONS)
        await until_ready(running)
        assert running.end() == 0


def test_a_port_that_is_taken_ends_the_process_and_names_the_setting(broker: str, gateway: Running) -> None:
    with pytest.raises(AssertionError), started(broker, "t.", port=gateway.port) as running:
        assert running.url
    assert gateway.child.poll() is None


async def test_a_record_of_the_largest_size_goes_through_producer_broker_and_consumer(
    broker: str, topic_prefix: str
) -> None:
    names = TopicNames(topic_prefix)
    await create_topics(broker, names, 1)
    topic = names.of("webhooks.raw")
    producer = BatchProducer(ProducerLimits(), lambda: KafkaSession(broker, [topic], "test"))
    await producer.start()
    try:
        await came_true(producer.ready, within_s=PATIENCE_S)
        value = noise(MAX_RECORD_BYTES - HEADER_ROOM_BYTES)
        assert isinstance(await producer.append(topic, Record(None, value, [], now_ms())), Acknowledged)
        assert await producer.append(topic, Record(None, value + b"x", [], now_ms())) == NotAcknowledged("too_large")
        assert isinstance(await producer.append(topic, Record(None, b"after", [], now_ms())), Acknowledged)
    finally:
        assert await producer.stop(10.0)
    assert [record.value for record in await stored(broker, topic)] == [value, b"after"]


async def test_a_thousand_updates_of_three_megabytes_are_one_200_soon_enough(http: httpx.AsyncClient) -> None:
    """Meta wants its answers within a second, nearly all of them within a quarter of one."""
    status_of = {"id": "wamid.TESTREQ" + "0" * 2_800, "status": "delivered", "recipient_id": "447700900123"}
    values = [{**status_of, "timestamp": str(1_772_442_000 + n)} for n in range(1_000)]
    change = {"field": "messages", "value": {"messaging_product": "whatsapp", "statuses": values}}
    took_s: list[float] = []
    for n in range(30):  # one is enough: of those before it, the machine may have been busy with something else
        body = json.dumps(
            {"object": "whatsapp_business_account", "entry": [{"id": str(n), "changes": [change]}]}
        ).encode()
        assert 2_800_000 < len(body) < 3_000_000
        began_s = monotonic()
        assert (await http.post("/webhooks/meta", content=body, headers=signed(body))).status_code == 200
        took_s.append(monotonic() - began_s)
        if took_s[-1] < 0.5:
            return
    raise AssertionError(f"not one of them was answered within half a second: {took_s}")


async def test_a_secret_is_rotated_under_load_without_a_valid_webhook_refused(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    await create_topics(broker, TopicNames(topic_prefix), 2)
    secrets_file = tmp_path / "app-secrets"
    secrets_file.write_text("first")
    with started(broker, topic_prefix, secret_file=str(secrets_file), secrets_again_every_s=0.1) as running:
        await until_ready(running)
        using = "first"
        answers: list[int] = []

        async with client(running) as http:

            async def post(secret: str, body: bytes = b"{}") -> int:
                headers = {"X-Hub-Signature-256": signature(body, secret)}
                return (await http.post("/webhooks/meta", content=body, headers=headers)).status_code

            async def keep_on(lane: int) -> None:
                while using:
                    answers.append(await post(using, b"%d" % lane))

            async def until_answered(secret: str, status: int) -> None:
                async with asyncio.timeout(PATIENCE_S):
                    while await post(secret) != status:
                        pass

            lanes = [asyncio.create_task(keep_on(lane)) for lane in range(8)]
            secrets_file.write_text("second\nfirst\n")  # the new one is known before anybody uses it
            await until_answered("second", 200)
            using = "second"
            await asyncio.sleep(0)
            secrets_file.write_text("")  # a mistake on the way changes nothing
            await until(lambda: any(told["event"] == "secrets_unusable" for told in running.said))
            assert (await post("first"), await post("second")) == (200, 200)
            secrets_file.write_text("second")
            await until_answered("first", 401)
            using = ""
            await asyncio.gather(*lanes)
            assert set(answers) == {200}
            text = (await http.get("/metrics")).text
        assert 'slots_total{kind="webhook",provider="meta",slot="current"}' in text
        assert not any(word in json.dumps(running.said) for word in ('"first"', '"second"'))
        assert running.end() == 0

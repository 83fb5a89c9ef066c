"""The broker dies, freezes and comes back, and nobody touches the gateway."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import httpx
import pytest

from deploy.broker.node import LocalBroker
from deploy.topics import create_topics
from schemas.topics import TopicNames
from streams.gateway.clock import now_ms
from streams.kafka.outcomes import Acknowledged, NotAcknowledged
from streams.kafka.producer import BatchProducer, ProducerLimits
from streams.kafka.session import KafkaSession, Record
from tests.gateway.asgi import signature
from tests.gateway.process import PATIENCE_S, Running, client, started, status, stored, until, until_ready
from tests.kafka.test_producer import until as came_true
from tests.ports import free_pair

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]
NAMES = TopicNames("test-away.")
TOPIC = NAMES.of("webhooks.raw")
ACKNOWLEDGE_WITHIN_S = 2.0
SLACK_S = 1.5
A_SENDER_WAITS_S = 5.0


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory, jar_cache: Path) -> Iterator[LocalBroker]:
    """One that may be killed."""
    with LocalBroker(data_dir=tmp_path_factory.mktemp("away"), port=free_pair(), cache_dir=jar_cache) as node:
        asyncio.run(create_topics(node.bootstrap, NAMES, 2))
        yield node


@pytest.fixture
def gateway(own_broker: LocalBroker) -> Iterator[Running]:
    with started(own_broker.bootstrap, NAMES.prefix, acknowledge_within_s=ACKNOWLEDGE_WITHIN_S) as running:
        yield running


class Sender:
    """Posts bodies of its own; what was answered 200 must be found."""

    def __init__(self, gateway: Running, name: str) -> None:
        self._gateway = gateway
        self._name = name
        self._count = 0
        self.acknowledged: list[bytes] = []

    async def post(self, times: int = 1) -> list[tuple[int, float]]:
        """Status and seconds of each, all sent at once."""
        async with client(self._gateway) as http:

            async def one() -> tuple[int, float]:
                self._count += 1
                body = f'{{"from":"{self._name}","n":{self._count}}}'.encode()
                began_s = monotonic()
                answer = await http.post(
                    "/webhooks/meta", content=body, headers={"X-Hub-Signature-256": signature(body)}
                )
                if answer.status_code == 200:
                    self.acknowledged.append(body)
                elif answer.status_code == 503:
                    assert int(answer.headers["retry-after"]) > 0
                return answer.status_code, monotonic() - began_s

            return await asyncio.gather(*(one() for _ in range(times)))

    async def until_acknowledged(self, within_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(within_s):
            while True:
                if (await self.post())[0][0] == 200:
                    return
                await asyncio.sleep(0.1)


def refused_in_time(answers: list[tuple[int, float]]) -> bool:
    return all(code == 503 and took_s < ACKNOWLEDGE_WITHIN_S + SLACK_S for code, took_s in answers)


async def test_a_broker_that_is_killed_means_503_in_time_and_its_return_is_noticed(
    own_broker: LocalBroker, gateway: Running
) -> None:
    await until_ready(gateway)
    sender = Sender(gateway, "killed")
    assert {code for code, _ in await sender.post(20)} == {200}
    own_broker.kill()
    assert refused_in_time(await sender.post(20))
    assert refused_in_time(await sender.post(20))
    await until(lambda: status(gateway, "/readyz") == 503)
    assert status(gateway, "/livez") == 200
    await asyncio.to_thread(own_broker.start)
    await asyncio.to_thread(own_broker.wait_ready)
    await sender.until_acknowledged()
    await until_ready(gateway)
    assert gateway.end() == 0
    values = {record.value for record in await stored(own_broker.bootstrap, TOPIC)}
    assert set(sender.acknowledged) <= values


async def test_a_broker_that_freezes_means_503_in_time_and_its_return_is_noticed(
    own_broker: LocalBroker, gateway: Running
) -> None:
    await until_ready(gateway)
    sender = Sender(gateway, "frozen")
    await sender.until_acknowledged()
    assert own_broker.pid is not None
    os.kill(own_broker.pid, signal.SIGSTOP)
    try:
        assert refused_in_time(await sender.post(20))
        assert refused_in_time(await sender.post(20))
        await until(lambda: status(gateway, "/readyz") == 503)
    finally:
        os.kill(own_broker.pid, signal.SIGCONT)
    await sender.until_acknowledged()
    await until_ready(gateway)
    assert gateway.end() == 0
    values = {record.value for record in await stored(own_broker.bootstrap, TOPIC)}
    assert set(sender.acknowledged) <= values


async def test_without_any_setting_the_answer_is_out_before_a_sender_gives_up(own_broker: LocalBroker) -> None:
    with started(own_broker.bootstrap, NAMES.prefix) as connected:
        await until_ready(connected)
        assert own_broker.pid is not None
        os.kill(own_broker.pid, signal.SIGSTOP)
        with started(own_broker.bootstrap, NAMES.prefix) as unconnected:
            try:
                both = await asyncio.gather(*(Sender(one, "default").post(5) for one in (connected, unconnected)))
            finally:
                os.kill(own_broker.pid, signal.SIGCONT)
    assert all(code == 503 and took_s < A_SENDER_WAITS_S for answers in both for code, took_s in answers), both


async def test_a_session_that_hears_nothing_is_given_up_and_a_new_one_takes_over(own_broker: LocalBroker) -> None:
    limits = ProducerLimits(
        acknowledge_within_s=0.5, probe_every_s=0.2, renew_after_s=1.0, heard_within_s=0.5, flush_after_ms=0.0
    )
    sessions: list[KafkaSession] = []

    def session() -> KafkaSession:
        sessions.append(KafkaSession(own_broker.bootstrap, [TOPIC], "test"))
        return sessions[-1]

    producer = BatchProducer(limits, session)
    await producer.start()
    await came_true(producer.ready, within_s=PATIENCE_S)
    assert own_broker.pid is not None
    os.kill(own_broker.pid, signal.SIGSTOP)
    try:
        waiters = [producer.append(TOPIC, Record(None, b"%d" % n, [], now_ms()), partition=n % 2) for n in range(2)]
        assert {await waiter for waiter in waiters} == {NotAcknowledged("late")}
        await came_true(lambda: len(sessions) > 1, within_s=PATIENCE_S)
        await came_true(lambda: producer.pending_bytes == 0, within_s=PATIENCE_S)  # what the old one held is let go
    finally:
        os.kill(own_broker.pid, signal.SIGCONT)
    await came_true(producer.ready, within_s=PATIENCE_S)
    outcome = await producer.append(TOPIC, Record(None, b"after", [], now_ms()))
    assert isinstance(outcome, Acknowledged)
    assert await producer.stop(5.0)
    await came_true(
        lambda: asyncio.all_tasks() == {asyncio.current_task()}, within_s=PATIENCE_S
    )  # nothing of it goes on


async def test_a_stop_while_the_broker_is_frozen_ends_in_time(own_broker: LocalBroker) -> None:
    producer = BatchProducer(ProducerLimits(), lambda: KafkaSession(own_broker.bootstrap, [TOPIC], "test"))
    await producer.start()
    await came_true(producer.ready, within_s=PATIENCE_S)
    assert own_broker.pid is not None
    os.kill(own_broker.pid, signal.SIGSTOP)
    try:
        waiter = producer.append(TOPIC, Record(None, b"never promised", [], now_ms()))
        began_s = monotonic()
        assert not await producer.stop(0.5)
        assert monotonic() - began_s < 8
        assert await waiter == NotAcknowledged("closed")
    finally:
        os.kill(own_broker.pid, signal.SIGCONT)


async def test_what_was_accepted_before_a_stop_is_answered_and_what_was_answered_is_there(
    own_broker: LocalBroker,
) -> None:
    with started(own_broker.bootstrap, NAMES.prefix) as gateway:
        await until_ready(gateway)
        assert own_broker.pid is not None
        os.kill(own_broker.pid, signal.SIGSTOP)
        bodies = [b'{"stopped":%d}' % n for n in range(40)]
        lines = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in bodies]
        try:
            for place, ((_, writer), body) in enumerate(zip(lines, bodies, strict=True)):
                said = f"POST /webhooks/meta HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: {signature(body)}\r\n"
                said += f"Content-Length: {len(body)}\r\n\r\n"
                writer.write(said.encode() + (body if place % 2 else body[:5]))  # every other is still arriving
            await until(lambda: held_bytes(gateway) >= 20 * 1_024)
            gateway.child.send_signal(signal.SIGTERM)
            await until(lambda: any(told["event"] == "stopping" for told in gateway.said))
            await until(lambda: not listens(gateway))
        finally:
            os.kill(own_broker.pid, signal.SIGCONT)
        for (_, writer), body in list(zip(lines, bodies, strict=True))[::2]:
            writer.write(body[5:])
        answers = await asyncio.gather(*(reader.read() for reader, _ in lines))
        for _, writer in lines:
            writer.close()
        assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
        assert await asyncio.to_thread(gateway.end) == 0
    values = {record.value for record in await stored(own_broker.bootstrap, TOPIC)}
    assert set(bodies) <= values


async def test_a_gateway_started_before_its_broker_lives_and_becomes_ready_later(own_broker: LocalBroker) -> None:
    own_broker.stop()
    with started(own_broker.bootstrap, NAMES.prefix, acknowledge_within_s=ACKNOWLEDGE_WITHIN_S) as gateway:
        sender = Sender(gateway, "early")
        assert status(gateway, "/livez") == 200
        assert status(gateway, "/readyz") == 503
        assert refused_in_time(await sender.post(5))
        await asyncio.to_thread(own_broker.start)
        await asyncio.to_thread(own_broker.wait_ready)
        await until_ready(gateway)
        assert {code for code, _ in await sender.post(5)} == {200}
        own_broker.stop()
        assert gateway.end() == 0  # nothing was promised that is not there


def held_bytes(gateway: Running) -> float:
    text = httpx.get(gateway.url + "/metrics", timeout=10, trust_env=False).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("callgrant_gateway_pending_b"))


def listens(gateway: Running) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", gateway.port)) == 0

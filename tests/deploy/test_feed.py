"""`callgrant feed` against the gateway's own doors; the broker behind them is played."""

import asyncio
import contextlib
import dataclasses
import json
import operator
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from deploy import config as settings
from deploy.feed_doors import Doors, Post, doors_of
from deploy.feed_lines import arrivals
from deploy.feed_sender import FeedEnded, Feeding, Pace, Tally
from deploy.feed_wire import Wire
from schemas.codec import Unreadable
from schemas.envelope import header
from streams.replay.lines import Arrival
from streams.replay.sources import Line, Sources
from tests.gateway.asgi import KEY, SECRET, SETTINGS, gateway
from tests.gateway.test_actions import sent
from tests.gateway.test_sendlog import exchange
from tests.kafka.sessions import Cluster

AT = "2026-03-02T09:00:01Z"
DOORS = Doors(url="http://gateway.test", app_secret=SECRET, api_key=KEY, tokens={})
Parked = list[tuple[int, str, str]]


def webhook(number: int = 1, provider: str = "meta") -> dict[str, Any]:
    return {"received_at": AT, "webhook": provider, "body": {"object": "whatsapp_business_account", "n": number}}


def reported(**more: Any) -> dict[str, Any]:
    return {"received_at": AT, "action": sent(**more)}


@pytest.fixture
def history(tmp_path: Path) -> Callable[..., Path]:
    def written(*lines: Any) -> Path:
        path = tmp_path / "history.jsonl"
        path.write_bytes(
            b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in lines)
        )
        return path

    return written


async def fed(
    path: Path, transport: httpx.AsyncBaseTransport, doors: Doors = DOORS, **pace: Any
) -> tuple[Tally, Parked]:
    parked: Parked = []
    with Sources([str(path)]) as sources:
        feeding = Feeding(
            doors,
            Pace(**pace),
            lambda line, fault: parked.append((line.number, fault.reason, fault.path)),
            transport=transport,
        )
        return await feeding.run(arrivals(sources)), parked


@asynccontextmanager
async def doors(cluster: Cluster, **changed: Any) -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with gateway(dataclasses.replace(SETTINGS, **changed), cluster) as app:
        yield httpx.ASGITransport(app)


async def test_every_line_goes_through_its_own_door(history: Callable[..., Path]) -> None:
    cluster = Cluster()
    path = history(webhook(), reported(), {"received_at": AT, "webhook": "meta-sendlog", "body": exchange()})
    async with doors(cluster) as transport:
        tally, parked = await fed(path, transport)
    assert (tally.lines, tally.sent, tally.accepted, tally.repeated, tally.refused) == (3, 3, 3, 0, Counter())
    assert parked == []
    records = [(topic, header(record.headers, "provider")) for topic, _, all_of in cluster.log for record in all_of]
    assert sorted(records) == [
        ("t.actions.raw", "actions"), ("t.webhooks.raw", "meta"), ("t.webhooks.raw", "meta-sendlog"),
    ]  # fmt: skip


async def test_what_is_received_is_received_now(history: Callable[..., Path]) -> None:
    cluster = Cluster()
    async with doors(cluster) as transport:
        await fed(history(webhook()), transport)
    [(_, _, [record])] = cluster.log
    assert not (header(record.headers, "received_at") or "").startswith("2026-03-02T09")


async def test_broken_lines_are_told_by_number_and_the_good_ones_are_sent(history: Callable[..., Path]) -> None:
    cluster = Cluster()
    path = history(webhook(1), b"{broken", b"", reported(user="?"), webhook(2, "carrier-pigeon"), webhook(3))
    async with doors(cluster) as transport:
        tally, parked = await fed(path, transport, concurrency=1)
    assert parked == [(2, "not_json", "$"), (4, "invalid_action", "$.user"), (5, "unknown_provider", "$.webhook")]
    assert (tally.lines, tally.sent, tally.accepted) == (5, 2, 2)
    assert len(cluster.values) == 2


def test_a_body_longer_than_the_gateway_takes_is_told_before_it_is_sent(history: Callable[..., Path]) -> None:
    with Sources([str(history({"received_at": AT, "webhook": "meta", "body": {"x": "y" * 2_000}}))]) as sources:
        [(_, found)] = arrivals(sources, None, 1_000)
        assert isinstance(found, Unreadable)
        assert found.reason == "too_large"
        [(_, found)] = arrivals(sources)
        assert not isinstance(found, Unreadable)


async def test_what_the_gateway_refuses_is_parked_with_its_reason(history: Callable[..., Path]) -> None:
    cluster = Cluster()
    path = history(
        reported(occurred_at=4_000_000_000), {"received_at": AT, "webhook": "meta", "body": {"x": "y" * 2_000}}
    )
    async with doors(cluster, max_body_bytes=1_000) as transport:
        tally, parked = await fed(path, transport)
    assert sorted(parked) == [(1, "refused_422", "$.occurred_at"), (2, "refused_413", "$")]
    assert (tally.accepted, dict(tally.refused)) == (0, {"refused_413": 1, "refused_422": 1})


async def test_a_line_for_a_door_without_a_secret_of_ours_is_parked_with_the_setting(
    history: Callable[..., Path],
) -> None:
    without = Doors(url=DOORS.url)
    for provider, setting in (
        ("meta", "CALLGRANT_META_APP_SECRETS"),
        ("360dialog", "CALLGRANT_D360_TOKENS"),
        ("actions", "CALLGRANT_API_KEYS"),
        ("meta-sendlog", "CALLGRANT_API_KEYS"),
    ):
        told = without.post(Arrival(provider, 0, b"{}"))
        assert isinstance(told, Unreadable)
        assert (told.reason, setting in told.detail) == ("no_secret", True)
    async with doors(Cluster()) as transport:
        tally, parked = await fed(history(webhook(1, "gupshup"), webhook(2)), transport)
    assert (tally.accepted, parked) == (1, [(1, "no_secret", "$")])


async def test_a_wrong_secret_ends_it_and_names_the_setting(history: Callable[..., Path]) -> None:
    wrong = dataclasses.replace(DOORS, app_secret="another")
    async with doors(Cluster()) as transport:
        with pytest.raises(FeedEnded, match=r"401 .* CALLGRANT_META_APP_SECRETS .*from line 2 on") as ended:
            await fed(history(reported(), *map(webhook, range(50))), transport, wrong, concurrency=1)
    assert "another" not in str(ended.value)


async def test_another_server_is_not_taken_for_a_gateway(history: Callable[..., Path]) -> None:
    other = httpx.MockTransport(lambda _: httpx.Response(404))
    with pytest.raises(FeedEnded, match=r"no gateway of Callgrant .*CALLGRANT_GATEWAY_PORT"):
        await fed(history(webhook()), other)


async def test_nobody_at_the_address_ends_it_with_the_setting(history: Callable[..., Path]) -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(FeedEnded, match="CALLGRANT_GATEWAY_PORT"):
        await fed(history(webhook()), httpx.MockTransport(away))


def answering(*answers: int | Exception) -> tuple[httpx.MockTransport, list[bytes]]:
    """A gateway that gives these answers one after the other, then 200."""
    left, heard = iter(answers), list[bytes]()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/livez":
            return httpx.Response(200)
        heard.append(request.content)
        told = next(left, 200)
        if isinstance(told, int):
            return httpx.Response(told)
        raise told

    return httpx.MockTransport(answer), heard


async def test_what_may_still_be_accepted_is_sent_again(history: Callable[..., Path]) -> None:
    transport, heard = answering(503, httpx.ReadError("the line broke"), 429)
    tally, parked = await fed(history(webhook(1), webhook(2)), transport, concurrency=1)
    assert (tally.sent, tally.accepted, tally.repeated, parked) == (2, 2, 3, [])
    assert [json.loads(body)["n"] for body in heard] == [1, 1, 1, 1, 2]


def without_a_socket() -> AttributeError:
    """What httpx raises on uvloop when it looks at the socket of a connection that is cut already."""
    with pytest.raises(AttributeError) as looked:
        operator.attrgetter("getpeername")(None)
    return looked.value


@pytest.mark.parametrize("fault", [without_a_socket(), ssl.SSLError(1, "[SSL] bad record mac")], ids=["cut", "garbled"])
async def test_a_connection_that_breaks_in_words_httpx_does_not_translate_is_made_again(
    fault: Exception, history: Callable[..., Path]
) -> None:
    transport, heard = answering(200, fault, fault)
    tally, parked = await fed(history(webhook(1), webhook(2)), transport, concurrency=1)
    assert (tally.accepted, tally.repeated, parked) == (2, 2, [])
    assert [json.loads(body)["n"] for body in heard] == [1, 2, 2, 2]


async def test_a_mistake_of_ours_is_not_taken_for_a_broken_connection(history: Callable[..., Path]) -> None:
    transport, _ = answering(
        AttributeError("'Feeding' object has no attribute 'getpeername'", name="getpeername", obj=1)
    )
    with pytest.raises(AttributeError, match="Feeding"):
        await fed(history(webhook()), transport)


def test_whatever_cuts_a_connection_it_is_no_answer_and_nothing_else() -> None:
    """Real sockets and the loop of the command: each connection is reset as soon as it is accepted."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = "http://{}:{}".format(*listening.getsockname())

    def cutting() -> None:
        with contextlib.suppress(OSError):
            while True:
                with listening.accept()[0] as cut:
                    cut.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    faults: Counter[type[BaseException]] = Counter()

    async def knock() -> None:
        async with Wire(url, httpx.AsyncHTTPTransport(verify=False)) as wire:
            for _ in range(20):
                try:
                    await wire.ask("GET", "/livez")
                except Exception as fault:  # noqa: BLE001 - which one it is, is the question
                    faults[type(fault)] += 1

    async def busy() -> None:  # each turn of the loop takes long enough for a reset to arrive
        while True:
            time.sleep(0.000_5)  # noqa: ASYNC251 - that the loop stands still is the point
            await asyncio.sleep(0)

    async def all_at_once() -> None:
        beside = asyncio.ensure_future(busy())
        await asyncio.gather(*(knock() for _ in range(10)))
        beside.cancel()

    peer = threading.Thread(target=cutting)
    peer.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(all_at_once())
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        peer.join(10)
    assert sum(faults.values()) == 200
    assert [each for each in faults if not issubclass(each, httpx.TransportError)] == []


async def test_when_nothing_is_accepted_for_too_long_it_ends_and_says_where(history: Callable[..., Path]) -> None:
    transport, _ = answering(200, *[503] * 100)
    with pytest.raises(FeedEnded, match=r"accepted nothing for 0\.3 s \(last: 503\).*1 of 2 lines.*from line 2 on"):
        await fed(history(webhook(1), webhook(2)), transport, concurrency=1, patience_s=0.3)


async def test_no_more_requests_are_under_way_than_allowed_and_nothing_is_read_ahead() -> None:
    under_way = most = read = answered = ahead = 0
    gate = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most, answered, ahead
        if request.url.path == "/livez":
            return httpx.Response(200)
        under_way += 1
        most = max(most, under_way)
        ahead = max(ahead, read - answered)
        if under_way == 4:
            gate.set()
        await gate.wait()
        await asyncio.sleep(0)
        under_way -= 1
        answered += 1
        return httpx.Response(200)

    def lines() -> Iterator[tuple[Line, Arrival | Unreadable]]:
        nonlocal read
        for number in range(1, 101):
            read += 1
            yield Line("", number, b""), Arrival("meta", 0, b"{}")

    feeding = Feeding(DOORS, Pace(concurrency=4), nobody, transport=httpx.MockTransport(answer))
    tally = await feeding.run(lines())
    assert (tally.accepted, most, ahead) == (100, 4, 4)


def nobody(_line: Line, _fault: Unreadable) -> None:
    raise AssertionError("nothing is refused here")


async def test_a_rate_is_kept(history: Callable[..., Path]) -> None:
    transport, _ = answering()
    tally, _ = await fed(history(*map(webhook, range(11))), transport, rate_per_s=50.0)
    assert tally.accepted == 11
    assert tally.elapsed_s >= 0.19  # ten pauses of 20 ms


def test_the_secrets_are_the_first_of_the_settings(tmp_path: Path) -> None:
    found = doors_of(
        settings.load(
            {
                "CALLGRANT_META_APP_SECRETS": "shop:current,shop:previous",
                "CALLGRANT_API_KEYS": KEY,
                "CALLGRANT_D360_TOKENS": "one,two",
                "CALLGRANT_GATEWAY_PORT": "18080",
            },
            tmp_path,
        )
    )
    assert (found.url, found.app_secret, found.api_key) == ("http://127.0.0.1:18080", "current", KEY)
    post = found.post(Arrival("360dialog", 0, b"{}"))
    assert isinstance(post, Post)
    assert (post.path, post.headers["X-Callgrant-Token"]) == ("/webhooks/360dialog", "one")
    assert not any(secret in repr((found, post)) for secret in ("current", "one", KEY))

"""What is said on the wire, byte by byte, against a whole gateway process: every odd shape has a defined answer."""

import asyncio
import gzip
import http.client
import json
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from deploy.topics import create_topics
from schemas.topics import TopicNames
from tests.gateway.asgi import KEY, signature
from tests.gateway.process import ROOT, Running, started, stored, until_ready

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]
BODY = b'{"object":"whatsapp_business_account","entry":[]}'
PACKED = gzip.compress(BODY, mtime=0)
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ")
WITHIN_S = 3.0  # few wait for it; shorter, and a sender that was not scheduled for a moment is a slow one


@pytest.fixture(scope="module")
def prefix(broker: str) -> str:
    names = TopicNames(f"test-{secrets.token_hex(4)}.")
    asyncio.run(create_topics(broker, names, 2))
    return names.prefix


@pytest.fixture(scope="module")
def gateway(broker: str, prefix: str) -> Iterator[Running]:
    with started(broker, prefix, read_within_s=WITHIN_S, max_connections=60) as running:
        asyncio.run(until_ready(running))
        yield running


def head(*lines: str, method: str = "POST", target: str = "/webhooks/meta", version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{method} {target} {version}", "Host: evil.example", *lines, "", ""]).encode("latin-1")


def post(body: bytes = BODY, *lines: str, given: str | None = None, version: str = "HTTP/1.1") -> bytes:
    signed = f"X-Hub-Signature-256: {given or signature(body)}"
    return head(signed, f"Content-Length: {len(body)}", *lines, version=version) + body


def chunked(*parts: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailers + b"\r\n"


def heard(gateway: Running, said: bytes, *later: bytes, half_close: bool = False) -> bytes:
    """All the answers to raw bytes, until the gateway closes."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as line:
        answers = b""
        with suppress(BrokenPipeError, ConnectionResetError):  # it may close while we are still talking
            line.sendall(said)
            for part in later:
                answers += line.recv(65_536)
                line.sendall(part)
            if half_close:
                line.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while part := line.recv(65_536):
                answers += part
        return answers


def statuses(answers: bytes) -> list[int]:
    return [int(code) for code in STATUS_LINE.findall(answers)]


CLOSE = "Connection: close"
SIGNED = f"X-Hub-Signature-256: {signature(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
SIZED = f"Content-Length: {len(BODY)}"
H2C = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"]

TAKEN = {
    "one that closes": (post(BODY, CLOSE), [200]),
    "header names in capitals": (post(BODY, CLOSE).replace(b"X-Hub-Signature", b"X-HUB-SIGNATURE"), [200]),
    "white space around the signature": (post(BODY, CLOSE, given=f" \t{signature(BODY)}\t "), [200]),
    "chunked": (head(SIGNED, CHUNKED, CLOSE) + chunked(BODY[:7], BODY[7:8], BODY[8:]), [200]),
    "chunked in capitals": (head(SIGNED, "Transfer-Encoding: CHUNKED", CLOSE) + chunked(BODY), [200]),
    "chunks with extensions": (head(SIGNED, CHUNKED, CLOSE) + b"31;a=b\r\n" + BODY + b"\r\n0;c\r\n\r\n", [200]),
    "trailers are dropped": (
        head(SIGNED, CHUNKED, CLOSE) + chunked(BODY, trailers=f"{SIGNED}\r\nConnection: close\r\n".encode()),
        [200],
    ),
    "HTTP/1.0 is answered and closed": (post(version="HTTP/1.0"), [200]),
    "HTTP/1.0 that wants to stay is closed": (post(BODY, "Connection: keep-alive", version="HTTP/1.0"), [200]),
    "HTTP/1.0 with Expect hears no 100": (post(BODY, "Expect: 100-continue", version="HTTP/1.0"), [200]),
    "an unknown expectation is ignored": (post(BODY, "Expect: the-unexpected", CLOSE), [200]),
    "two requests in one write": (post() + post(b"second", CLOSE), [200, 200]),
    "what follows a close is not read": (post(BODY, CLOSE) + post(b"third"), [200]),
    "an empty line before a request": (b"\r\n" + post(BODY, CLOSE), [200]),
    "a wish for h2c is ignored": (
        post(BODY, *H2C).replace(b"h2c\r\n", b"h2c\r\nX: y\r\n") + post(b"2", CLOSE),
        [200, 200],
    ),
    "a wish for h2c, chunked": (head(SIGNED, CHUNKED, *H2C) + chunked(BODY) + post(b"2", CLOSE), [200, 200]),
    "a wish for a web socket is ignored": (
        post(BODY, "Connection: close, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"),
        [200],
    ),
    "the absolute form": (
        post(BODY, CLOSE).replace(b"POST /webhooks", b"POST http://evil.example/webhooks"),
        [200],
    ),
    "no host": (post(BODY, CLOSE).replace(b"Host: evil.example\r\n", b""), [200]),
    "an encoding that changes nothing": (post(BODY, "Content-Encoding: Identity", CLOSE), [200]),
    "no body": (post(b"", CLOSE), [200]),
}


@pytest.mark.parametrize(("said", "expected"), TAKEN.values(), ids=TAKEN)
async def test_what_is_odd_but_authentic_is_taken(gateway: Running, said: bytes, expected: list[int]) -> None:
    answers = await asyncio.to_thread(heard, gateway, said)
    assert statuses(answers) == expected
    assert b"evil" not in answers


NOT_TAKEN = {
    "two signatures": (head(SIGNED, SIGNED, SIZED) + BODY, [401]),
    "two signatures, one wrong": (head(SIGNED, "X-Hub-Signature-256: sha256=0", SIZED) + BODY, [401]),
    "two signatures in one header": (post(BODY, CLOSE, given=f"{signature(BODY)}, {signature(BODY)}"), [401]),
    "a signature as a trailer": (head(CHUNKED) + chunked(BODY, trailers=SIGNED.encode() + b"\r\n"), [401]),
    "no signature, with Expect: no 100": (head(SIZED, "Expect: 100-continue"), [401]),
    "a length as a trailer": (head(SIGNED, CHUNKED) + chunked(BODY, trailers=b"Content-Length: x\r\n"), [400]),
    "both lengths": (head(SIGNED, SIZED, CHUNKED) + chunked(BODY), [400]),
    "both lengths, the other way round": (head(SIGNED, CHUNKED, SIZED) + chunked(BODY), [400]),
    "two different lengths": (head(SIGNED, SIZED, "Content-Length: 3") + BODY, [400]),
    "one length twice": (head(SIGNED, SIZED, SIZED) + BODY, [400]),
    "two lengths in one header": (head(SIGNED, f"{SIZED}, {len(BODY)}") + BODY, [400]),
    "a signed length": (head(SIGNED, "Content-Length: +49") + BODY, [400]),
    "a negative length": (head(SIGNED, "Content-Length: -1") + BODY, [400]),
    "a hexadecimal length": (head(SIGNED, "Content-Length: 0x31") + BODY, [400]),
    "a length without end": (head(SIGNED, "Content-Length: " + "9" * 40) + BODY, [400]),
    "an empty length": (head(SIGNED, "Content-Length:") + BODY, [400]),
    "an encoding behind chunked": (head(SIGNED, "Transfer-Encoding: chunked, identity") + chunked(BODY), [400]),
    "an unknown transfer encoding": (head(SIGNED, "Transfer-Encoding: xchunked") + chunked(BODY), [400]),
    "two transfer encodings": (head(SIGNED, CHUNKED, "Transfer-Encoding: identity") + chunked(BODY), [400]),
    "white space before the colon": (head(SIGNED, "Transfer-Encoding : chunked") + chunked(BODY), [400]),
    "a folded header": (head(SIGNED, "Transfer-Encoding:\r\n chunked") + chunked(BODY), [400]),
    "a vertical tab in the encoding": (head(SIGNED, "Transfer-Encoding:\x0bchunked") + chunked(BODY), [400]),
    "a NUL in a header": (head(SIGNED, SIZED, "X: a\x00b") + BODY, [400]),
    "a bare line feed": (post().replace(b"\r\n", b"\n"), [400]),
    "a bare carriage return": (post(BODY, "X: a\rY: b"), [400]),
    "a chunk size that is no number": (head(SIGNED, CHUNKED) + b"0x31\r\n" + BODY + b"\r\n0\r\n\r\n", [400]),
    "a chunk size without end": (head(SIGNED, CHUNKED) + b"f" * 17 + b"\r\n" + BODY, [400]),
    "a chunk longer than it says": (head(SIGNED, CHUNKED) + b"3\r\n" + BODY + b"\r\n0\r\n\r\n", [400]),
    "an unknown version": (post(version="HTTP/1.7"), [400]),
    "HTTP/2.0 by its name": (post(version="HTTP/2.0"), [505]),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", [505]),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, [400]),
    "a proxy's greeting": (b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + post(), [400]),
    "CONNECT": (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n", [400]),
    "a method nobody knows": (head(method="BREW"), [400]),
    "every resource": (head(method="OPTIONS", target="*"), [404]),
    "OPTIONS": (head(method="OPTIONS"), [405]),
    "HEAD": (head(method="HEAD"), [405]),
    "a slash too many": (head(SIGNED, SIZED, target="/webhooks/meta/") + BODY, [404]),
    "two slashes": (head(SIGNED, SIZED, target="//evil.example/webhooks/meta") + BODY, [404]),
    "more headers than anybody sends": (head(*(f"X-{n}: y" for n in range(200))), [431]),
    "a head of 100 kB": (head("X: " + "y" * 100_000), [431]),
    "an address of 100 kB": (head(target="/webhooks/meta?" + "y" * 100_000), [431]),
    "gzip": (post(PACKED, "Content-Encoding: gzip"), [415]),
    "gzip, with Expect: no 100": (head(SIGNED, SIZED, "Content-Encoding: gzip", "Expect: 100-continue"), [415]),
    "gzip for actions": (
        head(
            f"Authorization: Bearer {KEY}", "Content-Type: application/json", "Content-Encoding: gzip",
            "Content-Length: 2", target="/v1/actions",
        ) + b"{}",
        [415],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("said", "expected"), NOT_TAKEN.values(), ids=NOT_TAKEN)
async def test_what_is_ambiguous_or_no_http_is_refused_once_and_closed(
    gateway: Running, said: bytes, expected: list[int]
) -> None:
    answers = await asyncio.to_thread(heard, gateway, said, half_close=False)
    assert statuses(answers) == expected
    assert b"connection: close" in answers
    assert b"evil" not in answers
    if expected == [405]:
        assert b"allow: POST, GET" in answers


async def test_nothing_that_was_refused_stands_on_a_topic_and_a_smuggled_request_is_none(
    broker: str, prefix: str, gateway: Running
) -> None:
    async def values() -> list[bytes]:
        return [record.value or b"" for record in await stored(broker, f"{prefix}webhooks.raw")]

    before = len(await values())
    hidden = post(b"smuggled", CLOSE)
    inside = f"Content-Length: {len(hidden)}"
    for said in (
        head(SIGNED, inside, CHUNKED) + chunked() + hidden,
        head(SIGNED, CHUNKED, "Transfer-Encoding: identity") + chunked() + hidden,
        head(SIGNED, inside, "Content-Length: 0") + hidden,
        head(inside) + hidden,  # not authentic: its body is not read as a request
        head(inside, *H2C) + hidden,  # the parser would skip this body
        post(hidden, *H2C, CLOSE, given="sha256=" + "0" * 64),
    ):
        answers = await asyncio.to_thread(heard, gateway, said)
        assert len(statuses(answers)) == 1
        assert 200 not in statuses(answers)
    found = await values()
    assert len(found) == before
    assert b"smuggled" not in found
    assert PACKED not in found


async def test_expect_is_answered_100_once_the_body_is_wanted(gateway: Running) -> None:
    answers = await asyncio.to_thread(heard, gateway, head(SIGNED, SIZED, "Expect: 100-continue", CLOSE), BODY)
    assert statuses(answers) == [100, 200]
    answers = await asyncio.to_thread(heard, gateway, head(SIGNED, "Content-Length: 4194305", "Expect: 100-continue"))
    assert statuses(answers) == [413]  # without being asked for it


async def test_a_fault_behind_a_whole_request_does_not_spoil_its_answer(gateway: Running) -> None:
    for garbage in (b"\x00\xff", b"x" * 100_000, head(*(f"X-{n}: y" for n in range(200)))):
        answers = await asyncio.to_thread(heard, gateway, post() + garbage)
        assert statuses(answers) == [200]
        assert b"connection: close" in answers


async def test_trailers_without_end_are_cut_off(gateway: Running) -> None:
    endless = head(SIGNED, CHUNKED) + chunked(BODY)[:-2]
    answers = await asyncio.to_thread(heard, gateway, endless + b"X: " + b"y" * 30_000)
    assert statuses(answers) == [408]
    answers = await asyncio.to_thread(heard, gateway, endless + b"X: " + b"y" * 200_000)
    assert statuses(answers) == [431]


async def test_a_sender_that_closes_its_half_still_hears_the_answer(gateway: Running) -> None:
    assert statuses(await asyncio.to_thread(heard, gateway, post(), half_close=True)) == [200]


async def test_a_connection_that_only_sends_line_ends_is_closed(gateway: Running) -> None:
    said = head(method="GET", target="/livez")
    assert statuses(await asyncio.to_thread(heard, gateway, said, b"\r\n")) == [200]
    assert await asyncio.to_thread(heard, gateway, b"\r\n") == b""


async def test_one_connection_too_many_is_told_503_and_the_others_go_on(gateway: Running) -> None:
    lines = [socket.create_connection(("127.0.0.1", gateway.port), timeout=60) for _ in range(60)]
    try:
        for line in lines:  # each is accepted once it was answered
            line.sendall(head(method="HEAD", target="/livez"))
            assert line.recv(4_096).startswith(b"HTTP/1.1 200")
        answers = await asyncio.to_thread(heard, gateway, b"")
        assert statuses(answers) == [503]
        assert b"retry-after: 1" in answers
        lines[0].sendall(post(BODY, CLOSE))
        assert lines[0].recv(4_096).startswith(b"HTTP/1.1 200")
    finally:
        for line in lines:
            line.close()


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
async def test_with_few_descriptors_it_serves_few_and_says_so(broker: str, prefix: str) -> None:
    with started(broker, prefix, descriptors=64) as running:
        await until_ready(running)
        [told] = [line for line in running.said if line["event"] == "few_descriptors"]
        assert (told["connections"], "ulimit -n" in told["mend"]) == (16, True)
        lines = [socket.create_connection(("127.0.0.1", running.port), timeout=60) for _ in range(100)]
        try:
            for line in lines:
                with suppress(BrokenPipeError):  # closed already
                    line.sendall(head(CLOSE, method="GET", target="/readyz"))
            answers = [line.recv(65_536) for line in lines]
        finally:
            for line in lines:
                line.close()
        assert {*statuses(b"".join(answers))} <= {200, 503}
        assert all(statuses(answer) == [200] for answer in answers[:16])
        assert statuses(await asyncio.to_thread(heard, running, post(BODY, CLOSE))) == [200]
        assert running.end() == 0


def test_a_log_that_nobody_reads_any_more_costs_its_lines_and_nothing_else(broker: str, prefix: str) -> None:
    fields = {"kafka_bootstrap": broker, "topic_prefix": prefix, "bind": "127.0.0.1", "port": 0}
    told = json.dumps(fields | {"meta_app_secrets": [], "meta_verify_tokens": [], "api_keys": []})
    child = subprocess.Popen([sys.executable, "-m", "tests.gateway.serve", told], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["event"] == "listening"
        child.stdout.close()
        child.terminate()  # which it says, to nobody
        assert child.wait(120) == 0
    finally:
        child.kill()
        child.wait()


async def test_what_is_turned_away_before_a_door_is_counted_by_its_reason(gateway: Running) -> None:
    said = head(CLOSE, method="GET", target="/metrics")
    await asyncio.to_thread(heard, gateway, b"\x00")
    await asyncio.to_thread(heard, gateway, b"GET /livez")
    text = (await asyncio.to_thread(heard, gateway, said)).decode()
    for outcome, reason in (("refused", "not_http"), ("refused", "head_slow"), ("unavailable", "crowded")):
        found = re.search(f'kind="other",outcome="{outcome}",provider="none",reason="{reason}"}} ([0-9.]+)', text)
        assert found is not None
        assert float(found[1]) >= 1


def test_no_line_of_the_process_holds_what_came_in(gateway: Running) -> None:
    said = json.dumps(gateway.said)
    assert not any(word in said for word in ("evil", "smuggled", KEY, signature(BODY), "Traceback"))
    assert {line["event"] for line in gateway.said} <= {"listening", "refused", "cluster_reached"}


async def test_who_is_still_writing_when_refused_reads_the_answer(gateway: Running) -> None:
    def refused(path: str, size: int) -> int:
        client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        try:
            client.request("POST", path, body=b"x" * size, headers={"Content-Type": "application/json"})
            return client.getresponse().status
        finally:
            client.close()

    for path, size, status in (
        ("/webhooks/meta", 3_000_000, 401),
        ("/webhooks/nosuch", 3_000_000, 404),
        ("/v1/actions", 4_194_304 + 100, 401),
    ):
        assert await asyncio.to_thread(refused, path, size) == status

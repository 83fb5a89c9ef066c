"""Posting, against a small real HTTP server that can refuse, fail and hang up."""

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import orjson
import pytest

from streams.simulator import NotAccepted, Progress, SimulatorConfig, run, sender, simulate
from streams.simulator.deliveries import Delivery

END = 1_772_442_000
SECRET = "test-app-secret"
KEY = "test:key"

HangUp = None


@dataclass(frozen=True)
class Post:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Gateway:
    """Answers each POST as `answer` says: a status line with headers, or hanging up without a word."""

    answer: Callable[["Gateway", Post], str | None]
    posts: list[Post] = field(default_factory=list)
    acked: list[bytes] = field(default_factory=list)
    connections: list[asyncio.Task[None]] = field(default_factory=list)
    open_now: int = 0
    open_most: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if connection := asyncio.current_task():
            self.connections.append(connection)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *rest = head.decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
                self.open_now += 1
                self.open_most = max(self.open_most, self.open_now)
                post = Post(first.split()[1], headers, await reader.readexactly(int(headers["content-length"])))
                self.posts.append(post)
                await asyncio.sleep(0)  # lets other connections in, so that concurrency can be seen
                self.open_now -= 1
                said = self.answer(self, post)
                if said is None:
                    break
                if said.startswith("2"):
                    self.acked.append(post.body)
                writer.write(f"HTTP/1.1 {said}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def gateway(answer: Callable[[Gateway, Post], str | None]) -> AsyncIterator[Gateway]:
    door = Gateway(answer)
    server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
    async with server:
        door.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield door
    await asyncio.gather(*door.connections)  # the sender has closed them: each reads its end


def ok(_: Gateway, post: Post) -> str:
    return "200 OK" if post.path == "/webhooks/meta" else "202 Accepted"


def config(url: str, pairs: int = 40) -> SimulatorConfig:
    week = SimulatorConfig.week_ending(END)
    return replace(week, pairs=pairs, gateway_url=url, app_secret=SECRET, api_key=KEY, patience_s=20)


async def test_everything_is_posted_once_and_acknowledged_when_the_gateway_is_well() -> None:
    async with gateway(ok) as door:
        report = await run(config(door.url))
    posted = sorted(post.body for post in door.posts)
    assert posted == sorted(delivery.body for delivery in simulate(config(door.url)).deliveries)
    assert report.complete
    assert report.tally.counts == Progress(total=len(posted), acked=len(posted))


async def test_signatures_and_keys_verify_over_the_raw_bytes() -> None:
    async with gateway(ok) as door:
        await run(config(door.url))
    assert {post.path for post in door.posts} == {"/webhooks/meta", "/v1/actions"}
    for post in door.posts:
        assert post.headers["content-type"] == "application/json"
        if post.path == "/webhooks/meta":
            expected = hmac.new(SECRET.encode(), post.body, hashlib.sha256).hexdigest()
            assert post.headers["x-hub-signature-256"] == f"sha256={expected}"
            assert "authorization" not in post.headers
        else:
            assert post.headers["authorization"] == "Bearer test:key"


async def test_a_503_and_a_429_are_repeated_until_acknowledged() -> None:
    refused: set[bytes] = set()

    def busy_once(door: Gateway, post: Post) -> str:
        if post.body in refused:
            return ok(door, post)
        refused.add(post.body)
        return "503 Service Unavailable" if len(refused) % 2 else "429 Too Many Requests"

    async with gateway(busy_once) as door:
        report = await run(config(door.url))
    assert report.complete
    assert report.tally.counts.repeated == len(refused)
    assert set(door.acked) == {delivery.body for delivery in simulate(config(door.url)).deliveries}


async def test_retry_after_is_honoured() -> None:
    instants: list[float] = []

    def later(door: Gateway, post: Post) -> str:
        instants.append(asyncio.get_running_loop().time())
        return "503 Service Unavailable\r\nRetry-After: 1" if len(instants) == 1 else ok(door, post)

    async with gateway(later) as door:
        report = await run(replace(config(door.url, pairs=1), concurrency=1))
    assert report.complete
    assert instants[1] - instants[0] >= 1


async def test_a_connection_that_breaks_without_an_answer_is_repeated() -> None:
    hung_up: set[bytes] = set()

    def hang_up_once(door: Gateway, post: Post) -> str | None:
        if post.body in hung_up:
            return ok(door, post)
        hung_up.add(post.body)
        return HangUp

    async with gateway(hang_up_once) as door:
        report = await run(config(door.url))
    assert report.complete
    assert report.tally.counts.repeated == len(hung_up)


async def test_a_tls_record_that_cannot_be_deciphered_is_a_broken_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    garbled: set[bytes] = set()
    post = sender._Sending._post

    async def garble_once(sending: sender._Sending, client: httpx.AsyncClient, delivery: Delivery) -> httpx.Response:
        if delivery.body in garbled:
            return await post(sending, client, delivery)
        garbled.add(delivery.body)
        raise ssl.SSLError(1, "[SSL] bad record mac")

    monkeypatch.setattr(sender._Sending, "_post", garble_once)
    async with gateway(ok) as door:
        report = await run(config(door.url, pairs=2))
    assert report.complete
    assert report.tally.counts.repeated == len(garbled) > 0


async def test_a_gateway_that_starts_late_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway(ok) as door:
        free = door.url
    knocked = asyncio.Event()
    post = sender._Sending._post

    async def knock(sending: sender._Sending, client: httpx.AsyncClient, delivery: Delivery) -> httpx.Response:
        try:
            return await post(sending, client, delivery)
        except httpx.ConnectError:
            knocked.set()
            raise

    monkeypatch.setattr(sender._Sending, "_post", knock)
    late = Gateway(ok)
    sending = asyncio.ensure_future(run(config(free)))
    await knocked.wait()
    async with await asyncio.start_server(late.serve, "127.0.0.1", int(free.rsplit(":", 1)[1])):
        report = await sending
    await asyncio.gather(*late.connections)
    assert report.complete
    assert report.tally.counts.repeated > 0
    assert len(late.acked) == report.tally.counts.total


async def test_a_gateway_that_never_answers_leaves_unknown_deliveries_and_says_so() -> None:
    async with gateway(ok) as door:
        closed = door.url
    report = await run(replace(config(closed), patience_s=0.3))
    counts = report.tally.counts
    assert not report.complete
    assert counts.unknown == counts.total > 0
    assert f"{counts.total} unknown" in report.summary()
    assert len(report.tally.examples) == 5


async def test_what_repeating_cannot_mend_is_refused_and_not_repeated() -> None:
    def choosy(door: Gateway, post: Post) -> str:
        return "422 Unprocessable Content" if post.path == "/v1/actions" else ok(door, post)

    async with gateway(choosy) as door:
        report = await run(config(door.url))
    actions = [post for post in door.posts if post.path == "/v1/actions"]
    counts = report.tally.counts
    assert (counts.refused, counts.repeated) == (len(actions), 0)
    assert counts.acked == counts.total - len(actions)
    assert not report.complete
    assert "last answer 422" in report.summary()
    assert "4477009" not in report.summary()


@pytest.mark.parametrize(
    ("path", "setting"), [("/webhooks/meta", "CALLGRANT_META_APP_SECRETS"), ("/v1/actions", "CALLGRANT_API_KEYS")]
)
async def test_a_gateway_that_does_not_believe_us_ends_the_run_and_the_error_names_the_setting(
    path: str, setting: str
) -> None:
    def unbelieving(door: Gateway, post: Post) -> str:
        return "401 Unauthorized" if post.path == path else ok(door, post)

    async with gateway(unbelieving) as door:
        with pytest.raises(NotAccepted, match=setting):
            await run(config(door.url))
        assert len(door.posts) < len(simulate(config(door.url)).deliveries)


async def test_no_more_posts_are_under_way_at_once_than_allowed() -> None:
    async with gateway(ok) as door:
        await run(replace(config(door.url), concurrency=3))
    assert 1 < door.open_most <= 3


async def test_a_rate_spreads_the_posts_over_time() -> None:
    async with gateway(ok) as door:
        report = await run(replace(config(door.url, pairs=5), rate_per_s=50))
    assert report.tally.elapsed_s >= (report.tally.counts.total - 1) / 50


async def test_progress_is_told_after_each_delivery() -> None:
    told: list[Progress] = []
    async with gateway(ok) as door:
        report = await run(config(door.url), told.append)
    assert [progress.done for progress in told] == list(range(1, report.tally.counts.total + 1))
    assert told[-1] == report.tally.counts


async def test_the_sent_log_has_one_line_per_delivery_with_its_digest_and_outcome(tmp_path: Path) -> None:
    def choosy(door: Gateway, post: Post) -> str:
        return "413 Content Too Large" if post.body.startswith(b"[") else ok(door, post)

    path = tmp_path / "sent.jsonl"
    async with gateway(choosy) as door:
        settings = replace(config(door.url), sent_log=path)
        report = await run(settings)
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    expected = [hashlib.sha256(delivery.body).hexdigest() for delivery in simulate(settings).deliveries]
    assert [line["sha256"] for line in sorted(lines, key=lambda line: line["delivery"])] == expected
    assert sum(line["outcome"] == "acked" for line in lines) == report.tally.counts.acked
    assert sum(line["outcome"] == "refused" and line["status"] == 413 for line in lines) == report.tally.counts.refused
    assert b"4477009" not in path.read_bytes()


async def test_the_sent_log_is_on_disk_before_the_next_delivery_of_its_lane(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    on_disk: list[int] = []

    def count_lines(door: Gateway, post: Post) -> str:
        on_disk.append(path.read_bytes().count(b"\n"))
        return ok(door, post)

    async with gateway(count_lines) as door:
        report = await run(replace(config(door.url, pairs=10), concurrency=1, sent_log=path))
    assert on_disk == list(range(report.tally.counts.total))

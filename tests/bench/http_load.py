"""HTTP requests from a process of its own, over some connections that stay open.

In open loop the instants are drawn beforehand, and a request counts from the instant it was due, sent or not: a server
that stalls cannot hide it. In closed loop each connection sends its next one when it was answered.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, cast

LANES: Final = 256
DRAIN_S: Final = 60.0
EARLY_S: Final = 0.0005
"""The loop's timers are no finer."""
_LENGTH: Final = b"content-length:"


class Due(NamedTuple):
    """One request and its instant, epoch seconds."""

    at_s: float
    request: bytes


class Lane(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._read = b""
        self._place = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._load.free.append(self)

    def send(self, place: int, request: bytes) -> None:
        self._place = place
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, ended, rest = self._read.partition(b"\r\n\r\n")
        if not ended:
            return
        at = head.lower().find(_LENGTH)
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")) or at < 0:
            self._load.fail(head)
        elif len(rest) >= int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]):
            self._read = b""
            self._load.answered(self, self._place)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.fail(b"the connection was closed")


class Load:
    """All lanes of one run. `answered_at`: by place of the request."""

    def __init__(self, count: int) -> None:
        self.answered_at: list[float] = [0.0] * count
        self.free: deque[Lane] = deque()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = count
        self._waiting: deque[tuple[int, bytes]] = deque()

    async def connect(self, port: int, lanes: int = LANES) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(lanes):
            await loop.create_connection(lambda: Lane(self), "127.0.0.1", port)
        gc.freeze()
        gc.disable()  # a pause here would be told as one of the server

    async def open_loop(self, due: Sequence[Due]) -> None:
        """Each at its instant."""
        assert due[0].at_s > time.time(), "making them took longer than thought"
        for place, one in enumerate(due):
            while (early_s := one.at_s - time.time()) > EARLY_S:  # noqa: ASYNC110 - the instant is the condition
                await asyncio.sleep(early_s)
            if self.free:
                self.free.popleft().send(place, one.request)
            else:
                self._waiting.append((place, one.request))
            if place % LANES == 0:
                await asyncio.sleep(0)  # late as we may be, answers are read
        await self._end()

    async def closed_loop(self, requests: Iterator[bytes]) -> None:
        """All of them, as fast as they are answered."""
        self._waiting.extend(enumerate(requests))
        while self.free:
            self.free.popleft().send(*self._waiting.popleft())
        await self._end()

    async def _end(self) -> None:
        async with asyncio.timeout(DRAIN_S):
            await self._done

    def fail(self, why: bytes) -> None:
        if not self._done.done():
            self._done.set_exception(AssertionError(why[:200]))

    def answered(self, lane: Lane, place: int) -> None:
        self.answered_at[place] = time.time()
        self._left -= 1
        if self._waiting:
            lane.send(*self._waiting.popleft())
        else:
            self.free.append(lane)
        if not self._left and not self._done.done():
            self._done.set_result(None)

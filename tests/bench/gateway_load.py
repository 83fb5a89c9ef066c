"""Signed webhooks from a process of their own: `python -m tests.bench.gateway_load <port> <count> <lanes> [<rate>]`.

Without a rate each lane sends its next one when it was answered: for the cost of a webhook under load. With a rate the
instants are drawn beforehand, and a webhook that had to wait for a lane counts from the instant it was due, so that a
gateway that stalls cannot hide it. Prints milliseconds, one JSON list; any answer but 200 ends it.
"""

import asyncio
import gc
import json
import random
import sys
from collections import deque
from collections.abc import Iterator
from time import perf_counter
from typing import Any, Final, cast

import uvloop

from tests.gateway.asgi import signature
from tests.providers.payloads import CONTACT, body, envelope, reply, value

WITHIN_S: Final = 60.0
ACCEPTED: Final = b"HTTP/1.1 200"
DIFFERENT: Final = 2_000
"""Bodies made beforehand; no two of them are the same, or compression would be too easy."""


def requests(count: int) -> list[bytes]:
    made = []
    for n in range(min(count, DIFFERENT)):
        said: dict[str, Any] = {"response": "accept", "is_permanent": True, "response_source": "user_action"}
        message = reply(context=f"wamid.TESTREQ{n:06}", **said)
        message["id"] = f"wamid.TESTREPLY{random.Random(n).randbytes(16).hex()}"
        content = body(envelope(value(contacts=[CONTACT], messages=[message])))
        head = (
            "POST /webhooks/meta HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: facebookexternalua\r\nAccept: */*\r\n"
            f"Content-Type: application/json\r\nX-Hub-Signature-256: {signature(content)}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        made.append(head.encode() + content)
    return made


class Lane(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._due_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._load.free(self)

    def send(self, request: bytes, due_s: float) -> None:
        self._due_s = due_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if data.startswith(ACCEPTED):
            self._load.answered(self, perf_counter() - self._due_s)
        elif data.startswith(b"HTTP/"):
            self._load.done.set_exception(AssertionError(data[:200]))
        # else: the body of an answer whose head came before it

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.done.done():
            self._load.done.set_exception(AssertionError("the connection was closed"))


class Load:
    """All lanes of one run."""

    def __init__(self, count: int, per_s: float | None) -> None:
        self.took_ms: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count = count
        self._requests = requests(count)
        self._sent = 0
        self._free: deque[Lane] = deque()
        self._due: deque[float] = deque()
        self._instants: Iterator[float] | None = None if per_s is None else self._drawn(per_s)

    def start(self) -> None:
        if self._instants is None:
            for lane in list(self._free):
                self._next(lane)
        else:
            self._wait()

    def free(self, lane: Lane) -> None:
        self._free.append(lane)

    def answered(self, lane: Lane, took_s: float) -> None:
        self.took_ms.append(took_s * 1000)
        if len(self.took_ms) == self._count:
            self.done.set_result(None)
        elif self._instants is None:
            self._next(lane)
        elif self._due:
            self._send(lane, self._due.popleft())
        else:
            self._free.append(lane)

    def _next(self, lane: Lane) -> None:
        if self._sent < self._count:
            self._send(lane, perf_counter())

    def _send(self, lane: Lane, due_s: float) -> None:
        lane.send(self._requests[self._sent % len(self._requests)], due_s)
        self._sent += 1

    def _drawn(self, per_s: float) -> Iterator[float]:
        dice = random.Random(20260302)
        at_s = perf_counter() + 0.1
        for _ in range(self._count):
            at_s += dice.expovariate(per_s)
            yield at_s

    def _wait(self) -> None:
        assert self._instants is not None
        at_s = next(self._instants, None)
        if at_s is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, at_s - perf_counter()), self._fall_due, at_s)

    def _fall_due(self, at_s: float) -> None:
        if self._free:
            self._send(self._free.popleft(), at_s)
        else:
            self._due.append(at_s)
        self._wait()


async def run(port: int, count: int, lanes: int, per_s: float | None) -> list[float]:
    load = Load(count, per_s)
    loop = asyncio.get_running_loop()
    for _ in range(lanes):
        await loop.create_connection(lambda: Lane(load), "127.0.0.1", port)
    gc.freeze()
    gc.disable()  # a pause here would be told as one of the gateway
    load.start()
    async with asyncio.timeout(WITHIN_S):
        await load.done
    return load.took_ms


if __name__ == "__main__":
    port, count, lanes = map(int, sys.argv[1:4])
    per_s = float(sys.argv[4]) if len(sys.argv) > 4 else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(port, count, lanes, per_s))))

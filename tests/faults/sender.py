"""A sender like Meta's: many connections, each request again until it is answered, with a growing pause between.

Owns raw HTTP/1.1 over kept-alive connections, cheap enough to leave the machine to those who are under test, and the
account of every attempt. Refuses to judge an answer: whatever is no 503 is final.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from random import Random
from time import monotonic
from typing import Final

from tests.faults.doors import Sending

ANSWER_WITHIN_S: Final = 15.0
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
NOBODY, NO_ANSWER, AGAIN = -1, 0, 503
"""No connection, so nothing was sent; sent and not answered; to be sent again."""


class Sender:
    """Sends all of `sendings` in order, `lines` at once. `status` and `tries` are by place in `sendings`."""

    def __init__(self, port: int, sendings: Sequence[Sending], lines: int, dice: Random) -> None:
        self.status = [NO_ANSWER] * len(sendings)
        self.tries = [0] * len(sendings)
        self.answered = 0
        self.last_stored_at_s = monotonic()
        self.unavailable = 0
        self.unanswered = 0
        self._port = port
        self._sendings = sendings
        self._lines = lines
        self._dice = dice
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []

    async def run(self) -> None:
        """Until every request has its final answer."""
        waiting = iter(range(len(self._sendings)))
        async with asyncio.TaskGroup() as lines:
            for _ in range(self._lines):
                lines.create_task(self._send(waiting))

    async def until_answered(self, count: int) -> None:
        """Return when so many requests have their final answer."""
        if self.answered < count:
            reached = asyncio.get_running_loop().create_future()
            self._awaited.append((count, reached))
            await reached

    async def _send(self, waiting: Iterator[int]) -> None:
        line = _Line(self._port)
        try:
            for place in waiting:
                sending = self._sendings[place]
                pause_s = FIRST_PAUSE_S
                while (status := await line.ask(sending.wire)) in (NOBODY, NO_ANSWER, AGAIN):
                    self.tries[place] += status != NOBODY
                    self.unavailable += status == AGAIN
                    self.unanswered += status == NO_ANSWER
                    await asyncio.sleep(pause_s * self._dice.uniform(0.5, 1.0))
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                self.tries[place] += 1
                self._note(place, status)
        finally:
            line.close()

    def _note(self, place: int, status: int) -> None:
        self.status[place] = status
        self.answered += 1
        if status in (200, 202):
            self.last_stored_at_s = monotonic()
        for one in [one for one in self._awaited if one[0] <= self.answered]:
            self._awaited.remove(one)
            one[1].set_result(None)


class _Line:
    """One connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, wire: bytes) -> int:
        """The status of the answer; what became of it otherwise."""
        if self._open is None:
            try:
                self._open = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                return NOBODY
        reader, writer = self._open
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                writer.write(wire)
                head = await reader.readuntil(b"\r\n\r\n")
                status, length, stays = _read(head)
                await reader.readexactly(length)
        except (OSError, EOFError, TimeoutError):
            self.close()
            return NO_ANSWER
        if not stays:
            self.close()
        return status

    def close(self) -> None:
        if self._open is not None:
            with suppress(OSError, RuntimeError):
                self._open[1].close()
            self._open = None


def _read(head: bytes) -> tuple[int, int, bool]:
    """Status, length of the body, and whether the connection stays open."""
    lowered = head.lower()
    _, _, behind = lowered.partition(b"content-length:")
    length = int(behind.split(b"\r\n", 1)[0]) if behind else 0
    return int(head[9:12]), length, b"connection: close" not in lowered

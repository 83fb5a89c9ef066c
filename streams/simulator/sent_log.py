"""What was sent and what became of it, on disk before anybody relies on it.

Owns one JSON line per delivery: its place, door, the SHA-256 of its bytes, and `acked | refused | unknown`. Refuses
contents: a digest is enough to find a delivery again, and names nobody. `write` returns when the line is on the disk;
lines that wait together share one fsync.
"""

import asyncio
import os
from hashlib import sha256
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import orjson

from streams.simulator.deliveries import Delivery

Outcome = Literal["acked", "refused", "unknown"]


class SentLog:
    def __init__(self, path: Path) -> None:
        self._file = FileIO(path, "wb")
        self._turn = asyncio.Lock()
        self._waiting: list[bytes] = []
        self._taken = 0  # lines ever handed in
        self._safe = 0  # of these, lines on disk

    async def write(self, place: int, delivery: Delivery, outcome: Outcome, status: int | None, attempts: int) -> None:
        line = {
            "delivery": place,
            "door": delivery.door,
            "sha256": sha256(delivery.body).hexdigest(),
            "outcome": outcome,
            "status": status,
            "attempts": attempts,
        }
        self._waiting.append(orjson.dumps(line) + b"\n")
        self._taken += 1
        mine = self._taken
        async with self._turn:
            if self._safe >= mine:
                return  # went along with an earlier turn
            lines, up_to, self._waiting = b"".join(self._waiting), self._taken, []
            await asyncio.to_thread(self._keep, lines)
            self._safe = up_to

    def _keep(self, lines: bytes) -> None:
        unwritten = memoryview(lines)
        while unwritten:
            unwritten = unwritten[self._file.write(unwritten) :]
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

"""A number of bytes that many share: each takes what it needs and waits until that much is free.

Owns the turn: first come, first served, so that a large one is not passed for ever by smaller ones. Refuses to wait on
anybody's behalf: who is cancelled while it waits has taken nothing.
"""

import asyncio
from collections import deque


class Room:
    """`size_bytes`: what all together may hold. Who asks for more than that waits until it is cancelled."""

    def __init__(self, size_bytes: int) -> None:
        self._free_bytes = size_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, count_bytes: int) -> None:
        if not self._waiting and count_bytes <= self._free_bytes:
            self._free_bytes -= count_bytes
            return
        turn = (count_bytes, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        try:
            await turn[1]
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
                self.give_back(0)  # whoever stood behind it may fit now
            else:
                self.give_back(count_bytes)  # its turn had just come
            raise

    def give_back(self, count_bytes: int) -> None:
        self._free_bytes += count_bytes
        while self._waiting and self._waiting[0][0] <= self._free_bytes:
            wanted_bytes, turn = self._waiting.popleft()
            self._free_bytes -= wanted_bytes
            if not turn.done():
                turn.set_result(None)

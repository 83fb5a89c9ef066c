"""Reads the body of a request: whole, within a size, within a time, and few large ones at once.

Owns those three limits. Refuses to look at the bytes. A declared length over the limit is refused before a byte is
read; an undeclared or lying one as soon as the limit is passed, so no more than the limit is ever kept.
"""

import asyncio
from typing import Final, Literal

from streams.gateway.answers import Receive
from streams.gateway.deadlines import Deadlines

Fault = Literal["too_large", "slow", "busy", "gone"]
NOT_DECLARED: Final = -1


class BodyReader:
    """The limits of all doors together."""

    def __init__(self, *, max_bytes: int, within_s: float, large_bytes: int, large_at_once: int) -> None:
        self._max_bytes = max_bytes
        self._deadlines = Deadlines(within_s)
        self._large_bytes = large_bytes
        self._large = asyncio.Semaphore(large_at_once)

    async def read(self, receive: Receive, declared_bytes: int = NOT_DECLARED) -> bytes | Fault:
        """The whole body, or why not. `gone`: the sender left before its end."""
        if declared_bytes > self._max_bytes:
            return "too_large"
        waiting = held = False
        try:
            with self._deadlines.wait():
                body = bytearray()
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return "gone"
                    part: bytes = message["body"]
                    if len(body) + len(part) > self._max_bytes:
                        return "too_large"
                    if not message["more_body"]:
                        return bytes(body) + part if body else part
                    body += part
                    if not held and max(declared_bytes, len(body)) > self._large_bytes:
                        waiting = True
                        await self._large.acquire()
                        waiting, held = False, True
        except TimeoutError:
            return "busy" if waiting else "slow"
        finally:
            if held:
                self._large.release()

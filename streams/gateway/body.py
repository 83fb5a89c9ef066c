"""Reads the body of a request: whole, within a size, within a time, and not too many at once.

Owns those limits, and that no packed body is taken. Refuses to look at the bytes. A declared length over the limit is
refused before a byte is read; an undeclared or lying one as soon as the limit is passed, so no more than the limit is
ever kept.

Decisions bound here
- What is still arriving occupies memory for a sender nobody has authenticated. A body beyond `large_bytes` waits until
  its declared length (undeclared: the most there may be) is free in a room of its own; all others together hold at most
  `max_arriving_bytes`. Who finds no room, or not in time, hears 503 and sends again.
- A body under a `Content-Encoding` is refused by its head. A signature is over the bytes as received, and those are
  kept; nothing behind us unpacks them, so a 200 would promise what ends as a dead letter. No provider packs its
  webhooks; a relay that does is told what to change, and Meta repeats for 7 days until it has.
- A body that comes in one piece, as nearly all do, pays for none of this.
"""

from collections.abc import Iterable
from typing import Final, Literal

from streams.gateway import answers
from streams.gateway.answers import Answer, Receive
from streams.gateway.deadlines import Deadlines
from streams.gateway.room import Room

Fault = Literal["too_large", "slow", "busy", "gone"]
NOT_DECLARED: Final = -1
ENCODING: Final = b"content-encoding"
UNCHANGED: Final = frozenset({b"", b"identity"})
"""Encodings that leave a body as it is."""
OF_FAULT: Final[dict[Fault, Answer | None]] = {
    "too_large": answers.TOO_LARGE,
    "slow": answers.SLOW,
    "busy": answers.BUSY,
    "gone": None,
}


def packed(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the bytes of a body are not those that its sender means."""
    return any(name == ENCODING and value.strip(b" \t").lower() not in UNCHANGED for name, value in headers)


class BodyReader:
    """The limits of all doors together."""

    def __init__(
        self, *, max_bytes: int, within_s: float, large_bytes: int, large_room_bytes: int, max_arriving_bytes: int
    ) -> None:
        self._max_bytes = max_bytes
        self._deadlines = Deadlines(within_s)
        self._large_bytes = large_bytes
        self._large_room = Room(large_room_bytes)
        self._max_arriving_bytes = max_arriving_bytes
        self._arriving_bytes = 0

    async def read(self, receive: Receive, declared_bytes: int = NOT_DECLARED) -> bytes | Fault:
        """The whole body, or why not. `gone`: the sender left before its end."""
        if declared_bytes > self._max_bytes:
            return "too_large"
        waiting = False
        taken_bytes = 0  # of the room of large ones
        arriving_bytes = 0  # what this body adds to what all hold together
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
                    if taken_bytes:
                        continue
                    arriving_bytes += len(part)
                    self._arriving_bytes += len(part)
                    if self._arriving_bytes > self._max_arriving_bytes:
                        return "busy"
                    if max(declared_bytes, len(body)) > self._large_bytes:
                        wanted_bytes = declared_bytes if declared_bytes >= len(body) else self._max_bytes
                        waiting = True
                        await self._large_room.take(wanted_bytes)
                        waiting, taken_bytes = False, wanted_bytes
                        self._arriving_bytes -= arriving_bytes
                        arriving_bytes = 0
        except TimeoutError:
            return "busy" if waiting else "slow"
        finally:
            self._arriving_bytes -= arriving_bytes
            if taken_bytes:
                self._large_room.give_back(taken_bytes)

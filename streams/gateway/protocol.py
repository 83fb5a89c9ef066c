"""A deadline and a size for the head of a request, which uvicorn lacks: who sends headers slowly, or without end, is
closed.

Owns these two and nothing else. Refuses to answer: whoever needs this long for a head is not waiting for one. The
time between two requests of a connection is uvicorn's keep-alive; the body has its own deadline (`body`).
"""

from asyncio import TimerHandle, Transport
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 * 1024
"""Meta's heads have some hundred bytes; a proxy may add cookies and traces."""
HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class HeadWithin(HttpToolsProtocol):
    """uvicorn's protocol with `within_s` from the connection, or from the first byte of a later request, to the end of
    the head."""

    within_s: ClassVar[float] = 5.0
    _in_head = True
    _head_bytes = 0
    _head_timer: TimerHandle | None = None

    @classmethod
    def of(cls, within_s: float) -> type["HeadWithin"]:
        return type("HeadWithin", (cls,), {"within_s": within_s})

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self.within_s, self.transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Only a head that did not come in one piece pays for a timer and is counted.
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.transport.write(HEAD_TOO_LARGE)
            self.transport.close()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.within_s, self.transport.close)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._cancel()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def _cancel(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

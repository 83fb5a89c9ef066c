"""A deadline for the head of a request, which uvicorn lacks: who sends headers slowly is closed.

Owns that deadline and nothing else. Refuses to answer: whoever needs this long for a head is not waiting for one. The
time between two requests of a connection is uvicorn's keep-alive; the body has its own deadline (`body`).
"""

from asyncio import TimerHandle, Transport
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HeadWithin(HttpToolsProtocol):
    """uvicorn's protocol with `within_s` from the connection, or from the first byte of a later request, to the end of
    the head."""

    within_s: ClassVar[float] = 5.0
    _in_head = True
    _head_timer: TimerHandle | None = None

    @classmethod
    def of(cls, within_s: float) -> type["HeadWithin"]:
        return type("HeadWithin", (cls,), {"within_s": within_s})

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self.within_s, self.transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Only a head that did not come in one piece pays for a timer.
        if self._in_head and self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.within_s, self.transport.close)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._cancel()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def _cancel(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

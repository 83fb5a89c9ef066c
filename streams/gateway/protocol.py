"""What uvicorn leaves open about HTTP/1.1: bounds for heads and connections, and an answer to each odd shape.

Owns everything that happens before there is a whole head: its time, its size, its version, a wish for another protocol,
bytes that are no HTTP; and how many connections there are. Refuses to know doors; what it turns away is counted by
`tell`. The time between two requests of a connection is uvicorn's keep-alive; the body has its own deadline (`body`).

Decisions bound here
- Who sends a head slowly is closed without an answer: nobody waits this long for one.
- `Upgrade` is ignored, as RFC 9110 7.8 allows, and the request is served: clients of some platforms send `h2c` with
  every first POST. The parser would skip the body of such a request and take it for the next request, so it is given
  the head once more without the wish.
- Trailers of a chunked body are dropped (RFC 9110 6.5.1): a signature or a length that comes after the body is none.
- Bytes behind a request that is being answered do not spoil its answer: it is given, then the connection is closed.
"""

from asyncio import TimerHandle, Transport
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from streams.gateway.answers import CLOSE, RETRY, Counted, Header, Outcome, Reason
from streams.gateway.pieces import PIECE_BYTES

MAX_HEAD_BYTES: Final = 64 * 1024
"""Meta's heads have some hundred bytes; a proxy may add cookies and traces."""
MAX_HEADERS: Final = 100
MAX_UNASKED_BYTES: Final = PIECE_BYTES // 2
"""Of a body that nobody has asked for yet; beyond it a connection is read no further. Nearly every body is smaller."""
VERSIONS: Final = frozenset({"1.0", "1.1"})
HOP: Final = frozenset({b"upgrade", b"http2-settings", b"connection"})
PHRASES: Final = {
    400: b"Bad Request",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}


class _Refused(Exception):
    """Ends the parsing of a head; the status says why."""

    def __init__(self, status: int) -> None:
        self.status = status


@dataclass(frozen=True, slots=True)
class Bounds:
    """`head_within_s`: from the connection, or from the first byte of a later request, to the end of the head.
    `tell` hears of everything that was turned away."""

    head_within_s: float
    max_connections: int
    tell: Callable[[Counted], None]


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol within `bounds`."""

    bounds: ClassVar[Bounds]
    _in_head = True
    _loose_bytes = 0
    """Received since a head or a part of a body was last complete."""
    _head_timer: TimerHandle | None = None
    _refused: _Refused | None = None

    @classmethod
    def within(cls, bounds: Bounds) -> type["BoundedHttp"]:
        return type("BoundedHttp", (cls,), {"bounds": bounds})

    # The transport's side

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.bounds.max_connections:
            self._refuse(503, "unavailable", "crowded", RETRY)
        else:
            self._head_timer = self.loop.call_later(self.bounds.head_within_s, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._loose_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as found:
            self._without_upgrade(data[found.args[0] :])
        except HttpParserError:
            self._not_http()
        if self.transport.is_closing():
            return
        if self._loose_bytes > MAX_HEAD_BYTES:
            self._refuse(431, "refused", "head_too_large")
        elif self._head_timer is None and (self._in_head or (self._loose_bytes and not self._in_body())):
            # Only a head that did not come in one piece pays for a timer; so does a stray line end between requests.
            self._head_timer = self.loop.call_later(self.bounds.head_within_s, self._head_is_late)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A sender that has closed its half may still wait for the answer to what it sent."""
        if not self._answering():
            return False
        self.cycle.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    # The parser's side

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        # A head that came in one piece was not counted; only one in a large piece can be too large.
        too_large = self._loose_bytes > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES
        self._loose_bytes = 0
        self._cancel()
        if too_large or len(self.headers) > MAX_HEADERS:
            raise self._refusing(431)
        if self.parser.should_upgrade():
            return  # `data_received` hears of it next
        self._in_head = False
        version = self.parser.get_http_version()
        if version != "1.1":
            if version not in VERSIONS:
                raise self._refusing(505)
            self.expect_100_continue = False  # nothing to continue with in HTTP/1.0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._loose_bytes = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > MAX_UNASKED_BYTES:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._loose_bytes = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    # What is turned away

    def _without_upgrade(self, rest: bytes) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self._not_http()
            return
        kept = [(name, value) for name, value in self.headers if name not in HOP]
        if any(b"close" in value.lower() for name, value in self.headers if name == b"connection"):
            kept.append(CLOSE)
        lines = [b"%s %s HTTP/%s" % (method, self.url, version), *(b"%s: %s" % one for one in kept)]
        self.parser = HttpRequestParser(self)
        try:
            self.parser.feed_data(b"\r\n".join(lines) + b"\r\n\r\n" + rest)
        except HttpParserError:
            self._not_http()

    def _not_http(self) -> None:
        if self._refused is not None:
            status = self._refused.status
            self._refuse(status, "refused", "head_too_large" if status == 431 else "not_http")
        else:
            self._refuse(400, "refused", "not_http")

    def _refusing(self, status: int) -> _Refused:
        self._refused = _Refused(status)
        return self._refused

    def _refuse(self, status: int, outcome: Outcome, reason: Reason, *headers: Header) -> None:
        self.bounds.tell(Counted(outcome, reason))
        self._cancel()
        if self._answering():  # the fault lies behind a whole request: that one is answered, then nothing more is read
            self.flow.pause_reading()
            self.cycle.keep_alive = False
            return
        lines = [b"HTTP/1.1 %d %s" % (status, PHRASES[status]), b"content-length: 0"]
        lines += [b"%s: %s" % one for one in (*headers, CLOSE)]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
        self.transport.close()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._answering():  # the request before it is still waiting for its acknowledgement
            self._head_timer = self.loop.call_later(self.bounds.head_within_s, self._head_is_late)
        elif not self.transport.is_closing():
            self.bounds.tell(Counted("refused", "head_slow"))
            self.transport.close()

    def _answering(self) -> bool:
        """Whether a whole request is waiting for its answer."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _in_body(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete and cycle.more_body

    def _cancel(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

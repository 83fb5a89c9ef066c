"""What comes in is read in small pieces, whoever sends and however fast.

Owns the one buffer that every connection is read into. uvloop would read up to 256 kB of each connection before any
request had its turn: 200 senders of bodies without end would hold 50 MB that nobody asked for. Refuses to understand a
byte: each piece is handed on at once, and whoever has enough pauses the transport (`protocol`).
"""

from asyncio import BufferedProtocol, Protocol, Transport
from collections.abc import Callable
from typing import Any, Final

PIECE_BYTES: Final = 32 * 1024
_BUFFER: Final = memoryview(bytearray(PIECE_BYTES))
"""One for all: the loop asks for it, fills it and tells of it in one go, connection by connection."""


class InPieces(BufferedProtocol):
    """Between a transport and the protocol behind it."""

    __slots__ = ("_behind",)

    def __init__(self, behind: Protocol) -> None:
        self._behind = behind

    @classmethod
    def before(cls, made: Callable[..., Protocol]) -> Callable[..., "InPieces"]:
        """What makes both, for each connection."""

        def make(**given: Any) -> InPieces:
            return cls(made(**given))

        return make

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self._behind.connection_made(transport)

    def get_buffer(self, _wanted: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, count: int) -> None:
        self._behind.data_received(bytes(_BUFFER[:count]))

    def eof_received(self) -> bool | None:
        return self._behind.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._behind.connection_lost(exc)

    def pause_writing(self) -> None:
        self._behind.pause_writing()

    def resume_writing(self) -> None:
        self._behind.resume_writing()

"""Compression of what we send: one zstd context for the process instead of a new one for each batch.

Owns what the client calls to compress. Its own codec makes a context for every batch, fills its tables and throws it
away: four fifths of the time where batches are small, as at some hundred requests a second, and a twentieth of all that
a worker or a gateway spends there. Refuses to change what is sent: whole frames of the client's level.
"""

import sys
from typing import Any, Final

from aiokafka.record import default_records

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor
else:
    from backports.zstd import ZstdCompressor

LEVEL: Final = 3
"""The client's own, and the broker's."""

BUILDER: Final = sys.modules[default_records.DefaultRecordBatchBuilder.__module__]
"""Where the client builds its batches, and looks up its codec by name: compiled, or in Python where that is all."""

_FRAME: Final = ZstdCompressor.FLUSH_FRAME
"""A payload at once: so zstd knows its length, and takes tables that are no larger than it asks for."""


class Compressor:
    """One context. It lets threads take turns by itself, and begins anew after a payload it could not read."""

    def __init__(self) -> None:
        self._context = ZstdCompressor(level=LEVEL)

    def frame(self, payload: Any, level: int | None = None) -> bytes:
        """`payload`, any buffer, as one frame. `level`: the client's; it gives none."""
        assert level is None or level == LEVEL  # noqa: S101 - a client that asks for another one is not the pinned one
        return self._context.compress(payload, _FRAME)


_compressor: Final = Compressor()


def keep_context() -> None:
    """From here on the clients of this process compress with the one context."""
    BUILDER.zstd_encode = _compressor.frame  # type: ignore[attr-defined]

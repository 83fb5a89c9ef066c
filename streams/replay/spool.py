"""Sorting more lines than fit in memory: sorted runs in temporary files, merged when read.

Owns that, for facts alone: everything else that is printed by pair is computed pair by pair.
"""

import heapq
import tempfile
from collections.abc import Iterator
from typing import IO, Final, Self

RUN_LINES: Final = 100_000
_SEPARATOR: Final = b"\x00"  # sorts before everything that stands in a key, and in no JSON


class Spool:
    """Lines by key; of several lines of one key the first is kept."""

    def __init__(self, run_lines: int = RUN_LINES) -> None:
        self._run_lines = run_lines
        self._run: list[tuple[bytes, bytes]] = []
        self._runs: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for run in self._runs:
            run.close()

    def add(self, key: bytes, line: bytes) -> None:
        """One line; neither it nor its key holds a line break or a zero byte."""
        self._run.append((key, line))
        if len(self._run) >= self._run_lines:
            self._write()

    def lines(self) -> Iterator[bytes]:
        """The lines, sorted by key."""
        last: bytes | None = None
        for key, line in self._sorted():
            if key != last:
                yield line
            last = key

    def _sorted(self) -> Iterator[tuple[bytes, bytes]]:
        if not self._runs:
            self._run.sort(key=_key)
            return iter(self._run)
        if self._run:
            self._write()
        return heapq.merge(*(_read(run) for run in self._runs), key=_key)

    def _write(self) -> None:
        self._run.sort(key=_key)
        run = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `__exit__`
        self._runs.append(run)
        run.writelines(key + _SEPARATOR + line + b"\n" for key, line in self._run)
        self._run = []


def _key(entry: tuple[bytes, bytes]) -> bytes:
    return entry[0]


def _read(run: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    run.seek(0)
    for entry in run:
        key, _, line = entry.rstrip(b"\n").partition(_SEPARATOR)
        yield key, line

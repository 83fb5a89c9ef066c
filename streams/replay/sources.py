"""Where histories come from: files, pipes and stdin, each readable twice, line by line.

Owns opening, numbering and the longest line. What cannot be read twice is first written to a temporary file, never
held in memory. Refuses to look inside a line.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final, Self

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""More than three times what the log takes as one record."""
STDIN: Final = "-"
TOLD_EVERY: Final = 2_048
Told = Callable[[int, int], None]
"""Told now and then how many bytes of how many were read."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it stands: `number` from 1 within its file. `whole` is False when it was too long to be kept."""

    file: str
    number: int
    raw: bytes
    whole: bool = True


class Sources:
    """The inputs in the order they were named. A context manager: it closes what it opened."""

    def __init__(self, names: Sequence[str]) -> None:
        self._files: list[tuple[str, IO[bytes]]] = []
        self.size = 0
        try:
            for name in names:
                file = _opened(name)
                self._files.append((name, file))
                self.size += file.seek(0, 2)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for _, file in self._files:
            file.close()

    @property
    def names(self) -> list[str]:
        """The inputs as they were named."""
        return [name for name, _ in self._files]

    @property
    def several(self) -> bool:
        """Whether a line number alone does not say where a line stands."""
        return len(self._files) > 1

    def lines(self, told: Told | None = None) -> Iterator[Line]:
        """Every line that is not blank, from the first."""
        read = 0
        for name, file in self._files:
            file.seek(0)
            number = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                read += len(raw)
                if told is not None and number % TOLD_EVERY == 0:
                    told(read, self.size)
                if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
                    while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                        read += len(rest)
                    yield Line(name, number, b"", whole=False)
                elif not raw.isspace():
                    yield Line(name, number, raw)
        if told is not None:
            told(self.size, self.size)

    def whole(self) -> bytes | None:
        """Everything as one document; None when it is too long to be one."""
        if self.size > MAX_LINE_BYTES:
            return None
        parts = []
        for _, file in self._files:
            file.seek(0)
            parts.append(file.read())
        return b"\n".join(parts)


def _opened(name: str) -> IO[bytes]:
    if name == STDIN:
        return _spooled(sys.stdin.buffer)
    file = open(name, "rb")  # noqa: PTH123, SIM115 - closed by `Sources`
    if file.seekable():
        return file
    with file:
        return _spooled(file)


def _spooled(file: IO[bytes]) -> IO[bytes]:
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `Sources`
    shutil.copyfileobj(file, spooled)
    return spooled

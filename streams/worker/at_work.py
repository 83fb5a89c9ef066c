"""At work: which lanes have a batch in work, and whether each gets on with it.

Owns the mark of a lane, which changes with every batch it begins and every step it takes in one. Refuses to judge how
long is too long: the watchdog does. Written by the event loop, read by the watchdog's thread.
"""

import contextlib
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple


class Lane(NamedTuple):
    """One partition of one agent."""

    agent: str
    partition: int

    def __str__(self) -> str:
        return f"lane {self.partition} of {self.agent}"


class AtWork:
    """The lanes with a batch in work."""

    def __init__(self) -> None:
        self._marks: dict[Lane, int] = {}
        self._turn = count()

    @contextlib.contextmanager
    def on(self, lane: Lane) -> Iterator[None]:
        """Around the work of a lane on one batch."""
        self._marks[lane] = next(self._turn)
        try:
            yield
        finally:
            del self._marks[lane]

    def moved(self, lane: Lane) -> None:
        """A part of a long batch is done."""
        if lane in self._marks:
            self._marks[lane] = next(self._turn)

    def marks(self) -> dict[Lane, int]:
        """By lane with a batch in work, something that changes whenever it gets on."""
        return dict(self._marks)

    def __len__(self) -> int:
        return len(self._marks)

"""How far a reader has come, told as an instant: everything that stood in the log at `level_at` has been read.

Owns the arithmetic of end offsets and positions. Refuses to ask a broker or a clock: both are handed in. A difference
of offsets alone cannot say how old an answer is: under a steady stream it is never zero, and after a burst it is
large for an instant. So each look at the ends is kept as a mark with its instant, and the level is the newest mark
that has been passed.
"""

from collections import deque
from collections.abc import Hashable, Mapping
from typing import Final, Generic, TypeVar

Place = TypeVar("Place", bound=Hashable)

MAX_MARKS: Final = 600
"""Marks kept while a reader is behind; of more the oldest go, so that the level rises later, never too early."""


class Level(Generic[Place]):
    """The level of one reader. `Place` names a partition; an offset is that of the next record."""

    def __init__(self) -> None:
        self.level_at: float | None = None
        self._marked_at: float | None = None
        self._marks: deque[tuple[float, Mapping[Place, int]]] = deque(maxlen=MAX_MARKS)
        self._ends: Mapping[Place, int] = {}

    def mark(self, at: float | None, ends: Mapping[Place, int]) -> None:
        """The ends as they stood at `at` or later. An instant unknown, or marked before, only renews the lag."""
        self._ends = ends
        if at is not None and (self._marked_at is None or at > self._marked_at):
            self._marks.append((at, ends))
            self._marked_at = at

    def reach(self, positions: Mapping[Place, int]) -> None:
        """The reader stands at `positions`; a partition that is missing has not been begun."""
        while self._marks and behind(self._marks[0][1], positions) == 0:
            self.level_at = self._marks.popleft()[0]

    def lag(self, positions: Mapping[Place, int]) -> int:
        """Records between `positions` and the last ends seen."""
        return behind(self._ends, positions)

    def forget(self) -> None:
        """What was read is gone: nothing is reached any more."""
        self.level_at = self._marked_at = None
        self._marks.clear()
        self._ends = {}


def behind(ends: Mapping[Place, int], positions: Mapping[Place, int]) -> int:
    """How many offsets lie between the positions and the ends."""
    return sum(max(0, end - positions.get(place, 0)) for place, end in ends.items())

"""When the broker is asked for what: raw records are gathered, and what they come to is fetched as soon as it is
written. Pure but for its clock.

A worker reads what it wrote itself: facts. Left to its own waiting, each of the two stages keeps a record for half of
it. In step, a round takes one wait: raw records, their facts, and then again whatever came meanwhile. Owns that order.
Refuses to know partitions and to fetch (`fetching`).
"""

import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, NamedTuple

GATHER_S: Final = 0.05
"""The broker gathers so long or so much (`GATHER_BYTES`): a batch of ten facts costs little more than one of one, and
the wait is paid only where there is time for it. Idle, a worker asks some twenty times a second.
"""
GATHER_BYTES: Final = 32 * 1024
MANY: Final = 500
"""Where so many raw records came at once there is work enough, and fetching ahead is worth more than the order."""


class Ask(NamedTuple):
    """A fetch: whether of raw records too, and what the broker waits for, whichever comes first."""

    raw: bool
    wait_ms: int
    min_bytes: int


class _Stage(Enum):
    GATHERING = auto()
    WRITING = auto()
    """Raw records were handed over; what they come to is not written yet."""
    WRITTEN = auto()


class Rhythm:
    """What to ask for next. Whoever is told too late, or never, that all is written goes on gathering in time; whoever
    can be asked for nothing but raw records is asked for those when they are due.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._stage = _Stage.GATHERING
        self._next_at = 0.0  # when the next raw records are due

    def took(self, records: int) -> None:
        """So many raw records were handed over; `MANY` or more begin no round."""
        if records < MANY:
            self._stage, self._next_at = _Stage.WRITING, self._now_s() + GATHER_S

    def wrote(self) -> None:
        """All that raw records came to is written."""
        if self._stage is _Stage.WRITING:
            self._stage = _Stage.WRITTEN

    def next(self) -> Ask | float:
        """What to ask for now, or for how many seconds not to ask."""
        left_s = self._next_at - self._now_s()
        if self._stage is _Stage.WRITTEN:
            return Ask(raw=left_s <= 0, wait_ms=0, min_bytes=0)
        if self._stage is _Stage.WRITING:  # late: what is being written may be there any moment
            return left_s if left_s > 0 else Ask(raw=True, wait_ms=_ms(GATHER_S), min_bytes=1)
        return Ask(raw=True, wait_ms=_ms(left_s if left_s > 0 else GATHER_S), min_bytes=GATHER_BYTES)

    def asked(self) -> None:
        """At least one broker was asked as `next` said."""
        self._stage = _Stage.GATHERING


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

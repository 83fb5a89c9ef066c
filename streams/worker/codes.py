"""The exit codes of a worker, what each means, and which of them a new start alone cannot mend.

Owns the numbers. Imports nothing heavy: a supervisor reads them too.
"""

from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """Why a worker ended."""

    STOPPED = 0
    CRASHED = 1  # Faust's own: a service raised
    CLOCK_APART = 64
    PORT_TAKEN = 65
    TOPICS_UNFIT = 66
    GENERATION_UNFIT = 67  # workers of another generation, or of another kind, are in the way
    STORE_FULL = 68
    BROKER_UNREACHABLE = 69
    SEND_FAILED = 70
    LANE_FAILED = 71  # fold, send or store raised
    STORE_DAMAGED = 72  # found while working; the next life puts it aside
    FOLDER_HELD = 73
    STORE_AHEAD = 74
    STALLED = 75
    HOLE = 76
    EXPELLED = 77
    STATE_LOST = 78  # the state topic was cut or made anew, and no store here has what it lost

    @property
    def reason(self) -> str:
        """Its name as a metric label."""
        return self.name.lower()


NEEDS_A_PERSON: Final = frozenset(
    {
        Code.CLOCK_APART,
        Code.PORT_TAKEN,
        Code.TOPICS_UNFIT,
        Code.GENERATION_UNFIT,
        Code.FOLDER_HELD,
        Code.STORE_AHEAD,
        Code.STATE_LOST,
    }
)
"""Starting again changes nothing about these: somebody must do what the last line of the log says."""

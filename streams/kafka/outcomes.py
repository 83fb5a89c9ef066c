"""What a waiter of the batch producer is told about its record. An outcome is an answer, never an exception."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """All in-sync replicas have the batch. `base_offset` is that of its first record."""

    partition: int
    base_offset: int


@dataclass(frozen=True, slots=True)
class NotAcknowledged:
    """Why there is no acknowledgement. All but `refused` and `too_large` may be sent again as they are."""

    reason: Literal["away", "full", "late", "closed", "refused", "too_large"]


Outcome = Acknowledged | NotAcknowledged
AWAY: Final = NotAcknowledged("away")
FULL: Final = NotAcknowledged("full")
LATE: Final = NotAcknowledged("late")
CLOSED: Final = NotAcknowledged("closed")
REFUSED: Final = NotAcknowledged("refused")
TOO_LARGE: Final = NotAcknowledged("too_large")

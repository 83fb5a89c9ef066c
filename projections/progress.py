"""How far storing is behind what was written.

Owns the values in which progress is told. Refuses to guess: what is not known is said to be unknown.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

Phase = Literal["starting", "loading", "store_away", "halted", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionProgress:
    """One partition: the next offset to store, and where the partition ends."""

    partition: int
    next_offset: int
    end_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where storing stands as of an instant (epoch seconds).

    `stored_until`: when the newest record stored by this process was written to Kafka; None when it stored none yet.
    """

    as_of: int
    topic: str
    partitions: tuple[PartitionProgress, ...]
    stored_until: int | None

    @property
    def behind_records(self) -> int:
        """Records written but not stored."""
        return sum(max(0, part.end_offset - part.next_offset) for part in self.partitions)

    def as_words(self) -> dict[str, object]:
        """The body of an answer."""
        return {
            "as_of": self.as_of,
            "topic": self.topic,
            "behind_records": self.behind_records,
            "stored_until": self.stored_until,
            "partitions": [
                {"partition": part.partition, "next_offset": part.next_offset, "end_offset": part.end_offset}
                for part in self.partitions
            ],
        }


class Standing(Protocol):
    """What may be asked of whoever loads: what it is doing, why not, and how far it is."""

    @property
    def phase(self) -> Phase: ...

    @property
    def reason(self) -> str | None: ...

    async def progress(self) -> Progress:
        """How far storing is. Raises `ProgressUnknown`."""
        ...


class ProgressUnknown(Exception):
    """Nobody can say at the moment how far we are; the message says why."""

"""Writing what a fold came to: outputs, changelog, store, each acknowledged before the next begins (design 5).

Owns that order, for the table of pairs and for that of numbers, and what is told of stored rows that cannot be read.
Refuses to acknowledge a batch: the agent does, as its last step.
"""

import logging
from typing import Protocol

from streams.worker.deadlines import Deadline
from streams.worker.fold import Folded
from streams.worker.measures import Measures, Subject
from streams.worker.outputs import Outbox, Sender
from streams.worker.rows import Row
from streams.worker.surroundings import Surroundings

log = logging.getLogger(__name__)


class StateTable(Protocol):
    """What an agent asks of its table."""

    def get(self, partition: int, key: bytes) -> bytes | None:
        """The stored row of a key."""

    def due(self, partition: int, until: int, limit: int) -> list[Deadline]:
        """The earliest deadlines up to `until`."""

    async def commit(self, partition: int, rows: dict[bytes, Row], index: dict[bytes, bytes | None]) -> None:
        """Changelog acknowledged, then stored."""


class Writer:
    """Writes to one table. `of_a`: what a row is about, for the log and for what is counted. `hands_on`: whether
    forwards go to the log; those of a generation that only folds stand in it already (`following`).
    """

    def __init__(
        self,
        around: Surroundings,
        table: StateTable,
        outbox: Outbox,
        measures: Measures,
        *,
        of_a: Subject = "pair",
        hands_on: bool = True,
    ) -> None:
        self._around, self._table, self._outbox, self._measures = around, table, outbox, measures
        self._of_a, self._hands_on = of_a, hands_on
        self._unreadable: set[str] = set()  # digests of keys whose stored row could not be read, each told once

    async def write(self, partition: int, folded: Folded) -> None:
        """Outputs, then changelog, then store."""
        forwards = folded.forwards if self._hands_on else {}
        if folded.rows or folded.parked or forwards:
            await self._around.gate.lease()
            sender: Sender = self._around.sender
            await self._outbox.park(sender, {partition: folded.parked} if folded.parked else {})
            outputs = {
                ("permission.changes", partition): folded.changes,
                ("permission.records", partition): folded.records,
                **{("permission.events", to): rows for to, rows in forwards.items()},
            }
            await self._outbox.send(sender, outputs)
        await self._table.commit(partition, folded.rows, folded.index)
        self._measures.facts(new=folded.new, repeated=folded.repeated, late=folded.late, of_a=self._of_a)
        self._measures.parked(folded.reasons)
        self._measures.changes(folded.change_types)

    def newly_unreadable(self, partition: int, folded: Folded) -> int:
        """Tell of stored rows that cannot be read, once each. How many are new: where it is most, it is the program."""
        fresh = folded.unreadable - self._unreadable
        for digest in sorted(fresh):
            log.error(
                "partition %d: the stored state of key %s (sha256) cannot be read; facts of that %s that need what is "
                "damaged are put aside as state_unreadable, and what is damaged is left as it is",
                partition,
                digest,
                self._of_a,
            )
        self._unreadable |= fresh
        return len(fresh)

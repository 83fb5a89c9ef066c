"""The batch that fills: which records wait, and when they must go.

Owns the two bounds (records, bytes) and the waiting time. The clock is an argument; Kafka is not known here.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.structs import ConsumerRecord

from projections.settings import ProjectionSettings


class Filling:
    """Records that arrived and are not on their way yet. `at_s`: seconds on a clock that never goes back."""

    def __init__(self, settings: ProjectionSettings) -> None:
        self._rows_at_most = settings.flush_rows
        self._bytes_at_most = settings.flush_bytes
        self._after_s = settings.flush_after_s
        self._records: list[ConsumerRecord] = []
        self._bytes = 0
        self._since_s = 0.0

    def take(self, found: Mapping[Any, list[ConsumerRecord]], at_s: float) -> None:
        """Add what a poll found."""
        for records in found.values():
            if records and not self._records:
                self._since_s = at_s
            self._records.extend(records)
            self._bytes += sum(len(record.value or b"") for record in records)

    def emptied(self) -> list[ConsumerRecord]:
        """The records; from here on it is empty."""
        records, self._records, self._bytes = self._records, [], 0
        return records

    @property
    def full(self) -> bool:
        """Whether nothing more may be added."""
        return len(self._records) >= self._rows_at_most or self._bytes >= self._bytes_at_most

    @property
    def room(self) -> int:
        """How many more records may be asked for."""
        return max(1, self._rows_at_most - len(self._records))

    def due(self, at_s: float) -> bool:
        """Whether the records should go now."""
        return bool(self._records) and (self.full or at_s - self._since_s >= self._after_s)

    def patience_ms(self, at_s: float, *, busy: bool) -> int:
        """How long a poll may wait. `busy`: a batch is on its way, and its end should be noticed."""
        if not self._records:
            return 50 if busy else 250
        left_ms = int((self._after_s - (at_s - self._since_s)) * 1000)
        return max(20 if busy else 1, left_ms)

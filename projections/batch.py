"""Batches: which records go into one insert, under which token, and which of them had to be parked.

Owns the arithmetic of a batch as plain values. Refuses to talk to Kafka or to the store.

Decisions:
- The token is a digest of the very bytes inserted, which carry partition and offset of each record. The same batch
  sent twice has the same token, and a topic made anew can never meet a token of the old one, whatever its offsets.
- The next offset of a partition is one behind the *last record in order of arrival*, not the largest: after a
  rebalance a partition may jump back, and then only what followed the jump is known to be complete.
- Bad records are parked one by one, but many of them mean a bad deploy, not bad records: then loading stops, before
  anything of that batch is parked or committed. A person who has seen that they are bad for good names an instant
  (`CALLGRANT_PARK_UNTIL`): what was written up to it is parked, however much it is, and does not count.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Generic, Protocol, TypeVar

from projections.rows import DETAIL, line

PARKED_WINDOW_RECORDS: Final = 10_000
PARKED_AT_MOST: Final = 100
"""1 % of the window; also the longest run of bad records without a good one between them."""


class Arrived(Protocol):
    """What a batch needs of a Kafka record."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def timestamp(self) -> int:
        """When it was written, epoch milliseconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """Why a record is put aside. `detail` never quotes its content."""

    reason: str
    detail: str


R = TypeVar("R", bound=Arrived)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Generic[R]):
    """Records in order of arrival; `lines[i]` is None when record i is parked, and `parked[i]` says why."""

    records: Sequence[R]
    lines: Sequence[bytes | None]
    parked: dict[int, Parked]

    @property
    def body(self) -> bytes:
        """What is inserted: one line a record that is not parked. Empty when all are."""
        return b"".join(row for row in self.lines if row is not None)

    @property
    def rows(self) -> int:
        """How many records are to be stored."""
        return len(self.records) - len(self.parked)

    def without(self, row: int, reason: str, detail: str) -> "Batch[R]":
        """The batch with the record of the store's row `row` (from 1) parked."""
        at = [index for index, stays in enumerate(self.lines) if stays is not None][row - 1]
        lines = [*self.lines]
        lines[at] = None
        return replace(self, lines=lines, parked={**self.parked, at: Parked(reason=reason, detail=detail)})

    def next_offsets(self) -> dict[int, int]:
        """By partition, the offset to go on from once this batch is stored."""
        return {record.partition: record.offset + 1 for record in self.records}

    def ranges(self) -> str:
        """Which offsets are in here, e.g. `0:17-42 3:9-9`."""
        spans: dict[int, tuple[int, int]] = {}
        for record in self.records:
            first, last = spans.get(record.partition, (record.offset, record.offset))
            spans[record.partition] = (min(first, record.offset), max(last, record.offset))
        return " ".join(f"{partition}:{first}-{last}" for partition, (first, last) in sorted(spans.items()))


def batch_of(records: Iterable[R]) -> Batch[R]:
    """The batch of these records, with those parked that are no record on the face of it."""
    kept = list(records)
    lines: list[bytes | None] = []
    parked: dict[int, Parked] = {}
    for index, record in enumerate(kept):
        row = line(record.partition, record.offset, record.value)
        if isinstance(row, bytes):
            lines.append(row)
        else:
            lines.append(None)
            parked[index] = Parked(reason=row, detail=DETAIL[row])
    return Batch(records=kept, lines=lines, parked=parked)


def token_of(body: bytes) -> str:
    """The deduplication token of an insert."""
    return sha256(body).hexdigest()


@dataclass(frozen=True, slots=True)
class Parking:
    """How much was parked lately: (records, parked) of the newest batches, and the run of parked ones at the end.
    Records written up to `park_until_ms` are left out of both."""

    recent: tuple[tuple[int, int], ...] = ()
    run: int = 0
    park_until_ms: int = -1

    def after(self, batch: Batch[R]) -> "Parking":
        """What it will be when this batch is through."""
        flags = self._flags(batch)
        kept = [(len(flags), sum(flags))]
        for records, parked in reversed(self.recent):
            if sum(count for count, _ in kept) + records > PARKED_WINDOW_RECORDS:
                break
            kept.append((records, parked))
        return replace(self, recent=tuple(reversed(kept)), run=self._runs(flags)[1])

    def exceeded_by(self, batch: Batch[R]) -> str | None:
        """Why loading must stop rather than park this batch's bad records; None when it may go on."""
        lately = sum(parked for _, parked in self.after(batch).recent)
        if lately > PARKED_AT_MOST:
            return f"{lately} of the last {PARKED_WINDOW_RECORDS} records could not be stored, more than 1 %"
        longest, _ = self._runs(self._flags(batch))
        if longest >= PARKED_AT_MOST:
            return f"{longest} records in a row could not be stored"
        return None

    def _flags(self, batch: Batch[R]) -> list[bool]:
        """Of each record that counts, whether it is parked."""
        return [
            index in batch.parked for index, record in enumerate(batch.records) if record.timestamp > self.park_until_ms
        ]

    def _runs(self, flags: list[bool]) -> tuple[int, int]:
        """The longest run of parked records, counting on from the one that stands, and the run at the end."""
        longest = run = self.run
        for parked in flags:
            run = run + 1 if parked else 0
            longest = max(longest, run)
        return longest, run

"""Dead letters: bytes we could not judge, put aside with reason and origin, and when that is no answer any more.

Owns what a dead letter says and when to stop. Refuses to quote content, and to empty a topic into dead letters because
a deploy was bad: then the worker halts and keeps its offsets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from schemas.codec import Unreadable
from schemas.envelope import dead_letter, written
from schemas.topics import MAX_RECORD_BYTES
from streams.worker.rows import Arrival, Row

IN_A_ROW: Final = 1_000
JUDGED_FROM: Final = 100
"""A share is judged from this many records on: two bad ones of three say nothing about a deploy."""

KEPT_BYTES: Final = MAX_RECORD_BYTES - 128 * 1024


def parked(arrival: Arrival, why: Unreadable) -> Row:
    """The dead letter of a record: its bytes, what was wrong, where it stands, and the headers it came with."""
    value, detail, left_bytes = arrival.value, why.detail, None
    if value is not None and len(value) > KEPT_BYTES:  # with our headers no broker would take it
        left_bytes = len(value)
        value, detail = b"", f"{detail}; {left_bytes} bytes, to be read at the origin"
    own = dead_letter(
        reason=why.reason,
        path=why.path,
        detail=detail,
        topic=arrival.topic,
        partition=arrival.partition,
        offset=arrival.offset,
        at_ms=arrival.timestamp,
        left_bytes=left_bytes,
    )
    return Row(arrival.key, value, own + written(arrival.headers))


def one_each(why: Sequence[Unreadable]) -> list[Unreadable]:
    """The first of each reason: a webhook with a thousand bad messages is parked once."""
    first: dict[str, Unreadable] = {}
    for each in why:
        first.setdefault(each.reason, each)
    return list(first.values())


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of one partition was bad lately. `broken`: why the worker must halt, None while it may go on."""

    bad_in_a_row: int = 0
    broken: str | None = None

    def after(self, flags: Sequence[bool]) -> "Limit":
        """The limit after one more batch, in order; True stands for a record that gave nothing but a dead letter."""
        row = self.bad_in_a_row
        for bad in flags:
            row = row + 1 if bad else 0
            if row >= IN_A_ROW:
                return Limit(row, f"{row} records in a row")
        count = sum(flags)
        if len(flags) >= JUDGED_FROM and count * 2 > len(flags):
            return Limit(row, f"{count} of {len(flags)} records of a batch")
        return Limit(row)

"""Changelogs as they come: whole record batches of the client, not decoded before recovery writes their rows.

Owns how the client is made to hand them over, and how much of a partition is worked at once. Decoding a fetch at once,
as the client does, costs twice as much as a row needs and holds tens of thousands of records for as long as they wait;
here each record lives for the moment in which it is read. Refuses to decide what may be read: that stays the client's,
and transactions are left to it altogether.
"""
# ruff: noqa: SLF001 - this module is about the private parts of an exactly pinned library

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, dropwhile
from typing import Any, Final

from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult
from aiokafka.errors import CorruptRecordException

PORTION_BYTES: Final = 192 << 10
"""As fetched, compressed: some 1,500 rows, for which the event loop is held up for about 10 ms."""


class Portion:
    """Consecutive record batches of one partition. To be gone through once, as that is what decodes them.

    `offset`: the last one it reaches, whether a record is left there or compaction took it.
    """

    __slots__ = ("_batches", "_first", "offset", "timestamp", "timestamp_type")

    def __init__(self, batches: Sequence[Any], first: int) -> None:
        self._batches, self._first = batches, first
        self.offset: int = batches[-1].next_offset - 1
        self.timestamp: int = 0
        self.timestamp_type: int = 0

    def __iter__(self) -> Iterator[Any]:
        """Its records from the one on that was asked for: a broker sends the whole batch in which that stands."""
        return dropwhile(self._is_before, chain.from_iterable(self._batches))

    def _is_before(self, record: Any) -> bool:
        return bool(record.offset < self._first)


def leave_undecoded(fetched: Mapping[Any, Any], places: Iterable[Any]) -> None:
    """Make the client hand over portions of these partitions, where it holds something fetched of them.

    To be called in its own thread, before it is asked. What may be handed over, and where the position is then, it
    judges as ever: only the generator that would decode is another one, which has not begun yet.
    """
    for place in places:
        kept: Any = fetched.get(place)
        records = kept._partition_records if type(kept) is FetchResult else None
        if (
            records is not None
            and records._isolation_level == READ_UNCOMMITTED
            and inspect.getgeneratorstate(records._records_iterator) == inspect.GEN_CREATED
        ):
            records._records_iterator = _portions(records)


def _portions(records: Any) -> Iterator[Portion]:
    source = records._records
    first = following = records.next_fetch_offset
    batches: list[Any] = []
    while source.has_next():
        batch = source.next_batch()
        if records._check_crcs and not batch.validate_crc():
            # Nothing was handed over and the position stands, so the whole of it is fetched again.
            raise CorruptRecordException(f"Invalid CRC - {records._tp}")
        if not batch.is_control_batch:
            batches.append(batch)
        following = batch.next_offset
    records.next_fetch_offset = following
    at_once = max(1, len(batches) * PORTION_BYTES // max(1, source.size_in_bytes()))
    for at in range(0, len(batches), at_once):
        yield Portion(batches[at : at + at_once], first)

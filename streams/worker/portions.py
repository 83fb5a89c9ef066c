"""Changelogs as they come: whole record batches, not decoded before recovery writes their rows.

Owns how the client is made to hand them over, the form of a batch (format 2; older ones are left to the client), and
how much of a partition is worked at once. Decoding a fetch at once, as the client does, costs thrice what a row needs
and holds tens of thousands of records for as long as they wait; here a batch is decompressed beside the work on others,
and each record lives for the moment in which it is read. Refuses to decide what may be read: that stays the client's,
and transactions are left to it altogether.
"""
# ruff: noqa: SLF001 - this module is about the private parts of an exactly pinned library

import inspect
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from streams.worker import changelog
from streams.worker.changelog import Line, line_of, lines_of

PORTION_BYTES: Final = 192 << 10
"""As fetched, compressed: some 1,500 rows, for which the event loop is held up for about 5 ms."""

COMPILED: Final = not changelog.__file__.endswith(".py")
"""Interpreted, our decoding takes four times as long as the client's, which is machine code."""

_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
_FRAME_BYTES: Final = 12
"""First offset and length, which the length leaves out."""
_CHECKED_FROM: Final = 21
_MAGIC_AT: Final = 16
_MAGIC: Final = 2
_CODEC: Final = 0x07
_CONTROL: Final = 0x20
_DECODERS: Final[dict[int, Any]] = {0: bytes, 1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}


class Batch(NamedTuple):
    """A record batch as the broker sent it. `next_offset`: behind all that it ever held."""

    whole: memoryview
    base_offset: int
    next_offset: int
    codec: int
    is_control: bool
    is_intact: bool
    records: int


def batches_of(raw: bytes) -> list[Batch] | None:
    """The whole batches of a fetch, in which the last one may be cut off. None when one is of an older format."""
    found: list[Batch] = []
    view = memoryview(raw)
    at, left = 0, len(raw)
    while left >= _HEAD.size:
        length = int.from_bytes(raw[at + 8 : at + _FRAME_BYTES], "big")
        end = at + _FRAME_BYTES + length
        if end > len(raw):
            break
        if raw[at + _MAGIC_AT] != _MAGIC:
            return None
        head = _HEAD.unpack_from(raw, at)
        if length < _HEAD.size - _FRAME_BYTES:
            raise CorruptRecordException(f"a record batch of {length} bytes")
        is_intact = head[4] == calc_crc32c(view[at + _CHECKED_FROM : end])
        attributes = head[5]
        found.append(
            Batch(
                whole=view[at:end],
                base_offset=head[0],
                next_offset=head[0] + head[6] + 1,
                codec=attributes & _CODEC,
                is_control=bool(attributes & _CONTROL),
                is_intact=is_intact,
                records=head[12],
            )
        )
        at, left = end, len(raw) - end
    return found


def opened(batch: Batch) -> bytes:
    """The records of a batch, decompressed."""
    if not batch.records:
        return b""  # compaction leaves a batch without any, to keep its offsets
    decode = _DECODERS.get(batch.codec)
    if decode is None:
        raise CorruptRecordException(f"unknown compression {batch.codec}")
    data: bytes = decode(bytes(batch.whole[_HEAD.size :]))
    return data


class Fetched(MemoryRecords):
    """What was fetched of a partition, as the client keeps it; the bytes themselves it shows to nobody."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.raw = raw


def keep_bytes() -> None:
    """From here on the clients of this process keep what they fetched in this form."""
    fetcher.MemoryRecords = Fetched


class Portion:
    """Consecutive record batches of one partition.

    `offset`: the last one it reaches, whether a record is left there or compaction took it.
    """

    __slots__ = ("_batches", "_first", "_opened", "offset", "timestamp", "timestamp_type")

    def __init__(self, batches: Sequence[Batch], first: int) -> None:
        self._batches, self._first = batches, first
        # Here, in the client's thread: what decompresses lets others run meanwhile.
        self._opened = list(map(opened, batches)) if COMPILED else []
        self.offset: int = batches[-1].next_offset - 1
        self.timestamp: int = 0
        self.timestamp_type: int = 0

    def lines(self) -> list[Line]:
        """Its records from the one on that was asked for: a broker sends the whole batch in which that stands."""
        found: list[Line] = []
        if not COMPILED:
            for batch in self._batches:
                found += [line_of(each) for each in DefaultRecordBatch(batch.whole) if each.offset >= self._first]
            return found
        for batch, data in zip(self._batches, self._opened, strict=True):
            found += lines_of(data, batch.records, batch.base_offset, self._first)
        return found


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
            and type(records._records) is Fetched
            and records._isolation_level == READ_UNCOMMITTED
            and inspect.getgeneratorstate(records._records_iterator) == inspect.GEN_CREATED
            and (batches := batches_of(records._records.raw)) is not None
        ):
            records._records_iterator = _portions(records, batches)


def _portions(records: Any, found: Sequence[Batch]) -> Iterator[Portion]:
    first = following = records.next_fetch_offset
    batches: list[Batch] = []
    size = 0
    for batch in found:
        if records._check_crcs and not batch.is_intact:
            # Nothing was handed over and the position stands, so the whole of it is fetched again.
            raise CorruptRecordException(f"Invalid CRC - {records._tp}")
        if not batch.is_control:
            batches.append(batch)
            size += len(batch.whole)
        following = batch.next_offset
    records.next_fetch_offset = following
    at_once = max(1, len(batches) * PORTION_BYTES // max(1, size))
    for at in range(0, len(batches), at_once):
        yield Portion(batches[at : at + at_once], first)

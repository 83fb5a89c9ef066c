"""Records of a changelog decoded by hand: what the client would decode, and never anything of what is damaged."""

import random
from collections.abc import Sequence

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from streams.worker.changelog import Line, line_of, lines_of

FIRST = 1_000
HEAD_BYTES = 61
NAMES = ("version", "due_at", "ce_id", "", "versions", "due_a", "\u00fc")

Told = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def batch_of(records: Sequence[Told]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 24)
    for at, (key, value, headers) in enumerate(records):
        builder.append(at, 1_772_443_801_000 + at * 977, key, value, headers)
    return FIRST.to_bytes(8, "big") + bytes(builder.build())[8:]


def ours(batch: bytes, records: int, first: int = 0) -> list[Line]:
    return lines_of(batch[HEAD_BYTES:], records, FIRST, first)


def any_record(chance: random.Random) -> Told:
    def some(most: int) -> bytes | None:
        size = chance.choice((0, 1, chance.randrange(most), most))
        return None if not chance.randrange(5) else chance.randbytes(size)

    return some(200), some(20_000), [(chance.choice(NAMES), some(150)) for _ in range(chance.randrange(9))]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_decoded_is_what_the_client_decodes(seed: int) -> None:
    chance = random.Random(seed)
    records = [any_record(chance) for _ in range(chance.randrange(1, 60))]
    batch = batch_of(records)
    stock = [line_of(each) for each in DefaultRecordBatch(batch)]

    assert ours(batch, len(records)) == stock
    assert ours(batch, len(records), FIRST + 7) == stock[7:]


def test_of_headers_of_one_name_the_first_that_has_a_value_is_told() -> None:
    headers: list[tuple[str, bytes | None]] = [
        ("version", None),
        ("due_at", b"7"),
        ("version", b"2"),
        ("version", b"3"),
        ("due_at", b"8"),
    ]
    assert ours(batch_of([(b"k", b"v", headers)]), 1) == [(FIRST, b"k", b"v", b"2", b"7")]


def test_a_batch_that_is_cut_off_or_goes_on_is_refused() -> None:
    batch = batch_of([(b"key", b"value", [("version", b"3")])] * 3)
    for end in range(HEAD_BYTES, len(batch)):
        with pytest.raises(CorruptRecordException):
            ours(batch[:end], 3)
    for more, records in ((b"\0", 3), (b"", 2), (b"", 4)):
        with pytest.raises(CorruptRecordException):
            ours(batch + more, records)


@pytest.mark.parametrize("seed", range(5))
def test_changed_bytes_are_refused_or_read_as_the_client_reads_them(seed: int) -> None:
    chance = random.Random(seed)
    batch = batch_of([(b"key", b"value" * 30, [("version", b"3"), ("due_at", b"1772443801")])] * 4)
    for _ in range(300):
        torn = bytearray(batch)
        torn[chance.randrange(HEAD_BYTES, len(batch))] = chance.randrange(256)
        try:
            found = ours(bytes(torn), 4)
        except CorruptRecordException:
            continue
        try:
            stock = [line_of(each) for each in DefaultRecordBatch(bytes(torn))]
        except (CorruptRecordException, UnicodeDecodeError):
            continue
        assert found == stock

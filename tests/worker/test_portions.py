"""Changelogs in portions: what the client hands over instead of records, by its own classes and without a broker."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from streams.worker import portions
from streams.worker.changelog import line_of
from streams.worker.portions import PORTION_BYTES, Portion, leave_undecoded
from streams.worker.portions import Fetched as Kept

LOG = TopicPartition("t.permission.state", 0)
HEADERS = [("ce_id", b"an id"), ("version", b"3")]


def batch_of(first: int, count: int, bytes_each: int = 20) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 24)
    for at in range(count):
        builder.append(at, 1_772_443_801_000, b"%d" % (first + at), b"v" * bytes_each, HEADERS)
    built: bytearray = builder.build()
    built[0:8] = first.to_bytes(8, "big")  # as the broker does; the checksum leaves it out
    return built


def control(first: int) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, 0, 1, 7, 0, 0, 1 << 20)
    builder.append(0, 1_772_443_801_000, b"\0\0\0\1", b"\0\0\0\0\0\0", [])
    built: bytearray = builder.build()
    built[0:8] = first.to_bytes(8, "big")
    built[22] |= 0x20
    built[17:21] = calc_crc32c(bytes(built[21:])).to_bytes(4, "big")
    return built


class Fetched:
    """One answer of the broker, as the client keeps it until it is asked."""

    def __init__(self, *batches: bytearray, position: int = 0, isolation: int = READ_UNCOMMITTED) -> None:
        self.state = SimpleNamespace(position=position, paused=False, consumed_to=self._consumed)
        assignment = SimpleNamespace(active=True, state_value=lambda _: self.state)
        self.records = PartitionRecords(
            LOG, Kept(b"".join(map(bytes, batches))), [], position, None, None, True, isolation
        )
        self.kept: dict[Any, Any] = {
            LOG: FetchResult(LOG, assignment=assignment, partition_records=self.records, backoff=0)
        }

    def _consumed(self, position: int) -> None:
        self.state.position = position

    def handed_over(self) -> Sequence[Any]:
        leave_undecoded(self.kept, [LOG])
        got: Sequence[Any] = self.kept[LOG].getall()
        return got


@pytest.fixture(autouse=True, params=[True, False], ids=["our decoding", "the client's"])
def decoding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "COMPILED", request.param)


def test_a_portion_holds_the_records_that_the_client_itself_would_decode() -> None:
    batches = [batch_of(0, 3), batch_of(3, 2), batch_of(9, 4)]  # compaction took what was between
    [portion] = (fetched := Fetched(*batches)).handed_over()

    stock: Sequence[Any] = Fetched(*batches).kept[LOG].getall()
    assert isinstance(portion, Portion)
    assert portion.lines() == [line_of(each) for each in stock]
    assert portion.lines()[0][1:] == (b"0", b"v" * 20, b"3", None)
    assert portion.offset == stock[-1].offset == 12
    assert fetched.state.position == 13
    assert not fetched.kept[LOG].has_more()


def test_a_batch_that_begins_before_the_position_is_read_from_there_on() -> None:
    [portion] = Fetched(batch_of(0, 5), batch_of(5, 1), position=3).handed_over()

    assert [line[0] for line in portion.lines()] == [3, 4, 5]


def test_portions_are_of_bounded_size_and_reach_the_end_together() -> None:
    batches = [batch_of(at * 10, 10, bytes_each=PORTION_BYTES // 32) for at in range(12)]
    handed = (fetched := Fetched(*batches)).handed_over()

    assert len(handed) == 4
    assert [each.offset for each in handed] == [29, 59, 89, 119]
    assert [line[0] for each in handed for line in each.lines()] == list(range(120))
    assert fetched.state.position == 120


def test_control_records_are_passed_over_and_the_position_goes_beyond_them() -> None:
    [portion] = (fetched := Fetched(batch_of(0, 2), control(2))).handed_over()
    assert ([line[0] for line in portion.lines()], portion.offset, fetched.state.position) == ([0, 1], 1, 3)

    alone = Fetched(control(2), position=2)
    assert (list(alone.handed_over()), alone.state.position) == ([], 3)


def test_a_changed_batch_is_refused_and_nothing_of_the_fetch_is_passed_over() -> None:
    torn = batch_of(2, 2)
    torn[-1] ^= 255
    fetched = Fetched(batch_of(0, 2), torn, batch_of(4, 2))

    with pytest.raises(CorruptRecordException):
        fetched.handed_over()
    assert list(fetched.handed_over()) == [], "what is left of it is not handed over behind the gap"
    assert fetched.state.position == 0, "so that all of it is fetched again"


def test_where_transactions_are_judged_the_client_decodes_by_itself() -> None:
    got = Fetched(batch_of(0, 2), isolation=READ_COMMITTED).handed_over()

    assert [type(each).__name__ for each in got] == ["ConsumerRecord", "ConsumerRecord"]


def test_other_partitions_and_errors_are_left_alone() -> None:
    fetched = Fetched(batch_of(0, 2))
    leave_undecoded(fetched.kept | {TopicPartition("t.x", 0): object()}, [TopicPartition("t.x", 0), ("t.y", 0)])

    assert [type(each).__name__ for each in fetched.kept[LOG].getall()] == ["ConsumerRecord", "ConsumerRecord"]

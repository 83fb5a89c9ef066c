"""What is decided about records on their way, as plain values."""

import dataclasses
from dataclasses import dataclass

import orjson
import pytest

from projections.batch import PARKED_AT_MOST, PARKED_WINDOW_RECORDS, Batch, Parking, batch_of, token_of
from projections.rows import line

GOOD = b'{"phone_number_id":"700100200300400","user":"447700900123","requests":[]}'


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    value: bytes | None = GOOD
    timestamp: int = 1_772_443_800_000


def records(*values: bytes | None, partition: int = 0) -> list[Record]:
    return [Record(partition, offset, value) for offset, value in enumerate(values)]


def parked(batch: Batch[Record], *rows: int) -> Batch[Record]:
    """`rows`: indices in the batch, from the back so that the store's numbering stays what it is."""
    for row in sorted(rows, reverse=True):
        batch = batch.without(row + 1, "refused_by_store", "")
    return batch


def test_a_value_goes_out_as_the_bytes_that_came_beside_where_it_came_from() -> None:
    row = line(7, 42, GOOD)
    assert isinstance(row, bytes)
    assert row.endswith(b"\n")
    assert GOOD in row
    assert orjson.loads(row) == {"kafka_partition": 7, "kafka_offset": 42, "record": orjson.loads(GOOD)}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no_value"),
        (b"", "not_an_object"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"{", "not_an_object"),
        (GOOD + b"\n", "not_an_object"),
        (b"{}", "not_a_record"),
        (b'{"a":1}', "not_a_record"),
    ],
)
def test_a_value_that_is_no_record_on_the_face_of_it_is_not_offered(value: bytes | None, reason: str) -> None:
    assert line(0, 0, value) == reason
    batch = batch_of(records(GOOD, value, GOOD))
    assert batch.parked[1].reason == reason
    assert batch.rows == 2
    assert batch.body.count(b"\n") == 2


def test_no_value_is_parsed_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: object) -> None:
        raise AssertionError("a value was parsed")

    monkeypatch.setattr("json.loads", never)
    monkeypatch.setattr("orjson.loads", never)
    batch = batch_of(records(*[GOOD] * 10))
    assert token_of(batch.body)


def test_the_record_of_a_row_is_parked_though_others_before_it_are_parked_already() -> None:
    batch = batch_of(records(GOOD, b"[]", GOOD, GOOD)).without(2, "refused_by_store", "why")
    assert sorted(batch.parked) == [1, 2]
    assert batch.parked[2].detail == "why"
    assert batch.without(2, "refused_by_store", "why").parked.keys() == {1, 2, 3}


def test_the_same_batch_has_the_same_token_and_any_other_another() -> None:
    token = token_of(batch_of(records(GOOD, GOOD)).body)
    assert token == token_of(batch_of(records(GOOD, GOOD)).body)
    others = [
        batch_of(records(GOOD, GOOD, partition=1)),
        batch_of(records(GOOD, GOOD.replace(b"123", b"124"))),
        batch_of(records(GOOD, GOOD)).without(1, "refused_by_store", ""),
        batch_of(records(GOOD)),
    ]
    assert len({token, *(token_of(other.body) for other in others)}) == 5


def test_next_offsets_follow_the_last_record_in_order_of_arrival() -> None:
    batch = batch_of([Record(0, 5), Record(1, 9), Record(0, 6), Record(0, 3), Record(0, 4)])
    assert batch.next_offsets() == {0: 5, 1: 10}
    assert batch.ranges() == "0:3-6 1:9-9"


def test_parked_records_count_as_done() -> None:
    assert batch_of(records(GOOD, b"[]")).next_offsets() == {0: 2}


def test_one_percent_of_the_window_may_be_parked_and_one_more_stops() -> None:
    batch = batch_of(records(*[GOOD] * PARKED_WINDOW_RECORDS))
    allowed = parked(batch, *range(0, PARKED_WINDOW_RECORDS, PARKED_WINDOW_RECORDS // PARKED_AT_MOST))
    assert len(allowed.parked) == PARKED_AT_MOST
    assert Parking().exceeded_by(allowed) is None
    assert "more than 1 %" in (Parking().exceeded_by(parked(allowed, 1)) or "")


def test_a_hundred_bad_records_in_a_row_stop_even_across_batches() -> None:
    half = parked(batch_of(records(*[GOOD] * 50)), *range(50))
    parking = Parking().after(half)
    assert Parking().exceeded_by(half) is None
    assert "in a row" in (parking.exceeded_by(half) or "")
    assert Parking().after(half).after(batch_of(records(GOOD))).exceeded_by(half) is None


def test_bad_records_of_long_ago_are_forgotten() -> None:
    bad = parked(batch_of(records(*[GOOD] * 200)), *range(0, 200, 2))
    good = batch_of(records(*[GOOD] * PARKED_WINDOW_RECORDS))
    assert "more than 1 %" in (Parking().after(bad).exceeded_by(bad) or "")
    assert Parking().after(bad).after(good).exceeded_by(bad) is None


def test_what_was_written_up_to_the_named_instant_is_parked_however_much_it_is() -> None:
    named = Parking(park_until_ms=1_772_443_800_000)
    bad = parked(batch_of(records(*[GOOD] * 300)), *range(300))
    assert Parking().exceeded_by(bad) is not None
    assert named.exceeded_by(bad) is None
    assert named.after(bad) == dataclasses.replace(named, recent=((0, 0),))


def test_of_what_was_written_later_the_limit_holds_again() -> None:
    named = Parking(park_until_ms=1_772_443_800_000)
    later = [dataclasses.replace(one, timestamp=one.timestamp + 1) for one in records(*[GOOD] * 50)]
    half = parked(batch_of([*records(*[GOOD] * 300), *later]), *range(350))
    assert named.exceeded_by(half) is None
    assert "in a row" in (named.after(half).exceeded_by(half) or "")

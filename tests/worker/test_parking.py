import pytest

from schemas.codec import Unreadable
from schemas.envelope import arrived_with, header
from schemas.topics import MAX_RECORD_BYTES
from streams.worker.parking import IN_A_ROW, Limit, one_each, parked
from tests.worker.stand_ins import record

WHY = Unreadable(reason="not_json", path="$.entry[3]", detail="the value is not JSON")


def test_a_dead_letter_keeps_bytes_key_and_headers_and_says_where_it_stood() -> None:
    letter = parked(record(b"{", key=b"k", offset=9, topic="webhooks.raw", headers=[("provider", b"meta")]), WHY)

    assert (letter.key, letter.value) == (b"k", b"{")
    assert dict(letter.headers) == {
        "reason": b"not_json",
        "path": b"$.entry[3]",
        "detail": b"the value is not JSON",
        "origin_topic": b"webhooks.raw",
        "origin_partition": b"0",
        "origin_offset": b"9",
        "origin_at": b"1772443801000",
        "provider": b"meta",
    }


def test_bytes_that_no_broker_would_take_with_our_headers_stay_at_their_origin() -> None:
    letter = parked(record(b"x" * MAX_RECORD_BYTES), WHY)

    assert letter.value == b""
    assert header(letter.headers, "bytes_at_origin") == str(MAX_RECORD_BYTES)
    assert f"{MAX_RECORD_BYTES} bytes, to be read at the origin" in (header(letter.headers, "detail") or "")


def test_many_faults_of_one_reason_are_one_dead_letter_that_names_the_first_path() -> None:
    second = Unreadable(reason="not_json", path="$.entry[4]", detail="")
    other = Unreadable(reason="unknown_number", path="$.entry[5]", detail="")

    assert one_each([WHY, second, other]) == [WHY, other]


def test_half_bad_is_borne_and_more_than_half_of_a_hundred_is_not() -> None:
    assert Limit().after([True, False] * 50).broken is None
    assert Limit().after([True] * 51 + [False] * 49).broken == "51 of 100 records of a batch"


def test_a_small_batch_says_nothing_about_a_deploy() -> None:
    assert Limit().after([True] * 99).broken is None


@pytest.mark.parametrize("batch", [1, 50, 99])
def test_a_thousand_bad_ones_in_a_row_are_too_many_however_they_are_cut(batch: int) -> None:
    limit, seen = Limit(), 0
    while limit.broken is None:
        limit = limit.after([True] * batch)
        seen += batch

    assert IN_A_ROW <= seen < IN_A_ROW + batch
    assert limit.broken == f"{IN_A_ROW} records in a row"


def test_one_good_record_begins_the_row_anew() -> None:
    limit = Limit(bad_in_a_row=IN_A_ROW - 1).after([False, True])

    assert limit == Limit(bad_in_a_row=1)


def test_a_header_of_null_is_passed_over_and_kept_as_an_empty_one() -> None:
    arrival = record(b"{", headers=[("x", None), ("provider", None), ("provider", b"meta")])
    assert header(arrival.headers, "provider") == "meta"
    letter = parked(arrival, WHY)
    assert arrived_with(letter.headers) == [("x", b""), ("provider", b""), ("provider", b"meta")]

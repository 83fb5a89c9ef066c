"""Headers tell their instants in UTC."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as some

from schemas.envelope import received_at_of, rfc3339, rfc3339_ms

LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


@given(some.integers(-LAST // 8, LAST))
def test_an_instant_is_told_in_utc_to_the_second(at: int) -> None:
    assert rfc3339(at) == datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


@given(some.integers(0, LAST * 1000))
def test_a_receipt_is_told_to_the_millisecond_and_read_back_to_the_second(at_ms: int) -> None:
    text = rfc3339_ms(at_ms)
    assert text.endswith(f".{at_ms % 1000:03d}Z")
    assert received_at_of(text) == at_ms // 1000

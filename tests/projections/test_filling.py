"""When the batch that fills must go."""

from pathlib import Path

from aiokafka.structs import ConsumerRecord

from projections.filling import Filling
from projections.settings import ProjectionSettings


def filling(**bounds: int) -> Filling:
    made: dict[str, int] = {"flush_rows": 10, "flush_bytes": 1_000, **bounds}
    return Filling(
        ProjectionSettings(
            kafka_bootstrap="127.0.0.1:9092",
            topic_prefix="test.",
            generation=1,
            data_dir=Path("unused"),
            flush_rows=made["flush_rows"],
            flush_bytes=made["flush_bytes"],
            flush_after_s=1.0,
        )
    )


def records(count: int, size: int = 10) -> dict[int, list[ConsumerRecord]]:
    value = b"x" * size
    return {0: [ConsumerRecord("test", 0, n, 0, 0, None, value, None, 0, size, ()) for n in range(count)]}


def test_records_go_a_second_after_the_first_of_them() -> None:
    waiting = filling()
    waiting.take(records(1), 100.0)
    waiting.take(records(1), 100.9)
    assert not waiting.due(100.9)
    assert waiting.patience_ms(100.75, busy=False) == 250
    assert waiting.due(101.0)
    assert len(waiting.emptied()) == 2
    assert not waiting.due(200.0)


def test_a_full_batch_goes_at_once_by_count_or_by_size() -> None:
    by_count, by_size = filling(flush_rows=3), filling(flush_bytes=100)
    by_count.take(records(3), 100.0)
    by_size.take(records(2, size=60), 100.0)
    for waiting in (by_count, by_size):
        assert waiting.full
        assert waiting.due(100.0)
    assert filling(flush_rows=3).room == 3


def test_an_empty_batch_is_never_due_and_a_late_one_is_polled_without_spinning() -> None:
    waiting = filling()
    waiting.take({}, 100.0)
    assert not waiting.due(1_000.0)
    waiting.take(records(1), 100.0)
    assert waiting.patience_ms(500.0, busy=True) == 20


def test_secrets_stay_out_of_the_settings_repr() -> None:
    settings = ProjectionSettings(
        kafka_bootstrap="127.0.0.1:9092",
        topic_prefix="test.",
        generation=3,
        data_dir=Path("var"),
        clickhouse_url="http://me:hush@127.0.0.1:8123",
        api_keys=(("id", "hush"),),
    )
    assert "hush" not in repr(settings)
    assert (settings.database, settings.store_folder) == ("callgrant_g3", Path("var/clickhouse.g3"))

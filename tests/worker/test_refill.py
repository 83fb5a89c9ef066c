"""Recovery of a local store past its log, on a real RocksDB: what a kill leaves, and which row of a key is kept."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rocksdict
from faust.types import TP

from schemas.ids import parse_pair
from streams.worker.changelog import line_of
from streams.worker.exits import Code
from streams.worker.refill import Refill
from streams.worker.rows import Row
from streams.worker.settings import WorkerSettings
from tests.worker.conftest import Deaths
from tests.worker.live import until
from tests.worker.test_table import CHANGELOG, ROWS, Bench, came_back, key, row

OFFSET = b"__faust\0offset__"


@pytest.fixture
async def bench(settings: WorkerSettings) -> AsyncIterator[Bench]:
    made = Bench(settings)
    yield made
    made.close()


def as_killed(bench: Bench, folder: Path) -> dict[bytes, bytes]:
    """What the next life would find if this one were killed now: the files as they stand."""
    left = folder / "as-killed"
    shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(bench.table._local.partition_path(0), left)
    db = rocksdict.Rdict(str(left), rocksdict.Options(raw_mode=True))
    try:
        found: Any = db.items()
        return dict(found)
    finally:
        db.close()


def recovered(bench: Bench, users: range) -> None:
    """Rows of these users, as they stand on the topic: one an offset. And what our writer would join."""
    bench.recover(*(came_back(row(user), user) for user in users))
    bench.sender.log.setdefault((CHANGELOG, 0), []).extend(row(user) for user in users)


def store_of(users: range, offset: int) -> dict[bytes, bytes | None]:
    return {OFFSET: str(offset).encode()} | {key(user): row(user).value for user in users}


async def test_a_kill_while_recovering_leaves_the_rows_up_to_the_offset_that_stands_there(
    bench: Bench, tmp_path: Path
) -> None:
    recovered(bench, range(50))
    assert as_killed(bench, tmp_path) == {}, "nothing yet, so all comes again"
    bench.table.db(0).flush()  # as the store does by itself when its buffer is full
    recovered(bench, range(50, 80))

    assert as_killed(bench, tmp_path) == store_of(range(50), 49)


async def test_when_recovery_is_over_a_kill_loses_nothing_of_it(bench: Bench, tmp_path: Path) -> None:
    recovered(bench, range(50))
    await bench.table.on_recovery_completed({TP(CHANGELOG, 0)}, set())

    assert as_killed(bench, tmp_path) == store_of(range(50), 49)
    assert bench.table._refill.unlogged == frozenset()


async def test_nothing_is_written_with_the_log_on_before_what_was_recovered_is_in_the_files(
    bench: Bench, tmp_path: Path
) -> None:
    recovered(bench, range(50))
    await bench.commit(row(50))

    assert as_killed(bench, tmp_path) == store_of(range(51), 50)


async def test_a_lost_partitions_store_is_closed_with_all_that_was_recovered(bench: Bench, tmp_path: Path) -> None:
    recovered(bench, range(50))
    held = bench.table.db(0)
    bench.table.app.assignor.assigned_standbys = set  # type: ignore[method-assign]
    files: list[dict[bytes, bytes]] = []

    def close() -> None:
        files.append(as_killed(bench, tmp_path))
        held.close()

    bench.table.data._dbs[0] = SimpleNamespace(close=close)  # type: ignore[attr-defined]

    await bench.table.on_rebalance(set(), {TP(CHANGELOG, 0)}, set(), 1)

    assert files == [store_of(range(50), 49)]
    assert bench.table._refill.unlogged == frozenset()


async def test_recovery_that_cannot_be_put_into_files_ends_the_worker(
    bench: Bench, deaths: Deaths, caplog: pytest.LogCaptureFixture
) -> None:
    recovered(bench, range(3))

    def no_room(**_: object) -> None:
        raise OSError("IO error: No space left on device: While appending to file")

    bench.table._refill._unlogged[0] = SimpleNamespace(flush=no_room)
    with pytest.raises(deaths.died):
        await bench.table.on_recovery_completed(set(), set())

    assert deaths.codes == [Code.STORE_FULL]
    assert "CALLGRANT_DATA_DIR" in caplog.text


class Asked:
    """A store that counts what it is asked for."""

    def __init__(self, rows: dict[bytes, bytes] | None = None) -> None:
        self.rows, self.asked = rows or {}, list[bytes]()

    def get(self, wanted: bytes) -> bytes | None:
        self.asked.append(wanted)
        return self.rows.get(wanted)

    def write(self, batch: Any, options: Any) -> None:
        assert options.disable_wal is True


def take(filling: Refill, store: Asked, *rows: Row, first: int = 0) -> None:
    lines = [line_of(came_back(each, first + at)) for at, each in enumerate(rows)]
    filling.take(0, store, lines, lines[-1][0])


def test_a_store_that_was_empty_is_not_asked_for_keys_it_cannot_hold() -> None:
    store, filling = Asked(), Refill(ROWS, OFFSET, CHANGELOG)
    take(filling, store, row(1), row(2))
    take(filling, store, row(3), row(1, 2), first=2)

    assert store.asked == [OFFSET, key(1)]


def test_a_row_behind_a_tombstone_of_the_same_portion_is_known_to_be_there() -> None:
    store, filling = Asked(), Refill(ROWS, OFFSET, CHANGELOG)
    take(filling, store, Row(key(1), None, []), row(1, 5))
    take(filling, store, row(1, 4), first=2)

    assert store.asked == [OFFSET, key(1)]


def test_a_store_that_held_something_is_asked_for_each_key() -> None:
    store, filling = Asked({OFFSET: b"7"}), Refill(ROWS, OFFSET, CHANGELOG)
    take(filling, store, row(1), row(2), first=8)

    assert store.asked == [OFFSET, key(1), key(2)]


async def test_keys_that_cannot_be_told_apart_by_their_slot_are_told_apart_by_the_store(
    bench: Bench,
) -> None:
    bench.table._refilling = Refill(ROWS, OFFSET, CHANGELOG, slots=1)
    bench.recover(came_back(row(1, 5), 0), came_back(row(2, 5), 1))
    bench.recover(came_back(row(3, 1), 2), came_back(row(2, 4), 3), came_back(row(1, 6), 4))

    assert [bench.table.get(0, key(user)) for user in (1, 2, 3)] == [row(1, 6).value, row(2, 5).value, row(3, 1).value]


@pytest.mark.parametrize("over", [False, True])
async def test_what_was_recovered_before_is_compared_with_what_is_recovered_later(bench: Bench, over: bool) -> None:
    bench.recover(came_back(row(1, 5), 0), came_back(row(2, 5), 1))
    if over:
        await bench.table.on_recovery_completed(set(), set())
    bench.recover(came_back(row(1, 4), 2), came_back(row(2, 6), 3))

    assert [bench.table.get(0, key(user)) for user in (1, 2)] == [row(1, 5).value, row(2, 6).value]


async def test_what_is_wholly_recovered_goes_to_the_files_while_others_are_not(bench: Bench, tmp_path: Path) -> None:
    bench.ends[TP(CHANGELOG, 0)] = 49
    recovered(bench, range(40))
    assert as_killed(bench, tmp_path) == {}
    recovered(bench, range(40, 50))

    await until(lambda: as_killed(bench, tmp_path) == store_of(range(50), 49))
    assert bench.table._refill.unlogged == {0}, "what comes behind it would be past the log as well"


async def test_a_tombstone_without_a_key_is_left_out_and_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.recover(came_back(Row(None, None, []), 0), came_back(row(2), 1))

    assert "offset 0 is no state row" in caplog.text
    assert bench.table.get(0, key(2)) == row(2).value


async def test_a_row_without_a_key_is_left_out_and_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.recover(came_back(row(1)._replace(key=None), 0), came_back(row(2), 1))

    assert "offset 0 is no state row" in caplog.text
    assert bench.table.get(0, key(2)) == row(2).value


def test_the_key_of_a_row_is_what_the_key_of_a_pair_is() -> None:
    numbers = ["700100200300400", "12", "1" * 33, "", "7001٣", "700 1"]
    users = [
        "447700900123",
        "1234",
        "1" * 21,
        "GB.10000000000000000186",
        "GB.ENT.ab1",
        "gb.1",
        "GB.",
        "",
        "4477/1",
        "٤٤٧٧٠",
    ]
    for text in [f"{number}/{user}" for number in numbers for user in users] + ["nobody", "/", "700100200300400"]:
        bytes_of = text.encode()
        for each in (bytes_of, bytes_of + b"\n", b"\xff" + bytes_of, bytes_of + b"\xff"):
            assert ROWS.is_key(each) == (parse_pair(each) is not None), each

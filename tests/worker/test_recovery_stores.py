"""A store that is damaged, marked or without room, on a real RocksDB; and the judgement where a partition stands."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from streams.worker.codes import Code
from streams.worker.places import Place, judge, leaves_a_row
from streams.worker.settings import WorkerSettings
from streams.worker.stores import trouble_of
from tests.permission.story import T0, sent
from tests.worker.conftest import Deaths
from tests.worker.stand_ins import fact_record, record
from tests.worker.test_table import CHANGELOG, Bench, came_back, key, row


@pytest.fixture
async def bench(settings: WorkerSettings) -> AsyncIterator[Bench]:
    made = Bench(settings)
    yield made
    closed(made)


def closed(bench: Bench) -> None:
    """Close its stores, whatever state they are in."""
    stores = bench.table.data._dbs  # type: ignore[attr-defined]
    for db in list(stores.values()):
        with contextlib.suppress(Exception):  # one that failed says so once more
            db.close()
    stores.clear()


def store_of(bench: Bench) -> Path:
    return bench.table._local.partition_path(0)


async def written(bench: Bench) -> Path:
    """A store as a killed worker leaves it: rows in its tables and in its log."""
    bench.recover(*(came_back(row(user), user) for user in range(200)))
    bench.sender.log[CHANGELOG, 0] = [row(user) for user in range(200)]
    await bench.commit(row(200))
    path = store_of(bench)
    left = path.with_name("left")
    shutil.copytree(path, left)
    closed(bench)
    shutil.rmtree(path)
    left.rename(path)
    return path


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        held = file.read(64)
        file.seek(at)
        file.write(bytes(byte ^ 255 for byte in held))


def newest(path: Path, pattern: str) -> Path:
    return max(path.glob(pattern))


def into_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_bytes(b"no folder")


def without_current_and_log(path: Path) -> None:
    for each in [path / "CURRENT", *path.glob("*.log")]:
        each.unlink()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "table cut": lambda path: os.truncate(newest(path, "*.sst"), 100),
    "table gone": lambda path: newest(path, "*.sst").unlink(),
    "manifest cut": lambda path: os.truncate(newest(path, "MANIFEST*"), 20),
    "manifest changed": lambda path: flip(newest(path, "MANIFEST*"), 10),
    "manifest gone": lambda path: newest(path, "MANIFEST*").unlink(),
    "current changed": lambda path: os.truncate(path / "CURRENT", 5),
    "current gone": lambda path: (path / "CURRENT").unlink(),
    "current and log gone": without_current_and_log,
    "no folder": into_a_file,
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_store_is_put_aside_told_and_recovered_from_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = await written(bench)
    DAMAGES[damage](path)

    assert bench.offset is None, "recovery reads the topic from its beginning"
    assert bench.table.put_aside == 1
    assert f"put aside as {path.name}.damaged" in caplog.text
    assert path.with_name(f"{path.name}.damaged").exists()
    bench.recover(*(came_back(row(user), user) for user in range(201)))
    assert [bench.table.get(0, key(user)) for user in (0, 200)] == [row(0).value, row(200).value]


async def test_a_torn_end_of_the_log_only_moves_the_offset_back(bench: Bench) -> None:
    log = newest(await written(bench), "*.log")
    os.truncate(log, log.stat().st_size - 3)

    assert (bench.offset, bench.table.get(0, key(200))) == (199, None), "row and offset are of one write"
    assert bench.table.put_aside == 0


async def test_damage_found_while_reading_ends_the_worker_and_the_next_life_puts_the_store_aside(
    bench: Bench, deaths: Deaths, settings: WorkerSettings
) -> None:
    path = await written(bench)
    flip(newest(path, "*.sst"), 100)
    assert bench.offset is not None, "nothing shows when it is opened"

    with pytest.raises(deaths.died):
        bench.table.get(0, key(5))
    closed(bench)

    assert deaths.codes == [Code.STORE_DAMAGED]
    again = Bench(settings)
    assert (again.offset, again.table.put_aside) == (None, 1)
    closed(again)
    once_more = Bench(settings)
    assert once_more.offset is None
    assert once_more.table.put_aside == 0, "put aside once"
    closed(once_more)


async def test_of_damaged_stores_one_is_kept(bench: Bench, settings: WorkerSettings) -> None:
    path = await written(bench)
    (path / "CURRENT").unlink()
    assert bench.offset is None
    closed(bench)
    (path / "CURRENT").unlink()
    again = Bench(settings)

    assert again.offset is None
    closed(again)
    assert sorted(each.name for each in path.parent.iterdir() if "damaged" in each.name) == [f"{path.name}.damaged"]


@pytest.mark.parametrize("text", ["Permission denied", "While lock file: Resource temporarily unavailable"])
async def test_a_store_that_is_locked_or_forbidden_is_not_put_aside(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = await written(bench)

    def refused(*_: object, **__: object) -> None:
        raise OSError(f"IO error: {text}: {path}")

    monkeypatch.setattr(bench.table._local.rocksdb_options, "open", refused)
    with pytest.raises(Exception, match=text):
        bench.table.db(0)
    assert (path / "CURRENT").exists()


def test_what_an_exception_of_the_store_means() -> None:
    assert trouble_of(Exception("IO error: No space left on device: While appending")) == "full"
    assert trouble_of(Exception("Corruption: block checksum mismatch")) == "damaged"
    assert trouble_of(ValueError("something else")) == "other"


async def test_a_write_without_room_ends_the_worker_with_what_to_do(
    bench: Bench, deaths: Deaths, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.commit(row(1))

    def no_room(_: object) -> None:
        raise OSError("IO error: No space left on device: While appending to file")

    held = bench.table.db(0)
    bench.table.data._dbs[0] = SimpleNamespace(write=no_room, get=held.get, close=held.close)  # type: ignore[attr-defined]
    with pytest.raises(deaths.died):
        await bench.commit(row(1, 2))

    assert deaths.codes == [Code.STORE_FULL]
    assert "CALLGRANT_DATA_DIR" in caplog.text
    assert len(bench.changelog) == 2, "acknowledged there: the next life finds it and the batch comes again"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


async def test_a_full_disk_ends_the_worker_and_with_room_it_opens_where_it_stood(
    small_disk: Path, deaths: Deaths
) -> None:
    settings = WorkerSettings(
        kafka_bootstrap="127.0.0.1:1", topic_prefix="t.", partitions=1, data_dir=small_disk, port=1
    )
    bench = Bench(settings)
    await bench.commit(row(1))
    filler = small_disk / "filler"
    fill(filler)

    async def until_refused() -> None:
        for version in range(2, 2_000):
            await bench.commit(row(1, version), row(2, version), row(3, version))

    with pytest.raises(deaths.died):
        await until_refused()
    closed(bench)
    assert deaths.codes == [Code.STORE_FULL]

    filler.unlink()
    again = Bench(settings)
    stood_at = again.offset
    assert stood_at is not None
    assert stood_at < len(bench.changelog), "never ahead of the changelog"
    assert again.table.put_aside == 0
    closed(again)


async def test_a_topic_made_anew_while_the_worker_runs_ends_it(bench: Bench, deaths: Deaths) -> None:
    await bench.commit(row(1), row(2))
    bench.sender.log.clear()

    with pytest.raises(deaths.died):
        await bench.commit(row(1, 2))
    assert deaths.codes == [Code.STORE_AHEAD]


@pytest.mark.parametrize(
    ("stored", "start", "end", "folded", "code"),
    [
        (None, 0, 0, 0, None),  # a new deployment
        (None, 0, 7, 9, None),  # no store: everything is read
        (6, 0, 7, 9, None),
        (3, 0, 7, 9, None),
        (7, 0, 7, 9, Code.STORE_AHEAD),
        (0, 0, 0, 9, Code.STORE_AHEAD),
        (6, 5, 7, 9, None),  # the store holds what was deleted
        (4, 5, 7, 9, None),
        (3, 5, 7, 9, Code.STATE_LOST),
        (None, 5, 7, 9, Code.STATE_LOST),
        (None, 7, 7, 9, Code.STATE_LOST),
        (None, 0, 0, 9, Code.STATE_LOST),
    ],
)
def test_where_a_partition_stands_says_whether_rows_are_gone(
    stored: int | None, start: int, end: int, folded: int, code: Code | None
) -> None:
    gone = judge(Place(stored=stored, start=start, end=end, folded=folded))

    assert (gone.code if gone is not None else None) == code


def test_only_a_fact_in_its_place_must_have_left_a_row() -> None:
    fact = fact_record(sent("r1", T0))

    assert leaves_a_row(fact, 1)
    assert not leaves_a_row(fact._replace(key=b"700100200300400/447700900999"), 1)
    assert not leaves_a_row(fact._replace(partition=1), 1)
    assert not leaves_a_row(fact._replace(value=None), 1)
    assert not leaves_a_row(record(b"[]", key=fact.key), 1)

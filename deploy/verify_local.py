"""The local stores of this machine's workers, of pairs and of numbers, read beside a running worker.

Owns finding the stores that are up to date for a partition, and reading them: RocksDB's secondary access follows what
another process writes and needs no lock. A partition moves between workers and leaves old stores behind; whose it is
now cannot be seen from outside, so each that has come as far as the topic counts. Refuses to write, and to open a store
as its owner.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import rocksdict

from deploy.verify_report import Findings
from schemas.ids import parse_pair

OFFSET_KEY: Final = b"__faust\0offset__"
"""Where Faust's store keeps the changelog's last offset."""
FOLLOW_FOR_S: Final = 3.0
LOOK_AGAIN_AFTER_S: Final = 0.1


class LocalStores:
    """The stores of a data folder, by partition. `generation`: of the fold. True: there is one of pairs."""

    def __init__(self, data_dir: Path, generation: int) -> None:
        self.folder = data_dir / "worker"
        self._pairs = self._found(generation, "pairs")
        self._numbers = self._found(generation, "numbers")
        self._behind: dict[str, list[int]] = {"partitions": [], "the numbers of partitions": []}
        """Of what no store is as far as the topic."""

    def __bool__(self) -> bool:
        return bool(self._pairs)

    @property
    def behind(self) -> str:
        """Of which partitions nothing could be compared so far; empty: of none."""
        told = (f"{what} {', '.join(map(str, partitions))}" for what, partitions in self._behind.items() if partitions)
        return "; ".join(f"no store here is up to date for {one}" for one in told)

    def compare(self, partition: int, rows: Mapping[bytes, bytes], end: int, into: Findings) -> bool:
        """Compare the stores of a partition with the rows of `permission.state` as of offset `end`. False: no store is
        that far.
        """
        there = _compare(self._pairs.get(partition, []), lambda key: parse_pair(key) is not None, rows, end, into)
        if not there:
            self._behind["partitions"].append(partition)
        return there

    def compare_numbers(self, partition: int, rows: Mapping[bytes, bytes], end: int, into: Findings) -> bool:
        """The same with the rows of `business.state`."""
        there = _compare(self._numbers.get(partition, []), lambda key: key != OFFSET_KEY, rows, end, into)
        if not there:
            self._behind["the numbers of partitions"].append(partition)
        return there

    def _found(self, generation: int, table: str) -> dict[int, list[Path]]:
        paths: dict[int, list[Path]] = {}
        for path in sorted(self.folder.glob(f"*/g{generation}/**/{table}-*.db")):
            partition = path.stem.removeprefix(f"{table}-")
            if partition.isdigit():
                paths.setdefault(int(partition), []).append(path)
        return paths


def _compare(
    paths: list[Path], is_row: Callable[[bytes], bool], rows: Mapping[bytes, bytes], end: int, into: Findings
) -> bool:
    """`is_row`: whether a row stands under a key, or the store's own notes (its offset, its time index)."""
    with contextlib.ExitStack() as opened:
        stores = _up_to_date([opened.enter_context(_beside(path)) for path in paths], end)
        for store in stores:
            _compare_one(store, is_row, rows, into)
    return bool(stores) or not end


def _compare_one(store: Any, is_row: Callable[[bytes], bool], rows: Mapping[bytes, bytes], into: Findings) -> None:
    seen = 0
    for key, value in store.items():
        if not is_row(key):
            continue
        known = rows.get(key)
        seen += known is not None
        if known is None:
            into.differs("store.invented", key)
        elif known != value:
            into.differs("store.differs", key)
    if seen < len(rows):
        for key in rows:
            if store.get(key) is None:
                into.differs("store.missing", key)
    into.compared["store"] += len(rows)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Any]:
    with tempfile.TemporaryDirectory(prefix="callgrant-verify-") as notes:  # for the engine's own log
        access = rocksdict.AccessType.secondary(notes)
        store: Any = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True), access_type=access)
        try:
            yield store
        finally:
            store.close()


def _up_to_date(stores: list[Any], end: int) -> list[Any]:
    """Those that have come as far as the topic. A row is acknowledged first, then stored: the first that is there may
    be one left behind by a move, so the others get another look.
    """
    give_up_at = time.monotonic() + FOLLOW_FOR_S
    before: list[Any] = []
    while True:
        for store in stores:
            store.try_catch_up_with_primary()
        there = [store for store in stores if _offset(store) >= end - 1]
        if len(there) == len(stores) or before or (not there and time.monotonic() > give_up_at):
            return there
        before = there
        time.sleep(LOOK_AGAIN_AFTER_S)


def _offset(store: Any) -> int:
    stored = store.get(OFFSET_KEY)
    return int(stored) if stored else -1

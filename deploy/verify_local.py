"""The local stores of this machine's workers, read beside a running worker.

Owns finding the store that is up to date for a partition, and reading it: RocksDB's secondary access follows what
another process writes and needs no lock. A partition moves between workers and leaves old stores behind, so the one
that has come furthest along the changelog counts. Refuses to write, and to open a store as its owner.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping
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
    """The stores of a data folder, by partition. `generation`: of the fold."""

    def __init__(self, data_dir: Path, generation: int) -> None:
        self.folder = data_dir / "worker"
        self._paths: dict[int, list[Path]] = {}
        for path in sorted(self.folder.glob(f"*/g{generation}/**/pairs-*.db")):
            partition = path.stem.removeprefix("pairs-")
            if partition.isdigit():
                self._paths.setdefault(int(partition), []).append(path)

    def __bool__(self) -> bool:
        return bool(self._paths)

    def compare(self, partition: int, rows: Mapping[bytes, bytes], end: int, into: Findings) -> bool:
        """Compare the store of a partition with the topic's rows as of offset `end`. False: no store is that far."""
        with contextlib.ExitStack() as opened:
            stores = [opened.enter_context(_beside(path)) for path in self._paths.get(partition, ())]
            store = _up_to_date(stores, end)
            if store is None:
                return False
            seen = 0
            for key, value in store.items():
                if parse_pair(key) is None:
                    continue  # its offset, its time index
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
        return True


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Any]:
    with tempfile.TemporaryDirectory(prefix="callgrant-verify-") as notes:  # for the engine's own log
        access = rocksdict.AccessType.secondary(notes)
        store: Any = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True), access_type=access)
        try:
            yield store
        finally:
            store.close()


def _up_to_date(stores: list[Any], end: int) -> Any:
    """The store that has come furthest, once it is as far as the topic: a row is acknowledged first, then stored."""
    give_up_at = time.monotonic() + FOLLOW_FOR_S
    while stores:
        for store in stores:
            store.try_catch_up_with_primary()
        best = max(stores, key=_offset)
        if _offset(best) >= end - 1:
            return best
        if time.monotonic() > give_up_at:
            return None
        time.sleep(LOOK_AGAIN_AFTER_S)
    return None


def _offset(store: Any) -> int:
    stored = store.get(OFFSET_KEY)
    return int(stored) if stored else -1

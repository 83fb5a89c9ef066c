"""The local store of a partition: opened, or put aside when it is damaged; a full disk named.

Owns what becomes of a store that fails. It is a copy of its changelog, so a damaged one is renamed (`….db.damaged`, one
a partition is kept) and made anew by recovery. Damage that shows only while working leaves a mark beside the store and
ends the process: the next life puts it aside before it opens it. Refuses to put aside what is merely locked, without
permission or without room: that would come again.
"""

import contextlib
import logging
import shutil
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from faust.stores.rocksdb import Store
from faust.types import TP

from streams.worker.codes import Code
from streams.worker.exits import die

log = logging.getLogger(__name__)

DAMAGED: Final = ".damaged"
MARK: Final = ".put-aside"

Trouble = Literal["damaged", "full", "other"]
FULL: Final = ("No space left", "Disk quota exceeded")
TRANSIENT: Final = ("lock file", "Permission denied", "Too many open files", "Cannot allocate memory", "Read-only")


def trouble_of(fault: BaseException) -> Trouble:
    """What an exception of the store means. It tells only by its text."""
    text = str(fault)
    if any(each in text for each in FULL):
        return "full"
    return "damaged" if "Corruption" in text else "other"


class LocalStore(Store):
    """Faust's store, on rocksdict. `put_aside`: how many stores this process did not take as they were."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.put_aside = 0

    def _open_for_partition(self, partition: int) -> Any:
        path = self.partition_path(partition)
        if why := _unusable(path):
            self._aside(path, why)
        try:
            return super()._open_for_partition(partition)
        except Exception as fault:
            if trouble_of(fault) == "full":
                full(path)
            if any(each in str(fault) for each in TRANSIENT):
                raise
            self._aside(path, "it cannot be opened")
        return super()._open_for_partition(partition)

    def persisted_offset(self, tp: TP) -> int | None:
        """The changelog offset the store stands at."""
        try:
            return super().persisted_offset(tp)
        except Exception as fault:
            self.failed(tp.partition, fault)
            raise

    def failed(self, partition: int, fault: BaseException) -> None:
        """A read or a write failed. Ends the process when the store is damaged or the disk full; else returns."""
        path = self.partition_path(partition)
        match trouble_of(fault):
            case "full":
                full(path)
            case "damaged":
                with contextlib.suppress(OSError):
                    _beside(path, MARK).touch()
                die(Code.STORE_DAMAGED, "the store %s is damaged; the next start makes it anew from its topic", path)
            case "other":
                pass

    def _aside(self, path: Path, why: str) -> None:
        kept = _beside(path, DAMAGED)
        if kept.is_dir():
            shutil.rmtree(kept)
        else:
            kept.unlink(missing_ok=True)
        path.rename(kept)
        _beside(path, MARK).unlink(missing_ok=True)
        self.put_aside += 1
        log.error("the store %s is put aside as %s (%s) and made anew from its topic", path, kept.name, why)


def _unusable(path: Path) -> str | None:
    """What can be seen from outside."""
    if not path.exists():
        _beside(path, MARK).unlink(missing_ok=True)
        return None
    if _beside(path, MARK).exists():
        return "it was found to be damaged"
    if not path.is_dir():
        return "it is no folder"
    if any(path.iterdir()) and not (path / "CURRENT").exists():
        return "CURRENT is missing"  # RocksDB would begin an empty one over it
    return None


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def full(path: Path) -> NoReturn:
    """End the process for want of room."""
    die(
        Code.STORE_FULL,
        "no room on the disk that holds %s: free some, or set CALLGRANT_DATA_DIR to a larger one (the store is made "
        "anew there). Nothing is lost; the worker goes on where it stood as soon as there is room",
        path,
    )

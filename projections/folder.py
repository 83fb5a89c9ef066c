"""The folder of an embedded store: one process at a time, and nothing of ours left lying about.

Owns the lock and the private temporary folder. Refuses to know the engine.

Decisions:
- One process a folder. The engine's own refusal says nothing of a lock, so ours comes first and names the holder.
- The driver writes each insert to a temporary file, which a hard kill leaves behind with phone numbers in it: the
  temporary folder is private, lies beside the store, and is emptied before the engine starts.
"""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from projections.faults import StoreTaken


@contextlib.contextmanager
def taken(folder: Path) -> Iterator[None]:
    """Hold a store folder. The lock lasts as long as its descriptor, however the process ends. Raises `StoreTaken`."""
    path = folder.with_name(folder.name + ".lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "a process that left no name"
            raise StoreTaken(
                f"the store in {folder} is in use by {holder}, and the embedded engine allows one process a folder: "
                "stop that process, or use another CALLGRANT_DATA_DIR, or set CALLGRANT_CLICKHOUSE_URL"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} ({Path(sys.argv[0]).name or 'python'})".encode())
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def kept_to_itself(scratch: Path) -> Iterator[None]:
    """Temporary files in an empty folder of our own, and this process on UTC, until the store is closed."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    before, environment = tempfile.tempdir, {name: os.environ.get(name) for name in ("TMPDIR", "TZ")}
    try:
        tempfile.tempdir = os.environ["TMPDIR"] = str(scratch)
        os.environ["TZ"] = "UTC"  # the engine reads a time without a zone in the zone of its process
        time.tzset()
        yield
    finally:
        tempfile.tempdir = before
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        time.tzset()
        shutil.rmtree(scratch, ignore_errors=True)

"""Everything the broker keeps on disk, under `DATA_DIR/kafka`, and who may use it.

Owns the layout, the lock and the cluster's id. The lock is held by us *and* inherited by the broker, so it is free
exactly when both are gone, however they went; what is written in it only serves to tell a person who holds it, or who
held it last. Refuses to break a lock, and to delete anything but the temporary folder.
"""

import base64
import fcntl
import json
import os
import secrets
import shutil
from pathlib import Path
from string import Template
from typing import IO, Any, Final

from deploy.broker.troubles import FolderTaken

TEMPLATE: Final = Path(__file__).with_name("server.properties")


class Folder:
    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.data = self.root / "data"
        self.logs = self.root / "logs"
        self.temp = self.root / "tmp"
        self.properties = self.root / "server.properties"
        self.log = self.logs / "broker.log"
        self._lock_file = self.root / "lock"
        self._lock: IO[bytes] | None = None

    @property
    def cluster_id(self) -> str | None:
        """The id the data was formatted with, or None where nothing is formatted yet."""
        try:
            lines = (self.data / "meta.properties").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return None
        return next((line.partition("=")[2] for line in lines if line.startswith("cluster.id=")), None)

    def lock(self) -> str | None:
        """Take the folder. Answers what an earlier broker that never said goodbye left in the lock, or None."""
        self.root.mkdir(parents=True, exist_ok=True)
        lock = self._lock_file.open("a+b")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(lock)
            lock.close()
            raise FolderTaken(
                f"{self.root} is in use by a broker that runs{_spoken(holder)}. "
                f"Stop that one, or set CALLGRANT_DATA_DIR to another folder."
            ) from None
        self._lock = lock
        stale = _holder(lock)
        self._write({})
        return None if not stale else f"the last broker here{_spoken(stale)} did not end cleanly; its data is kept"

    @property
    def lock_fd(self) -> int:
        assert self._lock is not None, "the folder is not locked"  # noqa: S101 - an order within this room, not input
        return self._lock.fileno()

    def sign(self, pid: int, port: int) -> None:
        """Write into the lock who runs here."""
        self._write({"pid": pid, "port": port})

    def unlock(self, *, clean: bool) -> None:
        """Give the folder back; after an unclean end the signature stays for the next one to read."""
        if self._lock is None:
            return
        if clean:
            self._write({})
        self._lock.close()
        self._lock = None

    def prepare(self, *, port: int, controller_port: int) -> None:
        """Fresh temporary files (a killed broker leaves native libraries there), kept data, written settings."""
        shutil.rmtree(self.temp, ignore_errors=True)
        for folder in (self.data, self.logs, self.temp):
            folder.mkdir(parents=True, exist_ok=True)
        filled = Template(TEMPLATE.read_text("utf-8")).substitute(
            port=port, controller_port=controller_port, log_dir=self.data
        )
        self.properties.write_text(filled, "utf-8")
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".before.log"))

    def last_words(self, lines: int = 5) -> str:
        """The end of the broker's log, for a person who must see why it died."""
        try:
            said = self.log.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return "(it said nothing)"
        told = [line for line in said if not line.startswith("\tat ")]  # a stack says where, not why
        return "\n".join(told[-lines:]) or "(it said nothing)"

    def _write(self, holder: dict[str, int]) -> None:
        os.ftruncate(self.lock_fd, 0)
        os.write(self.lock_fd, json.dumps(holder).encode() if holder else b"")


def new_cluster_id() -> str:
    """16 drawn bytes in URL-safe base64; never with a leading dash, which a command line would take for an option."""
    while (drawn := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")).startswith("-"):
        pass
    return drawn


def _holder(lock: IO[bytes]) -> dict[str, Any]:
    lock.seek(0)
    try:
        read = json.loads(lock.read() or b"{}")
    except ValueError:
        return {"pid": "unknown"}
    return read if isinstance(read, dict) else {"pid": "unknown"}


def _spoken(holder: dict[str, Any]) -> str:
    return f" (pid {holder['pid']}, port {holder.get('port', 'unknown')})" if "pid" in holder else ""

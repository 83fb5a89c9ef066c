"""Recovery of local stores: what stands on a state topic is written into the store of its partition.

Owns which row of a key is kept (the higher version, at equality the later one; a tombstone always applies) and that
no kill at any instant leaves a store that lies. Recovery writes past the store's own log, as its topic is that log
already: rows and the offset they reach are one write, a store keeps its writes in their order, so what a kill leaves is
what the topic says up to the offset that stands there. Refuses that anything is written behind such rows with the log
on, or that a store is closed, before they are in its files: the log would bring back the later without the earlier.
"""

import logging
from typing import Any, Final

import rocksdict

from schemas.state_row import version_of
from streams.worker.deadlines import Deadline, index_key
from streams.worker.rows import VERSION, RowForm, version_on

log = logging.getLogger(__name__)

SLOTS: Final = 1 << 24
_SLOT: Final = SLOTS - 1
_BARE: Final = 7
"""Headers of nearly every row of ours: the envelope's six, then the version. One that runs out has one more."""


def _past_the_log() -> Any:
    options = rocksdict.WriteOptions()
    setattr(options, "disable_wal", True)  # noqa: B010 - a property, which the library's own stub takes for a method
    return options


class Refill:
    """The stores of one table that are being recovered. `offset_key`: under which a store keeps where it stands."""

    def __init__(self, form: RowForm, offset_key: bytes) -> None:
        self._form, self._offset_key = form, offset_key
        self._past_the_log = _past_the_log()
        self._unlogged: dict[int, Any] = {}
        self._fresh: set[int] = set()
        self._met = bytearray()

    @property
    def unlogged(self) -> frozenset[int]:
        """Partitions whose store holds rows that neither its files nor its log may have."""
        return frozenset(self._unlogged)

    def take(self, partition: int, db: Any, message: Any) -> None:
        """Write the records of a message: key, value, headers and offset of each, which is then let go."""
        fresh = self._is_fresh(partition, db)
        met, is_key, due_on = self._met, self._form.is_key, self._form.due_on
        rows: dict[bytes, bytes | None] = {}
        versions: dict[bytes, int] = {}
        due: dict[bytes, int] = {}
        for record in message.value:
            key, value = record.key, record.value
            if value is None:  # always applies: its writer knew of nothing worth keeping
                rows[key], versions[key] = None, -1
                due.pop(key, None)
                continue
            headers = record.headers
            told = headers[-1][1] if len(headers) == _BARE and headers[-1][0] == VERSION else None
            bare = told is not None and told.isdigit()
            version = int(told or 0) if bare else version_on(record)
            if version < 0 or key is None or not is_key(key):
                log.error("%s: offset %d is no state row and is left out", message.tp, record.offset)
                continue
            known = versions.get(key)
            if known is None:
                # A store that was empty holds what was met. A slot may be another key's: then the store is asked.
                stored = None if fresh and not met[hash(key) & _SLOT] else db.get(key)
                known = -1 if stored is None else version_of(stored)
            if version < known:
                versions[key] = known
                continue
            rows[key], versions[key] = value, version
            at = None if bare else due_on(record)
            if at is not None:
                due[key] = at
            elif due:
                due.pop(key, None)
        self._write(db, rows, due, message.offset)
        if fresh:
            for key in rows:
                met[hash(key) & _SLOT] = 1

    def _is_fresh(self, partition: int, db: Any) -> bool:
        if partition not in self._unlogged:
            self._unlogged[partition] = db
            if db.get(self._offset_key) is None:
                self._fresh.add(partition)
                self._met = self._met or bytearray(SLOTS)
        return partition in self._fresh

    def _write(self, db: Any, rows: dict[bytes, bytes | None], due: dict[bytes, int], offset: int) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in rows.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        for key, at in due.items():
            batch.put(index_key(Deadline(at, key)), b"")
        batch.put(self._offset_key, str(offset).encode())
        db.write(batch, self._past_the_log)

    def settle(self, partition: int) -> None:
        """From here on the store of the partition may be written with its log, or closed."""
        db = self._unlogged.get(partition)
        if db is not None:
            db.flush()
            del self._unlogged[partition]
            self._fresh.discard(partition)

    def settle_all(self) -> None:
        """The same for all; they are written to their files side by side."""
        for db in self._unlogged.values():
            db.flush(wait=False)
        for partition in list(self._unlogged):
            self.settle(partition)
        self._met = bytearray()

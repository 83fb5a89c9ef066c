"""Recovery of local stores: what stands on a state topic is written into the store of its partition.

Owns which row of a key is kept (the higher version, at equality the later one; a tombstone always applies) and that
no kill at any instant leaves a store that lies. Recovery writes past the store's own log, as its topic is that log
already: rows and the offset they reach are one write, a store keeps its writes in their order, so what a kill leaves is
what the topic says up to the offset that stands there. Refuses that anything is written behind such rows with the log
on, or that a store is closed, before they are in its files: the log would bring back the later without the earlier.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

import rocksdict

from schemas.state_row import version_of
from streams.worker.changelog import Line
from streams.worker.deadlines import Deadline, index_key
from streams.worker.rows import RowForm, version_told

log = logging.getLogger(__name__)

SLOTS: Final = 1 << 24
"""For what was met of keys, a byte each. A power of two."""


def _past_the_log() -> Any:
    options: Any = rocksdict.WriteOptions()
    setattr(options, "disable_wal", True)  # noqa: B010 - a property, which the library's own stub takes for a method
    return options


class Refill:
    """The stores of one table that are being recovered. `offset_key`: under which a store keeps where it stands."""

    def __init__(self, form: RowForm, offset_key: bytes, topic: str, slots: int = SLOTS) -> None:
        self._form, self._offset_key, self._topic = form, offset_key, topic
        self._past_the_log = _past_the_log()
        self._unlogged: dict[int, Any] = {}
        self._fresh: set[int] = set()
        self._slots = slots
        self._met = bytearray()

    @property
    def unlogged(self) -> frozenset[int]:
        """Partitions whose store holds rows that neither its files nor its log may have."""
        return frozenset(self._unlogged)

    def take(self, partition: int, db: Any, lines: Sequence[Line], reached: int) -> None:
        """Write consecutive records of a partition, of which the last one stands at the offset `reached`, or stood."""
        fresh = self._is_fresh(partition, db)
        met, slot, is_key, due_on = self._met, self._slots - 1, self._form.is_key, self._form.due_on
        rows: dict[bytes, bytes | None] = {}
        versions: dict[bytes, int] = {}
        due: dict[bytes, int] = {}
        for offset, key, value, told, due_at in lines:
            if value is None and key is not None:  # always applies: its writer knew of nothing worth keeping
                rows[key], versions[key] = None, -1
                due.pop(key, None)
                if fresh:
                    met[hash(key) & slot] = 1
                continue
            version = version_told(told, value or b"")
            if version < 0 or key is None or not is_key(key):
                log.error("%s-%d: offset %d is no state row and is left out", self._topic, partition, offset)
                continue
            known = versions.get(key)
            if known is None:
                known = -1
                at = hash(key) & slot
                if fresh and not met[at]:
                    met[at] = 1  # a store that was empty holds nothing under a key that was not met
                elif (stored := db.get(key)) is not None:  # the slot may be another key's: so the store is asked
                    known = version_of(stored)
            if version < known:
                versions[key] = known
                continue
            rows[key], versions[key] = value, version
            runs_out_at = None if due_at is None and told is not None else due_on(value or b"", told, due_at)
            if runs_out_at is not None:
                due[key] = runs_out_at
            elif due:
                due.pop(key, None)
        self._write(db, rows, due, reached)

    def _is_fresh(self, partition: int, db: Any) -> bool:
        if partition not in self._unlogged:
            self._unlogged[partition] = db
            if db.get(self._offset_key) is None:
                self._fresh.add(partition)
                self._met = self._met or bytearray(self._slots)
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

    def write_out(self, partition: int) -> None:
        """All of the partition is there: what its files lack goes there while others are still recovered."""
        self._unlogged[partition].flush(wait=False)

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

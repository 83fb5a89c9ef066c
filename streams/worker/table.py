"""The batch table: the worker's copy of a state topic, one RocksDB a partition, written a batch at a time.

Owns the order changelog, then local store, also behind recovery (`refill`). The store is never ahead of the changelog:
a batch is sent and acknowledged, found to join what was there before, and only then written, together with its offset
and the time index. Refuses item access of Faust's own (`table[key] = value`): nobody awaits its delivery.
"""
# ruff: noqa: SLF001 - this module is about the private parts of exactly pinned libraries

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, cast

import rocksdict
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.tables.manager import TableManager
from faust.tables.table import Table
from faust.types import TP

from streams.worker.batches import BatchApp, batched_topic
from streams.worker.changelog import line_of
from streams.worker.clock import now_ms
from streams.worker.deadlines import PREFIX, Deadline, due
from streams.worker.exits import Code, die, told
from streams.worker.outputs import queue
from streams.worker.places import REBUILD
from streams.worker.portions import Portion
from streams.worker.refill import Refill
from streams.worker.rows import Row, RowForm
from streams.worker.stores import LocalStore

log = logging.getLogger(__name__)

CACHE_BYTES: Final = 64 << 20  # the store's own default is 2 GiB a partition
BUFFER_BYTES: Final = 16 << 20

Rows = Mapping[bytes, Row]
Index = Mapping[bytes, bytes | None]
"""Changes of the time index: row key to b"" (put) or None (delete)."""


class BatchTable(Table[bytes, bytes]):
    """`form`: what is known of its rows. `facts`: the topic of what is folded into it, whose offsets say what must have
    left a row (`places`).
    """

    form: RowForm
    facts: str | None = None
    _refilling: Refill | None = None

    def _new_store(self) -> LocalStore:
        return LocalStore(
            "rocksdb://",
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_type=self.value_type,
            value_serializer=self.value_serializer,
            loop=self.loop,
            options=self.options,
        )

    @property
    def _local(self) -> LocalStore:
        assert isinstance(self.data, LocalStore)  # noqa: S101 - narrows a type
        return self.data

    @property
    def put_aside(self) -> int:
        """Damaged stores of this table that were put aside by this process."""
        return self._local.put_aside

    @property
    def _batch_app(self) -> BatchApp:
        assert isinstance(self.app, BatchApp)  # noqa: S101 - narrows a type; batch_table takes nothing else
        return self.app

    def db(self, partition: int) -> Any:
        """The partition's store. For the agent only: this opens what is not open."""
        return self.data._db_for_partition(partition)  # type: ignore[attr-defined]

    def get(self, partition: int, key: bytes) -> bytes | None:  # type: ignore[override]
        """The stored row of a key."""
        try:
            value: bytes | None = self.db(partition).get(key)
        except Exception as fault:
            self._local.failed(partition, fault)
            raise
        return value

    def due(self, partition: int, until: int, limit: int) -> list[Deadline]:
        """The earliest deadlines of the partition up to `until`."""
        try:
            return due(self.db(partition).items(from_key=PREFIX), until, limit)
        except Exception as fault:
            self._local.failed(partition, fault)
            raise

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Close the stores of lost partitions: the stock one drops its reference, and an idle local keeps the LOCK."""
        for tp in revoked:
            if tp.topic != self.changelog_topic_name:
                continue
            self._settle(tp.partition)
            db = self.data._dbs.pop(tp.partition, None)  # type: ignore[attr-defined]
            if db is not None:
                db.close()
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def commit(self, partition: int, rows: Rows, index: Index) -> None:
        """Changelog acknowledged, then the local store with the offset and the index, in one write."""
        if not rows and not index:
            return
        self._settle(partition)
        db = self.db(partition)
        end: int | None = None
        if rows:
            end = await self._changelog(partition, rows, db)
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, row in rows.items():
            _put(batch, key, row.value)
        for key, mark in index.items():
            _put(batch, key, mark)
        if end is not None:
            batch.put(self.data.offset_key, str(end).encode())  # type: ignore[attr-defined]
        try:
            db.write(batch)
        except Exception as fault:
            self._local.failed(partition, fault)
            raise

    async def _changelog(self, partition: int, rows: Rows, db: Any) -> int:
        """Write the rows and return the last offset. Anybody else's rows found in between are overwritten with ours."""
        gate = self._batch_app.gate
        assert gate is not None  # noqa: S101 - agents run behind the gate
        await gate.lease()
        first, end = await self._append(partition, rows.values())
        want = self._known_end(partition, db) + 1
        while first != want:
            await gate.lease()  # a zombie dies here, before its store is touched
            keys = await self._keys_between(partition, want, end)
            place = f"{self.changelog_topic_name}-{partition}"
            if end < want:
                die(Code.STORE_AHEAD, "%s ended at %d and now at %d: it was made anew. %s", place, want, end, REBUILD)
            log.error("%s: somebody else wrote in %d..%d; %d keys are written again", place, want, end, len(keys))
            if not keys:
                break
            want = end + 1
            first, end = await self._append(partition, [self._ours(key, rows, db) for key in keys])
        return end

    def _known_end(self, partition: int, db: Any) -> int:
        """The last offset known here: the store's, or where the topic ended when recovery found nothing to store."""
        stored = db.get(self.data.offset_key)  # type: ignore[attr-defined]
        if stored:
            return int(stored)
        ends = cast(TableManager, self.app.tables).recovery.active_highwaters
        tp = TP(self.changelog_topic_name, partition)
        if tp not in ends:
            raise LookupError(f"{tp} was never recovered")
        return ends[tp]

    def _ours(self, key: bytes, rows: Rows, db: Any) -> Row:
        return rows[key] if key in rows else self.form.again(key, db.get(key))

    async def _append(self, partition: int, rows: Iterable[Row]) -> tuple[int, int]:
        """First and last offset of the rows, all acknowledged; first -1: somebody wrote between our batches."""
        sender = self.app.producer._producer  # type: ignore[attr-defined]
        # The wall clock of this moment: the broker refuses state rows stamped before the session could have ended.
        sent = await queue(sender, self.changelog_topic_name, partition, rows, now_ms())
        first: int | None = None
        following = 0
        for acknowledged, records in sent:
            base: int = (await acknowledged).offset
            if first is None:
                first = base
            elif base != following:
                first = -1
            following = base + records
        assert first is not None  # noqa: S101 - never called without rows
        return first, following - 1

    async def _keys_between(self, partition: int, start: int, end: int) -> set[bytes]:
        brokers = [f"{url.host}:{url.port}" for url in self.app.conf.broker]
        consumer = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False)
        await consumer.start()
        try:
            tp = TopicPartition(self.changelog_topic_name, partition)
            keys: set[bytes] = set()
            consumer.assign([tp])
            consumer.seek(tp, start)
            while await consumer.position(tp) <= end:
                got = (await consumer.getmany(tp, timeout_ms=500)).get(tp, ())
                keys.update(record.key for record in got if record.offset <= end)
            return keys
        finally:
            await consumer.stop()

    # Recovery -----------------------------------------------------------------------------------------------------

    @property
    def _refill(self) -> Refill:
        if self._refilling is None:
            self._refilling = Refill(self.form, self.data.offset_key, self.changelog_topic_name)  # type: ignore[attr-defined]
        return self._refilling

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Recovery, by whole batches. Ends the process on any fault: Faust would log it and leave the rows out."""
        ends = cast(TableManager, self.app.tables).recovery.active_highwaters
        for event in batch:
            message = event.message
            partition, value = message.partition, message.value
            try:
                lines = value.lines() if isinstance(value, Portion) else [line_of(each) for each in value]
                self._refill.take(partition, self.db(partition), lines, message.offset)
                if 0 <= ends.get(message.tp, -1) <= message.offset:
                    self._refill.write_out(partition)
            except Exception as fault:  # noqa: BLE001 - see above
                self._not_recovered(partition, fault)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """What was recovered goes to the files of the stores, before a batch is written behind it."""
        try:
            self._refill.settle_all()
        except Exception as fault:  # noqa: BLE001 - Faust would not even log it
            self._not_recovered(min(self._refill.unlogged), fault)
        await super().on_recovery_completed(active_tps, standby_tps)

    def _settle(self, partition: int) -> None:
        try:
            self._refill.settle(partition)
        except Exception as fault:
            self._local.failed(partition, fault)
            raise

    def _not_recovered(self, partition: int, fault: Exception) -> NoReturn:
        self._local.failed(partition, fault)
        die(Code.LANE_FAILED, "%s could not be recovered: %s", self.changelog_topic_name, told(fault))


def _put(batch: Any, key: bytes, value: bytes | None) -> None:
    if value is None:
        batch.delete(key)
    else:
        batch.put(key, value)


def batch_table(
    app: BatchApp,
    *,
    name: str,
    changelog: str,
    partitions: int,
    form: RowForm,
    facts: str | None = None,
    cache_bytes: int = CACHE_BYTES,
    buffer_bytes: int = BUFFER_BYTES,
) -> BatchTable:
    """The table whose changelog is the topic named `changelog`, instead of the name Faust would derive from `name`."""
    table = BatchTable(
        app,
        name=name,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
        options={"block_cache_size": cache_bytes, "write_buffer_size": buffer_bytes},
        recovery_buffer_size=2,  # counts portions; with 1, Faust goes on reading changelogs behind recovery
    )
    table.form, table.facts = form, facts
    table.changelog_topic = batched_topic(
        app, changelog, partitions=partitions, acks=False, internal=True, allow_empty=True, compacting=True
    )
    app.tables.add(table)
    return table

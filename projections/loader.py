"""From `permission.records` into the store: fill a batch, insert it, and only then commit its offsets.

Owns the consumer and the order of the three steps. Refuses to skip: a batch that the store does not take is offered
again until it does, or until the record at fault is known by its row and parked.

Decisions:
- One batch is on its way while the next one fills; a third is not read. While the store is away the partitions are
  paused and polling goes on, so that the group keeps its member and Kafka keeps the backlog.
- Progress is what Kafka has as committed, never what the tables hold: a crash may leave a batch in one table and not
  in another.
- After a rebalance whatever was filled but not inserted is dropped: its offsets were not committed, so it comes
  again, to whoever has the partition then. Storing a record twice changes nothing.
"""

import asyncio
import contextlib
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from projections.batch import Batch
from projections.clock import elapsed, now
from projections.faults import TooManyParked
from projections.filling import Filling
from projections.inserter import Inserter
from projections.metrics import Metrics
from projections.progress import PartitionProgress, Phase, Progress, ProgressUnknown
from projections.refusals import heed_refusals
from projections.settings import ProjectionSettings
from projections.store import Store
from schemas.topics import MAX_RECORD_BYTES, TopicNames

_REBALANCE_WAITS_S: Final = 5.0
_ANSWER_WITHIN_S: Final = 3.0

log = structlog.get_logger(__name__)


class Loader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """The consumer of one process."""

    def __init__(self, settings: ProjectionSettings, store: Store, metrics: Metrics, stop: asyncio.Event) -> None:
        self._settings = settings
        self._metrics = metrics
        names = TopicNames(settings.topic_prefix, settings.generation)
        self.topic = names.of("permission.records")
        self._group = names.group("projection")
        # An embedded store has one process, whatever happens to it: the next one takes its place in the group at once,
        # instead of waiting until the session of the one that was killed runs out.
        self._member = "projection" if store.kind == "embedded" else None
        self._inserter = Inserter(settings, store, metrics, stop)
        self._consumer: Any = None
        self._stop = stop
        self._filling = Filling(settings)
        self._in_flight: asyncio.Task[None] | None = None
        self._next: dict[int, int] = {}
        self._stored_until: int | None = None
        self._phase: Phase = "starting"
        self._reason: str | None = "not yet a member of the consumer group"

    @property
    def phase(self) -> Phase:
        """What this process is doing."""
        return "store_away" if self._phase == "loading" and self._inserter.away else self._phase

    @property
    def reason(self) -> str | None:
        """Why it is not loading; None while it is."""
        return self._inserter.away if self.phase == "store_away" else self._reason

    async def run(self) -> None:
        """Load until told to stop. Raises `TooManyParked`, or a `KafkaError` that waiting cannot mend."""
        try:
            await self._join()
            while not self._stop.is_set() and self._consumer is not None:
                await self._turn()
        except TooManyParked as fault:
            self._phase, self._reason = "halted", str(fault)
            raise
        finally:
            await self._leave()

    async def progress(self) -> Progress:
        """How far we are. Raises `ProgressUnknown`."""
        consumer = self._consumer
        parts = sorted(consumer.assignment()) if consumer is not None else []
        if not parts:
            raise ProgressUnknown(self.reason or f"no partition of {self.topic} is assigned to this process")
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                ends = await consumer.end_offsets(parts)
                unknown = [part for part in parts if part.partition not in self._next]
                begins = await consumer.beginning_offsets(unknown) if unknown else {}
                for part in unknown:
                    committed = await consumer.committed(part)
                    self._next.setdefault(part.partition, begins[part] if committed is None else committed)
        except (KafkaError, TimeoutError) as fault:
            raise ProgressUnknown(f"Kafka does not answer ({type(fault).__name__})") from None
        found = Progress(
            as_of=int(now()),
            topic=self.topic,
            partitions=tuple(
                PartitionProgress(
                    partition=part.partition, next_offset=self._next.get(part.partition, 0), end_offset=ends[part]
                )
                for part in parts
            ),
            stored_until=self._stored_until,
        )
        self._metrics.lag(found.behind_records)
        return found

    async def on_partitions_revoked(self, _revoked: Any) -> None:
        """Let the batch on its way arrive, if it can, and forget what is not inserted."""
        if self._in_flight is not None:
            await asyncio.wait({self._in_flight}, timeout=_REBALANCE_WAITS_S)
        self._filling.emptied()
        self._next.clear()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """From here on there is something to load, or the topic is missing."""
        if assigned:
            self._phase, self._reason = "loading", None
        else:
            self._phase, self._reason = "starting", f"no partition of {self.topic}: run `callgrant topics create`"
        log.info("partitions_assigned", topic=self.topic, partitions=len(assigned))

    async def _join(self) -> None:
        wait_s = self._settings.retry_first_s
        while not self._stop.is_set():
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.kafka_bootstrap,
                group_id=self._group,
                group_instance_id=self._member,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=MAX_RECORD_BYTES,
                session_timeout_ms=int(self._settings.session_timeout_s * 1000),
                heartbeat_interval_ms=int(self._settings.session_timeout_s * 300),
                fetch_max_wait_ms=200,
                fetch_min_bytes=256 * 1024,  # or 200 ms: rows are stored in batches of seconds
                metadata_max_age_ms=10_000,  # a topic created after us is seen soon
            )
            try:
                await consumer.start()
                heed_refusals(consumer._coordinator)  # noqa: SLF001 - of an exactly pinned library
                consumer.subscribe([self.topic], listener=self)
            except KafkaError as fault:
                await consumer.stop()
                self._reason = f"Kafka does not answer at CALLGRANT_KAFKA_BOOTSTRAP ({type(fault).__name__})"
                log.warning("kafka_away", fault=type(fault).__name__, again_in_s=wait_s)
                await self._pause(wait_s)
                wait_s = min(wait_s * 2, self._settings.retry_most_s)
            else:
                self._consumer = consumer
                return

    async def _turn(self) -> None:
        if self._in_flight is not None and self._in_flight.done():
            done, self._in_flight = self._in_flight, None
            done.result()
        if self._filling.due(elapsed()):
            if self._in_flight is None:
                self._in_flight = asyncio.create_task(self._store_batch(self._filling.emptied()))
            elif self._filling.full:
                await self._hold(self._in_flight)
                return
        patience_ms = self._filling.patience_ms(elapsed(), busy=self._in_flight is not None)
        found = await self._consumer.getmany(timeout_ms=patience_ms, max_records=self._filling.room)
        self._filling.take(found, elapsed())

    async def _hold(self, in_flight: asyncio.Task[None]) -> None:
        """Read nothing more until the batch on its way has arrived, and stay a member of the group meanwhile."""
        try:
            while not (in_flight.done() or self._stop.is_set()):
                self._consumer.pause(*self._consumer.assignment())
                await asyncio.wait({in_flight}, timeout=0.1)
                # A partition that came just now is not paused yet: what it brings is kept.
                self._filling.take(await self._consumer.getmany(timeout_ms=0), elapsed())
        finally:
            self._consumer.resume(*(self._consumer.paused() & self._consumer.assignment()))

    async def _store_batch(self, records: list[ConsumerRecord]) -> None:
        """The guarantee is this order: inserted and parked, then committed."""
        batch = await self._inserter.store(records)
        if batch is not None:
            await self._commit(batch)

    async def _commit(self, batch: Batch[ConsumerRecord]) -> None:
        offsets = {TopicPartition(self.topic, part): offset for part, offset in batch.next_offsets().items()}
        wait_s = self._settings.retry_first_s
        while True:
            mine = {part: offset for part, offset in offsets.items() if part in self._consumer.assignment()}
            try:
                if mine:
                    await self._consumer.commit(mine)
            except (CommitFailedError, IllegalStateError):
                log.info(
                    "commit_after_rebalance", ranges=batch.ranges()
                )  # stored again by whoever has them now: no harm
                return
            except KafkaError as fault:
                if not fault.retriable or self._stop.is_set():
                    raise
                log.warning("commit_again", fault=type(fault).__name__, again_in_s=wait_s)
                await self._pause(wait_s)
                wait_s = min(wait_s * 2, self._settings.retry_most_s)
            else:
                self._next.update({part.partition: offset for part, offset in mine.items()})
                newest = max(record.timestamp for record in batch.records) // 1000
                self._stored_until = max(newest, self._stored_until or 0)
                return

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _leave(self) -> None:
        """Let the batch on its way arrive; what is not inserted is dropped, uncommitted.

        One that is late is not waited for any more, but its insert is: the store closes only after it.
        """
        self._filling.emptied()
        if self._in_flight is not None:
            _, late = await asyncio.wait({self._in_flight}, timeout=self._settings.stop_within_s)
            if late:
                self._in_flight.cancel()
            with contextlib.suppress(asyncio.CancelledError, KafkaError, TooManyParked):
                await self._in_flight
        if self._phase != "halted":
            self._phase, self._reason = "stopped", "shutting down"
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
        await self._inserter.close()

"""One batch into the store, whatever it takes: tried again while the store is away, bad records taken out one by one.

Owns the retries and the limit on parked records. Refuses to give up on a batch, and refuses to empty a topic into dead
letters: when too many records are bad, nothing of the batch is parked and loading stops, until a person mends what is
wrong or says that those records are bad for good.
"""

import asyncio
import contextlib

import orjson
import structlog
from aiokafka.structs import ConsumerRecord

from projections.batch import Batch, Parking, batch_of, token_of
from projections.clock import elapsed, now
from projections.deadletters import DeadLetters
from projections.faults import TooManyParked
from projections.metrics import Metrics
from projections.settings import ProjectionSettings
from projections.store import Refused, Store
from schemas.envelope import rfc3339

log = structlog.get_logger(__name__)


class Inserter:
    """The way of batches into one store, one at a time."""

    def __init__(self, settings: ProjectionSettings, store: Store, metrics: Metrics, stop: asyncio.Event) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics
        self._stop = stop
        self._dead_letters = DeadLetters(settings)
        until_at = settings.park_until_at
        self._parking = Parking(park_until_ms=-1 if until_at is None else until_at * 1000)
        self.away: str | None = None
        """Why the store does not take the batch at hand; None while it does."""

    async def store(self, records: list[ConsumerRecord]) -> Batch[ConsumerRecord] | None:
        """Store these records; bad ones are parked. The batch as it was stored, None when told to stop before that.

        Raises `TooManyParked`, and a `KafkaError` when the dead letters cannot be sent.
        """
        batch = await self._inserted(await asyncio.to_thread(batch_of, records))
        if batch is None:
            return None
        if batch.parked:
            await self._dead_letters.park(batch)
            log.warning("records_parked", count=len(batch.parked), reasons=_reasons(batch), ranges=batch.ranges())
        self._parking = self._parking.after(batch)
        self._metrics.records("stored", batch.rows)
        self._metrics.records("parked", len(batch.parked))
        return batch

    async def close(self) -> None:
        """Let go of the broker."""
        await self._dead_letters.close()

    async def _inserted(self, batch: Batch[ConsumerRecord]) -> Batch[ConsumerRecord] | None:
        wait_s = self._settings.retry_first_s
        while True:
            if why := self._parking.exceeded_by(batch):
                raise TooManyParked(
                    f"{why} ({_reasons(batch)}): loading stopped at {batch.ranges()} of permission.records, and "
                    "nothing of this batch was parked or committed. Mend the writer or this release, then start the "
                    "projection again. If those records are bad for good, stop whoever writes them and start it with "
                    f"CALLGRANT_PARK_UNTIL={rfc3339(int(now()) + 1)} or a later instant: what was written until then "
                    "is put aside in deadletters (deploy/operating.md, The projection stopped loading)"
                )
            try:
                await asyncio.to_thread(self._insert, batch)
            except Refused as fault:
                if fault.row is not None and 1 <= fault.row <= batch.rows:
                    batch = batch.without(fault.row, "refused_by_store", f"the store answered {fault}")
                    continue
                self.away = f"ClickHouse does not take the batch ({fault})"
                log.warning("store_away", fault=str(fault), again_in_s=wait_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), wait_s)
                if self._stop.is_set():
                    return None
                wait_s = min(wait_s * 2, self._settings.retry_most_s)
            else:
                self.away = None
                return batch

    def _insert(self, batch: Batch[ConsumerRecord]) -> None:
        body = batch.body
        if not body:
            return
        token, begun_s = token_of(body), elapsed()
        self._store.insert("inbox", body, token)
        took_s = elapsed() - begun_s
        self._metrics.inserted(took_s)
        entry = {
            "token": token,
            "ranges": batch.ranges(),
            "records": batch.rows,
            "bytes": len(body),
            "parked": len(batch.parked),
            "took_ms": int(took_s * 1000),
        }
        with contextlib.suppress(Refused):  # a help to operators only; the batch itself is stored
            self._store.insert("ingest_log", orjson.dumps(entry), token)


def _reasons(batch: Batch[ConsumerRecord]) -> str:
    return ", ".join(sorted({why.reason for why in batch.parked.values()}))

"""Batch producer: records go to the broker in batches, and each waiter learns what became of its own.

Owns when a batch is closed, where it goes, how long anyone waits for it, how much may wait, and when a session with
the cluster is given up for a new one. Refuses to know what a record means, and to raise at a waiter: an outcome is an
answer.

Decisions bound here
- A batch is open for `flush_after_ms` or until `flush_bytes`; a record that would overfill it closes it first, so a
  large record travels alone. Records without a partition share one batch at a time, and batches go round the
  partitions that have a leader: to the next one after `stay_bytes`, as Kafka's own partitioner has it since KIP-794.
  Whoever reads then finds few large batches where many small ones would stand side by side. Order between batches is
  not promised.
- One deadline per batch, not per waiter: `acknowledge_within_s` after it was opened everyone is told `late`. The batch
  itself stays with the session, which repeats it until the broker takes it: nobody was promised it, and readers know
  records by derived ids.
- While a batch is late, or the cluster could not be reached, or `max_pending_bytes` wait, new records are answered
  `away` or `full` at once: memory stays bounded and a sender hears it early. The first acknowledgement opens the door
  again.
- A refused batch ends an idempotent session: every later batch of that partition would get OutOfOrderSequenceNumber
  for ever. So only the refused batch's own waiters are told `refused`, the session is replaced, and what it tore down
  with it, which the broker certainly did not store, is sent again on the next session.
- Any other error of a session (a connection reset, a defect) ends it too: its batch is told `away`, nothing is sent
  again by us, since the broker may have it.
- A session that could not confirm the cluster for `renew_after_s` is replaced too: a new one asks the bootstrap address
  again, an old one only the brokers it knew.
"""

import asyncio
from asyncio import Future, TimerHandle
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka.errors import InvalidTimestampError, KafkaError, MessageSizeTooLargeError, TopicAuthorizationFailedError

from schemas.topics import MAX_RECORD_BYTES
from streams.kafka.keeper import Keeper, Term, Watch
from streams.kafka.outcomes import AWAY, CLOSED, FULL, LATE, REFUSED, TOO_LARGE, Acknowledged, NotAcknowledged, Outcome
from streams.kafka.session import ENDED_WITH_SESSION, MayComeBack, Record, Session

HEADER_ROOM_BYTES: Final = 1_024
"""Room counted for the headers and the framing of a record: ours are short, and counting them costs more than they
weigh."""
MEND: Final[dict[type[KafkaError], str]] = {
    MessageSizeTooLargeError: f"set max.message.bytes of the topic and of the brokers to {MAX_RECORD_BYTES}",
    InvalidTimestampError: "set the clock of this machine",
    TopicAuthorizationFailedError: "allow this process to write to the topic",
}

log = structlog.get_logger("callgrant.producer")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerLimits:
    """When a batch leaves, how long it may take, how much may wait."""

    flush_after_ms: float = 10.0
    flush_bytes: int = 256 * 1024
    stay_bytes: int = 64 * 1024
    """So much goes to a partition before the next one has its turn; 0: every batch to another one."""
    acknowledge_within_s: float = 4.0
    """From the opening of the batch. A sender waits 5 s; the rest is for what is not the broker's."""
    max_pending_bytes: int = 32 * 1024 * 1024
    probe_every_s: float = 1.0
    heard_within_s: float = 4.0
    """How old the last word of the cluster may be for `ready`."""
    renew_after_s: float = 30.0

    def __post_init__(self) -> None:
        if self.flush_bytes > MAX_RECORD_BYTES:
            raise ValueError(f"flush_bytes is at most {MAX_RECORD_BYTES} (MAX_RECORD_BYTES): a session takes no more")


class _Batch:
    __slots__ = ("late", "partition", "records", "size", "timer", "topic", "until_s", "waiters")

    def __init__(self, topic: str, partition: int | None, until_s: float) -> None:
        self.topic = topic
        self.partition = partition
        self.until_s = until_s
        self.records: list[Record] = []
        self.waiters: list[Future[Outcome]] = []
        self.size = 0
        self.late = False
        self.timer: TimerHandle | None = None


class BatchProducer:
    """`start`, then `append` from the same event loop, then `stop`. `new_session` makes a session that is not open
    yet."""

    def __init__(self, limits: ProducerLimits, new_session: Callable[[], Session]) -> None:
        self._limits = limits
        self._flush_after_s = limits.flush_after_ms / 1000
        watch = Watch(
            probe_every_s=limits.probe_every_s,
            renew_after_s=limits.renew_after_s,
            finish_within_s=limits.acknowledge_within_s,
        )
        self._keeper = Keeper(watch, new_session, opened=self._send_waiting, away=self._tell_away)
        self._open: dict[tuple[str, int | None], _Batch] = {}
        self._unsettled: set[_Batch] = set()
        self._waiting: list[_Batch] = []
        self._late = 0
        self._turn = 0
        self._left_bytes = limits.stay_bytes  # of this turn
        self._settled = asyncio.Event()
        self._closing = False
        self.pending_bytes = 0

    async def start(self) -> None:
        """Begin to keep a session. Returns at once, whether the cluster is there or not."""
        self._loop = asyncio.get_running_loop()
        self._keeper.start()

    def ready(self) -> bool:
        """Whether the cluster was heard lately and nothing waits too long: an append now should be acknowledged."""
        heard = self._keeper.heard_ago_s() <= self._limits.heard_within_s
        return self._keeper.term is not None and not self._late and heard

    def append(self, topic: str, record: Record, partition: int | None = None) -> Future[Outcome]:
        """Put a record into the open batch. The future is resolved, never failed; cancelling it concerns nobody
        else."""
        waiter: Future[Outcome] = self._loop.create_future()
        size = HEADER_ROOM_BYTES + len(record.value or b"") + len(record.key or b"")
        refusal = TOO_LARGE if size > MAX_RECORD_BYTES else self.refusal(size)
        if refusal is not None:
            waiter.set_result(refusal)
            return waiter
        batch = self._open.get((topic, partition))
        if batch is not None and batch.size + size > self._limits.flush_bytes:
            self._flush(batch)
            batch = None
        if batch is None:
            until_s = self._loop.time() + self._limits.acknowledge_within_s
            batch = self._open[topic, partition] = _Batch(topic, partition, until_s)
            batch.timer = self._loop.call_later(self._flush_after_s, self._flush, batch)
            self._unsettled.add(batch)
        batch.records.append(record)
        batch.waiters.append(waiter)
        batch.size += size
        self.pending_bytes += size
        return waiter

    def refusal(self, size: int) -> NotAcknowledged | None:
        """What `append` would answer at once to records of `size` bytes together; None when it would take them."""
        if self._closing:
            return CLOSED
        if self._late or not self._keeper.reachable:
            return AWAY
        if self.pending_bytes + size > self._limits.max_pending_bytes:
            return FULL
        return None

    async def stop(self, within_s: float) -> bool:
        """Flush, wait for what is on its way, close. False: something was not flushed in time (and not
        acknowledged)."""
        self._closing = True
        for batch in list(self._open.values()):
            self._flush(batch)
        if self._unsettled:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._settled.wait()
        left = list(self._unsettled)
        for batch in left:
            self._settle(batch, CLOSED)
        if left:
            log.warning("not_flushed", batches=len(left))
        await self._keeper.close()
        return not left

    def _flush(self, batch: _Batch) -> None:
        del self._open[batch.topic, batch.partition]
        if batch.timer is not None:
            batch.timer.cancel()
        batch.timer = self._loop.call_at(batch.until_s, self._give_up, batch)
        self._dispatch(batch)

    def _dispatch(self, batch: _Batch) -> None:
        term = self._keeper.usable()
        if term is None:
            self._waiting.append(batch)
        else:
            term.run(self._send(batch, term))

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for batch in waiting:
            self._dispatch(batch)

    def _tell_away(self) -> None:
        waiting, self._waiting = self._waiting, []
        for batch in waiting:
            self._settle(batch, AWAY)

    async def _send(self, batch: _Batch, term: Term) -> None:
        try:
            partition = self._place(batch, term.session.partitions(batch.topic))
            offset = await term.session.send(batch.topic, partition, batch.records)
        except asyncio.CancelledError:
            self._settle(batch, AWAY)
            raise
        except MayComeBack:
            self._settle(batch, AWAY)
        except ENDED_WITH_SESSION:
            term.ended.set()
            if not batch.late and batch in self._unsettled:
                self._dispatch(batch)
            else:
                self._settle(batch, AWAY)
        except KafkaError as error:
            self._refused(batch, error)
            term.ended.set()
        except Exception as error:  # noqa: BLE001 - OSError, or a defect: a batch nobody settles closes the door for ever
            log.warning("session_broke", topic=batch.topic, error=type(error).__name__)
            self._settle(batch, AWAY)
            term.ended.set()
        else:
            self._keeper.heard(term)
            self._settle(batch, Acknowledged(partition, offset))

    def _place(self, batch: _Batch, partitions: Collection[int]) -> int:
        if batch.partition is not None:
            if batch.partition in partitions:
                return batch.partition
        elif partitions:
            chosen = sorted(partitions)[self._turn % len(partitions)]
            self._left_bytes -= batch.size
            if self._left_bytes <= 0:
                self._turn, self._left_bytes = self._turn + 1, self._limits.stay_bytes
            return chosen
        raise MayComeBack("no leader")

    def _refused(self, batch: _Batch, error: KafkaError) -> None:
        log.error(
            "batch_refused",
            topic=batch.topic,
            error=type(error).__name__,
            records=len(batch.records),
            bytes=batch.size,
            mend=MEND.get(type(error), "see the log of the broker"),
        )
        self._settle(batch, REFUSED)

    def _give_up(self, batch: _Batch) -> None:
        batch.late = True
        self._late += 1
        if self._late == 1:
            log.warning("acknowledgement_late", within_s=self._limits.acknowledge_within_s)
        _tell(batch, LATE)

    def _settle(self, batch: _Batch, outcome: Outcome) -> None:
        if batch not in self._unsettled:
            return
        self._unsettled.discard(batch)
        self.pending_bytes -= batch.size
        if batch.timer is not None:
            batch.timer.cancel()
        if batch.late:
            self._late -= 1
            if not self._late:
                log.info("nothing_late_any_more")
        _tell(batch, outcome)
        if self._closing and not self._unsettled:
            self._settled.set()


def _tell(batch: _Batch, outcome: Outcome) -> None:
    for waiter in batch.waiters:
        if not waiter.done():  # one that has left, or was told that it is late
            waiter.set_result(outcome)

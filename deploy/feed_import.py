"""An operator's backfill: the lines of a history on the raw topics, with their own receipt times.

Owns the records of a backfill, window by window: the next is read when the cluster has all of the one before it, so
memory is bounded and an ended run says how far it came. Refuses lines that the gateway would have refused, and receipt
times of the future.

Decisions bound here
- `received_at` is the line's, to the second; the record's own timestamp is now, or retention would delete at once what
  is old (design 3). `delivery_id` is a digest of the body, `secret_slot` says `import`: nobody proved anything.
- Nothing is signed or asked for a key: whoever may write to the topics may import.
- Repeats are harmless: facts have derived ids. A late, full or absent cluster is asked again until `patience_s` pass
  without any acknowledgement.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from deploy.cluster import existing
from deploy.config import Config
from deploy.feed_lines import ACTIONS, CHECKS
from deploy.trouble import Trouble
from schemas.codec import Unreadable
from schemas.envelope import raw_record
from schemas.topics import TopicNames
from streams.kafka.outcomes import Acknowledged, NotAcknowledged
from streams.kafka.producer import BatchProducer, ProducerLimits
from streams.kafka.session import KafkaSession, Record
from streams.replay.lines import Arrival
from streams.replay.sources import Line

WINDOW_LINES: Final = 4_096
WINDOW_BYTES: Final = 16 * 1024 * 1024
AHEAD_S: Final = 3_600
"""How far a receipt may be ahead of our clock: as far as the gateway lets an action be."""
PAUSE_S: Final = 0.5
STOP_WITHIN_S: Final = 10.0
LIMITS: Final = ProducerLimits(flush_after_ms=10.0, acknowledge_within_s=15.0, max_pending_bytes=64 * 1024 * 1024)
"""Nobody waits at the other end, so a batch may take its time."""
SLOT: Final = "import"
CLIENT_ID: Final = "callgrant-import"

Park = Callable[[Line, Unreadable], None]
FUTURE: Final = Unreadable(
    reason="time_in_future", path="$.received_at", detail=f"more than {AHEAD_S} s ahead of this machine's clock"
)
TOO_LARGE: Final = Unreadable(reason="too_large", path="$", detail="more than the log takes as one record")


class ImportEnded(Trouble):
    """The backfill ended before the end of the file; the text says why, how far it came and what to change."""


@dataclass(slots=True)
class Imported:
    """What became of the lines. `written`: acknowledged records by topic."""

    lines: int = 0
    written: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    elapsed_s: float = 0.0

    def text(self) -> str:
        return f"{self.written.total()} of {self.lines} lines written, {self.refused.total()} refused"


@dataclass(frozen=True, slots=True)
class _Waiting:
    line: Line
    topic: str
    record: Record


class Importing:
    """One run over one reader. `now_ms`: our clock, which dates the records."""

    def __init__(
        self,
        producer: BatchProducer,
        names: TopicNames,
        now_ms: Callable[[], int],
        park: Park,
        told: Callable[[Imported], None] = lambda _: None,
        patience_s: float = 60.0,
    ) -> None:
        self._producer = producer
        self._names = names
        self._now_ms = now_ms
        self._park = park
        self._told = told
        self._patience_s = patience_s
        self.done = Imported()

    async def run(self, lines: Iterator[tuple[Line, Arrival | Unreadable]]) -> Imported:
        """Write all of them. Raises `ImportEnded`."""
        clock = asyncio.get_running_loop().time
        began_s = self._acknowledged_s = clock()
        for window in self._windows(lines):
            await self._write(window)
            self.done.elapsed_s = clock() - began_s
            self._told(self.done)
        return self.done

    def _windows(self, lines: Iterator[tuple[Line, Arrival | Unreadable]]) -> Iterator[list[_Waiting]]:
        """The records of the lines, so many at a time as may be lost sight of."""
        window: list[_Waiting] = []
        size = 0
        for line, arrival in lines:
            self.done.lines += 1
            if isinstance(arrival, Unreadable):
                self._refuse(line, arrival)
                continue
            at_ms = self._now_ms()
            if arrival.received_at > at_ms // 1000 + AHEAD_S:
                self._refuse(line, FUTURE)
                continue
            topic = self._names.of("actions.raw" if arrival.provider == ACTIONS else "webhooks.raw")
            window.append(_Waiting(line, topic, _record(arrival, at_ms)))
            size += len(arrival.body)
            if len(window) >= WINDOW_LINES or size >= WINDOW_BYTES:
                yield window
                window, size = [], 0
        if window:
            yield window

    async def _write(self, window: Sequence[_Waiting]) -> None:
        clock = asyncio.get_running_loop().time
        left = window
        while left:
            waiters = [self._producer.append(one.topic, one.record) for one in left]
            again, why = [], ""
            for one, waiter in zip(left, waiters, strict=True):
                match await waiter:
                    case Acknowledged():
                        self.done.written[one.topic] += 1
                        self._acknowledged_s = clock()
                    case NotAcknowledged("too_large"):
                        self._refuse(one.line, TOO_LARGE)
                    case NotAcknowledged("refused"):
                        raise self._ended(
                            one.line, f"the cluster refuses what {one.topic} is given: see the line above"
                        )
                    case NotAcknowledged(reason):
                        again.append(one)
                        why = reason
            if again and clock() > self._acknowledged_s + self._patience_s:
                raise self._ended(
                    again[0].line,
                    f"the Kafka cluster acknowledged nothing for {self._patience_s:g} s ({why}): "
                    "see that it runs, or correct CALLGRANT_KAFKA_BOOTSTRAP",
                )
            self.done.repeated += len(again)
            if again:
                await asyncio.sleep(PAUSE_S)
            left = again

    def _refuse(self, line: Line, fault: Unreadable) -> None:
        self.done.refused[fault.reason] += 1
        self._park(line, fault)

    def _ended(self, line: Line, why: str) -> ImportEnded:
        return ImportEnded(
            f"{why}. {self.done.text()}; from line {line.number} on nothing is certain: mend it and import again, what "
            f"comes twice counts once"
        )


def _record(arrival: Arrival, at_ms: int) -> Record:
    digest = sha256(arrival.body).hexdigest()[:32]
    delivery_id = digest if arrival.provider not in CHECKS else f"{digest}/0"
    headers = raw_record(
        provider=arrival.provider,
        received_at_ms=arrival.received_at * 1000,
        delivery_id=delivery_id,
        secret_slot=SLOT,
    )
    return Record(None, arrival.body, headers, at_ms)


@asynccontextmanager
async def producer_of(config: Config) -> AsyncIterator[BatchProducer]:
    """A producer for the two raw topics, flushed at the end. Raises `Trouble` when they cannot be written."""
    topics = tuple(config.topics.of(name) for name in ("webhooks.raw", "actions.raw"))
    missing = sorted(set(topics) - set(await existing(config.bootstrap, topics)))
    if missing:
        raise ImportEnded(f"{config.bootstrap} has no topic {missing[0]}: run `callgrant topics create`")
    producer = BatchProducer(LIMITS, lambda: KafkaSession(config.bootstrap, topics, CLIENT_ID))
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop(STOP_WITHIN_S)

"""The batch transport: a fetched batch of one partition goes through Faust as one event.

Owns what is read when, what may be committed, and the lease. Groups, assignment, rebalance and recovery stay Faust's.
Refuses to go on over anything it did not expect: a hole, a repeat or a dropped batch ends the process, because a
restart from the committed offsets loses nothing and a guess might.

Every override below leans on details of the pinned Faust and aiokafka; `tests/worker/test_pins.py` checks each of them.
"""
# ruff: noqa: SLF001 - this module is about the private parts of exactly pinned libraries

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, cast

from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode import Service
from mode.services import WaitResults

from streams.worker.batches import BatchApp
from streams.worker.clock import since_boot_s
from streams.worker.exits import Code, Waiting, die
from streams.worker.fetching import FetchThread
from streams.worker.portions import Portion
from streams.worker.undelivered import Due, Turns, Undelivered
from streams.worker.watermark import Positions

log = logging.getLogger(__name__)

BATCH_RECORDS: Final = 1_000
REJOINS: Final = 10
REJOINED_WITHIN_S: Final = 60.0
"""So many assignments in a row without one that led to reading, the last one this young, are no progress any more:
rejoining may never end. An older one recovers.
"""
LEASE_SHARE: Final = 0.9
"""Of the session: a heartbeat this recent proves that the broker has not given our partitions away."""


class BatchConsumer(driver.Consumer):
    """Delivers batches, commits prefixes, and keeps the gate shut while a rebalance is under way."""

    strict = True
    """Source topics have no holes in their offsets; False for sources with transactions or compaction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open, self._revoking, self._assigned_at = False, True, 0.0
        self._rejoins = 0  # assignments since sources were read
        self._sent: dict[TP, deque[int]] = defaultdict(deque)  # last offsets of the batches delivered, in order
        self._done: dict[TP, set[int]] = defaultdict(set)  # those of them that were acknowledged
        self._next: dict[TP, int] = {}  # the first offset the next batch must have
        self._raw: dict[TP, int] = {}  # the offset of the last raw record handed over, until it is acknowledged
        self._turns = Turns()
        self._delivery = self.callback.__code__
        kafka = cast(driver.Transport, self.transport)
        self._undelivered = Undelivered(driver.server_list(kafka.url, kafka.default_port), self)
        self._ours = cast(BatchApp, self.app)
        self._ours.gate = self

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _fetching(self) -> FetchThread:
        return cast(FetchThread, self._thread)

    @property
    def _recovery(self) -> Recovery:
        return cast(TableManager, self._ours.tables).recovery

    # The gate -----------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether sources are read: every rebalance so far is over, recovery included."""
        return self._open

    def open_after_rebalance(self) -> None:
        """Open, if the rebalance that ended is the one of the present generation."""
        recovered = self._recovery._generation_id
        self._open = not self._revoking and recovered == self._ours.consumer_generation_id
        if self._open:
            self._rejoins = 0

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """From here to the end of the assignment nothing is read. Commit first: the base class forgets what is not."""
        self._open, self._revoking = False, True
        await self.commit()
        await super().on_partitions_revoked(revoked)  # waits for batches in work, commits them

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """New books and a new lease. Recovery seeks, then resumes the changelogs."""
        self._sent.clear()
        self._done.clear()
        self._next.clear()
        self._raw.clear()
        if self._ours.leash is not None:
            self._ours.leash.forget()
        await super().on_partitions_assigned(assigned, generation_id)  # pauses everything
        self._assigned_at = since_boot_s()
        self._revoking = False
        self._rejoins += 1

    async def lease(self) -> None:
        """Return while the partitions are provably ours. To be awaited before every write.

        A worker frozen past its session is expelled; awake again it must not write behind the new owner. While the
        broker is merely away this waits, limited by the watchdog.
        """
        while True:
            age_s = since_boot_s() - max(self._fetching.last_ok_heartbeat(), self._assigned_at)
            if age_s < self.app.conf.broker_session_timeout * LEASE_SHARE:
                return
            if self._revoking:
                die(Code.EXPELLED, "no heartbeat for %.1f s and expelled: the partitions have another owner", age_s)
            await asyncio.sleep(0.05)

    def _readable(self) -> set[TP]:
        if self._revoking:
            return set()
        active: set[TP] = self._get_active_partitions()
        return active if self._open else {tp for tp in active if self._is_changelog_tp(tp)}

    # Delivery -----------------------------------------------------------------------------------------------------

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's signature
        """The next batches, partitions in turn."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
        generation, active = self._ours.consumer_generation_id, self._readable()
        if not active:
            await self.sleep(0.02)  # the base class sleeps a whole second here
            return
        records = await self._fetched(active, generation, timeout)
        self._raw |= {tp: got[-1].offset for tp, got in records.items() if tp.topic in self._ours.raw_topics}
        plain, batches = self._cut(records)
        with self._turns.delivering(sum(map(len, records.values()))):
            while batches:
                for tp in list(batches):
                    batch = batches[tp].popleft()
                    if not batches[tp]:
                        del batches[tp]
                    if self._stale(tp, generation):
                        return
                    if not self._is_changelog_tp(tp):
                        await self._check_joined(tp, batch[0].offset)
                        if self._stale(tp, generation):
                            return
                        self._next[tp] = batch[-1].offset + 1
                        self._sent[tp].append(batch[-1].offset)
                    yield tp, _message(tp, batch, generation)
            for tp, record in self.scheduler.iterate(plain):
                if self._stale(tp, generation):
                    return
                yield tp, self._to_message(tp, record)

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109 - the base class's signature
        """Whichever of these ends first; a delivery for which there is room does at once.

        Faust's loop lets each delivery race with the beginning of a rebalance, as there may be no room for it: four
        tasks a message, three of them to be cancelled, while the lanes that have theirs begin and each sends by itself.
        Now the lanes of one fetch begin together, and the client sends what they write as one request.
        """
        if coros and getattr(coros[0], "cr_code", None) is self._delivery and self._has_room():
            delivery, beginning = coros
            beginning.close()
            return WaitResults([delivery], [await delivery], self.should_stop)
        return await super().wait_first(*coros, timeout=timeout)

    def _has_room(self) -> bool:
        """Whether a delivery would wait for nothing: neither for its turn, as deliveries are made one by one, nor for
        its agent. The buffer of `send`, which it looks at too, is never filled here.
        """
        app, topics = self._ours, cast(Conductor, self._ours.topics)
        return (
            self.flow_active
            and app.flow_control.is_active()
            and not topics._tp_to_callback_lock.locked()
            and not any(channel.queue.full() for channel in topics)
        )

    async def _fetched(self, active: set[TP], generation: int, timeout_s: float) -> Mapping[TP, list[Any]]:
        leash = self._ours.leash
        if leash is None:
            return await self._fetching.fetch(active, generation, timeout_s)
        records: Mapping[TP, list[Any]] = {}
        if free := active - leash.held:  # none would mean all of them to the client
            records = await self._fetching.fetch(free, generation, timeout_s)
        else:
            await self.sleep(0.05)
        if self._revoking or self._ours.consumer_generation_id != generation:
            return {}  # what waits, and this, will be fetched again
        return leash.through(records)

    def _cut(self, records: Mapping[TP, list[Any]]) -> tuple[dict[TP, list[Any]], dict[TP, deque[Any]]]:
        """Faust's own topics (leader) as they are, ours in batches; changelogs come in portions."""
        plain: dict[TP, list[Any]] = {}
        batches: dict[TP, deque[Any]] = {}
        for tp, got in records.items():
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if isinstance(got[0], Portion):
                batches[tp] = deque(got)
            elif tp.topic in self._ours.batched_topics:
                batches[tp] = deque(got[at : at + BATCH_RECORDS] for at in range(0, len(got), BATCH_RECORDS))
            else:
                plain[tp] = got
        return plain, batches

    def _stale(self, tp: TP, generation: int) -> bool:
        """Whether a batch must not be delivered any more: positions are set anew after every assignment."""
        return (
            self._revoking
            or not self.flow_active
            or self.should_stop
            or self._ours.consumer_generation_id != generation
            or not (self._open or self._is_changelog_tp(tp))
        )

    async def _check_joined(self, tp: TP, first: int) -> None:
        want = self._next.get(tp, self._committed_offset.get(tp))
        if want is None or first == want:
            return
        earliest = (await self.earliest_offsets(tp)).get(tp) or 0
        if first < want:
            die(Code.HOLE, "%s: delivered twice in one assignment: %d after %d", tp, first, want)
        elif want < earliest <= first:
            log.error("%s: %d..%d were deleted by retention before they were read", tp, want, earliest - 1)
        elif self.strict:
            die(Code.HOLE, "%s: hole in delivery %d..%d", tp, want, first - 1)

    # Commit -------------------------------------------------------------------------------------------------------

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self._ours.batched_topics:  # a batch "jumps" by design: no gap tree
            await super()._add_gap(tp, offset_from, offset_to)

    def ack(self, message: Any) -> bool:
        """Own books beside the base class's, which forgets acknowledgements at a revoke."""
        if message.topic in self._ours.batched_topics:
            self._done[message.tp].add(message.offset)
        if self._raw.get(message.tp) == message.offset:
            del self._raw[message.tp]
            if not self._raw:
                self._fetching.wrote()
        return super().ack(message)

    def _new_offset(self, tp: TP) -> int | None:
        """Only a prefix of what was delivered may be committed."""
        if tp.topic not in self._ours.batched_topics:
            return super()._new_offset(tp)
        done, sent, top = self._done[tp], self._sent[tp], None
        while sent and sent[0] in done:
            top = sent.popleft()
        done.intersection_update(sent)
        if done:
            die(Code.HOLE, "%s: the batch up to %d was dropped, later ones were worked", tp, sent[0])
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return None if top is None else top + 1

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        committed = bool(await super()._commit(offsets))
        if committed:
            self._ours.committed_at = time.monotonic()
        return committed

    def _clean_unacked_messages(self) -> None:
        # Called while a rebalance or a stop waits for batches in work. A halted worker's will never be acknowledged:
        # waiting for them would hold up the whole group, or TERM.
        super()._clean_unacked_messages()
        if self._ours.halt.settled:
            self._unacked_messages.clear()

    # Asked by others ----------------------------------------------------------------------------------------------

    def committed(self, tp: TP) -> int:
        """The committed offset as far as this process knows; 0 when nothing was committed."""
        return self._committed_offset.get(tp) or 0

    async def committed_by_group(self, tp: TP) -> int:
        """The same, asked of the broker: before the sources are read this process knows nothing."""
        return await self._fetching.committed_by_group(tp)

    def end_of(self, tp: TP) -> int | None:
        """The end of the partition as of the last fetch; None before the first."""
        end: int | None = self.highwater(tp)
        return end

    async def end_now(self, tp: TP) -> int | None:
        """The same, asked of the broker: what was written before something else that was read already may not have been
        fetched. None when it does not say.
        """
        try:
            ends = await self._fetching.ends([tp])
        except (KafkaError, TimeoutError) as fault:
            log.warning("%s: the broker does not tell where it ends: %s", tp, type(fault).__name__)
            return None
        return ends.get(tp)

    @property
    def positions(self) -> Positions:
        """The client, which can ask about any partition."""
        return self._fetching

    def lags(self) -> dict[TP, int]:
        """Records of each source partition of ours behind what was committed, as of the last fetch or look."""
        found: dict[TP, int] = {}
        for tp in self._sources():
            ends = [end for end in (self.end_of(tp), self._undelivered.ends.get(tp)) if end is not None]
            if ends:
                found[tp] = max(0, max(ends) - self.committed(tp))
        return found

    def _sources(self) -> list[TP]:
        ours = self._ours.batched_topics
        return [tp for tp in self.assignment() if tp.topic in ours and not self._is_changelog_tp(tp)]

    def due(self) -> Due:
        """What should be fetched now. What Faust leaves out because its agent's queue is full is in hand already."""
        ours = self._ours
        turn = (ours.consumer_generation_id, self._turns.full)
        if not self._open or self._turns.blocked or ours.halt.reason is not None or ours.should_stop:
            return Due(turn)
        held = self._buffered_partitions - self._active_partitions
        if ours.leash is not None:
            held |= ours.leash.held
        return Due(turn, {tp: self._next_of(tp) for tp in self._sources() if tp not in held})

    def _next_of(self, tp: TP) -> int:
        offset = self._next.get(tp, self._committed_offset.get(tp))
        # Nothing committed, or the broker did not say just then; the client asks again until it knows where to go on.
        return self._fetching.place_of(tp) if offset is None else offset

    def to_recover(self) -> int:
        """Changelog records still to be read before this worker is ready."""
        recovery = self._recovery
        if not recovery.in_recovery:
            return 0
        return sum(max(0, left) for left in recovery.active_remaining().values())

    def progress(self) -> tuple[object, Waiting | None]:
        """For the watchdog: something that changes with any progress, and why there should be some."""
        recovery = self._recovery
        if not self._open:
            if self._rejoins > REJOINS and since_boot_s() - self._assigned_at < REJOINED_WITHIN_S:
                return "rejoins", "rebalance"
            return (self._ours.consumer_generation_id, tuple(recovery.active_offsets.values())), "rebalance"
        in_work = sum(map(len, list(self._sent.values())))
        held = self._ours.leash.held if self._ours.leash is not None else frozenset()  # waits for somebody else
        ahead = [(tp, offset) for tp, offset in self._next.items() if tp not in held]
        lagging = any((self.highwater(tp) or 0) > offset for tp, offset in ahead)
        return (in_work, ahead), "stall" if in_work or lagging else None

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: the stock check reads books that batches do not keep, and its alarms are false."""

    @Service.task
    async def _watch_undelivered(self) -> None:
        await self._undelivered.run()

    @Service.task
    async def _finish_recovery(self) -> None:
        # Faust waits for the record before the highwater, which may not be readable (a transaction marker). The
        # position beyond it, twice, with an empty queue, is the end.
        seen: dict[TP, tuple[int, int | None, int | None]] = {}
        while not self.should_stop:
            await self.sleep(1.0)
            tables, generation = cast(TableManager, self._ours.tables), self._ours.consumer_generation_id
            recovery = tables.recovery
            if not recovery.in_recovery or tables.changelog_queue.qsize():
                seen.clear()
                continue
            for tp in [tp for tp, left in recovery.active_remaining().items() if left > 0]:
                position = await self.position(tp)
                mark = (generation, position, recovery.active_offsets.get(tp))
                if (
                    position is not None
                    and position > recovery.active_highwaters[tp]
                    and seen.get(tp) == mark
                    and generation == self._ours.consumer_generation_id
                ):
                    last = recovery.active_highwaters[tp]
                    log.warning("%s: %s..%s is not readable, recovery ends without it", tp, mark[2], last)
                    recovery.active_offsets[tp] = last
                seen[tp] = mark


def _message(tp: TP, batch: Portion | list[Any], generation: int) -> ConsumerMessage:
    last = batch if isinstance(batch, Portion) else batch[-1]
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        last.offset,
        (last.timestamp or 0) / 1000.0,
        last.timestamp_type,
        None,
        None,
        cast(Any, batch),  # the whole point: the value of one message is many records
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )


class BatchProducer(driver.Producer):
    """Idempotent, which Faust asks for in transactions only: a doubled retry would look like a foreign writer."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class BatchTransport(driver.Transport):
    """The stock transport with our consumer and producer."""

    Consumer = BatchConsumer
    Producer = BatchProducer

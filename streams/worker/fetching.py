"""The thread that talks to the broker: what is fetched when, the heartbeats that prove a lease, and what else is asked.

Owns all that happens in the client's thread. Refuses to deliver and to commit: the consumer does (`transport`).
"""
# ruff: noqa: SLF001 - this module is about the private parts of exactly pinned libraries

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Final, cast

from aiokafka.errors import ConsumerStoppedError, StaleMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.kafka.compression import keep_context
from streams.kafka.refusals import go_on_after_errors, heed_refusals
from streams.worker.batches import BatchApp
from streams.worker.clock import since_boot_s
from streams.worker.portions import keep_bytes, leave_undecoded
from streams.worker.rhythm import Rhythm

FETCH_MAX_BYTES: Final = 6 << 20
"""Of all partitions together: while a worker recovers, so much is worked while so much is fetched. The client's own
50 MiB are a whole topic, which is held twice and worked only once all of it has come.
"""
ANSWER_WITHIN_S: Final = 5.0


class _Without:
    """What a fetcher asks of an assignment, as if it held none of some topics."""

    def __init__(self, assignment: Any, topics: Collection[str]) -> None:
        self.tps = [tp for tp in assignment.tps if tp.topic not in topics]
        self.state_value = assignment.state_value


class FetchThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the broker."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._ours = cast(BatchApp, self.app)
        self._rhythm = Rhythm()

    def _create_worker_consumer(self, transport: Any) -> Any:
        keep_bytes()
        keep_context()
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_bytes = FETCH_MAX_BYTES
        return consumer

    async def on_start(self) -> None:
        """Start; from then on fetch in step, remember when the last good heartbeat was sent, heed what a coordinator
        refuses, and go on after it.
        """
        await super().on_start()
        self._fetch_in_step()
        self._remember_heartbeats()
        coordinator = self._ensure_consumer()._coordinator
        heed_refusals(coordinator)
        go_on_after_errors(coordinator)

    def _fetch_in_step(self) -> None:
        # The driver hard-codes 1500 ms and one byte: with one fetch a broker at a time, idle partitions would stall
        # busy ones, and whatever comes would be fetched by itself. And it goes on fetching changelogs that Faust has
        # paused: nobody takes the first row written to each, for which the client fetches nothing at all for 100 ms.
        fetcher, rhythm = self._ensure_consumer()._fetcher, self._rhythm
        stock = fetcher._get_actions_per_node

        def in_step(assignment: Any) -> tuple[Any, ...]:
            ask = rhythm.next()
            unread = self._changelogs_at_rest()
            if isinstance(ask, float):
                _, resets, timeout_s, *others = stock(_Without(assignment, unread))
                return [], resets, min(timeout_s, ask), *others
            fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes = ask.wait_ms, ask.min_bytes
            requests, *others = stock(_Without(assignment, unread if ask.raw else unread | self._ours.raw_topics))
            if requests:
                rhythm.asked()
            return requests, *others

        fetcher._get_actions_per_node = in_step

    def _changelogs_at_rest(self) -> set[str]:
        """The topics that a worker reads while it recovers, once that is over."""
        return self._ours.tables.changelog_topics if self._ours.reads_sources else set()

    def wrote(self) -> None:
        """All that the raw records handed over came to is written. To be called from any thread."""
        with suppress(RuntimeError):  # this thread has ended, and fetches nothing any more
            self.thread_loop.call_soon_threadsafe(self._wrote)

    def _wrote(self) -> None:
        self._rhythm.wrote()
        fetcher = self._ensure_consumer()._fetcher
        fetcher._notify(fetcher._wait_consume_future)

    def _remember_heartbeats(self) -> None:
        coordinator = self._ensure_consumer()._coordinator
        beat = coordinator._do_heartbeat

        async def remembered() -> bool:
            sent_at = since_boot_s()  # the broker counts from later than this
            good = bool(await beat())
            if good:
                coordinator.last_ok_heartbeat = sent_at  # aiokafka keeps it in a local variable
            return good

        coordinator._do_heartbeat = remembered

    def last_ok_heartbeat(self) -> float:
        """When the last acknowledged heartbeat was sent, by `since_boot_s`; 0 before the first."""
        coordinator = self._consumer._coordinator if self._consumer is not None else None
        return float(getattr(coordinator, "last_ok_heartbeat", 0.0))

    async def committed_by_group(self, tp: TP) -> int:
        """What the group has committed of a partition; 0 when nothing."""
        offset: int | None = await self.call_thread(self._ensure_consumer().committed, tp)
        return max(0, offset or 0)

    async def ends_of(self, topics: Collection[str]) -> Mapping[TP, int]:
        """The end of every partition of some topics that the group reads."""
        consumer, tps = self._ensure_consumer(), list[TP]()
        for topic in topics:
            known = consumer.partitions_for_topic(topic)
            if not known:  # a broker that is starting may leave it out of its answer
                raise StaleMetadata(topic)
            tps += [TP(topic, each) for each in sorted(known)]
        return await self.ends(tps)

    async def ends(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """The end of some partitions. Raises `TimeoutError`: one without a leader would be asked for over and over."""
        ends: Mapping[TP, int] = await self._asked(self._ensure_consumer().end_offsets, partitions)
        return ends

    async def begins_of(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """Where some partitions begin."""
        begins: Mapping[TP, int] = await self._asked(self._ensure_consumer().beginning_offsets, partitions)
        return begins

    async def committed_of(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """What the group, each of its members, has committed of some partitions."""
        told = await self._asked(self._ensure_consumer()._coordinator.fetch_committed_offsets, partitions)
        return {tp: known.offset for tp, known in told.items()}

    async def _asked(self, ask: Callable[[list[TP]], Awaitable[Any]], partitions: Collection[TP]) -> Any:
        async def within() -> Any:  # in the client's thread, which has few turns to give and must get this one back
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await ask(list(partitions))

        return await self.call_thread(within)

    def place_of(self, tp: TP) -> int:
        """Where the client goes on to fetch; 0 while it does not know."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        state = assignment.state_value(tp) if assignment is not None else None
        return int(state.position) if state is not None and state.has_valid_position else 0

    async def fetch(self, active: set[TP], generation: int, timeout_s: float) -> Mapping[TP, list[Any]]:
        """What is there for `active`, of this generation only."""
        records: Mapping[TP, list[Any]] = await self.call_thread(self._fetch, active, generation, timeout_s)
        return records

    async def _fetch(self, active: set[TP], generation: int, timeout_s: float) -> Mapping[TP, list[Any]]:
        # The stock form sleeps through a reassignment and then pops records of the new one before Faust has sought its
        # partitions. This one never suspends between the check and the pop. What was popped is never discarded within a
        # generation: recovery would take what is missing for the end.
        consumer = self._ensure_consumer()
        fetcher, subscriptions = consumer._fetcher, consumer._subscription
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        with subscriptions.fetch_context():
            for last in (False, True):
                if (
                    subscriptions.reassignment_in_progress
                    or not self.consumer.flow_active
                    or self.app.consumer_generation_id != generation
                ):
                    return {}
                leave_undecoded(fetcher._records, filter(self.consumer._is_changelog_tp, active))
                records: Mapping[TP, list[Any]] = await fetcher.fetched_records(active, timeout=0)  # does not suspend
                if raw := sum(len(got) for tp, got in records.items() if tp.topic in self._ours.raw_topics):
                    self._rhythm.took(raw)
                if records or last:
                    return records
                waiter = fetcher._create_fetch_waiter()
                await asyncio.wait([waiter], timeout=timeout_s)
                if waiter.done():
                    waiter.result()  # authorization errors
                else:
                    waiter.cancel()
        return {}

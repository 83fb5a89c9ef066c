"""Following: a generation that only folds never folds a fact before the reading generation has.

Owns how far that is, and the facts that wait for it. The reason is what a pair hands on to another one: it goes back to
`permission.events`, which the reading generation alone writes. A follower makes the same forwards and drops them, and
that is right only for facts whose forwards stand in the log already: those the reading generation has committed. So
whatever happens to either of them, readers can be switched at any moment: what the follower has not folded yet is what
it will hand on itself.

Before its first fact a follower folds the numbers as far as they were known when it started, so that what it announces
of the past is judged by what is known of a number, as in a replay. Refuses to guess: while the broker or the reading
generation is away nothing is let through.
"""

import asyncio
import contextlib
import logging
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from faust.types import TP

from schemas.topics import TopicNames
from streams.kafka.refusals import heed_refusals_told
from streams.worker.exits import Code, die, told
from streams.worker.settings import WorkerSettings

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.5
LOOK_WITHIN_S: Final = 10.0


class Leash:
    """What was fetched and may not be delivered yet: records of one topic, up to a limit by partition."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._limits: dict[int, int] = {}
        self._held: dict[TP, list[Any]] = {}

    def reach(self, limits: Mapping[int, int]) -> None:
        """From now on records below these offsets may pass. A partition that is not named lets nothing through."""
        self._limits = dict(limits)

    @property
    def held(self) -> frozenset[TP]:
        """Partitions of which something waits here; no more of them is to be fetched meanwhile."""
        return frozenset(self._held)

    def forget(self) -> None:
        """An assignment begins: everything is fetched again from what was committed."""
        self._held.clear()

    def through(self, fetched: Mapping[TP, list[Any]]) -> dict[TP, list[Any]]:
        """What may be delivered now, of these records and of those that waited."""
        passing: dict[TP, list[Any]] = {}
        for tp, records in fetched.items():
            if tp.topic == self._topic:
                self._held.setdefault(tp, []).extend(records)
            else:
                passing[tp] = records
        for tp, records in list(self._held.items()):
            end = bisect_left(records, self._limits.get(tp.partition, 0), key=lambda record: int(record.offset))
            if end:
                passing[tp] = records[:end]
            if end < len(records):
                self._held[tp] = records[end:]
            else:
                del self._held[tp]
        return passing


class Following:
    """Keeps a leash as long as the reading generation has folded. To be run in the worker's loop."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._bootstrap = settings.kafka_bootstrap
        names, reading = settings.names, TopicNames(settings.topic_prefix, settings.reading_generation)
        self._own, self._reading = names.group("worker"), reading.group("worker")
        events, numbers = names.of("permission.events"), names.of("business.events")
        self._events = [TopicPartition(events, each) for each in range(settings.partitions)]
        self._numbers = [TopicPartition(numbers, each) for each in range(settings.partitions)]
        self._wanted: dict[TopicPartition, int] | None = None
        self._numbers_known = False
        self._trouble: str | None = None
        self.leash = Leash(events)

    async def run(self) -> None:
        """Look until cancelled. Any other end would hold everything back for ever: the process ends."""
        while True:
            try:
                await self._session()
            except (KafkaError, OSError, TimeoutError) as trouble:
                self._tell(type(trouble).__name__)
            except Exception as fault:  # noqa: BLE001 - a look survives the broker; this is a defect
                die(Code.LANE_FAILED, "following %s failed: %s", self._reading, told(fault))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _session(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        heed_refusals_told(admin)
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                await admin.start()
            while True:
                async with asyncio.timeout(LOOK_WITHIN_S):
                    await self._look(admin)
                self._tell(None)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await admin.close()

    async def _look(self, admin: Any) -> None:
        if not self._numbers_known:
            await self._look_at_numbers(admin)
        if self._numbers_known:
            folded = await _committed(admin, self._reading, self._events)
            self.leash.reach({place.partition: offset for place, offset in folded.items()})

    async def _look_at_numbers(self, admin: Any) -> None:
        if self._wanted is None:
            self._wanted = await _committed(admin, self._reading, self._numbers)
        own = await _committed(admin, self._own, self._numbers)
        self._numbers_known = all(own[place] >= offset for place, offset in self._wanted.items())
        if self._numbers_known:
            log.info("what was known of numbers is folded; now the pairs, as far as group %s is", self._reading)

    def _tell(self, trouble: str | None) -> None:
        """One line when the reading generation is lost from sight, one when it is seen again."""
        if trouble == self._trouble:
            return
        if trouble is None:
            log.info("how far group %s is can be seen again", self._reading)
        else:
            log.warning("how far group %s is cannot be seen (%s); nothing is folded beyond", self._reading, trouble)
        self._trouble = trouble


async def _committed(admin: Any, group: str, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """What a group has committed; 0 where nothing."""
    wanted = list(places)
    found = await admin.list_consumer_group_offsets(group, partitions=wanted)
    return {place: max(0, found[place].offset) if place in found else 0 for place in wanted}

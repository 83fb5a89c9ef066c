"""How fresh an answer is: the latest instant up to which all the gateway acknowledged is in the replica.

Owns following that chain once a second, in the background: what was accepted by `t` is in the raw topics before their
ends seen at `t`; once the worker's group has committed those, its facts stand in `permission.events` before the ends
seen *then*; once those are committed, the states stand in `permission.state` before the ends seen then; once the
replica has read those, an answer holds all that was accepted by `t`. Facts about numbers go beside them, through
`business.events` and `business.state`: each step holds when it does for both. Measured one by one the parts would each
look fresh while a fact is between two.

Refuses to guess: a look that fails moves nothing, so the age grows by itself while the broker or the worker is away.
A partition the group never committed counts from its first record; a group that is unknown is behind by everything.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from schemas.topics import TopicNames
from streams.kafka.level import Level
from streams.kafka.refusals import heed_refusals_told

LOOK_WITHIN_S: Final = 5.0
TRY_AGAIN_AFTER_S: Final = 0.5
NOTICE_PARTITIONS_S: Final = 10.0
RAW: Final = ("webhooks.raw", "actions.raw")
EVENTS: Final = ("permission.events", "business.events")
STATES: Final = ("permission.state", "business.state")

_log: Any = structlog.get_logger("freshness")


@dataclass(frozen=True, slots=True)
class Lag:
    """What an answer given now may lack. `seconds`: None until the first whole look; `records`: as of the last look."""

    records: int
    seconds: float | None

    def too_old(self, max_lag_s: float) -> str | None:
        """Why no answer may be given, None when one may."""
        if self.seconds is None:
            return "still catching up with the topics"
        if self.seconds > max_lag_s:
            return f"behind what the gateway acknowledged by more than {max_lag_s:g} s"
        return None


class LagSource(Protocol):
    """Who knows the lag."""

    def lag(self) -> Lag: ...


class Rows(Protocol):
    """What is asked of the replica."""

    @property
    def positions(self) -> dict[int, int]: ...
    @property
    def caught_up(self) -> bool: ...
    @property
    def lag_records(self) -> int: ...
    @property
    def outranked(self) -> int: ...
    def __len__(self) -> int: ...
    def get(self, key: bytes) -> bytes | None: ...


class Freshness:
    """The chain for a replica of `permission.state` and one of `business.state`."""

    def __init__(self, bootstrap: str, names: TopicNames, rows: Rows, numbers: Rows, *, every_s: float = 1.0) -> None:
        self._bootstrap = bootstrap
        self._group = names.group("worker")
        self._raw = tuple(names.of(name) for name in RAW)
        self._events = tuple(names.of(name) for name in EVENTS)
        self._replicas = dict(zip((names.of(name) for name in STATES), (rows, numbers), strict=True))
        self._every_s = every_s
        self._accepted: Level[TopicPartition] = Level()
        self._folded: Level[TopicPartition] = Level()
        self._answered: Level[TopicPartition] = Level()
        self._committed: dict[TopicPartition, int] = {}
        self._records = 0
        self._trouble: str | None = None

    def lag(self) -> Lag:
        """What an answer given now may lack."""
        reached_at = self._answered.level_at
        if reached_at is None or not all(replica.caught_up for replica in self._replicas.values()):
            return Lag(self._records, None)
        return Lag(self._records, time.monotonic() - reached_at)

    async def run(self) -> None:
        """Look until cancelled. Any other end is a defect."""
        while True:
            try:
                await self._session()
            except (KafkaError, OSError, TimeoutError) as trouble:
                self._tell(trouble)
            await asyncio.sleep(TRY_AGAIN_AFTER_S)

    async def _session(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=5_000)
        heed_refusals_told(admin)
        ends = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, group_id=None, request_timeout_ms=5_000)
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                await admin.start()
                await ends.start()
            while True:
                async with asyncio.timeout(LOOK_WITHIN_S):
                    places = await self._places(admin)
                look_again_at = time.monotonic() + NOTICE_PARTITIONS_S
                while time.monotonic() < look_again_at:
                    async with asyncio.timeout(LOOK_WITHIN_S):
                        await self._look(admin, ends, places)
                    self._tell(None)
                    await asyncio.sleep(self._every_s)
        finally:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(LOOK_WITHIN_S):
                    await ends.stop()
                    await admin.close()

    async def _places(self, admin: Any) -> dict[str, list[TopicPartition]]:
        topics = (*self._raw, *self._events, *self._replicas)
        places = {
            found["topic"]: [TopicPartition(found["topic"], one["partition"]) for one in found["partitions"]]
            for found in await admin.describe_topics(list(topics))
        }
        for topic in topics:
            if not places.get(topic):
                raise UnknownTopicOrPartitionError(topic)
        return places

    async def _look(self, admin: Any, ends: Any, places: dict[str, list[TopicPartition]]) -> None:
        """One look along the chain, in the order of the flow: each end is read after the commit that it must cover."""
        raw = [place for topic in self._raw for place in places[topic]]
        events = [place for topic in self._events for place in places[topic]]
        at = time.monotonic()
        self._accepted.mark(at, await ends.end_offsets(raw))
        self._committed = await self._positions(admin, ends, [*raw, *events])
        self._accepted.reach(self._committed)
        self._folded.mark(self._accepted.level_at, await ends.end_offsets(events))
        self._folded.reach(self._committed)
        states = [place for topic in self._replicas for place in places[topic]]
        self._answered.mark(self._folded.level_at, await ends.end_offsets(states))
        read = self._read()
        self._answered.reach(read)
        self._records = (
            self._accepted.lag(self._committed) + self._folded.lag(self._committed) + self._answered.lag(read)
        )

    def _read(self) -> dict[TopicPartition, int]:
        """Where the replicas stand."""
        return {
            TopicPartition(topic, partition): position
            for topic, replica in self._replicas.items()
            for partition, position in replica.positions.items()
        }

    async def _positions(self, admin: Any, ends: Any, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        wanted = list(places)
        found = await admin.list_consumer_group_offsets(self._group, partitions=wanted)
        begins = await ends.beginning_offsets(wanted)
        return {place: max(begins[place], found[place].offset if place in found else -1) for place in wanted}

    def _tell(self, trouble: BaseException | None) -> None:
        """One line when the chain is lost from sight, one when it is seen again; nothing in between."""
        name = None if trouble is None else type(trouble).__name__
        if name == self._trouble:
            return
        if name is None:
            _log.info("freshness_known", group=self._group)
        else:
            _log.warning("freshness_unknown", group=self._group, trouble=name)
        self._trouble = name

"""Undelivered: records that wait on the broker while fetching brings none of them.

Owns the look that needs no fetching: every few seconds a client of its own asks where our source partitions end. What
fetching itself knows does not tell: a fetcher that died, a call into the client's thread that never returns or a
partition that nobody asks for any more look like an idle topic. Others may go on meanwhile, if only by ticks, so each
partition is judged by itself. Refuses to judge where the worker has its hands full, where a rebalance or a leash holds
a partition back, and while the broker does not answer: an absent broker is no stall of ours. Work that was delivered
and does not end is the watchdog's (`exits`).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from faust.types import TP

from streams.kafka.replica import close
from streams.worker.exits import Code, die, told

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 5.0
LOOK_WITHIN_S: Final = 10.0
LOOKS: Final = 18
"""So many looks in a row may find a partition where it was: 90 s. Looks, not seconds: on a machine that hardly gets to
look, fetching hardly gets its turn either."""
MANY_RECORDS: Final = 1_000
SLOW_S: Final = 1.0


class Turns:
    """What the turns of fetching were like: after a full one a partition may have come away empty by rights.

    Full is one that brought so much that the broker may have left a partition out, or whose delivery waited for room in
    the agents' queues.
    """

    def __init__(self) -> None:
        self.full = 0
        self._delivering_at: float | None = None

    @property
    def blocked(self) -> bool:
        """Whether a delivery waits for room just now."""
        began_at = self._delivering_at
        return began_at is not None and time.monotonic() - began_at > SLOW_S

    @contextlib.contextmanager
    def delivering(self, records: int) -> Iterator[None]:
        """Around the delivery of what one fetch brought."""
        self._delivering_at = time.monotonic()
        try:
            yield
        finally:
            if records >= MANY_RECORDS or self.blocked:
                self.full += 1
            self._delivering_at = None


@dataclass(frozen=True, slots=True)
class Due:
    """What the worker should be fetching: the next offset of each source partition that nothing holds back.

    `turn` changes with whatever gives a partition a new start: another generation, a full turn.
    """

    turn: object = None
    offsets: Mapping[TP, int] = field(default_factory=dict)


class Fetches(Protocol):
    """Who fetches."""

    def due(self) -> Due:
        """What it should be fetching now."""


class Ends(Protocol):
    """Who knows where partitions begin and end: a client that shares nothing with the one that fetches."""

    async def beginning_offsets(self, partitions: list[TP]) -> Mapping[TP, int]: ...

    async def end_offsets(self, partitions: list[TP]) -> Mapping[TP, int]: ...


@dataclass(slots=True)
class _Wait:
    """A partition that waits: where, how often it was found there, since when."""

    place: tuple[object, int]
    since: float
    found: int = 0


class Undelivered:
    """Ends the process when records wait and fetching brings none. To be run in the worker's loop.

    `ends`: where partitions end, as of the last look that was answered.
    """

    def __init__(self, bootstrap: Iterable[str], fetches: Fetches) -> None:
        self._bootstrap = list(bootstrap)
        self._fetches = fetches
        self._waits: dict[TP, _Wait] = {}
        self._trouble: str | None = None
        self.ends: Mapping[TP, int] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._session()
            except (KafkaError, OSError, TimeoutError) as trouble:
                self._waits.clear()
                self._tell(type(trouble).__name__)
            except Exception as fault:  # noqa: BLE001 - without this look a worker may wait for ever: it ends, and says why
                die(Code.LANE_FAILED, "looking where the sources end failed: %s", told(fault))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _session(self) -> None:
        client: Any = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, group_id=None, enable_auto_commit=False)
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                await client.start()
            while True:
                async with asyncio.timeout(LOOK_WITHIN_S):
                    await self.look(client)
                self._tell(None)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await close(client)

    async def look(self, broker: Ends) -> None:
        """One look. Raises what the client does when the broker does not answer."""
        due = self._fetches.due()
        if not due.offsets:
            self._waits.clear()
            return
        self.ends = ends = await broker.end_offsets(list(due.offsets))
        behind = [tp for tp, offset in due.offsets.items() if ends.get(tp, 0) > offset]
        # What retention deleted is not there to be fetched, however far the end is from what was committed.
        begins = await broker.beginning_offsets(behind) if behind else {}
        now, waits = time.monotonic(), {}
        for tp in behind:
            if begins.get(tp, 0) >= ends[tp]:
                continue
            place = (due.turn, due.offsets[tp])
            wait = self._waits.get(tp)
            waits[tp] = wait if wait is not None and wait.place == place else _Wait(place, now)
        self._waits = waits
        for tp, wait in waits.items():
            if wait.found >= LOOKS and self._stands(tp, wait):
                _, offset = wait.place
                die(
                    Code.STALLED,
                    "no progress for %.0f s (stall): %s has records from %d to %d and fetching brings none",
                    now - wait.since,
                    tp,
                    offset,
                    ends[tp] - 1,
                )
            wait.found += 1

    def _stands(self, tp: TP, wait: _Wait) -> bool:
        """Whether it still waits there, now that the broker has answered."""
        due = self._fetches.due()
        return wait.place == (due.turn, due.offsets.get(tp))

    def _tell(self, trouble: str | None) -> None:
        """One line when the ends are lost from sight, one when they are seen again."""
        if trouble == self._trouble:
            return
        if trouble is None:
            log.info("where the sources end can be seen again")
        else:
            log.warning("where the sources end cannot be seen (%s): records that wait would not be noticed", trouble)
        self._trouble = trouble

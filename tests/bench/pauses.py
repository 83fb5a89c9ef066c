"""How long partitions stand still when workers come, go and die: real processes under a steady trickle of facts.

Owns what happens to the workers, and what a pause is: the longest time without a new row of a partition on
`permission.state`, while a fact every `EVERY_S` waits for its own. Told apart are the partitions of the one it happens
to and those of the others. Refuses to judge: how long a process takes to start is the machine's, and part of it.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count, pairwise
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.events import UserMessaged
from schemas.ids import Pair, derived_id, partition_of
from schemas.topics import TopicNames
from streams.worker.translation import fact_row
from tests.bench.measure import tell
from tests.bench.stage import broker, sending
from tests.permission.story import NUMBER, messaged
from tests.worker.live import PARTITIONS, Process, Scene, scene, until

EVERY_S: Final = 0.05
SESSION_S: Final = 10.0
SETTLED_S: Final = 2.0
"""So long all partitions move again before the next thing happens."""
_LAG: Final = re.compile(r'callgrant_worker_lag_records\{partition="(\d+)",topic="[^"]*permission\.events"\}')


def pauses() -> None:
    """Once with members that the group forgets when they leave, once with members it waits for."""
    with broker() as (bootstrap, folder):
        for static in (False, True):
            mode = "static" if static else "dynamic"
            (folder / mode).mkdir()
            asyncio.run(_measured(bootstrap, mode, static, folder / mode))


async def _measured(bootstrap: str, mode: str, static: bool, folder: Path) -> None:
    async with scene(bootstrap, f"{mode}.", folder) as stage, _trickle(stage) as watch:

        def worker(instance: str) -> Process:
            return stage.worker(instance, static=static, session_timeout_s=SESSION_S, tick_every_s=3_600.0)

        first, second = worker("1"), worker("2")
        await _all_ready(first, second)

        async def restarted() -> None:
            await asyncio.to_thread(second.terminate)
            second.start()

        async def killed() -> None:
            await asyncio.to_thread(second.kill)
            second.start()

        async def left() -> None:
            await asyncio.to_thread(second.terminate)

        async def joined() -> None:
            second.start()

        happenings: dict[str, Callable[[], Awaitable[None]]] = {
            "restart": restarted,
            "kill": killed,
            "leave": left,
            "join": joined,
        }
        for name, happens in happenings.items():
            await watch.settled()
            mine = set() if name == "join" else owned(second)
            began = time.monotonic()
            await happens()
            await _all_ready(first, *([second] if name != "leave" else []))
            await watch.settled()
            for whose, which in (("own", mine), ("other", set(range(PARTITIONS)) - mine)):
                if which:
                    tell(f"pause_{name}_{mode}_{whose}_s", watch.longest(which, began), "s")


async def _all_ready(*workers: Process) -> None:
    for each in workers:
        await each.ready()


def owned(worker: Process) -> set[int]:
    """The partitions of facts a worker has now."""
    return {int(partition) for partition in _LAG.findall(worker.ask("metrics")[1])}


@dataclass(slots=True)
class Watch:
    """When rows of each partition came."""

    came: dict[int, list[float]] = field(default_factory=lambda: {each: [] for each in range(PARTITIONS)})

    async def settled(self) -> None:
        """Until all partitions have moved without a pause for a while."""
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > SETTLED_S and self._moves())

    def _moves(self) -> bool:
        since = time.monotonic() - SETTLED_S
        return all(self.longest({each}, since) < SETTLED_S / 4 for each in self.came)

    def longest(self, partitions: Iterable[int], since: float) -> float:
        """The longest time without a row of one of the partitions, from `since` until now."""
        now, longest = time.monotonic(), 0.0
        for each in partitions:
            before = [at for at in self.came[each] if at < since][-1:]
            times = [*(before or [since]), *(at for at in self.came[each] if at >= since), now]
            longest = max(longest, *(later - earlier for earlier, later in pairwise(times)))
        return longest


@asynccontextmanager
async def _trickle(stage: Scene) -> AsyncIterator[Watch]:
    """A fact every moment on each partition, and a look at what becomes of them."""
    watch, topic = Watch(), stage.names.of("permission.state")
    consumer = AIOKafkaConsumer(bootstrap_servers=stage.bootstrap, enable_auto_commit=False)
    consumer.assign([TopicPartition(topic, each) for each in range(PARTITIONS)])
    async with sending(stage.bootstrap) as producer:
        await consumer.start()
        tasks = [
            asyncio.create_task(_send(producer, stage.names)),
            asyncio.create_task(_look(consumer, watch)),
        ]
        try:
            yield watch
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await consumer.stop()


async def _send(producer: AIOKafkaProducer, names: TopicNames) -> None:
    users = _one_each()
    for turn in count():
        at = int(time.time())
        for partition, user in users.items():
            row = fact_row(_message(user, turn, at))
            await producer.send(
                names.of("permission.events"), row.value, row.key, partition=partition, headers=list(row.headers)
            )
        await asyncio.sleep(EVERY_S)


async def _look(consumer: AIOKafkaConsumer, watch: Watch) -> None:
    while True:
        for tp in await consumer.getmany(timeout_ms=100):
            watch.came[tp.partition].append(time.monotonic())


def _one_each() -> dict[int, str]:
    """A user on each partition."""
    found: dict[int, str] = {}
    for place in range(1_000):
        user = f"447700900{place:03}"
        found.setdefault(partition_of(Pair(NUMBER, user).key, PARTITIONS), user)
    return found


def _message(user: str, turn: int, at: int) -> UserMessaged:
    name = f"wamid.TESTPAUSE{user[-3:]}{turn}"
    return replace(messaged(name, at), user=user, fact_id=derived_id("user_messaged", NUMBER, user, name))

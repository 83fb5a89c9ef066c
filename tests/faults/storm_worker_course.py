"""The course of a storm over the workers: three of them as they run in production, a fourth that comes and goes, blows
to them and to the broker.

Owns the processes by their numbers; the keeper, which starts again whatever ended; and the blows themselves. Each has a
share of what is sent: it falls when the workers have begun to write rows of it, or blindly, and so into starts,
recoveries and rebalances too. Refuses to judge (`storm_worker_verdict.py`).
"""

import asyncio
import contextlib
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar

from deploy.broker.node import LocalBroker
from streams.worker.codes import NEEDS_A_PERSON
from streams.worker.settings import WorkerSettings
from tests.faults.storm_worker_blows import MEMBERS, Blow, Gust
from tests.faults.storm_worker_past import Item, Past
from tests.faults.storm_worker_sender import LOOK_EVERY_S, Sender
from tests.integration.house import House
from tests.ports import free_port

FROZEN_S: Final = WorkerSettings(kafka_bootstrap="", data_dir=Path()).session_timeout_s + 2.5
"""Beyond the session: the broker has given the partitions away before the worker wakes up."""
WITHIN_S: Final = 180.0
"""What a blow waits for must come about."""
T = TypeVar("T")
STATIC: Final = 3
"""The group knows this one by name: it keeps its place through a restart, the others make a rebalance of it."""


class Workers(House):
    """A house of workers, each by its number, started and struck on its own."""

    def start(self, name: str) -> None:
        """`worker-2` is the second worker; the other processes go by their names."""
        kind, _, number = name.partition("-")
        if kind != "worker":
            super().start(name)
            return
        port = self._ports.setdefault(name, free_port())
        ours = {
            "CALLGRANT_WORKER_PORT": str(port - int(number) + 1),  # the ports count up from the first worker's
            "CALLGRANT_WORKER_STATIC": str(int(number) == STATIC).lower(),
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                self._line("worker", "--number", number),
                env=self._environment | ours,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ended(self, name: str) -> int | None:
        """The exit code of a process; None while it runs."""
        return self._running[name].poll()

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def signal(self, name: str, which: signal.Signals) -> None:
        self._running[name].send_signal(which)


@dataclass(slots=True)
class Course:
    """What happened."""

    struck: Counter[str] = field(default_factory=Counter)
    ends: Counter[int] = field(default_factory=Counter)
    """How often a worker ended with which code, and was started again."""
    stopped: list[int] = field(default_factory=list)
    """The codes of those that were told to stop."""
    storm_s: float = 0.0


class Storm:
    """`node`: None when no blow is meant for the broker."""

    def __init__(self, house: Workers, sender: Sender, node: LocalBroker | None) -> None:
        self.course = Course()
        self._house, self._sender, self._node = house, sender, node
        self._wanted = {_name(member) for member in MEMBERS}

    async def begin(self) -> None:
        """The three workers, started and ready."""
        for name in self._wanted:
            self._house.start(name)
        for name in self._wanted:
            await asyncio.to_thread(self._house.until_ready, name)

    async def kept(self, work: Coroutine[Any, Any, T]) -> T:
        """The work, to its end, while whatever ends is started again; a keeper that gives up ends it."""
        keeper, working = asyncio.create_task(self._keep()), asyncio.create_task(work)
        try:
            await asyncio.wait((keeper, working), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                working.cancel()
                await keeper
            return await working
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, working, return_exceptions=True)

    async def rage(self, schedule: Sequence[Gust], past: Past) -> None:
        """Every blow struck, everything sent; afterwards whoever should run is ready."""
        began_s = monotonic()
        await self._all(schedule, past)
        self.course.storm_s = monotonic() - began_s
        for name in sorted(self._wanted):
            await self._until_ready(name)

    async def stop(self) -> None:
        """All workers, by TERM. One that does not heed it counts as killed; what they wrote is judged all the same."""
        names = sorted(self._wanted)
        self._wanted.clear()
        for fault in await asyncio.gather(*map(self._tell_to_stop, names), return_exceptions=True):
            if fault is not None:
                print(fault)
                self.course.stopped.append(-signal.SIGKILL)

    async def _tell_to_stop(self, name: str) -> None:
        end = await asyncio.to_thread(self._house.stop, name)
        self.course.stopped.append(end)
        if end:
            print(f"{name} ended with {end} when it was told to stop:\n{self._house.log(name)[-6000:]}")

    async def _all(self, schedule: Sequence[Gust], past: Past) -> None:
        share = -(-len(past) // sum(map(len, schedule)))
        first = 0
        for gust in schedule:
            async with asyncio.TaskGroup() as together:
                for blow in gust:
                    items = await asyncio.to_thread(past.between, first, first + share)
                    together.create_task(self._strike(blow, items))
                    first += share

    async def _strike(self, blow: Blow, items: Sequence[Item]) -> None:
        rows = await self._sender.length("permission.state")
        async with asyncio.TaskGroup() as both:
            both.create_task(self._sender.send(items))
            if blow.blind_after_s is None:
                await self._until_rows(rows)
            else:
                await asyncio.sleep(blow.blind_after_s)  # the condition is the time itself
            await self._blow(blow)
        self.course.struck[blow.what] += 1

    async def _blow(self, blow: Blow) -> None:
        name = _name(blow.whom)
        match blow.what:
            case "kill":
                await self._until(lambda: self._house.ended(name) is None)
                life = self._house.pid(name)
                self._house.signal(name, signal.SIGKILL)
                await self._until(lambda: self._house.pid(name) != life)  # the keeper has started it again
            case "pause":
                await self._until_ready(name)
                self._house.signal(name, signal.SIGSTOP)
                await asyncio.sleep(FROZEN_S)  # the condition is the time itself: the session must run out
                self._house.signal(name, signal.SIGCONT)
            case "come":
                self._house.start(name)
                self._wanted.add(name)
                await self._until_ready(name)
            case "go":
                self._wanted.discard(name)
                await self._tell_to_stop(name)
            case "broker":
                assert self._node is not None
                await asyncio.to_thread(self._node.kill)
                await asyncio.sleep(blow.away_s)  # the condition is the time itself: so long it is away
                await asyncio.to_thread(self._node.start)
                await asyncio.to_thread(self._node.wait_ready)

    async def _until_rows(self, before: int) -> None:
        async with asyncio.timeout(WITHIN_S):
            while await self._sender.length("permission.state") <= before:  # noqa: ASYNC110 - other processes do
                await asyncio.sleep(LOOK_EVERY_S)

    async def _until_ready(self, name: str) -> None:
        """Ready, through any end of it meanwhile."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                with contextlib.suppress(AssertionError):  # it ended: the keeper starts it again
                    await asyncio.to_thread(self._house.until_ready, name)
                    return
                await asyncio.sleep(LOOK_EVERY_S)

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not true():  # noqa: ASYNC110 - another process brings it about
                await asyncio.sleep(LOOK_EVERY_S)

    async def _keep(self) -> None:
        """Start again whatever ended, as a supervisor would, and like one give up on what only a person can mend."""
        while True:
            for name in sorted(self._wanted):
                code = self._house.ended(name)
                if code is None:
                    continue
                assert code not in NEEDS_A_PERSON, f"{name} ended with {code}:\n{self._house.log(name)[-3000:]}"
                self.course.ends[code] += 1
                self._house.start(name)
            await asyncio.sleep(LOOK_EVERY_S)


def _name(number: int) -> str:
    return f"worker-{number}"

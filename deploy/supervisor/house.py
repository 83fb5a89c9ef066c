"""The whole house on one machine: broker, topics, and our processes, in this order; stopped in reverse.

Owns what is started with which settings. With `CALLGRANT_KAFKA_BOOTSTRAP` set no broker is started: that cluster is
used.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import deploy
from deploy.broker.node import LocalBroker
from deploy.cluster import replication_of
from deploy.config import Config, child_environment
from deploy.supervisor.keeper import Keeper, Runs, Told
from deploy.supervisor.premises import alone_in, check_ports
from deploy.supervisor.program import Broker, Program
from deploy.topics import check_topics, create_topics
from deploy.trouble import Trouble
from streams.worker.codes import NEEDS_A_PERSON

SOURCE: Final = Path(deploy.__file__).resolve().parents[1]
SETTINGS_UNUSABLE: Final = 2
"""What every command of ours ends with when its settings cannot be used."""
T = TypeVar("T")


class EndAsked(Exception):
    """Somebody wants the house to end; what was being done was dropped."""


class NotReadyInTime(Trouble):
    """Something runs but did not get ready; the text names it and its log."""


class House:
    """Entered, it holds folder and ports; left, it has stopped all it started, in reverse order."""

    def __init__(
        self, config: Config, *, workers: int = 1, tell: Callable[[Told], None], cache_dir: Path | None = None
    ) -> None:
        self.config = config
        self._workers = workers
        self._tell = tell
        self._cache_dir = cache_dir
        self._keepers: list[Keeper] = []
        self._wish_to_end = asyncio.Event()
        self._held = ExitStack()
        self.started = False
        """Whether a cluster answered, and so may hold topics made here."""

    async def __aenter__(self) -> Self:
        with ExitStack() as held:
            held.enter_context(alone_in(self.config.data_dir))
            check_ports(self.config.names.bind, self._ports())
            self._held = held.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for keeper in reversed(self._keepers):
            await keeper.stop()
        self._held.close()

    def end(self) -> None:
        """Ask for the end."""
        self._wish_to_end.set()

    @property
    def ending(self) -> bool:
        return self._wish_to_end.is_set()

    def kill(self) -> None:
        """End everything at once, without waiting for anybody to finish: what is acknowledged is on Kafka."""
        for keeper in self._keepers:
            keeper.what.kill()

    async def start(self) -> list[str]:
        """Start everything and answer, one line each, how the cluster's topics differ from the registry.

        Raises `EndAsked`, and what keeps the broker from starting or the cluster from answering.
        """
        config = self.config
        if not config.names.kafka_bootstrap:
            broker = LocalBroker(
                data_dir=config.data_dir,
                port=config.names.kafka_port,
                cache_dir=self._cache_dir,
                tell=lambda text: self._tell(Told(name="broker", state="starting", pid=None, address="", note=text)),
            )
            self._keep(Broker(broker))
            await self.during(self._keepers[0].until_ready())
        differences = await self.during(self._topics())
        for program in self._programs():
            self._keep(program)
        return differences

    async def until_ready(self, within_s: float) -> None:
        """Return when everything serves. Raises `NotReadyInTime`, `EndAsked`, and what makes one of them hopeless."""
        for keeper in self._keepers:
            try:
                async with asyncio.timeout(within_s):
                    await self.during(keeper.until_ready())
            except TimeoutError:
                raise NotReadyInTime(
                    f"{keeper.what.name} is not ready after {within_s:g} s; its log is {keeper.what.log}"
                ) from None

    async def until_ended(self) -> None:
        """Return when the end was asked for; raises when something cannot be kept running."""
        asked = asyncio.create_task(self._wish_to_end.wait())
        watched = [asyncio.create_task(keeper.until_given_up()) for keeper in self._keepers]
        try:
            done, _ = await asyncio.wait([asked, *watched], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (asked, *watched):
                task.cancel()

    async def during(self, work: Awaitable[T]) -> T:
        """Do something while the house stands. Raises `EndAsked`, and what makes a part of the house hopeless."""
        doing = asyncio.ensure_future(work)
        watching = asyncio.create_task(self.until_ended())
        try:
            await asyncio.wait([doing, watching], return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            watching.result()
            raise EndAsked
        finally:
            for task in (doing, watching):
                task.cancel()
            await asyncio.gather(doing, watching, return_exceptions=True)

    async def _topics(self) -> list[str]:
        config = self.config
        replication = await replication_of(config.bootstrap)
        self.started = True
        await create_topics(config.bootstrap, config.topics, config.names.partitions, replication)
        return [str(one) for one in await check_topics(config.bootstrap, config.topics, config.names.partitions)]

    def _keep(self, what: Runs) -> None:
        keeper = Keeper(what, self._tell)
        self._keepers.append(keeper)
        keeper.keep()

    def _programs(self) -> list[Program]:
        names, environment = self.config.names, self._environment()

        def program(name: str, port: int, *arguments: str, final: frozenset[int] = frozenset()) -> Program:
            log = self.config.data_dir / "logs" / f"{name.replace(' ', '-')}.log"
            if log.exists():  # one earlier run is kept
                log.replace(log.with_suffix(".before.log"))
            return Program(
                name=name,
                command=[sys.executable, "-P", "-m", "deploy.cli", *arguments],
                environment=environment,
                log=log,
                url=self.config.url(port),
                final=final | {SETTINGS_UNUSABLE},
            )

        numbers = range(1, self._workers + 1)
        workers = [
            program(
                f"worker {one}",
                names.worker_port + one - 1,
                *("worker", "--number", str(one)),
                final=frozenset(map(int, NEEDS_A_PERSON)),
            )
            for one in numbers
        ]
        return [
            program("gateway", names.gateway_port, "gateway"),
            *workers,
            program("api", names.api_port, "api"),
            program("projection", names.analytics_port, "projection"),
        ]

    def _environment(self) -> dict[str, str]:
        path = [
            str(SOURCE),
            *filter(None, [os.environ.get("PYTHONPATH")]),
        ]  # -P: no folder of the caller's may shadow us
        return child_environment(self.config) | {"PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}

    def _ports(self) -> dict[str, int]:
        names = self.config.names
        broker = {"CALLGRANT_KAFKA_PORT": names.kafka_port, "CALLGRANT_KAFKA_PORT + 1": names.kafka_port + 1}
        workers = {f"CALLGRANT_WORKER_PORT + {one}": names.worker_port + one for one in range(1, self._workers)}
        return {
            **({} if names.kafka_bootstrap else broker),
            "CALLGRANT_GATEWAY_PORT": names.gateway_port,
            "CALLGRANT_API_PORT": names.api_port,
            "CALLGRANT_ANALYTICS_PORT": names.analytics_port,
            "CALLGRANT_WORKER_PORT": names.worker_port,
            **workers,
        }

"""The course of a storm over the border: a broker, a gateway and a worker as they run in production, and blows to them.

Owns the schedule of the blows, drawn from a seed; the keeper, which starts again whatever ended; and the waiting until
all is answered and read. Refuses to judge (`ledger.py`, `verdict.py`).
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, Final, Literal

import orjson

from deploy.broker.node import LocalBroker
from deploy.progress import stages, until_caught_up
from schemas.policy import DEFAULT_POLICY
from schemas.topics import TopicNames
from tests.faults.doors import SETTINGS, Sending
from tests.faults.sender import Sender
from tests.faults.telling_meta import DISPLAYS
from tests.integration.house import House

LOOK_EVERY_S: Final = 0.05
LINES: Final = 48
CAUGHT_UP_WITHIN_S: Final = 600.0
PREFIX: Final = "border."
Struck = Literal["gateway", "broker", "both"]


@dataclass(frozen=True, slots=True)
class Blow:
    """After so many final answers: whom SIGKILL strikes, and for how long the broker then stays away."""

    after: int
    whom: Struck
    away_s: float = 0.0


def blows(seed: int, sendings: int, gateway: int, broker: int) -> list[Blow]:
    """So many of each, at drawn moments; one of those to the broker takes the gateway with it."""
    dice = Random(seed)
    whom: list[Struck] = ["both"]
    whom += ["broker" for _ in range(broker - 1)]
    whom += ["gateway" for _ in range(gateway - 1)]
    dice.shuffle(whom)
    moments = sorted(dice.sample(range(sendings // 30, sendings * 29 // 30), len(whom)))
    return [
        Blow(moment, one, 0.0 if one == "gateway" else round(dice.uniform(0.2, 3.0), 1))
        for moment, one in zip(moments, whom, strict=True)
    ]


class Kept(House):
    """A house whose processes can be struck and looked after."""

    def ended(self, name: str) -> int | None:
        """The exit code of a process; None while it runs."""
        return self._running[name].poll()

    def strike(self, name: str) -> None:
        """SIGKILL; the keeper notices."""
        self._running[name].send_signal(signal.SIGKILL)

    @property
    def gateway_port(self) -> int:
        return self._ports["gateway"]


@dataclass(slots=True)
class Course:
    """What happened."""

    sender: Sender
    began_s: float = field(default_factory=monotonic)
    sent_s: float = 0.0
    caught_up_s: float = 0.0
    starts: Counter[str] = field(default_factory=Counter)
    ends: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How often a process ended with which code, and was started again."""
    back_after_s: list[tuple[str, float]] = field(default_factory=list)
    """From each blow to the next acknowledgement."""
    stopped: dict[str, int] = field(default_factory=dict)


def house_of(folder: Path, bootstrap: str) -> Kept:
    """Gateway and worker, told the secrets and the display numbers."""
    policy = DEFAULT_POLICY.model_copy(update={"numbers": {}}).model_dump(mode="json", by_alias=True)
    policy["numbers"] = {number: {"display_phone_number": display} for number, display in DISPLAYS.items()}
    file = folder / "policy.json"
    file.write_bytes(orjson.dumps(policy))
    return Kept(folder, bootstrap, PREFIX, **SETTINGS, POLICY_FILE=str(file), PARTITIONS="4")


async def weather(node: LocalBroker, house: Kept, sendings: Sequence[Sending], schedule: Sequence[Blow]) -> Course:
    """Everything sent and answered, every blow struck, everything read, both processes stopped."""
    for name in ("gateway", "worker"):
        house.start(name)
    for name in ("gateway", "worker"):
        await asyncio.to_thread(house.until_ready, name)
    course = Course(Sender(house.gateway_port, sendings, LINES, Random(len(sendings))))
    keeper = asyncio.create_task(_keep(house, course))
    try:
        await _with(keeper, asyncio.gather(course.sender.run(), _strike(node, house, schedule, course)))
        course.sent_s = monotonic() - course.began_s
        reading = until_caught_up(node.bootstrap, stages(TopicNames(PREFIX))[:2], CAUGHT_UP_WITHIN_S)
        await _with(keeper, asyncio.ensure_future(reading))
        course.caught_up_s = monotonic() - course.began_s
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
    for name in ("gateway", "worker"):
        course.stopped[name] = await asyncio.to_thread(house.stop, name)
    return course


async def _with(keeper: asyncio.Task[None], work: asyncio.Future[Any]) -> None:
    """The work, to its end; a keeper that fails ends it."""
    await asyncio.wait((keeper, work), return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        work.cancel()
        await keeper
    await work


async def _keep(house: Kept, course: Course) -> None:
    """Start again whatever ended, as a supervisor would."""
    while True:
        for name in ("gateway", "worker"):
            if (code := house.ended(name)) is not None:
                course.ends[name, code] += 1
                house.start(name)
                course.starts[name] += 1
        await asyncio.sleep(LOOK_EVERY_S)


async def _strike(node: LocalBroker, house: Kept, schedule: Sequence[Blow], course: Course) -> None:
    for blow in schedule:
        await course.sender.until_answered(blow.after)
        starts = course.starts["gateway"]
        began_s = monotonic()
        if blow.whom != "gateway":
            await asyncio.to_thread(node.kill)
            await asyncio.sleep(blow.away_s)  # the condition is the time itself: so long it is away
        if blow.whom != "broker":
            house.strike("gateway")
            while course.starts["gateway"] == starts:  # noqa: ASYNC110 - another process ends
                await asyncio.sleep(LOOK_EVERY_S)
        if blow.whom != "gateway":
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(node.wait_ready)
        again_s = monotonic()
        while course.sender.last_stored_at_s < again_s:  # noqa: ASYNC110 - another process works on it
            await asyncio.sleep(LOOK_EVERY_S)
        course.back_after_s.append((blow.whom, course.sender.last_stored_at_s - began_s))

"""Keeping one thing running: start it, see it get ready, start it again when it dies, stop it when asked.

Owns that loop and its limits. Refuses to know what runs: it drives anything that is `Runs`. Nothing here is cancelled
half-way: a stop is a wish that the loop sees at its next wait, so a start under way is finished and then undone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final, Literal, Protocol

from deploy.trouble import Trouble

RESTART_AFTER_S: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""By the number of short lives in a row: never ready, or not for long."""
SETTLED_AFTER_S: Final = 30.0
"""Ready for so long, a life was no short one: its end is an accident, and the pauses begin anew."""
HOPELESS: Final = 5
WITHIN_S: Final = 60.0
"""So many starts that die before they are ready, within this time: it will not get better by trying."""
TAIL_LINES: Final = 12

State = Literal["starting", "ready", "died", "stopping", "stopped"]


class Runs(Protocol):
    """Something that can be started more than once."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def log(self) -> Path: ...
    @property
    def pid(self) -> int | None: ...
    async def start(self) -> None:
        """Begin; raises when it cannot."""

    async def until_ready(self) -> None:
        """Return when it serves; raises when it will not."""

    async def until_ended(self) -> str:
        """Return when it has ended by itself: how. Raises `Hopeless` when that was its last word."""

    async def stop(self) -> None:
        """End it, by force after a while; does nothing when it does not run."""

    def kill(self) -> None:
        """End it at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One line for a person."""

    name: str
    state: State
    pid: int | None
    address: str
    note: str = ""

    def __str__(self) -> str:
        pid = f"pid {self.pid}" if self.pid is not None else ""
        return f"{self.name:<12} {self.state:<9} {pid:<12} {self.address}  {self.note}".rstrip()


class Hopeless(Trouble):
    """It died again and again before it was ready, or said that starting it again cannot help; the text ends with the
    last lines of its log."""


class Keeper:
    """Keeps one thing running from `keep()` until `stop()`."""

    def __init__(self, what: Runs, tell: Callable[[Told], None]) -> None:
        self.what = what
        self._tell = tell
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._early_deaths: deque[float] = deque()
        self._short_lives = 0
        self._ready_since: float | None = None
        self._loop: asyncio.Task[None] | None = None

    def keep(self) -> None:
        self._loop = asyncio.create_task(self._keep(), name=f"keep {self.what.name}")

    async def until_ready(self) -> None:
        """Return when it is ready. Raises what ended the keeping, if that comes first."""
        await first_of(self._ready.wait(), self.until_given_up())

    async def until_given_up(self) -> None:
        """Return when it was stopped; raises when it cannot be started, or is hopeless."""
        if self._loop is not None:
            await asyncio.shield(self._loop)

    async def stop(self) -> None:
        """Stop it and return when it is gone. Raises nothing: what went wrong was told by the others."""
        self._stop.set()
        if self._loop is not None:
            await asyncio.gather(self._loop, return_exceptions=True)

    async def _keep(self) -> None:
        try:
            await self.what.start()
            while not self._stop.is_set():
                self._say("starting")
                how = await self._live()
                if self._stop.is_set():
                    break
                await self._bury(how)
        finally:
            if self.what.pid is not None:
                self._say("stopping")
                await self.what.stop()
                self._say("stopped")

    async def _live(self) -> str:
        """From started to ended: how, or an empty text when it is to be stopped."""
        ended = asyncio.ensure_future(self.what.until_ended())
        try:
            how = await first_of(ended, self._get_ready(), self._stop.wait())
            if how is None and not self._stop.is_set():
                self._ready.set()
                self._early_deaths.clear()
                self._ready_since = monotonic()
                self._say("ready")
                how = await first_of(ended, self._stop.wait())
            if not isinstance(how, str) or self._stop.is_set():
                return ""
            if not ended.done():  # it will not get ready, but still runs
                await self.what.stop()
            return how
        finally:
            self._ready.clear()
            ended.cancel()

    async def _get_ready(self) -> str | None:
        try:
            await self.what.until_ready()
        except Exception as trouble:  # noqa: BLE001 - whatever keeps it from serving is told, and then it is started anew
            return str(trouble)
        return None

    async def _bury(self, how: str) -> None:
        """Wait a moment and start it again, or give up."""
        while not self._stop.is_set():
            self._count_this_death(how)
            pause_s = RESTART_AFTER_S[min(self._short_lives, len(RESTART_AFTER_S)) - 1]
            self._say("died", f"{how}; starting it again in {pause_s:g} s")
            await first_of(self._stop.wait(), asyncio.sleep(pause_s))
            if self._stop.is_set():
                return
            try:
                await self.what.start()
            except Exception as trouble:  # noqa: BLE001 - it ran before: what keeps it from starting may pass
                how = str(trouble)
            else:
                return

    def _count_this_death(self, how: str) -> None:
        """A short life counts for the pause; only one that never got ready counts for giving up."""
        now, ready_since = monotonic(), self._ready_since
        self._ready_since = None
        if ready_since is not None:
            self._short_lives = 1 if now - ready_since >= SETTLED_AFTER_S else self._short_lives + 1
            return
        self._short_lives += 1
        self._early_deaths.append(now)
        while self._early_deaths[0] < now - WITHIN_S:
            self._early_deaths.popleft()
        if (tries := len(self._early_deaths)) >= HOPELESS:
            raise Hopeless(
                f"{self.what.name} died {tries} times before it was ready (last: {how}); "
                f"the end of {self.what.log}:\n{last_words(self.what.log)}"
            )

    def _say(self, state: State, note: str = "") -> None:
        self._tell(Told(name=self.what.name, state=state, pid=self.what.pid, address=self.what.address, note=note))


async def first_of(*waits: Awaitable[object]) -> object:
    """The answer of the one that is done first (of several the leftmost), or what it raises. The others are cancelled,
    but for tasks and futures that were handed in: those are the caller's."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task, one in zip(tasks, waits, strict=True):
            if task is not one:
                task.cancel()


def last_words(log: Path) -> str:
    """The end of a log, for a person who must see why something died."""
    try:
        said = log.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        said = []
    return "\n".join(said[-TAIL_LINES:]) or "(it said nothing)"

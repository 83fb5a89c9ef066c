"""Keeps one session with the cluster open: connects, asks whether it is still heard, begins anew when it ended.

Owns when a session begins and ends. Refuses to know batches: it runs what is sent on a session as tasks, tells the
producer when a session is open or the cluster is away, and lets what is on its way finish when a session is replaced.
Whatever a session raises is a failed session, never the end of the keeper: a new one is tried.
"""

import asyncio
from asyncio import Event, Task
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog

from streams.kafka.session import Session

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0

log = structlog.get_logger("callgrant.producer")


class Term:
    """One session from its start to its end, and what is being sent on it."""

    __slots__ = ("acknowledged", "ended", "sending", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.ended = Event()
        self.sending: set[Task[None]] = set()
        self.acknowledged = 0

    def run(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(sending)
        self.sending.add(task)
        task.add_done_callback(self.sending.discard)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How a session is watched and replaced."""

    probe_every_s: float
    renew_after_s: float
    finish_within_s: float
    """How long batches of other partitions may go on when a refused batch ended the session."""


class Keeper:
    """`opened` is called when a term has begun, `away` each time the cluster could not be reached."""

    def __init__(
        self, watch: Watch, new_session: Callable[[], Session], opened: Callable[[], None], away: Callable[[], None]
    ) -> None:
        self._watch = watch
        self._new_session = new_session
        self._opened = opened
        self._away = away
        self._heard_at_s = float("-inf")
        self._closing: set[Task[None]] = set()
        self._task: Task[None] | None = None
        self.term: Term | None = None
        self.reachable = True  # until shown otherwise: what arrives during the first connect may wait for it

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep())

    def usable(self) -> Term | None:
        """The term on which something may be sent now."""
        return self.term if self.term is not None and not self.term.ended.is_set() else None

    def heard(self, term: Term) -> None:
        """The cluster acknowledged something."""
        term.acknowledged += 1
        self._heard_at_s = asyncio.get_running_loop().time()

    def heard_ago_s(self) -> float:
        return asyncio.get_running_loop().time() - self._heard_at_s

    async def close(self) -> None:
        """End the present session without patience; returns when every session is closed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.term is not None:
            self._retire(self.term, patience_s=0.0)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            term = await self._begin()
            if term is not None:
                self.term = term
                self._opened()
                await self._watch_over(term)
                self.term = None
                unheard = self.heard_ago_s() > self._watch.renew_after_s
                self._retire(term, patience_s=0.0 if unheard else self._watch.finish_within_s)
                if term.acknowledged:
                    pause_s = FIRST_PAUSE_S
            # Also between sessions that open but achieve nothing: each costs the cluster a producer id.
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _begin(self) -> Term | None:
        session: Session | None = None
        try:
            session = self._new_session()
            await session.open()
            usable = await session.confirm()
        except asyncio.CancelledError:
            await _close(session, abandon=True)
            raise
        except Exception as error:  # noqa: BLE001 - the broker's, the network's, or a defect
            mend = "start the broker, or set CALLGRANT_KAFKA_BOOTSTRAP"
            await self._unreachable(session, type(error).__name__, mend)
            return None
        if not usable:
            await self._unreachable(session, "a topic has no leader", "run `callgrant topics create`")
            return None
        if not self.reachable:
            log.info("cluster_reached")
        self.reachable = True
        self._heard_at_s = asyncio.get_running_loop().time()
        return Term(session)

    async def _unreachable(self, session: Session | None, why: str, mend: str) -> None:
        if self.reachable:
            log.warning("cluster_away", why=why, mend=mend)
        self.reachable = False
        self._away()
        await _close(session, abandon=True)

    async def _watch_over(self, term: Term) -> None:
        probing = asyncio.create_task(self._probe(term))
        try:
            await term.ended.wait()
        finally:
            probing.cancel()
            await asyncio.wait([probing])

    async def _probe(self, term: Term) -> None:
        """End the term when the cluster has not been heard for too long, or cannot be asked."""
        try:
            while self.heard_ago_s() <= self._watch.renew_after_s:
                await asyncio.sleep(self._watch.probe_every_s)
                if await term.session.confirm():
                    self._heard_at_s = asyncio.get_running_loop().time()
            log.warning("session_given_up", unheard_for_s=self._watch.renew_after_s)
        except Exception as error:  # noqa: BLE001 - the broker's, the network's, or a defect
            log.warning("session_broke", error=type(error).__name__)
        finally:
            term.ended.set()  # however it ends: a term that nobody watches is never replaced

    def _retire(self, term: Term, patience_s: float) -> None:
        async def retire() -> None:
            if term.sending:
                await asyncio.wait(term.sending, timeout=patience_s)
            left = list(term.sending)
            for sending in left:
                sending.cancel()
            if left:
                await asyncio.wait(left)
            await _close(term.session, abandon=bool(left))

        closing = asyncio.create_task(retire())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _close(session: Session | None, *, abandon: bool) -> None:
    if session is None:
        return
    try:
        await session.close(abandon=abandon)
    except Exception as error:  # noqa: BLE001 - it should not raise; what it holds is given up either way
        log.warning("session_not_closed", error=type(error).__name__)

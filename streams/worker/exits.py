"""How a worker dies: at once, with a code, before it could commit what it has not done.

Owns the end itself, what the next life is told of it, the sensor that makes a failed delivery fatal and the watchdog.
Refuses `app.crash()`, which commits while it stops, and `sys.exit()`, which hangs inside an agent. A supervisor starts
again on every code but 0 and those that need a person (`codes`).
"""

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NoReturn, Protocol

from aiokafka.errors import KafkaError
from faust.sensors import Sensor

from streams.worker.at_work import place
from streams.worker.clock import since_boot_s
from streams.worker.codes import Code
from streams.worker.lives import lives

__all__ = ["Code", "ExitOnSendError", "Waiting", "Watchdog", "die", "told"]

log = logging.getLogger(__name__)

WATCH_EVERY_S: Final = 1.0


def die(code: Code, message: str, *details: object) -> NoReturn:
    """Say why and end the process now. `details` name topics, partitions, offsets, counts: never content."""
    log.critical(message, *details)
    lives.ends(code, message % details if details else message)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def told(fault: BaseException) -> str:
    """An exception without its text, which may quote content (a KeyError quotes a key); a broker's error names none."""
    if isinstance(fault, KafkaError):
        return f"{type(fault).__name__}: {fault}"
    frames = traceback.extract_tb(fault.__traceback__)[-3:]
    places = " > ".join(place(frame.filename, frame.lineno, frame.name) for frame in frames)
    return f"{type(fault).__name__} at {places}"


class ExitOnSendError(Sensor):
    """Faust only logs a failed delivery, and would commit past it."""

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:  # noqa: ARG002 - Faust's signature
        """Called by Faust's own producer path; our batches are awaited where they are sent."""
        die(Code.SEND_FAILED, "a delivery failed: %s", told(exc))


Waiting = Literal["rebalance", "stall"]


class Watched(Protocol):
    """What the watchdog reads; another thread writes it meanwhile."""

    def progress(self) -> tuple[object, Waiting | None]:
        """Something that changes with any progress, and why there should be some (None: idle is fine)."""

    def at_work(self) -> Mapping[Any, object]:
        """By lane that should get on, something that changes when it does."""

    def waits_at(self, lane: Any) -> str:
        """Where in the program the batch of a lane stands."""


class Watchdog(threading.Thread):
    """Ends a worker that no longer gets anywhere. A thread, so that it sees a blocked event loop too.

    One time-out ends Faust's recovery for good, without a crash or an error line; the way out is a restart from the
    committed offsets. `stall_s` must exceed the producer's request timeout, `frozen_s` is the session. Records that
    wait and are never delivered leave no trace here: `undelivered` looks for them. Lanes are looked at one by one, as
    the progress of others would hide that one hangs.
    """

    def __init__(
        self,
        watched: Watched,
        call_in_loop: Callable[[Callable[[], None]], object],
        *,
        stall_s: float = 90.0,
        rebalance_s: float = 180.0,
        loop_lag_s: float = 30.0,
        frozen_s: float = 10.0,
    ) -> None:
        super().__init__(daemon=True, name="watchdog")
        self._watched = watched
        self._call_in_loop = call_in_loop
        self._patience_s: dict[Waiting, float] = {"stall": stall_s, "rebalance": rebalance_s}
        self._loop_lag_s = loop_lag_s
        self._frozen_s = frozen_s
        self._lanes: dict[Any, tuple[object, float]] = {}  # its mark, and since when it stands
        self.beat_at = time.monotonic()

    def loop_lag_s(self) -> float:
        """Since the event loop last ran something for us."""
        return time.monotonic() - self.beat_at

    def _beat(self) -> None:
        self.beat_at = time.monotonic()

    def run(self) -> None:
        """Look once a second, for ever."""
        mark: object = None
        since, looked_at = time.monotonic(), since_boot_s()
        while True:
            time.sleep(WATCH_EVERY_S)
            now, woke_at = time.monotonic(), since_boot_s()
            self.woke(woke_at - looked_at)
            looked_at = woke_at
            try:
                self._call_in_loop(self._beat)
            except RuntimeError:
                return  # the loop is closed: the process is ending by itself
            mark, since = self.look(now, mark, since)
            self.look_at_lanes(now)

    def woke(self, slept_s: float) -> None:
        """After a sleep of `slept_s`. One as long as the session: the process or the whole machine stood still, others
        own its partitions, and threads that Faust ended meanwhile would never come back.
        """
        if slept_s > self._frozen_s:
            die(Code.EXPELLED, "this process stood still for %.0f s: its session is over", slept_s)

    def look(self, now: float, mark: object, since: float) -> tuple[object, float]:
        """One look: the new mark and since when it stands. Ends the process when patience is over."""
        new: object = None
        why: Waiting | None = "rebalance"  # not started yet, or a dict changed under us
        try:
            new, why = self._watched.progress()
        except (AttributeError, RuntimeError):
            log.debug("the watchdog could not look this time")
        if new != mark or why is None:
            mark, since = new, now
        if now - self.beat_at > self._loop_lag_s:
            die(Code.STALLED, "the event loop was blocked for %.0f s", now - self.beat_at)
        if why is not None and now - since > self._patience_s[why]:
            die(Code.STALLED, "no progress for %.0f s (%s)", now - since, why)
        return mark, since

    def look_at_lanes(self, now: float) -> None:
        """One look at each lane that should get on. Ends the process when patience with one is over."""
        try:
            marks = self._watched.at_work()
        except (AttributeError, RuntimeError):
            return  # not started yet, or a dict changed under us
        known = self._lanes
        self._lanes = {
            lane: known[lane] if lane in known and known[lane][0] == mark else (mark, now)
            for lane, mark in marks.items()
        }
        for lane, (_, since) in self._lanes.items():
            if now - since > self._patience_s["stall"]:
                what = "no progress for %.0f s (stall) in %s, while others may have some; it waits at %s"
                die(Code.STALLED, what, now - since, lane, self._watched.waits_at(lane))

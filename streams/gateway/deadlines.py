"""One deadline for many short waits: a request pays two dictionary entries instead of a timer.

Owns the cancelling of a task that waits too long, and tells it apart from any other cancelling. Refuses precision: a
wait ends up to `GRAIN_S` after its deadline.
"""

import asyncio
from asyncio import Task, TimerHandle
from types import TracebackType
from typing import Any, Final, Self

GRAIN_S: Final = 0.25


class Deadlines:
    """All waits of one kind, each `within_s` long at most. `with deadlines.wait():` raises TimeoutError when it is
    over."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._waits: dict[Wait, None] = {}  # in the order of their deadlines, as all are equally long
        self._sweeper: TimerHandle | None = None

    def wait(self) -> "Wait":
        return Wait(self)

    def begin(self, wait: "Wait") -> float:
        loop = asyncio.get_running_loop()
        self._waits[wait] = None
        if self._sweeper is None:
            self._sweeper = loop.call_later(GRAIN_S, self._sweep)
        return loop.time() + self._within_s

    def end(self, wait: "Wait") -> None:
        self._waits.pop(wait, None)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for wait in list(self._waits):
            if wait.until_s > now_s:
                break
            del self._waits[wait]
            wait.expire()
        self._sweeper = loop.call_later(GRAIN_S, self._sweep) if self._waits else None


class Wait:
    """One wait of one task."""

    __slots__ = ("_deadlines", "_expired", "_task", "until_s")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "only a task can wait"  # noqa: S101 - a mistake of the caller, not of a sender
        self._task: Task[Any] = task
        self.until_s = self._deadlines.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._deadlines.end(self)
        if self._expired and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        self._expired = True
        self._task.cancel()

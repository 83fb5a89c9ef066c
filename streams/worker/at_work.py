"""At work: which lanes have a batch in work, and whether each gets on with it.

Owns the mark of a lane, which changes with every batch it begins and every step it takes in one, and what it waits for.
Refuses to judge how long is too long: the watchdog does. Written by the event loop, read by the watchdog's thread.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import PurePath
from typing import Any, NamedTuple


def place(path: str, line: int | None, function: str) -> str:
    """A place in the program, as logs name it."""
    return f"{PurePath(path).name}:{line} {function}"


class Lane(NamedTuple):
    """One partition of one agent."""

    agent: str
    partition: int

    def __str__(self) -> str:
        return f"lane {self.partition} of {self.agent}"


class AtWork:
    """The lanes with a batch in work."""

    def __init__(self) -> None:
        self._marks: dict[Lane, int] = {}
        self._tasks: dict[Lane, asyncio.Task[Any] | None] = {}
        self._turn = count()

    @contextlib.contextmanager
    def on(self, lane: Lane) -> Iterator[None]:
        """Around the work of a lane on one batch."""
        self._marks[lane] = next(self._turn)
        self._tasks[lane] = asyncio.current_task()
        try:
            yield
        finally:
            del self._marks[lane], self._tasks[lane]

    def moved(self, lane: Lane) -> None:
        """A part of a long batch is done."""
        if lane in self._marks:
            self._marks[lane] = next(self._turn)

    def marks(self) -> dict[Lane, int]:
        """By lane with a batch in work, something that changes whenever it gets on."""
        return dict(self._marks)

    def waits_at(self, lane: Lane) -> str:
        """The functions in which the batch of a lane stands, the innermost last: names and lines, no values."""
        task, places = self._tasks.get(lane), list[str]()
        inner: Any = task.get_coro() if task is not None else None
        while (frame := getattr(inner, "cr_frame", None)) is not None:  # until something that is no coroutine of Python
            places.append(place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
            inner = inner.cr_await
        return " > ".join(places)

    def __len__(self) -> int:
        return len(self._marks)

"""Halt: the worker stays up and works nothing more, because most of what came could not be judged.

Owns the one state in which batches wait for a person. Ending would not do: a supervisor would start the worker again,
and each life would put up to a limit of records aside, until the topic is empty. Refuses to end by itself: the way out
is to mend the writer or this program and to start again.
"""

import contextlib
import logging
from collections.abc import Iterator

log = logging.getLogger(__name__)


class MostlyBad(Exception):
    """Most of what came could not be judged. Says where, how much and for which reasons, never content."""


class Halt:
    """Whether the worker is halted, and how many batches are still being worked. `reason`: None while it works."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._at_work = 0

    def begin(self, reason: str) -> None:
        """Halt: no lane begins another batch. What others are at they bring to an end."""
        if self.reason is None:
            self.reason = reason
            log.error(
                "the worker halts: %s. Nothing of that batch was written and its offset is kept; every partition of "
                "this worker waits. Mend the writer or this program, then start the worker again",
                reason,
            )

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Around the work on one batch."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    @property
    def settled(self) -> bool:
        """Halted, and no batch is in work any more: what is not acknowledged by now never will be."""
        return self.reason is not None and not self._at_work

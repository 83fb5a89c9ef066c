"""Halt: the worker stays up and works nothing more, because most of what came could not be judged.

Owns the one state in which batches wait for a person. Ending would not do: a supervisor would start the worker again,
and each life would put up to a limit of records aside, until the topic is empty. Refuses to end by itself, and to
decide that bytes are bad: a person does. Two ways lead out, each by a new start. Either the writer or this program is
mended; or, when a person has seen that those bytes are bad for good, `CALLGRANT_PARK_UNTIL` names an instant, and what
came in up to then is put aside however much it is. Of what comes in later it says nothing, so that a forgotten setting
is no forgotten limit.
"""

import logging

from schemas.envelope import rfc3339
from streams.worker.at_work import AtWork
from streams.worker.clock import now_ms

log = logging.getLogger(__name__)


class MostlyBad(Exception):
    """Most of what came could not be judged. Says where, how much and for which reasons, never content."""


class Halt:
    """Whether the worker is halted, and which batches are still being worked. `reason`: None while it works."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.at_work = AtWork()

    def begin(self, reason: str) -> None:
        """Halt: no lane begins another batch. What others are at they bring to an end."""
        if self.reason is None:
            self.reason = reason
            log.error(
                "the worker halts: %s. Nothing of that batch was written and its offset is kept; every partition of "
                "this worker waits. Mend the writer or this program, then start the worker again. If those bytes are "
                "bad for good, stop their sender and start it with CALLGRANT_PARK_UNTIL=%s or a later instant: what "
                "came in until then is put aside in deadletters",
                reason,
                rfc3339(now_ms() // 1000 + 1),
            )

    @property
    def settled(self) -> bool:
        """Halted, and no batch is in work any more: what is not acknowledged by now never will be."""
        return self.reason is not None and not self.at_work

"""Tells the log what was refused, in numbers: by whose door, as what, why, how often.

Owns how often it speaks: once in a while and only when there is something new, so that a flood of forged requests does
not become a flood of lines. Refuses to say who sent what.
"""

import asyncio
from collections import Counter
from typing import Final

import structlog

from streams.gateway.counters import Counters

EVERY_S: Final = 10.0
WORTH_A_LINE: Final = frozenset({"unauthenticated", "refused", "unavailable"})

log = structlog.get_logger("callgrant.gateway")


class Refusals:
    """Looks at the counters; the doors pay nothing for it."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._told = Counter(counters.requests)

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.tell()

    def tell(self) -> None:
        """One line for each kind of refusal since the last time."""
        now = Counter(self._counters.requests)
        for (door, counted), times in (now - self._told).items():
            if counted.outcome in WORTH_A_LINE:
                log.warning("refused", **door._asdict(), **counted._asdict(), times=times, within_s=EVERY_S)
        self._told = now

"""Watermark: up to which instant all that had been received by then is folded.

Owns the instant that a tick carries. A tick of the present would expire a grant whose renewal was received and waits on
a raw topic, or on the partition of the user's other name, from which it is handed on. So the leader notes where the raw
topics end, and carries the instant of that look once they are committed up to there, and once `permission.events` is
committed up to where it ended then. What stands on a pair's own partition its owner knows better (`agents`).

While some partition is behind, at another worker perhaps, the watermark stays at the last look that everything has
reached: announcements of expiry wait, answers do not (design 6). Refuses to guess: what the broker does not tell is no
progress.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from faust.types import TP

from streams.worker.clock import now_s

LOOK_EVERY_S: Final = 0.25
PATIENCE_S: Final = 3.0
"""So long a tick waits for what was received just before it: two commits, of what was translated and of what was folded
of it. More would make an announcement come later than 15 s after its deadline."""
LOOKS_AT_MOST: Final = 720
"""Looks that wait, two hours of them; beyond that every second one is let go."""


class Positions(Protocol):
    """Where partitions begin and end, and what the group has committed: the consumer's client."""

    async def ends_of(self, topics: Collection[str]) -> Mapping[TP, int]:
        """The end of every partition of the topics, as of now."""

    async def begins_of(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """Where these begin."""

    async def committed_of(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """What the group has committed of them; one that is left out: nothing."""


@dataclass(slots=True)
class _Look:
    """Where the topics of a stage ended, `at` being the instant of the first stage's look."""

    at: int
    stage: int
    ends: Mapping[TP, int]


class Watermark:
    """`stages`: the topics that a fact passes one after the other, by full name."""

    def __init__(self, stages: tuple[Collection[str], ...], patience_s: float = PATIENCE_S) -> None:
        self._stages, self._patience_s = stages, patience_s
        self._looks: list[_Look] = []
        self.at: int | None = None

    async def reach(self, positions: Positions) -> int | None:
        """Look now, wait a little until that is folded, and tell how far all is; None: not known yet. Raises what the
        broker raises; what was known by then stays.
        """
        at = now_s()
        ends = await positions.ends_of(self._stages[0])
        if len(self._looks) >= LOOKS_AT_MOST:
            del self._looks[1::2]  # never the oldest: it is the next to be reached
        self._looks.append(_Look(at, 0, ends))
        give_up_at = time.monotonic() + self._patience_s
        while True:
            while await self._advance(positions):
                pass
            if self.at == at or time.monotonic() >= give_up_at:
                return self.at
            await asyncio.sleep(LOOK_EVERY_S)

    async def _advance(self, positions: Positions) -> bool:
        """One round for all looks: those that were reached go to the next stage. Whether any did."""
        reached = await self._reached(positions)
        # Asked for when all that was committed is known: what came of it stands below these ends.
        ends = {
            stage: await positions.ends_of(self._stages[stage])
            for stage in {look.stage + 1 for look in reached}
            if stage < len(self._stages)
        }
        for look in reached:
            look.stage += 1
            if look.stage in ends:
                look.ends = ends[look.stage]
            else:
                self.at = max(look.at, self.at or 0)
        self._looks = [look for look in self._looks if look.stage < len(self._stages)]
        return bool(reached)

    async def _reached(self, positions: Positions) -> list[_Look]:
        """The looks of which all is committed, or deleted by retention, for which nobody need wait."""
        wanted: dict[TP, int] = {}
        for look in self._looks:
            for tp, end in look.ends.items():
                wanted[tp] = max(end, wanted.get(tp, 0))
        passed = dict(await positions.committed_of(wanted.keys())) if wanted else {}
        if behind := [tp for tp, end in wanted.items() if passed.get(tp, 0) < end]:
            for tp, begin in (await positions.begins_of(behind)).items():
                passed[tp] = max(begin, passed.get(tp, 0))
        return [look for look in self._looks if all(passed.get(tp, 0) >= end for tp, end in look.ends.items())]

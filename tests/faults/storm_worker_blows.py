"""The schedule of a storm over the workers: which blow, to whom, with which others; all of it drawn from a seed.

Owns the schedule. Refuses to strike (`storm_worker_course.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

MEMBERS: Final = (1, 2, 3)
GUEST: Final = 4
"""A fourth worker, which comes and goes."""
LONGEST_BLIND_S: Final = 8.0
LONGEST_AWAY_S: Final = 3.0

What = Literal["kill", "pause", "come", "go", "broker"]


@dataclass(frozen=True, slots=True)
class Blow:
    """`blind_after_s`: so long after its gust began, whatever the workers are about; None: as soon as they are at work.
    `away_s`: how long a broker stays away."""

    what: What
    whom: int = 0
    blind_after_s: float | None = None
    away_s: float = 0.0


Gust = tuple[Blow, ...]
"""Blows that fall together; the next gust begins when the last of them is over."""


def gusts(seed: int, *, kills: int, pauses: int, rebalances: int, brokers: int) -> list[Gust]:
    """So many of each. A pause, a rebalance and a broker's end open a gust; kills go with them or alone, at most two a
    gust and never one of whoever is paused."""
    dice = Random(seed)
    openings = ["pause"] * pauses + ["rebalance"] * rebalances + ["broker"] * brokers
    openings += ["calm"] * max(0, (kills + 1) // 2 - len(openings))
    dice.shuffle(openings)
    drawn = list(_opened(openings, dice))
    for place in dice.sample([*range(len(drawn)), *range(len(drawn))], kills):
        struck = {blow.whom for blow in drawn[place]}
        whom = dice.choice([member for member in MEMBERS if member not in struck])
        drawn[place].append(Blow("kill", whom, _moment(dice)))
    return [tuple(gust) for gust in drawn if gust]


def _opened(openings: list[str], dice: Random) -> Iterator[list[Blow]]:
    here = False
    for opening in openings:
        match opening:
            case "pause":
                yield [Blow("pause", dice.choice(MEMBERS))]
            case "broker":
                yield [Blow("broker", away_s=round(dice.uniform(0.2, LONGEST_AWAY_S), 1))]
            case "rebalance":
                yield [Blow("go" if here else "come", GUEST, _moment(dice))]
                here = not here
            case _:
                yield []


def _moment(dice: Random) -> float | None:
    return round(dice.uniform(0.0, LONGEST_BLIND_S), 1) if dice.random() < 0.5 else None

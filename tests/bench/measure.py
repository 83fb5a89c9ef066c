"""How a figure is measured and told."""

import time
from collections.abc import Callable, Mapping
from typing import Final

ROUNDS: Final = 15
ROUNDS_IN_TURN: Final = 60
"""A machine that others use is slow for a second at a time: rounds in turn lie that far apart."""


def cpu_us(work: Callable[[int], object], times: int) -> float:
    """CPU time of one call in microseconds: the best of the rounds, as the machine disturbs but never helps."""
    return min(_round(work, times) for _ in range(ROUNDS))


def cpu_us_in_turn(works: Mapping[str, Callable[[int], object]], times: int) -> dict[str, float]:
    """The same of several, a round of each in turn."""
    rounds = [{name: _round(work, times) for name, work in works.items()} for _ in range(ROUNDS_IN_TURN)]
    return {name: min(each[name] for each in rounds) for name in works}


def _round(work: Callable[[int], object], times: int) -> float:
    began = time.process_time()
    for turn in range(times):
        work(turn)
    return (time.process_time() - began) / times * 1e6


def tell(name: str, figure: float, unit: str) -> None:
    """One line of the bench."""
    print(f"BENCH {name} {figure:.2f} {unit}", flush=True)

"""How a figure is measured and told."""

import time
from collections.abc import Callable
from typing import Final

ROUNDS: Final = 15


def cpu_us(work: Callable[[int], object], times: int) -> float:
    """CPU time of one call in microseconds: the best of the rounds, as the machine disturbs but never helps."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for turn in range(times):
            work(turn)
        best = min(best, (time.process_time() - began) / times * 1e6)
    return best


def tell(name: str, figure: float, unit: str) -> None:
    """One line of the bench."""
    print(f"BENCH {name} {figure:.2f} {unit}", flush=True)

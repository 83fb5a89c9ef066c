"""What share of the changes was noticed, and how sure that is where only some were asked.

Owns the count and its margin. Refuses to know what was changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Final

Z_95: Final = 1.96


@dataclass(slots=True)
class Score:
    """One file: how many changes it can have, how many were asked, how many noticed."""

    name: str
    whole: int
    asked: int = 0
    noticed: int = 0

    @property
    def share(self) -> float:
        """The share noticed of those asked."""
        return self.noticed / self.asked if self.asked else 1.0

    @property
    def variance(self) -> float:
        """Of the share: nothing where all were asked, else that of a drawing without putting back.

        Two more noticed and two more not, as Agresti and Coull do: else ten of ten would pass for certain.
        """
        if self.asked >= self.whole:
            return 0.0
        share = (self.noticed + 2) / (self.asked + 4)
        return share * (1 - share) / (self.asked + 4) * (self.whole - self.asked) / (self.whole - 1)

    def __str__(self) -> str:
        margin = Z_95 * sqrt(self.variance)
        return f"{self.name:16} {self.noticed:5} of {self.asked:5} noticed {_per_cent(self.share, margin, self.whole)}"


def together(scores: Iterable[Score]) -> str:
    """The line of all files: each weighs what it has, not what was asked of it."""
    scores = [one for one in scores if one.whole]
    whole = sum(one.whole for one in scores)
    share = sum(one.share * one.whole for one in scores) / whole
    margin = Z_95 * sqrt(sum(one.variance * (one.whole / whole) ** 2 for one in scores))
    noticed, asked = sum(one.noticed for one in scores), sum(one.asked for one in scores)
    return f"{'all':16} {noticed:5} of {asked:5} noticed {_per_cent(share, margin, whole)}"


def _per_cent(share: float, margin: float, whole: int) -> str:
    return f"{share:7.1%}" + (f" ± {margin:.1%}, drawn from {whole}" if margin else "")

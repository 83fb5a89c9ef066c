"""What payloads show beside their items and repeat in nearly every webhook: a user's two names, a number's two forms.

Owns a bounded memory of what this process has already sent of it, which keeps the log small (design 7). Refuses to
remember what the broker has not acknowledged: the fact would be lost with the process.

Leaving a repeat out is harmless. A link is timeless: once known it holds for every instant asked, and a state keeps of
it the earliest instant alone. So what was sent once says all that a later repeat could say; one that happened earlier
still goes out. A process that starts knows nothing and sends each once more: same id, same fact.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from schemas.events import BusinessSeen, Fact, UsersLinked

REMEMBERED: Final = 50_000
"""Fact ids; some 10 MB."""


class Shown:
    """Fact ids with the earliest `occurred_at` that was sent. The one met longest ago is forgotten first."""

    __slots__ = ("_earliest", "_most")

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._earliest: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._earliest)

    def knows(self, fact_id: str, at: int) -> bool:
        """Whether the fact was acknowledged with an instant as early as `at`."""
        earliest = self._earliest.get(fact_id)
        if earliest is None:
            return False
        self._earliest.move_to_end(fact_id)
        return earliest <= at

    def acknowledged(self, sent: Mapping[str, int]) -> None:
        """Remember what the broker has: fact ids with their instants."""
        for fact_id, at in sent.items():
            self._earliest[fact_id] = min(at, self._earliest.get(fact_id, at))
            self._earliest.move_to_end(fact_id)
        while len(self._earliest) > self._most:
            self._earliest.popitem(last=False)


def is_shown(fact: Fact) -> bool:
    """Whether the fact is of the kind that payloads repeat."""
    return isinstance(fact, UsersLinked | BusinessSeen)

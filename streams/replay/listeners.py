"""Who hears of facts and changes while a history is folded: printing them, or keeping those of one pair.

Owns which pairs are heard. A user asked for by another name is heard under that name and under the canonical one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from schemas.changes import encode_change
from schemas.codec import encode_fact
from schemas.events import NumberFact, PairFact
from schemas.ids import Pair
from streams.permission.step import Step
from streams.replay.fold import Change, Listener
from streams.replay.scout import Scouted
from streams.replay.spool import Spool

_BELOW = "\x01"  # sorts before what stands in a key


def heard_pairs(asked: Iterable[Pair], scouted: Scouted) -> frozenset[Pair]:
    """The pairs asked for with the canonical ones; empty: all."""
    wanted = set(asked)
    return frozenset(wanted | {scouted.canonical(pair) for pair in wanted})


class Announcer(Listener):
    """Passes changes on, in the order of announcements. `until`: the instant asked, None: any."""

    judges = True

    def __init__(self, pairs: frozenset[Pair], until: int | None, write: Callable[[bytes], None]) -> None:
        self._pairs, self._until, self._write = pairs, until, write

    def told(self, change: Change) -> None:
        if self._until is not None and change["occurred_at"] > self._until:
            return  # a link that holds for every instant was learned later
        if not self._pairs or Pair(change["phone_number_id"], change["user"]) in self._pairs:
            self._write(encode_change(change))


class Chronicler(Listener):
    """Keeps facts sorted by pair and time, each once."""

    def __init__(self, pairs: frozenset[Pair], spool: Spool) -> None:
        self._pairs, self._spool = pairs, spool

    def heard(self, fact: PairFact, _done: Step, /) -> None:
        pair = Pair(fact.phone_number_id, fact.user)
        if not self._pairs or pair in self._pairs:
            self._keep(pair.text, fact)

    def noted(self, fact: NumberFact) -> None:
        if not self._pairs:
            self._keep(fact.phone_number_id or fact.display_phone_number or "", fact)

    def _keep(self, key: str, fact: PairFact | NumberFact) -> None:
        order = f"{key}{_BELOW}{fact.occurred_at:012d}{_BELOW}{fact.fact_id}"
        self._spool.add(order.encode(), encode_fact(fact))


@dataclass(slots=True)
class Heard:
    """One fact as it reached the pair. `times`: how often; `learned_at`: when first."""

    fact: PairFact
    times: int
    learned_at: int
    late: bool


class Witness(Listener):
    """Keeps what one pair heard, for its story."""

    judges = True

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self.heard_of: dict[str, Heard] = {}

    def heard(self, fact: PairFact, done: Step, /) -> None:
        if (fact.phone_number_id, fact.user) != self._pair:
            return
        held = self.heard_of.get(fact.fact_id)
        if held is None:
            self.heard_of[fact.fact_id] = Heard(fact, 1, fact.recorded_at, done.late)
        else:
            held.times += not fact.forwarded
            held.late = held.late and done.late
            held.learned_at = min(held.learned_at, fact.recorded_at)
            if fact.occurred_at < held.fact.occurred_at:
                held.fact = fact

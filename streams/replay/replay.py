"""A history from its first line to its judged pairs: look, fold, let time pass.

Owns the order of these, and what becomes of a line that cannot be judged: it is parked with its number and reason,
never with a value, and costs nothing of the others.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from schemas.codec import Unreadable
from schemas.ids import Pair
from schemas.policy import Policy
from schemas.state import PairState
from streams.replay.fold import Counts, Fold, Listener
from streams.replay.judged import RowKind, nothing_of, rows, standing_line
from streams.replay.meaning import meaning
from streams.replay.scout import Scouted, scout
from streams.replay.sources import TOLD_EVERY, Line, Sources, Told

Row = dict[str, Any]
Park = Callable[[Line, Unreadable], None]


class NothingToJudgeAt(Exception):
    """Pairs were asked for, and neither an instant nor any fact says when."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A history judged at `at`; None when nothing says when."""

    at: int | None
    fold: Fold
    scouted: Scouted

    @property
    def counts(self) -> Counts:
        return self.fold.counts

    def state_of(self, pair: Pair) -> PairState:
        """The state of the pair, or of the canonical pair of that user; an empty one when it was never seen."""
        state = self.fold.states.get(pair) or nothing_of(pair)
        if (canonical := state.forwards_to) is None:
            return state
        held = Pair(pair.phone_number_id, canonical)
        return self.fold.states.get(held) or nothing_of(held)

    def judged(
        self, emit: Literal["standings"] | RowKind, asked: Iterable[Pair] = (), heard: Told | None = None
    ) -> Iterator[Row]:
        """Standings or rows, sorted by pair: of those asked for, or of all that have a line of their own.

        `heard`: hears now and then how many pairs of how many were judged.
        """
        wanted = set(asked)
        if self.at is None:
            if wanted:
                raise NothingToJudgeAt
            return
        if wanted:
            named = sorted(((self.state_of(pair), pair) for pair in wanted), key=lambda one: (one[0].pair, one[1]))
        else:
            named = [(state, pair) for pair, state in sorted(self.fold.states.items()) if state.forwards_to is None]
        told: set[Pair] = set()
        for place, (state, pair) in enumerate(named):
            if heard is not None and place % TOLD_EVERY == 0:
                heard(place, len(named))
            number = self.fold.numbers.of(state.phone_number_id)
            if emit == "standings":
                asked_as = pair.user if pair != state.pair else None
                yield standing_line(state, self.at, self.fold.policy, number, asked_as)
            elif state.pair not in told:
                told.add(state.pair)
                yield from rows(emit, state, self.at, self.fold.policy, number)


def replay(
    sources: Sources,
    policy: Policy,
    park: Park,
    *,
    as_of: int | None = None,
    horizon_s: int | None = None,
    asked: Iterable[Pair] = (),
    listen: Callable[[Scouted], Listener] | None = None,
    told: Told | None = None,
) -> Replayed:
    """Replay everything. `listen`: makes who hears of facts and changes on the way, once the first look is done.

    `told`: hears of progress, both looks together.
    """
    scouted = scout(sources.lines(_first_part(told)), policy, asked)
    numbers = scouted.numbers
    listener = listen(scouted) if listen is not None else Listener()
    fold = Fold(policy, numbers, as_of, horizon_s, listener, judging=listener.judges or horizon_s is not None)
    known, counts = scouted.known(), fold.counts

    def put_aside(line: Line, fault: Unreadable) -> None:
        counts.parked += 1
        counts.parked_by_reason[fault.reason] += 1
        park(line, fault)

    for line in sources.lines(_second_part(told)):
        counts.lines += 1
        done = meaning(line, known)
        if isinstance(done, Unreadable):
            put_aside(line, done)
            continue
        if done.ignored:
            counts.ignored.update(done.ignored)
        for fault in done.parked:
            put_aside(line, fault)
        for fact in done.facts:
            if (failed := fold.take(fact)) is not None:
                put_aside(line, failed)
    return Replayed(fold.finish(), fold, scouted)


LOOK_SHARE = 10
"""The first look costs about a tenth of the whole."""


def _first_part(told: Told | None) -> Told | None:
    if told is None:
        return None
    tell = told
    return lambda read, size: tell(read // LOOK_SHARE, size)


def _second_part(told: Told | None) -> Told | None:
    if told is None:
        return None
    tell = told
    return lambda read, size: tell(size // LOOK_SHARE + read - read // LOOK_SHARE, size)

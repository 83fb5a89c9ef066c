"""The fold of a whole history: each fact to its pair, what a pair hands on to the pair it belongs to, and the passing
of time.

Owns the states, delivery between them and the counts. Refuses to judge: `step` and `pass_time` do, as in the worker.
Where nobody listens on the way and nothing is settled, the evidence is only gathered, and judged at the end.
Memory grows with pairs, not with facts.

As of an instant, facts that occurred later are left out, but not links: a link is timeless (design 15), so the links
of a whole history hold for every instant asked, as they do in the api.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, ClassVar

from schemas.codec import Unreadable
from schemas.events import BusinessSeen, Fact, NumberFact, PairFact, UsersLinked
from schemas.ids import Pair
from schemas.policy import Policy
from schemas.state import PairState
from streams.permission.directory import Directory
from streams.permission.step import Step, gather, pass_time, step

Change = dict[str, Any]


@dataclass(slots=True)
class Counts:
    """What went through (design 15, `--stats`).

    `facts`: what the log would hold: a link or a number's form that was told before is not told again. `repeated`: of
    these, nothing new to their pair. `late`: beyond the horizon. `left_out`: occurred after the instant asked.
    `forwarded`: handed on to a canonical pair.
    """

    lines: int = 0
    facts: int = 0
    repeated: int = 0
    late: int = 0
    left_out: int = 0
    forwarded: int = 0
    parked: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    parked_by_reason: Counter[str] = field(default_factory=Counter)


class Listener:
    """Who wants to hear of facts and changes on the way. Hears nothing unless it says what.

    `judges`: whether it wants each fact judged as it comes.
    """

    judges: ClassVar[bool] = False

    def heard(self, fact: PairFact, done: Step, /) -> None:
        """A fact came to its pair."""

    def told(self, change: Change) -> None:
        """A change was announced, in the order of announcements."""

    def noted(self, fact: NumberFact) -> None:
        """A fact about a number came for the first time."""


@dataclass(slots=True)
class Fold:
    """All pairs of a history. `as_of`: leave out what occurred later; None: nothing."""

    policy: Policy
    numbers: Directory
    as_of: int | None = None
    horizon_s: int | None = None
    listener: Listener = field(default_factory=Listener)
    judging: bool = True
    """Whether each fact is judged as it comes: for changes, and where the past is settled. Else only at the end."""
    counts: Counts = field(default_factory=Counts)
    states: dict[Pair, PairState] = field(default_factory=dict)
    latest_at: int | None = None
    """The latest instant at which something occurred, of what is not left out."""
    _deadlines: dict[Pair, int] = field(default_factory=dict)
    _links_told: dict[str, int] = field(default_factory=dict)
    """By fact id the earliest instant at which a link was told."""
    _later_links: dict[str, UsersLinked] = field(default_factory=dict)
    _numbers_told: set[str] = field(default_factory=set)

    def take(self, fact: Fact) -> Unreadable | None:
        """One more fact. Answers why it could not be judged, should a rule fail on it: the others are judged all the
        same.
        """
        if isinstance(fact, UsersLinked):  # first what nearly every payload repeats
            return self._take_link(fact)
        if isinstance(fact, NumberFact):
            self._take_number(fact)
            return None
        self.counts.facts += 1
        if self.as_of is not None and fact.occurred_at > self.as_of:
            self.counts.left_out += 1
            return None
        self._occurred(fact.occurred_at)
        return self._deliver(fact)

    def finish(self) -> int | None:
        """The end of the history: later links hold, and time passes for every pair. Answers the instant to judge at."""
        for link in sorted(self._later_links.values(), key=lambda one: (one.phone_number_id, one.user, one.wa_id)):
            self._deliver(link)
        at = self.as_of if self.as_of is not None else self.latest_at
        if at is None:
            return None
        for _, pair in sorted((deadline, pair) for pair, deadline in self._deadlines.items() if deadline <= at):
            state = self.states[pair]
            done = pass_time(state, at, self.policy, self.numbers.of(pair.phone_number_id))
            if done.state is not state:
                self.states[pair] = done.state
                self._announce(done)
        return at

    def _occurred(self, at: int) -> None:
        if self.latest_at is None or at > self.latest_at:
            self.latest_at = at

    def _take_number(self, fact: NumberFact) -> None:
        """The first look has read it already (`scout`); here it is only counted."""
        repeated = fact.fact_id in self._numbers_told
        if repeated and isinstance(fact, BusinessSeen):
            return  # nearly every payload repeats it
        self.counts.facts += 1
        self.counts.repeated += repeated
        if repeated:
            return
        self._numbers_told.add(fact.fact_id)
        if self.as_of is not None and fact.occurred_at > self.as_of:
            self.counts.left_out += 1
            return
        self._occurred(fact.occurred_at)
        self.listener.noted(fact)

    def _take_link(self, fact: UsersLinked) -> Unreadable | None:
        """Nearly every payload repeats the links of its users: only what is new, or earlier than what is known, is
        told.
        """
        known = self._links_told.get(fact.fact_id)
        if known is not None and known <= fact.occurred_at:
            return None
        if self.as_of is not None and fact.occurred_at > self.as_of:
            held = self._later_links.get(fact.fact_id)
            if held is None:
                self.counts.facts += 1
            if held is None or fact.occurred_at < held.occurred_at:
                self._later_links[fact.fact_id] = fact
            return None
        self._links_told[fact.fact_id] = fact.occurred_at
        self.counts.facts += 1
        self._occurred(fact.occurred_at)
        return self._deliver(fact)

    def _deliver(self, fact: PairFact) -> Unreadable | None:
        todo: deque[PairFact] = deque((fact,))
        while todo:
            one = todo.popleft()
            pair = Pair(one.phone_number_id, one.user)
            state = self.states.get(pair) or PairState(phone_number_id=pair.phone_number_id, user=pair.user)
            try:
                done = self._step(pair, state, one)
            except Exception as fault:  # noqa: BLE001 - step is total; were it not, one fact must not stop the others
                return Unreadable(reason="fold_failed", path="$", detail=type(fault).__name__)
            self.states[pair] = done.state
            if done.deadline is not None:
                self._deadlines[pair] = done.deadline
            else:
                self._deadlines.pop(pair, None)
            self.counts.repeated += done.repeated and not one.forwarded
            self.counts.late += done.late
            self.counts.forwarded += len(done.forwards)
            self.listener.heard(one, done)
            self._announce(done)
            todo.extend(done.forwards)
        return None

    def _step(self, pair: Pair, state: PairState, fact: PairFact) -> Step:
        if self.judging:
            return step(state, fact, self.policy, self.numbers.of(pair.phone_number_id), self.horizon_s)
        return gather(state, fact)

    def _announce(self, done: Step) -> None:
        for change in done.changes:
            self.listener.told(change)

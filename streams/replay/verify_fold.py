"""A partition of the log folded once more, beside what was announced of it.

Owns the one thing that the log alone does not say: when time passed between two facts (a tick), and what was known of
the business number just then. Both left a trace among the announcements. So each fact is judged as it stands; where a
passed deadline was announced at that version of the pair, also as if the deadline had passed before; and where neither
gives what was announced, under what the number was earlier. What fits is followed, all of it while several do. Refuses
to take anything from an announcement but this choice: what none of the ways gives is invented, what all of them give
and nobody announced is lost.

Memory grows with the pairs of the partition and with what was announced of them, not with its facts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from schemas.codec import Unreadable, decode_fact
from schemas.events import PairFact
from schemas.ids import Pair, partition_of
from schemas.policy import Policy
from schemas.state import PairState
from streams.permission.number import Number
from streams.permission.step import Change, Row, Step, pass_time, step
from streams.replay.verify_rows import Rows
from streams.replay.verify_told import Heard, said_in

WAYS_AT_MOST: Final = 4
NOTHING_HEARD: Final = Heard()


class KnownNumbers(Protocol):
    """What is known of business numbers."""

    def of(self, name: str) -> Number:
        """By all that was told."""

    def once(self, name: str) -> Sequence[Number]:
        """By what had been told earlier, the latest first."""


class Said(NamedTuple):
    """An announcement that the fold makes. `at_ms`: when the worker could have made it first, on our clock."""

    type: str
    at_ms: int


class _Way(NamedTuple):
    """One way a fact can have been judged. `fit`: 0 as was announced, 1 in part (all of ours; before the cut, not
    all that is left), 2 not.
    """

    fit: int
    state: PairState
    told: tuple[Change, ...]
    records: tuple[Row, ...]
    forwards: tuple[PairFact, ...]


@dataclass(slots=True)
class Folded:
    """One pair so far. `ahead`: by how much the worker's versions are ahead of ours."""

    ways: list[PairState]
    heard: Heard
    rows: Rows = field(default_factory=Rows)
    told: dict[bytes, Said] = field(default_factory=dict)
    """What every way announces."""
    times: Counter[bytes] = field(default_factory=Counter)
    may: set[bytes] = field(default_factory=set)
    """What one of the ways announces."""
    ahead: int = 0

    @property
    def state(self) -> PairState:
        """The pair as it should stand."""
        return self.ways[0]


class PartitionFold:
    """All pairs of one partition. `heard`: by key what was announced; `cut_ms`: what was announced earlier is gone."""

    def __init__(
        self,
        policy: Policy,
        numbers: KnownNumbers,
        place: tuple[int, int],
        heard: Mapping[bytes, Heard],
        cut_ms: int = 0,
    ) -> None:
        self.pairs: dict[bytes, Folded] = {}
        self.unread = 0
        """Records that a worker puts aside: no fact of their key."""
        self.latest_ms = 0
        self.forwards: set[bytes] = set()
        """Of each fact that a pair hands on: the canonical pair's key and the fact's id."""
        self.handed_on: set[bytes] = set()
        """The same of those that stand in this partition."""
        self._policy, self._numbers, self._heard = policy, numbers, heard
        self._partition, self._partitions = place
        self._cut_ms = cut_ms

    def take(self, key: bytes | None, value: bytes | None, at_ms: int) -> None:
        """The next record, in order of offset. `at_ms`: when it was written."""
        fact = fact_under(key, value, self._partition, self._partitions)
        if fact is None or key is None:
            self.unread += 1
            return
        self.latest_ms = max(self.latest_ms, at_ms)
        if fact.forwarded:
            self.handed_on.add(named(fact))
        pair = self.pairs.get(key)
        if pair is None:
            empty = PairState(phone_number_id=fact.phone_number_id, user=fact.user)
            pair = self.pairs[key] = Folded([empty], self._heard.get(key, NOTHING_HEARD))
        try:
            ways = self._judged(pair, fact, at_ms)
        except Exception:  # noqa: BLE001 - step is total; were it not, the worker puts the fact aside likewise
            self.unread += 1
            return
        self._follow(pair, ways, at_ms)

    def finish(self) -> None:
        """The end of the log: what was announced of deadlines since each pair's last fact has passed."""
        for pair in self.pairs.values():
            for place, state in enumerate(pair.ways):
                passed = self._passed(pair, state, exact=False)
                if passed is not None:
                    pair.ways[place] = passed.state
                    if place == 0:
                        _store(pair.rows, passed.records)

    def _judged(self, pair: Folded, fact: PairFact, at_ms: int) -> list[_Way]:
        number = self._numbers.of(fact.phone_number_id)
        ways = self._ways(pair, fact, number, at_ms, exact=True)
        if min(way.fit for way in ways) and pair.heard is not NOTHING_HEARD:
            ways += self._ways(pair, fact, number, at_ms, exact=False)
            for earlier in self._numbers.once(fact.phone_number_id):
                if any(way.fit == 0 for way in ways):
                    break
                ways += self._ways(pair, fact, earlier, at_ms, exact=True)
        best = min(way.fit for way in ways)
        return [way for way in ways if way.fit == best][: 1 if best == 2 else None]

    def _ways(self, pair: Folded, fact: PairFact, number: Number, at_ms: int, *, exact: bool) -> list[_Way]:
        found: list[_Way] = []
        for state in pair.ways:
            way = self._way(pair, state, fact, number, at_ms)
            found.append(way)
            if state.due_at is None or any(change["fact_id"] is None for change in way.told):
                continue  # the fact itself told of the deadline; one that links two names does not
            passed = self._passed(pair, state, exact=exact)
            if passed is not None:  # first: only a crash in between could have undone what was announced
                found.insert(len(found) - 1, self._way(pair, passed.state, fact, number, at_ms, passed))
        return found

    def _way(
        self, pair: Folded, state: PairState, fact: PairFact, number: Number, at_ms: int, passed: _Way | None = None
    ) -> _Way:
        done = step(state, fact, self._policy, number)
        told = done.changes if passed is None else (*passed.told, *done.changes)
        records = tuple(record for record in (done.record,) if record is not None and done.state is not state)
        if passed is not None:
            records = (*passed.records, *records)
        return _Way(self._fit(pair, fact, done, at_ms), done.state, told, records, done.forwards)

    def _passed(self, pair: Folded, state: PairState, *, exact: bool) -> _Way | None:
        """The pair after its deadline has passed, where that was announced, or would have been before the cut."""
        due_at = state.due_at
        if due_at is None:
            return None
        gone = due_at * 1000 < self._cut_ms
        version = state.version + pair.ahead
        if not gone and not any(one.version == version or not exact for one in pair.heard.of_deadline(due_at)):
            return None
        done = pass_time(state, due_at, self._policy, self._numbers.of(state.phone_number_id))
        if done.state is state or not (gone or all(said_in(change) in pair.heard.times for change in done.changes)):
            return None
        pair.may.update(map(said_in, done.changes))  # also where a crash undid it: then another way is followed
        return _Way(0, done.state, done.changes, (done.record,) if done.record is not None else (), ())

    def _fit(self, pair: Folded, fact: PairFact, done: Step, at_ms: int) -> int:
        heard = pair.heard.by_fact.get(fact.fact_id, ())
        if done.repeated or done.late or not (done.changes or heard):
            return 0
        ours = {said_in(change) for change in done.changes if change["fact_id"] is not None}
        if at_ms < self._cut_ms:  # retention cuts between records: of what one fact led to, some may be left
            return 0 if ours >= {one.said for one in heard} else 1
        deadlines = [change for change in done.changes if change["fact_id"] is None]
        if not all(one["occurred_at"] * 1000 < self._cut_ms or said_in(one) in pair.heard.times for one in deadlines):
            return 2
        version = done.state.version + pair.ahead
        then = {one.said for one in heard if one.version == version}
        if ours == then and (ours or not any(one.version > version for one in heard)):
            return 0
        later = [one.version for one in heard if one.version > version and one.said in ours - then]
        if later and ours == {one.said for one in heard if one.version == later[0]}:
            pair.ahead += later[0] - version
            return 0
        return 1 if ours <= {one.said for one in heard} else 2

    def _follow(self, pair: Folded, ways: Sequence[_Way], at_ms: int) -> None:
        said = [{said_in(change): change for change in way.told} for way in ways] if any(w.told for w in ways) else []
        for one in said:
            pair.may.update(one)
        if said:
            for digest in set.intersection(*map(set, said)):
                change = said[0][digest]
                deadline_ms = change["occurred_at"] * 1000 if change["fact_id"] is None else at_ms
                pair.told.setdefault(digest, Said(change["type"], min(at_ms, deadline_ms)))
                pair.times[digest] += 1
        _store(pair.rows, ways[0].records)
        self.forwards.update(named(fact) for fact in ways[0].forwards)
        states = [way.state for way in ways]
        if len(states) > 1:
            states = [state for place, state in enumerate(states) if state not in states[:place]][:WAYS_AT_MOST]
        pair.ways = states


def fact_under(key: bytes | None, value: bytes | None, partition: int, partitions: int) -> PairFact | None:
    """The fact of a record of `permission.events`, None where a worker puts the record aside."""
    fact = decode_fact(value) if value is not None else None
    if fact is None or isinstance(fact, Unreadable) or not isinstance(fact, PairFact):
        return None
    if key is None or key != Pair(fact.phone_number_id, fact.user).key or partition_of(key, partitions) != partition:
        return None
    return fact


def named(fact: PairFact) -> bytes:
    """Which fact of which pair."""
    return Pair(fact.phone_number_id, fact.user).key + b" " + fact.fact_id.encode()


def lost(pair: Folded, cut_ms: int) -> Iterator[Said]:
    """What should have been announced and was not. What was announced before `cut_ms` cannot be known."""
    return (one for said, one in pair.told.items() if said not in pair.heard.times and one.at_ms >= cut_ms)


def invented(pair: Folded) -> list[str]:
    """The types of announcements that nothing in the log led to."""
    return [kind for said, kind in pair.heard.types.items() if said not in pair.may]


def doubled(pair: Folded) -> int:
    """How many announcements say again, under another id, what was said."""
    return sum(max(0, times - max(1, pair.times[said])) for said, times in pair.heard.times.items() if said in pair.may)


def _store(rows: Rows, records: Sequence[Row]) -> None:
    for record in records:
        rows.take(record)

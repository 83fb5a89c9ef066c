"""The fold of one batch: records and stored rows in, all that is to be written out. No await, clock or framework.

Owns which rows a batch touches, what goes to `permission.changes` and `permission.records`, and what is parked. Each
state row is decoded once and encoded once a batch; every step in between tells its own changes and record. Refuses to
raise on content.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from schemas.changes import encode_change
from schemas.codec import Unreadable, decode_fact
from schemas.envelope import cloud_event
from schemas.events import Fact, PairFact
from schemas.ids import derived_id, pair_text, parse_pair, partition_of
from schemas.mark_lists import StateUnreadable, filled
from schemas.policy import Policy
from schemas.records import encode_record
from schemas.state import PairState
from schemas.state_row import encode_state, open_state
from streams.permission.number import Number, number_in
from streams.permission.step import Step, pass_time, step
from streams.worker.deadlines import Deadline, index_key
from streams.worker.parking import parked
from streams.worker.rows import Arrival, NumberOf, Row, state_headers
from streams.worker.translation import fact_row, is_of_a_pair

Get = Callable[[bytes], bytes | None]
"""The stored row of a key."""
STATE_UNREADABLE: Final = Unreadable(
    reason="state_unreadable", path="$", detail="the stored state of this pair is not of this program's form"
)
NO_VALUE: Final = Unreadable(reason="no_value", path="$", detail="a fact is never a tombstone")
WRONG_PARTITION: Final = Unreadable(
    reason="wrong_partition",
    path="$",
    detail="the key belongs to another partition; was the topic given more partitions?",
)


@dataclass(slots=True)
class Folded:
    """What one batch comes to. `flags`: per record, whether it gave nothing but a dead letter.

    `unreadable`: digests of the keys whose stored row could not be read. Their facts have no flag: one damaged row says
    nothing about what comes.
    """

    rows: dict[bytes, Row] = field(default_factory=dict)
    index: dict[bytes, bytes | None] = field(default_factory=dict)
    changes: list[Row] = field(default_factory=list)
    records: list[Row] = field(default_factory=list)
    forwards: dict[int, list[Row]] = field(default_factory=lambda: defaultdict(list))
    """Facts for the canonical pairs of users, by partition of `permission.events`."""
    parked: list[Row] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    change_types: Counter[str] = field(default_factory=Counter)
    flags: list[bool] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    new: int = 0
    repeated: int = 0
    late: int = 0
    """Facts beyond the horizon; neither new nor repeated."""
    latest_at: int = 0
    """The latest event time folded: up to there a tick counts while the partition lags. Of a fact from the future, when
    it was received: one wrong clock must not open the way for every tick.
    """

    def park(self, arrival: Arrival, why: Unreadable) -> None:
        """Put one record aside."""
        self.parked.append(parked(arrival, why))
        self.reasons[why.reason] += 1


class _Rows:
    """The states a batch touches, each loaded once."""

    def __init__(
        self, get: Get, policy: Policy, partitions: int, folded: Folded, number_of: NumberOf | None = None
    ) -> None:
        self._get, self._policy, self._partitions, self._folded = get, policy, partitions, folded
        self._number_of = number_of or (lambda name: number_in(policy, name))
        self._states: dict[bytes, PairState | None] = {}
        self._numbers: dict[str, Number] = {}
        self._deadlines: dict[bytes, int | None] = {}  # of the rows that changed

    def has(self, key: bytes) -> bool:
        """Whether the key was met in this batch."""
        return key in self._states

    def load(self, key: bytes, phone_number_id: str, user: str) -> PairState | None:
        """The state as it is now; None when the stored row cannot be read: then nothing of the pair is written."""
        if key in self._states:
            return self._states[key]
        value = self._get(key)
        state: PairState | None
        try:
            state = open_state(value) if value is not None else PairState(phone_number_id=phone_number_id, user=user)
        except StateUnreadable:
            state = None
            self.note_damaged(key)
        self._states[key] = state
        return state

    def note_damaged(self, key: bytes) -> None:
        """Remember that the stored row of a pair, or a list in it, could not be read."""
        self._folded.unreadable.add(hashlib.sha256(key).hexdigest()[:16])

    def number(self, phone_number_id: str) -> Number:
        """What is known of a number, the same for the whole batch."""
        number = self._numbers.get(phone_number_id)
        if number is None:
            number = self._numbers[phone_number_id] = self._number_of(phone_number_id)
        return number

    def took(self, key: bytes, done: Step, before: PairState) -> None:
        """Remember a step's state and write down what it tells; what another pair must hear goes back to the log.

        All is encoded before anything is kept: where the encoder refuses, the step has not happened.
        """
        forwards = [fact_row(fact) for fact in done.forwards]
        told = done.state is not before
        changes = [_change_row(key, change) for change in done.changes] if told else []
        record = _record_row(key, done.state, done.record) if told and done.record is not None else None
        for row in forwards:
            self._folded.forwards[partition_of(row.key or b"", self._partitions)].append(row)
        if not told:
            return
        self._states[key] = done.state
        self._deadlines[key] = done.deadline
        self._folded.changes += changes
        for change in done.changes:
            self._folded.change_types[change["type"]] += 1
        if record is not None:
            self._folded.records.append(record)

    def finish(self) -> None:
        """Encode each touched row once and note its deadline."""
        for key, at in self._deadlines.items():
            state = self._states[key]
            assert state is not None  # noqa: S101 - narrows a type: `took` put it there
            self._folded.rows[key] = filled(Row, (key, encode_state(state), state_headers(state, at)))
            if at is not None:
                self._folded.index[index_key(Deadline(at, key))] = b""


class FactFold:
    """The fold of one batch of `permission.events`, record by record: whoever feeds it may give way in between.

    Nothing else may write the partition from the first record to the writing of what `finish` gives. `number_of`: what
    is known of numbers; by default what the policy file says.
    """

    def __init__(self, get: Get, policy: Policy, partitions: int, number_of: NumberOf | None = None) -> None:
        self._policy, self._partitions = policy, partitions
        self._folded = Folded()
        self._rows = _Rows(get, policy, partitions, self._folded, number_of)

    def take(self, arrival: Arrival) -> None:
        """Fold the next record."""
        folded, rows, policy = self._folded, self._rows, self._policy
        fact = self._fact_of(arrival)
        if isinstance(fact, Unreadable):
            folded.park(arrival, fact)
            folded.flags.append(True)
            return
        key = arrival.key or b""
        state = rows.load(key, fact.phone_number_id, fact.user)
        if state is None:
            folded.park(arrival, STATE_UNREADABLE)
            return
        try:
            done = step(state, fact, policy, rows.number(fact.phone_number_id))
            if not done.repeated:
                rows.took(key, done, state)
        except StateUnreadable:  # in a list that nobody had looked into
            rows.note_damaged(key)
            folded.park(arrival, STATE_UNREADABLE)
            return
        except Exception as fault:  # noqa: BLE001 - step is total; should it not be, or an instant lie beyond every calendar, one fact must not stop its partition
            folded.park(arrival, Unreadable(reason="fold_failed", path="$", detail=type(fault).__name__))
            folded.flags.append(True)
            return
        folded.flags.append(False)
        folded.latest_at = max(folded.latest_at, min(fact.occurred_at, fact.recorded_at))
        folded.repeated += done.repeated
        folded.late += done.late
        folded.new += not (done.repeated or done.late)

    def _fact_of(self, arrival: Arrival) -> PairFact | Unreadable:
        fact = fact_in(arrival)
        if isinstance(fact, Unreadable):
            return fact
        if not is_of_a_pair(fact):
            detail = "facts about numbers belong to business.events"
            return Unreadable(reason="not_of_a_pair", path="$.type", detail=detail)
        key = arrival.key
        if key is None or key != pair_text(fact.phone_number_id, fact.user).encode():
            return Unreadable(reason="key_mismatch", path="$", detail="the key is not the pair of the fact")
        if not self._rows.has(key) and partition_of(key, self._partitions) != arrival.partition:
            return WRONG_PARTITION
        return fact

    def finish(self) -> Folded:
        """What all of them come to."""
        self._rows.finish()
        return self._folded


def fold_deadlines(
    due: Sequence[Deadline], until: int, get: Get, policy: Policy, partitions: int, number_of: NumberOf | None = None
) -> Folded:
    """Announce the grants among `due` that ran out by `until`. A stale index row is dropped, or moved to its time."""
    folded = Folded()
    rows = _Rows(get, policy, partitions, folded, number_of)
    for deadline in due:
        folded.index[index_key(deadline)] = None
    for key in dict.fromkeys(deadline.key for deadline in due):
        pair = parse_pair(key)
        if pair is None or get(key) is None:
            continue
        state = rows.load(key, pair.phone_number_id, pair.user)
        if state is None:
            continue
        number = rows.number(pair.phone_number_id)
        try:
            done = pass_time(state, until, policy, number)
        except StateUnreadable:
            rows.note_damaged(key)
            continue
        if done.state is not state:
            rows.took(key, done, state)
        elif done.deadline is not None:
            folded.index[index_key(Deadline(done.deadline, key))] = b""
    rows.finish()
    return folded


def newest_tick(arrivals: Sequence[Arrival], folded: Folded) -> int | None:
    """The latest instant of a batch of `permission.ticks`; older ones say nothing more. Unreadable ones are parked."""
    newest: int | None = None
    for arrival in arrivals:
        at = _tick_at(arrival.value)
        if at is None:
            why = Unreadable(reason="unreadable_tick", path="$.at", detail="a tick is an object with epoch seconds")
            folded.park(arrival, why)
        else:
            newest = at if newest is None else max(newest, at)
        folded.flags.append(at is None)
    return newest


def refuse_commands(arrivals: Sequence[Arrival]) -> Folded:
    """Park a batch of `permission.commands`: nobody writes them yet, and one that comes must not be lost in silence."""
    folded = Folded()
    for arrival in arrivals:
        why = Unreadable(reason="commands_not_supported", path="$", detail="this worker decides no commands")
        folded.park(arrival, why)
    return folded


def fact_in(arrival: Arrival) -> Fact | Unreadable:
    """What a record of a log of facts says."""
    return NO_VALUE if arrival.value is None else decode_fact(arrival.value)


def _tick_at(value: bytes | None) -> int | None:
    try:
        tick = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    at = tick.get("at") if isinstance(tick, dict) else None
    return at if isinstance(at, int) and not isinstance(at, bool) else None


def _change_row(key: bytes, change: dict[str, Any]) -> Row:
    kind = change["type"].replace("permission_", "permission.")
    at = change["occurred_at"]
    headers = cloud_event(id=change["change_id"], kind=kind, source="worker", at=at)
    return filled(Row, (key, encode_change(change), headers))


def _record_row(key: bytes, state: PairState, record: dict[str, Any]) -> Row:
    event_id = derived_id("record", key.decode(), state.version, state.judged_at)
    headers = cloud_event(id=event_id, kind="permission.record", source="worker", at=state.judged_at)
    return filled(Row, (key, encode_record(record), headers))

"""Step: one delivery judged whole. The same function serves the worker, replay and every comparison (design 4, 6).

Owns what is announced and which rows are written when evidence comes in or time passes. Total: it never raises on
content.

Standings before and after are compared at one instant, the latest the pair has seen (`judged_at`), so a late fact
announces what is true now, not what was true then. A deadline that passed on the way is announced first, in the words
and under the id in which the timer would have announced it.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from schemas.events import MessageStatus, PairFact
from schemas.ids import is_wa_id
from schemas.mark_lists import filled, marks_of
from schemas.marks import Call, Request
from schemas.policy import Policy
from schemas.state import PairState
from schemas.state_row import continued, judged, row_version
from streams.permission.announce import FILLING, announced, contradicted, drifted, merged, ran_out, told_of_expiry
from streams.permission.evolve import evolve
from streams.permission.grants import Grant
from streams.permission.horizon import HORIZON_S, settled, too_late
from streams.permission.identity import facts_of, forwarded
from streams.permission.number import Number
from streams.permission.onward import Onward, onward
from streams.permission.requests import Life
from streams.permission.rows import call_row, change_row, grant_row, request_row
from streams.permission.standing import Timeline, goes_on, judged_as, timeline
from streams.permission.windows import DAY_S

Change = dict[str, Any]
Row = dict[str, Any]
Rows = tuple[list[Row], list[Row], list[Row]]
"""Rows of requests, of grants and of calls."""
NO_ROWS: Final[Rows] = ([], [], [])


class Step(NamedTuple):
    """What one delivery did. `record`: the rows it touched, None when there is nothing to tell. `repeated`: known
    already.

    `deadline`: when the grant now held runs out, None when nothing will: what the worker's time index keeps.
    `forwards`: facts for the user's canonical pair. `late`: the fact lies beyond the horizon.
    """

    state: PairState
    deadline: int | None = None
    changes: tuple[Change, ...] = ()
    record: Row | None = None
    repeated: bool = False
    forwards: tuple[PairFact, ...] = ()
    late: bool = False


def step(state: PairState, fact: PairFact, policy: Policy, number: Number, horizon_s: int | None = HORIZON_S) -> Step:
    """The pair after one more fact: the new state, what is announced, which rows changed, what another pair must
    hear.
    """
    if state.links:
        return _doubted(state, _handed_on(state, fact), fact, policy, number)
    if too_late(state, fact, horizon_s):
        late = state._replace(version=state.version + 1, late=state.late + 1)
        return Step(late, state.due_at, record=_record(late, NO_ROWS, (), fact), late=True)
    evidence = evolve(state, fact)
    if evidence is state:
        return Step(state, state.due_at, repeated=True)
    at = max(state.judged_at, fact.occurred_at)
    received = max(state.recorded_at, fact.recorded_at)
    new = judged(evidence, state.version + 1, at, received)
    if new.links:
        return _became_forwarding(state, new, fact, policy, number)
    due = state.due_at is not None and at >= state.due_at
    rules = policy.rules_of(number.profile)
    was = judged_as(state, policy, number, rules)
    if was is number and not due and _is_quiet(fact, state, new):
        return _stepped(settled(new, policy, number, horizon_s, fact), new.due_at, (), _record(new, NO_ROWS, (), fact))
    walked = goes_on(state, at, rules)
    if walked is not None and (on := onward(state, new, fact, policy, number, walked)) is not None:
        return _gone_on(new, fact, on, policy, number, horizon_s)
    return _walked(state, new, fact, policy, number, was, horizon_s)


def _stepped(state: PairState, deadline: int | None, changes: tuple[Change, ...], record: Row) -> Step:
    return filled(Step, (state, deadline, changes, record, False, (), False))


def gather(state: PairState, fact: PairFact) -> Step:
    """The pair after one more fact, unjudged: the evidence that `step` would keep and what it hands on.

    For whoever asks only at the end, at a tenth of the cost: nothing is announced, and nothing is settled.
    """
    if state.links:
        return _handed_on(state, fact)
    evidence = evolve(state, fact)
    if evidence is state:
        return Step(state, repeated=True)
    at, received = max(state.judged_at, fact.occurred_at), max(state.recorded_at, fact.recorded_at)
    new = judged(evidence, state.version + 1, at, received)
    if not new.links:
        return Step(new)
    return Step(_forwarding_row(new), forwards=_handing_on(state, new))


def _gone_on(new: PairState, fact: PairFact, on: Onward, policy: Policy, number: Number, horizon_s: int | None) -> Step:
    """The fact continued what was judged before it."""
    changes: Sequence[Change] = ()
    held: tuple[Sequence[Grant], Sequence[Grant]] = ((), ())
    if on.lines is not None:
        before, after = on.lines
        new = continued(new, _until(after), on.walked)
        if before.hold is not after.hold or after.notices or isinstance(fact, FILLING):
            changes = announced(new, fact, before, after, policy, number)
        held = _told_grants(before, after)
    elif new.walked is None:
        new = continued(new, new.due_at, on.walked)
    rows = _told_rows(new, _told_lives(*on.lives), held, _told_call(on.call))
    record = _record(new, rows, changes, fact)
    return _stepped(settled(new, policy, number, horizon_s, fact), new.due_at, tuple(changes), record)


def _walked(
    state: PairState,
    new: PairState,
    fact: PairFact,
    policy: Policy,
    number: Number,
    was: Number,
    horizon_s: int | None,
) -> Step:
    """All evidence is walked, without the fact and with it: it came out of order, is of no plain kind, or is the first
    since the number turned out to be of another profile. Then what was told so far was told of `was`, and is corrected.
    """
    at = new.judged_at
    before = present = timeline(state, at, policy, number)
    after = timeline(new, at, policy, number, before)
    if was is not number:
        before = timeline(state, at, policy, was)
        before.notices = present.notices  # what other rules would have said on the way is no news
    new = continued(new, _until(after), after.walked(number))
    changes: list[Change] = []
    rows_before = before
    if (out := ran_out(before, since=state.judged_at)) is not None:
        rows_before = timeline(state, state.judged_at, policy, was)
        changes.append(told_of_expiry(state, out, rows_before, timeline(state, out.expires_at or at, policy, was)))
    changes += drifted(state, new, fact, present, after, policy, number)
    changes += announced(new, fact, before, after, policy, number)
    record = _record(new, _rows(new, rows_before, after), changes, fact)
    return Step(settled(new, policy, number, horizon_s, fact), new.due_at, tuple(changes), record)


def pass_time(state: PairState, until: int, policy: Policy, number: Number) -> Step:
    """The pair when its clock reaches `until` without a fact: announces the grant that ran out. Nothing due: `state`
    itself. Other rules wait for the next fact, so that it does not matter which of both comes first.
    """
    number = _as_told(state, policy, number)
    deadline = _deadline(state, policy, number)
    if deadline is None or until < deadline:
        return Step(state, deadline)
    # Not a new version: how ticks fall between facts differs when a batch is repeated, and must not show.
    new = state._replace(judged_at=max(deadline, state.judged_at), due_at=None)
    before, after = timeline(state, state.judged_at, policy, number), timeline(new, new.judged_at, policy, number)
    new = new._replace(walked=after.walked(number))
    changes = [told_of_expiry(new, grant, before, after)] if (grant := before.hold.grant) is not None else []
    return Step(new, _until(after), tuple(changes), _record(new, _rows(new, before, after), changes, None))


def deadline_of(state: PairState, policy: Policy, number: Number) -> int | None:
    """When the grant that holds at `judged_at` runs out, by the rules of then; None when nothing will."""
    return _deadline(state, policy, _as_told(state, policy, number))


def _deadline(state: PairState, policy: Policy, was: Number) -> int | None:
    if not state.decisions and state.base is None:
        return None
    return _until(timeline(state, state.judged_at, policy, was))


def _as_told(state: PairState, policy: Policy, number: Number) -> Number:
    return judged_as(state, policy, number, policy.rules_of(number.profile))


def _is_quiet(fact: PairFact, state: PairState, new: PairState) -> bool:
    """Whether the fact can change nothing that is judged, while nothing runs out on the way: a message of the user,
    another name, a status of a message that is no request. Most of the traffic of a provider is of this kind."""
    if isinstance(fact, MessageStatus):
        entries = marks_of(Request, new.requests)
        place, there = entries.find(fact.message_id)
        asked = there and entries[place].sent_at is not None
        return not asked and all(word.context_id != fact.message_id for word in new.decisions)
    same = new.decisions is state.decisions and new.requests is state.requests and new.calls is state.calls
    return same and new.refusals is state.refusals


def _until(line: Timeline) -> int | None:
    return line.hold.grant.expires_at if line.hold.grant is not None else None


def _handed_on(state: PairState, fact: PairFact) -> Step:
    """A row that forwards holds only its links; each new fact goes on as it comes, repeated ones too: their ids are
    equal.
    """
    evidence = evolve(state, fact)
    canonical = evidence.forwards_to
    if canonical is None:  # a link is never taken back; kept total
        return Step(state)
    on = forwarded(fact, canonical)
    if evidence.links == state.links:
        return Step(state, forwards=() if fact.type == "users_linked" else (on,), repeated=fact.type == "users_linked")
    new = state._replace(version=state.version + 1, links=evidence.links, recorded_at=fact.recorded_at)
    if {link.wa_id for link in evidence.links} == {link.wa_id for link in state.links}:
        return Step(new)  # told before, of a later payload: analytics files a fact under its day, and has this one
    return Step(new, record=_record(new, NO_ROWS, (), fact))


def _doubted(state: PairState, done: Step, fact: PairFact, policy: Policy, number: Number) -> Step:
    """The step of a row that forwards, with what it announces where a payload showed another user by the same id: once
    for each name that was not known.
    """
    row = done.state
    if len(row.links) == len(state.links):
        return done
    change = contradicted(state, row, timeline(row, row.judged_at, policy, number))
    return done._replace(changes=(change,), record=_record(row, NO_ROWS, (change,), fact))


def _became_forwarding(state: PairState, new: PairState, fact: PairFact, policy: Policy, number: Number) -> Step:
    """The link is learned: the evidence goes to the canonical pair, and this row announces one last thing (design
    7).
    """
    hands_on, row = _handing_on(state, new), _forwarding_row(new)
    if not hands_on:
        return Step(row, record=_record(row, NO_ROWS, (), fact))
    at = new.judged_at
    was = _as_told(state, policy, number)
    before, after = timeline(state, at, policy, was), timeline(row, at, policy, number)
    change = merged(row, fact, before, after)
    # What the canonical pair's rows do not outrank, because with all evidence it is of another day or is not at all.
    gone = _rows(row, before, after)
    return Step(row, None, (change,), _record(row, gone, (change,), fact), forwards=hands_on)


def _handing_on(state: PairState, new: PairState) -> tuple[PairFact, ...]:
    """All evidence so far, for the canonical pair, in order of time: so it is judged there as it came."""
    canonical = new.forwards_to or ""
    told = sorted(facts_of(state), key=lambda fact: fact.occurred_at)
    return tuple([forwarded(one, canonical) for one in told])


def _forwarding_row(new: PairState) -> PairState:
    return PairState(phone_number_id=new.phone_number_id, user=new.user)._replace(
        version=new.version,
        judged_at=new.judged_at,
        recorded_at=new.recorded_at,
        links=new.links,
        aliases=new.aliases,
        dropped=new.dropped,
        late=new.late,
    )


def _rows(new: PairState, before: Timeline, after: Timeline) -> Rows:
    """The rows that differ between two timelines of all evidence."""
    if before.state.calls is after.state.calls:
        rung: tuple[list[Row], list[Row]] = ([], [])
    else:
        old = {call.call_id: call_row(call) for call in before.state.calls}
        rung = _told(old, {call.call_id: call_row(call) for call in after.state.calls}, _call_day)
    return _told_rows(new, _lives(before, after), _told_grants(before, after), rung)


def _told_rows(
    new: PairState,
    lives: tuple[Sequence[Life], Sequence[Life]],
    held: tuple[Sequence[Grant], Sequence[Grant]],
    rung: tuple[Sequence[Row], Sequence[Row]],
) -> Rows:
    """The rows that differ, each whole; what is no longer true, or moved to another day, once more with
    `is_deleted`.
    """
    return (
        _whole(new, [request_row(life) for life in lives[0]], [request_row(life) for life in lives[1]]),
        _whole(new, [grant_row(grant) for grant in held[0]], [grant_row(grant) for grant in held[1]]),
        _whole(new, rung[0], rung[1]),
    )


def _whole(new: PairState, gone: Sequence[Row], so: Sequence[Row]) -> list[Row]:
    """Rows with the pair and its version: `gone` are no longer true, `so` are."""
    if not gone and not so:
        return []
    number, user, version, rows = new.phone_number_id, new.user, row_version(new), [*gone, *so]
    for place, row in enumerate(rows):
        row["phone_number_id"], row["user"], row["version"] = number, user, version
        row["is_deleted"] = 1 if place < len(gone) else 0
    return rows


def _lives(before: Timeline, after: Timeline) -> tuple[list[Life], list[Life]]:
    """The lives that differ: as they were, where they must be taken back, and as they are."""
    if before.at != after.at:
        return _told({life.request_id: life for life in before.lives}, {life.request_id: life for life in after.lives})
    old, new = before.names(), after.names()
    were, are = set(old), set(new)
    changed = {name for name in new if name not in were or before.inputs(name) != after.inputs(name)}
    gone = {name: before.life(name) for name in old if name in changed or name not in are}
    return _told(gone, {name: after.life(name) for name in new if name in changed})


def _told_lives(old: Sequence[Life], new: Sequence[Life]) -> tuple[Sequence[Life], Sequence[Life]]:
    if not old:
        return (), new
    return _told({life.request_id: life for life in old}, {life.request_id: life for life in new})


def _told_grants(before: Timeline, after: Timeline) -> tuple[list[Grant], list[Grant]]:
    if before.ended is after.ended and before.hold is after.hold:
        return [], []
    return _told({each.grant_id: each for each in before.grants}, {each.grant_id: each for each in after.grants})


def _told_call(rung: tuple[Call | None, Call] | None) -> tuple[Sequence[Row], Sequence[Row]]:
    if rung is None:
        return (), ()
    was, call = rung
    if was is None:
        return (), (call_row(call),)
    return _told({was.call_id: call_row(was)}, {call.call_id: call_row(call)}, _call_day)


def _day_of(thing: Any) -> int:
    at: int = thing.anchor_at if hasattr(thing, "anchor_at") else thing.granted_at
    return at // DAY_S


def _call_day(row: Row) -> int:
    at: int = row["anchor_at"]
    return at // DAY_S


def _told(old: dict[str, Any], new: dict[str, Any], day_of: Any = _day_of) -> tuple[list[Any], list[Any]]:
    """What is taken back, and what is told. A row is stored under its day (clickhouse.md, trap 8)."""
    if old == new:
        return [], []
    gone = [thing for name, thing in old.items() if name not in new or day_of(new[name]) != day_of(thing)]
    return gone, [thing for name, thing in new.items() if old.get(name) != thing]


def _record(new: PairState, rows: Rows, changes: Sequence[Change], fact: PairFact | None) -> Row:
    record: Row = {"phone_number_id": new.phone_number_id, "user": new.user}
    if fact is not None:
        record["fact"] = {
            "fact_id": fact.fact_id,
            "type": fact.type,
            "occurred_at": fact.occurred_at,
            "recorded_at": fact.recorded_at,
            "version": 1 if is_wa_id(new.user) else 0,
            "body": fact,
        }
    record["requests"], record["grants"], record["calls"] = rows
    record["changes"] = [change_row(change) for change in changes]
    return record

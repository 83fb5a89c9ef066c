"""Step: one delivery judged whole. The same function serves the worker, replay and every comparison (design 4, 6).

Owns what is announced and which rows are written when evidence comes in or time passes. Total: it never raises on
content.

Standings before and after are compared at one instant, the latest the pair has seen (`judged_at`), so a late fact
announces what is true now, not what was true then. A deadline that passed on the way is announced first, under an id
made of the grant and its deadline: the timer would have announced the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from schemas.changes import change_id, expiry_id
from schemas.events import Fact
from schemas.ids import is_wa_id
from schemas.policy import NumberEntry, Policy
from schemas.state import PairState, row_version
from streams.permission.evolve import evolve
from streams.permission.grants import Grant
from streams.permission.rows import change_row, grant_row, request_row
from streams.permission.standing import Timeline, permission_of, standing_of, timeline
from streams.permission.windows import DAY_S

Change = dict[str, Any]
Row = dict[str, Any]

_LOST: Final = {"declined": "permission_declined", "expired": "permission_expired"}


@dataclass(frozen=True, slots=True)
class Step:
    """What one delivery did. `record`: the rows it touched, None when there is nothing to tell. `repeated`: known
    already.

    `deadline`: when the grant now held runs out, None when nothing will: what the worker's time index keeps.
    """

    state: PairState
    deadline: int | None = None
    changes: tuple[Change, ...] = ()
    record: Row | None = None
    repeated: bool = False


def step(state: PairState, fact: Fact, policy: Policy, number: NumberEntry) -> Step:
    """The pair after one more fact: the new state, what is announced and which rows changed.

    `number` is what is known of the business number. Announcements do not depend on it so far: its switches change
    what may be done, never what is held.
    """
    evidence = evolve(state, fact)
    if evidence is state:
        return Step(state, deadline_of(state, policy), repeated=True)
    at = max(state.judged_at, fact.occurred_at)
    new = replace(evidence, version=state.version + 1, judged_at=at)
    before, after = timeline(state, at, policy), timeline(new, at, policy)
    changes, rows_before = [], before
    if (out := _ran_out(before, since=state.judged_at)) is not None:
        rows_before = timeline(state, state.judged_at, policy)
        changes.append(_expired(new, out, rows_before, timeline(state, _deadline(out), policy)))
    changes += _announced(new, fact, before, after)
    record = _record(new, _rows(new, rows_before, after), changes, fact)
    return Step(new, _until(after), tuple(changes), record)


def pass_time(state: PairState, until: int, policy: Policy, number: NumberEntry) -> Step:
    """The pair when its clock reaches `until` without a fact: announces the grant that ran out. Nothing due: `state`
    itself.
    """
    deadline = deadline_of(state, policy)
    if deadline is None or until < deadline:
        return Step(state, deadline)
    new = replace(state, version=state.version + 1, judged_at=deadline)
    before, after = timeline(state, state.judged_at, policy), timeline(new, deadline, policy)
    changes = [_expired(new, grant, before, after)] if (grant := before.hold.grant) is not None else []
    return Step(new, _until(after), tuple(changes), _record(new, _rows(new, before, after), changes, None))


def deadline_of(state: PairState, policy: Policy) -> int | None:
    """When the grant that holds at `judged_at` runs out; None when nothing will."""
    return _until(timeline(state, state.judged_at, policy)) if state.decisions else None


def _until(line: Timeline) -> int | None:
    return line.hold.grant.expires_at if line.hold.grant is not None else None


def _deadline(grant: Grant) -> int:
    return grant.expires_at if grant.expires_at is not None else grant.granted_at


def _ran_out(line: Timeline, since: int) -> Grant | None:
    """The grant that held at `since` and ran out on the way to the instant of `line` (domain G12)."""
    last = line.ended[-1] if line.ended and line.hold.grant is None else None
    if last is None or last.end_cause != "expired" or last.ended_at is None or last.ended_at <= since:
        return None
    return last


def _expired(new: PairState, grant: Grant, before: Timeline, after: Timeline) -> Change:
    """The announcement of a passed deadline; its id is made of the grant and the deadline alone."""
    deadline = _deadline(grant)
    change = _change(new, "permission_expired", "expired", deadline, before, after, None, grant)
    return {"change_id": expiry_id(new.phone_number_id, grant.grant_id, deadline), **change}


def _announced(new: PairState, fact: Fact, before: Timeline, after: Timeline) -> list[Change]:
    """What the fact changed in the standing, as at most one announcement."""
    kind, cause, grant = _difference(before, after)
    if not kind:
        return []
    change = _change(new, kind, cause, fact.occurred_at, before, after, fact.fact_id, grant)
    return [{"change_id": change_id(change), **change}]


def _difference(before: Timeline, after: Timeline) -> tuple[str, str, Grant | None]:
    """Type and cause of the announcement and the grant it is about; an empty type when there is nothing to announce."""
    old, new = before.hold.grant, after.hold.grant
    if new is not None:
        if old is None or old.grant_id != new.grant_id or old.kind != new.kind:
            return "permission_granted", new.via, new
        return ("", "", new) if old.expires_at == new.expires_at else ("permission_extended", "automatic", new)
    reason, last = after.hold.reason, after.ended[-1] if after.ended else None
    if old is not None:
        return _LOST.get(reason, "permission_revoked"), (last.end_cause if last else None) or reason, last
    if reason != before.hold.reason:
        return _LOST.get(reason, "permission_revoked"), reason, None
    # A second decline, of another request, is news although the reason stays.
    declined_again = reason == "declined" and after.hold.decided_by != before.hold.decided_by
    return ("permission_declined", reason, None) if declined_again else ("", "", None)


def _change(
    new: PairState,
    kind: str,
    cause: str,
    at: int,
    before: Timeline,
    after: Timeline,
    fact_id: str | None,
    grant: Grant | None,
) -> Change:
    return {
        "type": kind,
        "phone_number_id": new.phone_number_id,
        "user": new.user,
        "occurred_at": at,
        "cause": cause,
        "before": {"permission": permission_of(before.hold), **standing_of(before)},
        "after": {"permission": permission_of(after.hold), **standing_of(after)},
        "fact_id": fact_id,
        "version": new.version,
        "data": {"grant_id": grant.grant_id} if grant is not None else {},
    }


def _rows(new: PairState, before: Timeline, after: Timeline) -> dict[str, list[Row]]:
    """The request and grant rows that differ, each whole; what is no longer true once more with `is_deleted`."""
    common = {"phone_number_id": new.phone_number_id, "user": new.user, "version": row_version(new)}
    old_lives = {life.request_id: life for life in before.lives}
    new_lives = {life.request_id: life for life in after.lives}
    old_grants = {grant.grant_id: grant for grant in before.grants}
    new_grants = {grant.grant_id: grant for grant in after.grants}
    life_days = {name: life.anchor_at // DAY_S for name, life in new_lives.items()}
    grant_days = {name: grant.granted_at // DAY_S for name, grant in new_grants.items()}
    # A row is stored under its day: where that moved, or the row is no longer true, the old one is taken back (trap 8).
    gone_lives = [life for name, life in old_lives.items() if life_days.get(name) != life.anchor_at // DAY_S]
    gone_grants = [grant for name, grant in old_grants.items() if grant_days.get(name) != grant.granted_at // DAY_S]
    return {
        "requests": [request_row(life) | common | {"is_deleted": 1} for life in gone_lives]
        + [
            request_row(life) | common | {"is_deleted": 0}
            for life in after.lives
            if old_lives.get(life.request_id) != life
        ],
        "grants": [grant_row(grant) | common | {"is_deleted": 1} for grant in gone_grants]
        + [
            grant_row(grant) | common | {"is_deleted": 0}
            for grant in after.grants
            if old_grants.get(grant.grant_id) != grant
        ],
    }


def _record(new: PairState, rows: dict[str, list[Row]], changes: Sequence[Change], fact: Fact | None) -> Row:
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
    return record | rows | {"calls": [], "changes": [change_row(change) for change in changes]}

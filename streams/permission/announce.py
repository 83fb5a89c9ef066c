"""Announcements: what a changed standing is called, and what else on the way is worth telling (design 13, changes;
domain 1.3).

Owns the types, causes and ids of changes. Refuses to decide what holds: it compares two judged timelines of one
instant.
"""

from typing import Any, Final

from schemas.changes import change_id
from schemas.events import CallConnected, PairFact, ReadingTaken, RequestRefused, RequestSent
from schemas.ids import derived_id
from schemas.policy import Policy
from schemas.state import PairState
from streams.permission.answer import Usage, calls_of, may_request, reset_of, usage_of
from streams.permission.grants import Grant
from streams.permission.number import Number
from streams.permission.refusals import REQUEST_LIMIT
from streams.permission.requests import counted
from streams.permission.standing import Timeline, label_of, permission_of, same_signs, standing_of, timeline
from streams.permission.windows import DAY_S, WEEK_S, release_at, usage

Change = dict[str, Any]
FILLING: Final = (RequestSent, CallConnected)
"""What can fill a window."""
LINK_CONFLICT: Final = "link_conflict"
"""The anomaly of a scoped id that payloads show for two users. No reply is odd, so it is no flag of a standing."""
_LOST: Final = {"declined": "permission_declined", "expired": "permission_expired"}


def ran_out(line: Timeline, since: int) -> Grant | None:
    """The grant that held at `since` and ran out on the way to the instant of `line` (domain G12)."""
    last = line.ended[-1] if line.ended and line.hold.grant is None else None
    if last is None or last.end_cause != "expired" or last.ended_at is None or last.ended_at <= since:
        return None
    return last


def told_of_expiry(state: PairState, grant: Grant, before: Timeline, after: Timeline) -> Change:
    """The announcement of a passed deadline. `state`: as it stood when the deadline was found, before any newer
    fact.
    """
    deadline = grant.expires_at if grant.expires_at is not None else grant.granted_at
    data = {"grant_id": grant.grant_id}
    sides = _side(before), _side(after)
    return _change(state, "permission_expired", "expired", deadline, sides, None, data)


def announced(
    new: PairState, fact: PairFact, before: Timeline, after: Timeline, policy: Policy, number: Number
) -> list[Change]:
    """What the fact changed: the standing, as at most one announcement; then nudges, rows at risk, oddities, full
    windows.
    """
    said: list[tuple[str, str, dict[str, Any]]] = []
    kind, cause, grant = _difference(fact, before, after)
    if kind:
        said.append((kind, cause, {"grant_id": grant.grant_id} if grant is not None else {}))
    known = {(notice.kind, notice.id) for notice in before.notices}
    for notice in after.notices:
        if (notice.kind, notice.id) in known:
            continue
        if notice.kind in ("user_nudged", "streak_at_risk"):
            said.append((notice.kind, "unanswered_calls", {"call_id": notice.id, "streak": notice.streak}))
        else:
            said.append(("anomaly_raised", notice.kind, {"kind": notice.kind, "decision_id": notice.id}))
    if isinstance(fact, FILLING):
        said += _filled(fact, before, after, policy, number)
    if not said:
        return []
    same_signs(before, after)
    sides = _sides(before, after)
    return [_change(new, kind, cause, fact.occurred_at, sides, fact.fact_id, data) for kind, cause, data in said]


def drifted(
    state: PairState,
    new: PairState,
    fact: PairFact,
    before: Timeline,
    after: Timeline,
    policy: Policy,
    number: Number,
) -> list[Change]:
    """Where the provider's word disagrees with our own standing at its instant, without the fact (`state`): a reading,
    told field by field (domain 6.3), or a request refused at its limit (3.9, 138009).
    """
    at_limit = isinstance(fact, RequestRefused) and fact.error_code == REQUEST_LIMIT
    if not at_limit and not isinstance(fact, ReadingTaken):
        return []
    local = timeline(state, fact.occurred_at, policy, number)
    used = usage_of(local, policy, number)
    if isinstance(fact, ReadingTaken):
        cause, pairs = "reading", _read(fact, local, used)
    else:  # all that forbids to ask is counted: where we would not ask either, both agree
        cause = "refused_138009"
        pairs = [
            ("send_call_permission_request.can_perform_action", not may_request(local, used, policy, number), False)
        ]
    fields = [{"field": name, "local": mine, "remote": theirs} for name, mine, theirs in pairs if mine != theirs]
    if not fields:
        return []
    sides, data = (_side(before), _side(after)), {"fields": fields}
    return [_change(new, "drift_detected", cause, fact.occurred_at, sides, fact.fact_id, data)]


def _read(fact: ReadingTaken, local: Timeline, used: Usage) -> list[tuple[str, Any, Any]]:
    """What a reading tells, field by field: its name, ours, the provider's."""
    ours = permission_of(local.hold)
    pairs: list[tuple[str, Any, Any]] = [("status", ours["status"], fact.status)]
    if "status" in fact.inferred and "no_permission" not in (ours["status"], fact.status):
        pairs = []  # it knows that there is a permission, not which
    if fact.status == ours["status"] == "temporary" and fact.expires_at is not None:
        pairs.append(("expires_at", ours["expiration_time"], fact.expires_at))
    for name, reading, times, span, maximum in (
        ("requests_24h", fact.requests_24h, used.requests, DAY_S, used.requests_24h),
        ("requests_7d", fact.requests_7d, used.requests, WEEK_S, used.requests_7d),
        ("connected_calls_24h", fact.connected_calls_24h, used.calls, DAY_S, used.connected_calls_24h),
    ):
        if reading is not None:
            pairs.append((f"{name}.usage", usage(times, local.at, span), reading.usage))
            pairs.append((f"{name}.maximum", maximum, reading.maximum))
    return pairs


def merged(row: PairState, fact: PairFact, before: Timeline, after: Timeline) -> Change:
    """The last announcement of a pair that became a forwarding address."""
    data = {"canonical_user": row.forwards_to}
    sides = _side(before), _side(after)
    return _change(row, "pair_merged", "users_linked", fact.occurred_at, sides, fact.fact_id, data)


def contradicted(state: PairState, row: PairState, line: Timeline) -> Change:
    """One scoped id was shown for another user, too: the earliest link holds, the other is an anomaly (design 7). It is
    told of the link that does not hold, so it is the same whichever came first. `state`: the row before.
    """
    (added,) = set(row.links) - set(state.links)
    other = max(added, min(state.links))
    data = {"kind": LINK_CONFLICT, "canonical_user": row.forwards_to, "other_user": other.wa_id}
    fact_id = derived_id("users_linked", row.phone_number_id, row.user, other.wa_id)
    side = _side(line)
    return _change(row, "anomaly_raised", LINK_CONFLICT, other.at, (side, side), fact_id, data)


def _difference(fact: PairFact, before: Timeline, after: Timeline) -> tuple[str, str, Grant | None]:
    """Type and cause of the announcement and the grant it is about; an empty type when there is nothing to announce."""
    old, new = before.hold.grant, after.hold.grant
    if new is not None:
        if old is None or old.grant_id != new.grant_id or old.kind != new.kind:
            return "permission_granted", new.via, new
        cause = "reading" if isinstance(fact, ReadingTaken) else "automatic"
        return ("", "", new) if old.expires_at == new.expires_at else ("permission_extended", cause, new)
    reason, last = after.hold.reason, after.ended[-1] if after.ended else None
    if old is not None:
        return _LOST.get(reason, "permission_revoked"), (last.end_cause if last else None) or reason, last
    if reason != before.hold.reason:
        return _LOST.get(reason, "permission_revoked"), reason, None
    # A second decline, of another request, is news although the reason stays.
    declined_again = reason == "declined" and after.hold.decided_by != before.hold.decided_by
    return ("permission_declined", reason, None) if declined_again else ("", "", None)


def _filled(
    fact: PairFact, before: Timeline, after: Timeline, policy: Policy, number: Number
) -> list[tuple[str, str, dict[str, Any]]]:
    """The windows that the fact filled: a request those of requests, a picked-up call that of calls."""
    at, profile = after.at, policy.profiles[number.profile]
    reset_at = 0
    if isinstance(fact, RequestSent):
        reset_at = reset_of(after)  # before, too: the fact is no call
        new = counted(after.state.requests, policy, reset_at)
        windows = [("request_limit_24h", DAY_S, "requests_24h"), ("request_limit_7d", WEEK_S, "requests_7d")]
    else:
        new = calls_of(after)
        windows = [("connected_call_limit_24h", DAY_S, "connected_calls_24h")]
    limits = [(name, span, profile.at(limit, at)) for name, span, limit in windows]
    full = [(name, span, maximum) for name, span, maximum in limits if usage(new, at, span) >= maximum]
    if not full:
        return []
    old = counted(before.state.requests, policy, reset_at) if isinstance(fact, RequestSent) else calls_of(before)
    return [
        ("limit_reached", name, {"limit": name, "retry_at": release_at(new, at, span, maximum)})
        for name, span, maximum in full
        if usage(old, at, span) < maximum
    ]


def _sides(before: Timeline, after: Timeline) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both standings. A fact that leaves what is held, and the signs of the user, as they were can move the label
    alone.
    """
    side = _side(before)
    one, other = before.state, after.state
    same = before.hold is after.hold and before.unanswered is after.unanswered and one.decisions is other.decisions
    if same and before.other_signs is after.other_signs is not None:
        return side, {**side, "label": label_of(after)}
    return side, _side(after)


def _side(line: Timeline) -> dict[str, Any]:
    return {"permission": permission_of(line.hold), **standing_of(line)}


def _change(
    new: PairState,
    kind: str,
    cause: str,
    at: int,
    sides: tuple[dict[str, Any], dict[str, Any]],
    fact_id: str | None,
    data: dict[str, Any],
) -> Change:
    fields = {
        "type": kind,
        "phone_number_id": new.phone_number_id,
        "user": new.user,
        "occurred_at": at,
        "cause": cause,
        "before": sides[0],
        "after": sides[1],
        "fact_id": fact_id,
        "version": new.version,
        "data": data,
    }
    return {"change_id": change_id(fields), **fields}

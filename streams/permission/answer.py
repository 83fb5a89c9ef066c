"""May we ask, may we call, until when, why: the answer about a pair at an instant (design 8, 13; domain 2.3, 3.3).

Owns the two verdicts and their order of reasons. Query and command ask the same functions, so they cannot disagree.
A refusal is a value with a reason and the first instant at which the action would be possible if nothing else happened.
"""

from typing import Any

from schemas.policy import NumberEntry, Policy
from schemas.state import PairState
from streams.permission import number as numbers
from streams.permission import requests
from streams.permission.standing import Timeline, as_of, permission_of, standing_of, timeline
from streams.permission.windows import DAY_S, WEEK_S, release_at, usage

Verdict = tuple[str | None, int | None]
"""Reason and `retry_at`; both None: allowed."""


def answer(state: PairState, at: int, policy: Policy, number: NumberEntry) -> dict[str, Any]:
    """The body of an answer at `at` (epoch seconds), without the pair and Meta's constant."""
    line = timeline(state, at, policy)
    sent = requests.counted(as_of(state, at).requests, policy)
    profile = policy.profiles[number.profile]
    limit_24h, limit_7d = profile.at("requests_24h", at), profile.at("requests_7d", at)
    calls: list[int] = []  # connected calls join with the facts about calls
    limit_calls = profile.at("connected_calls_24h", at)
    return {
        "as_of": at,
        "permission": permission_of(line.hold),
        "actions": [
            _action(
                "send_call_permission_request",
                may_request(line, sent, limit_24h, limit_7d, policy, number),
                [_limit("PT24H", sent, at, DAY_S, limit_24h), _limit("P7D", sent, at, WEEK_S, limit_7d)],
            ),
            _action(
                "start_call",
                may_call(line, calls, limit_calls, policy, number),
                [_limit("PT24H", calls, at, DAY_S, limit_calls)],
            ),
        ],
        "standing": standing_of(line),
    }


def may_request(
    line: Timeline, sent: list[int], limit_24h: int, limit_7d: int, policy: Policy, number: NumberEntry
) -> Verdict:
    """May a permission request be sent at the instant of `line`? `sent`: counted requests, sorted."""
    at, grant = line.at, line.hold.grant
    if not numbers.country_supported(number, at, policy):
        return "country_not_supported", None
    if grant is not None and grant.kind == "permanent":
        return "permanent_permission_exists", None
    day, week = release_at(sent, at, DAY_S, limit_24h), release_at(sent, at, WEEK_S, limit_7d)
    full = [opens for opens in (day, week) if opens is not None]
    reason = (
        "request_limit_24h"
        if usage(sent, at, DAY_S) >= limit_24h
        else "request_limit_7d"
        if usage(sent, at, WEEK_S) >= limit_7d
        else None
    )
    if reason is None:
        return None, None
    return reason, max(full) if limit_24h and limit_7d else None


def may_call(line: Timeline, connected: list[int], limit: int, policy: Policy, number: NumberEntry) -> Verdict:
    """May a call be started at the instant of `line`? `connected`: starts of connected calls of the business,
    sorted.
    """
    if not numbers.country_supported(number, line.at, policy):
        return "country_not_supported", None
    grant = line.hold.grant
    if grant is None:
        return "no_permission", None
    if usage(connected, line.at, DAY_S) >= limit:
        opens = release_at(connected, line.at, DAY_S, limit)
        lost = opens is not None and grant.expires_at is not None and opens >= grant.expires_at
        return "connected_call_limit_24h", None if lost else opens
    return None, None


def _action(name: str, verdict: Verdict, limits: list[dict[str, Any]]) -> dict[str, Any]:
    reason, retry_at = verdict
    return {
        "action_name": name,
        "can_perform_action": reason is None,
        "reason": reason,
        "retry_at": retry_at,
        "limits": limits,
    }


def _limit(period: str, times: list[int], at: int, span: int, maximum: int) -> dict[str, Any]:
    limit: dict[str, Any] = {"time_period": period, "max_allowed": maximum, "current_usage": usage(times, at, span)}
    opens = release_at(times, at, span, maximum)
    if opens is not None:
        limit["limit_expiration_time"] = opens
    return limit

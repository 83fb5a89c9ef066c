"""The standing line of a pair at an instant (design 13), without the pair's name.

Knows what exists today: requests, their statuses, replies. There are no calls, so no call counts and no run of
unanswered ones.
"""

from collections.abc import Iterable
from typing import Any

from schemas.events import Fact
from schemas.policy import NumberEntry, Policy
from tests.oracle.facts import distinct, replies_of, until
from tests.oracle.grants import Grant, story_of
from tests.oracle.requests import final_class, requests_of

DAY_S = 24 * 60 * 60
WEEK_S = 7 * DAY_S


def judge(
    facts: Iterable[Fact], phone_number_id: str, user: str, at: int, policy: Policy, number: NumberEntry
) -> dict[str, Any]:
    """What holds at `at`, as far as these facts of the pair know."""
    known = until(distinct(of_pair(facts, phone_number_id, user)), at)
    story = story_of(known, policy)
    grant = story.grant_at(at)
    return {
        "as_of": at,
        "permission": _permission(grant),
        "actions": [
            _may_request(known, grant, at, policy, number),
            _may_call(grant, at, policy, number),
        ],
        "standing": {
            "label": _label(known, grant, story.reason, at, policy),
            "reason": story.reason if grant is None else None,
            "via": grant.via if grant else None,
            "source": grant.source if grant else None,
            "confirmed": True,
            "granted_at": grant.granted_at if grant else None,
            "request_id": grant.request_id if grant else None,
            "unanswered_streak": 0,
            "service_window_until": _service_window_until(known, at),
            "flags": sorted(grant.flags if grant else story.last_flags),
        },
    }


def of_pair(facts: Iterable[Fact], phone_number_id: str, user: str) -> list[Fact]:
    """The facts of one pair."""
    return [fact for fact in facts if fact.phone_number_id == phone_number_id and fact.user == user]


def _permission(grant: Grant | None) -> dict[str, Any]:
    if grant is None:
        return {"status": "no_permission"}
    if grant.permanent:
        return {"status": "permanent"}
    return {"status": "temporary", "expiration_time": grant.expires_at}


def _label(known: list[Fact], grant: Grant | None, reason: str, at: int, policy: Policy) -> str:
    everyone = requests_of(known)
    if grant is not None:
        return "granted"
    if any(final_class(asked, everyone, at, policy) == "open" for asked in everyone):
        return "pending"
    if reason in ("declined", "revoked"):
        return "denied"
    if reason in ("auto_revoked", "expired"):
        return reason
    asked_before = any(asked.sent is not None and asked.failed_at is None for asked in everyone)
    return "no_answer" if asked_before else "not_requested"


def _service_window_until(known: list[Fact], at: int) -> int | None:
    ends = [reply.at + DAY_S for reply in replies_of(known) if not reply.automatic]
    return max(ends) if ends and at < max(ends) else None


def _counted(known: list[Fact], policy: Policy) -> list[int]:
    """When each request that counts against the limits was sent."""
    return [
        asked.sent_at
        for asked in requests_of(known)
        if asked.sent_at is not None and (asked.failed_at is None or policy.defaults.count_failed_requests)
    ]


def _used(times: list[int], span: int, at: int) -> int:
    return sum(at - span < time <= at for time in times)


def _limit(period: str, times: list[int], span: int, most: int, at: int) -> dict[str, Any]:
    inside = sorted(time for time in times if at - span < time <= at)
    limit: dict[str, Any] = {"time_period": period, "max_allowed": most, "current_usage": len(inside)}
    if len(inside) >= most:
        limit["limit_expiration_time"] = inside[-most] + span
    return limit


def _may_request(
    known: list[Fact], grant: Grant | None, at: int, policy: Policy, number: NumberEntry
) -> dict[str, Any]:
    times = _counted(known, policy)
    profile = policy.profiles[number.profile]
    a_day, a_week = profile.at("requests_24h", at), profile.at("requests_7d", at)

    def room(then: int) -> bool:
        return _used(times, DAY_S, then) < a_day and _used(times, WEEK_S, then) < a_week

    reason, retry_at = None, None
    if _country_blocked(at, policy, number):
        reason = "country_not_supported"
    elif grant is not None and grant.permanent:
        reason = "permanent_permission_exists"
    elif not room(at):
        reason = "request_limit_24h" if _used(times, DAY_S, at) >= a_day else "request_limit_7d"
        openings = sorted(time + span for time in times for span in (DAY_S, WEEK_S))
        retry_at = next(then for then in openings if then > at and room(then))
    return {
        "action_name": "send_call_permission_request",
        "can_perform_action": reason is None,
        "reason": reason,
        "retry_at": retry_at,
        "limits": [_limit("PT24H", times, DAY_S, a_day, at), _limit("P7D", times, WEEK_S, a_week, at)],
    }


def _may_call(grant: Grant | None, at: int, policy: Policy, number: NumberEntry) -> dict[str, Any]:
    reason = None
    if _country_blocked(at, policy, number):
        reason = "country_not_supported"
    elif grant is None:
        reason = "no_permission"
    most = policy.profiles[number.profile].at("connected_calls_24h", at)
    return {
        "action_name": "start_call",
        "can_perform_action": reason is None,
        "reason": reason,
        "retry_at": None,
        "limits": [_limit("PT24H", [], DAY_S, most, at)],
    }


def _country_blocked(at: int, policy: Policy, number: NumberEntry) -> bool:
    blocked: tuple[str, ...] = ()
    for entry in policy.bic_blocked_business_countries:
        if entry.since.timestamp() <= at or not blocked:
            blocked = entry.countries
    return number.country in blocked

"""May we ask, may we call, until when, why: the answer about a pair at an instant (design 8, 13; domain 2.3, 3.3).

Owns the two verdicts and their order of reasons. Query and command ask the same functions, so they cannot disagree.
A refusal is a value with a reason and the first instant at which the action would be possible if nothing else happened:
every obstacle is asked when it opens, and one that never does makes the whole never.
"""

from typing import Any, NamedTuple

from schemas.policy import Policy
from schemas.state import PairState
from streams.permission import calls, refusals, requests
from streams.permission import number as numbers
from streams.permission.number import Number
from streams.permission.standing import Timeline, denials, permission_of, standing_of, timeline
from streams.permission.windows import DAY_S, WEEK_S, release_at, usage


class Obstacle(NamedTuple):
    """Something that stands in the way, and when it is gone by itself; None: never."""

    reason: str
    until: int | None


class Usage(NamedTuple):
    """What counts in the three windows at an instant, with the limits in force then."""

    requests: list[int]
    requests_24h: int
    requests_7d: int
    calls: list[int]
    connected_calls_24h: int


def answer(state: PairState, at: int, policy: Policy, number: Number) -> dict[str, Any]:
    """The body of an answer at `at` (epoch seconds), without the pair and Meta's constant."""
    line = timeline(state, at, policy, number)
    used = usage_of(line, policy, number)
    return {
        "as_of": at,
        "permission": permission_of(line.hold),
        "actions": [
            _action(
                "send_call_permission_request",
                may_request(line, used, policy, number),
                at,
                [
                    _limit("PT24H", used.requests, at, DAY_S, used.requests_24h),
                    _limit("P7D", used.requests, at, WEEK_S, used.requests_7d),
                ],
            ),
            _action(
                "start_call",
                may_call(line, used, policy, number),
                at,
                [_limit("PT24H", used.calls, at, DAY_S, used.connected_calls_24h)],
            ),
        ],
        "standing": standing_of(line),
    }


def answerable_from(state: PairState) -> int:
    """The earliest instant about which the state can still be asked; 0: any (design 4, horizon). The longest window
    looks a week back, and what was settled is in none.
    """
    return 0 if state.base is None else state.base.until + WEEK_S


def usage_of(line: Timeline, policy: Policy, number: Number) -> Usage:
    """What counts at the instant of `line`."""
    profile = policy.profiles[number.profile]
    return Usage(
        requests.counted(line.state.requests, policy, reset_of(line)),
        profile.at("requests_24h", line.at),
        profile.at("requests_7d", line.at),
        calls_of(line),
        profile.at("connected_calls_24h", line.at),
    )


def reset_of(line: Timeline) -> int:
    """Since when requests count in their windows: a connected call of either direction resets them (domain 2.1)."""
    starts = calls.connected_starts(line.state.calls)
    return starts[-1] if starts else 0


def calls_of(line: Timeline) -> list[int]:
    """What counts in the window of connected calls."""
    return calls.connected_starts(line.state.calls, "business_initiated")


def may_request(line: Timeline, used: Usage, policy: Policy, number: Number) -> list[Obstacle]:
    """What keeps a permission request from being sent at the instant of `line`, in the order of reasons; empty: it
    may.
    """
    at = line.at
    obstacles = _number_obstacles(line, policy, number)
    if line.hold.grant is not None and line.hold.grant.kind == "permanent":
        obstacles.append(Obstacle("permanent_permission_exists", None))
    blocked = refusals.blocked_until(line.state.refusals, line.state.decisions, "request", at)
    if blocked is not None:
        obstacles.append(Obstacle("provider_block", blocked))
    if usage(used.requests, at, DAY_S) >= used.requests_24h:
        obstacles.append(Obstacle("request_limit_24h", release_at(used.requests, at, DAY_S, used.requests_24h)))
    if usage(used.requests, at, WEEK_S) >= used.requests_7d:
        obstacles.append(Obstacle("request_limit_7d", release_at(used.requests, at, WEEK_S, used.requests_7d)))
    return obstacles


def may_call(line: Timeline, used: Usage, policy: Policy, number: Number) -> list[Obstacle]:
    """What keeps a call from being started at the instant of `line`, in the order of reasons; empty: it may."""
    at, grant = line.at, line.hold.grant
    obstacles = _number_obstacles(line, policy, number)
    if grant is None:
        obstacles.append(Obstacle("no_permission", None))
    blocked = refusals.blocked_until(line.state.refusals, line.state.decisions, "call", at)
    if blocked is not None:
        obstacles.append(Obstacle("provider_block", blocked))
    if usage(used.calls, at, DAY_S) >= used.connected_calls_24h:
        opens = release_at(used.calls, at, DAY_S, used.connected_calls_24h)
        obstacles.append(Obstacle("connected_call_limit_24h", opens))
    opening = [obstacle.until for obstacle in obstacles if obstacle.until is not None]
    if grant is not None and grant.expires_at is not None and opening and max(opening) >= grant.expires_at:
        # By the time the way is free the permission has run out.
        return [obstacle._replace(until=None) for obstacle in obstacles]
    return obstacles


def _number_obstacles(line: Timeline, policy: Policy, number: Number) -> list[Obstacle]:
    """What the number itself forbids (domain G21, G22, 2.4), by webhook, policy, or an error that nothing newer
    denies.
    """
    at, state, found = line.at, line.state, list[Obstacle]()
    on = [*denials(state, refusals.CALLING_OFF), *numbers.switched_on(number, at)]
    off_since = refusals.latest(state.refusals, refusals.CALLING_OFF)
    if not numbers.calling_enabled(number, at) or refusals.still_holds(off_since, on):
        found.append(Obstacle("calling_disabled", None))
    country_since = refusals.latest(state.refusals, refusals.COUNTRY)
    denied = denials(state, refusals.COUNTRY)
    if not numbers.country_supported(number, at, policy) or refusals.still_holds(country_since, denied):
        found.append(Obstacle("country_not_supported", None))
    told = numbers.told_of_restriction(number, at)
    paused = [numbers.restricted_until(number, at), refusals.restricted_until(state.refusals, told, at)]
    until = max((instant for instant in paused if instant is not None), default=None)
    if until is not None:
        found.append(Obstacle("business_restricted", until))
    return found


def _action(name: str, obstacles: list[Obstacle], at: int, limits: list[dict[str, Any]]) -> dict[str, Any]:
    opens = [obstacle.until for obstacle in obstacles]
    never = any(instant is None for instant in opens)
    return {
        "action_name": name,
        "can_perform_action": not obstacles,
        "reason": obstacles[0].reason if obstacles else None,
        "retry_at": None if never or not obstacles else max((instant or at) for instant in opens),
        "limits": limits,
    }


def _limit(period: str, times: list[int], at: int, span: int, maximum: int) -> dict[str, Any]:
    limit: dict[str, Any] = {"time_period": period, "max_allowed": maximum, "current_usage": usage(times, at, span)}
    opens = release_at(times, at, span, maximum)
    if opens is not None:
        limit["limit_expiration_time"] = opens
    return limit

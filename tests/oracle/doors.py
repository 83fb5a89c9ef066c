"""May we ask, may we call, and if not, why and until when (domain 2.1, 2.3, 3.9; design 13, 15)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from schemas.events import CallRefused, PairFact, ReadingTaken, RequestRefused
from schemas.policy import Policy
from tests.oracle.business import Business
from tests.oracle.calls import calls_of
from tests.oracle.grants import Grant
from tests.oracle.requests import requests_of

DAY_S = 24 * 60 * 60
WEEK_S = 7 * DAY_S
CALLING_OFF, COUNTRY_OFF, PAUSED, CALLS_USED_UP, REQUESTS_USED_UP = 138000, 138013, 138014, 138012, 138009


@dataclass(frozen=True)
class Obstacle:
    """Why an action is not possible; `until`: the instant from which this does not stand in the way, if known."""

    reason: str
    until: int | None


@dataclass(frozen=True)
class Window:
    """What was used of a limit."""

    reason: str
    period: str
    times: tuple[int, ...]
    span: int
    most: int

    def used(self, at: int) -> int:
        return sum(at - self.span < time <= at for time in self.times)

    def limit(self, at: int) -> dict[str, Any]:
        inside = sorted(time for time in self.times if at - self.span < time <= at)
        limit: dict[str, Any] = {
            "time_period": self.period,
            "max_allowed": self.most,
            "current_usage": len(inside),
        }
        if len(inside) >= self.most:
            limit["limit_expiration_time"] = inside[-self.most] + self.span
        return limit


def may_request(
    known: list[PairFact], grant: Grant | None, at: int, policy: Policy, number: Business
) -> dict[str, Any]:
    """Whether a request may be sent."""
    resets = [call.connected_at for call in calls_of(known) if call.connected_at is not None]
    times = tuple(
        asked.sent_at
        for asked in requests_of(known)
        if asked.sent_at is not None
        and (asked.failed_at is None or policy.defaults.count_failed_requests)
        and asked.sent_at > max(resets, default=0)
    )
    windows = [
        Window("request_limit_24h", "PT24H", times, DAY_S, number.threshold("requests_24h", at, policy)),
        Window("request_limit_7d", "P7D", times, WEEK_S, number.threshold("requests_7d", at, policy)),
    ]
    obstacles = _of_the_number(known, at, policy, number)
    if grant is not None and grant.permanent:
        obstacles.append(Obstacle("permanent_permission_exists", None))
    blocks = [
        fact.retry_at
        for fact in known
        if isinstance(fact, RequestRefused)
        and fact.error_code == REQUESTS_USED_UP
        and fact.retry_at is not None
        and not any(read.occurred_at > fact.occurred_at and read.can_request for read in _readings(known))
    ]
    obstacles += [Obstacle("provider_block", max(blocks))] if blocks and max(blocks) > at else []
    return _action("send_call_permission_request", obstacles, windows, at, lambda then: True)


def may_call(known: list[PairFact], grant: Grant | None, at: int, policy: Policy, number: Business) -> dict[str, Any]:
    """Whether a call may be started."""
    times = tuple(call.connected_at for call in calls_of(known) if not call.by_user and call.connected_at is not None)
    most = number.threshold("connected_calls_24h", at, policy)
    obstacles = _of_the_number(known, at, policy, number)
    if grant is None:
        obstacles.append(Obstacle("no_permission", None))
    blocks = [
        fact.occurred_at + DAY_S if fact.retry_at is None else fact.retry_at
        for fact in known
        if isinstance(fact, CallRefused)
        and fact.error_code == CALLS_USED_UP
        and not any(read.occurred_at > fact.occurred_at and read.can_call for read in _readings(known))
    ]
    obstacles += [Obstacle("provider_block", max(blocks))] if blocks and max(blocks) > at else []
    windows = [Window("connected_call_limit_24h", "PT24H", times, DAY_S, most)]
    return _action("start_call", obstacles, windows, at, lambda then: grant is not None and grant.holds(then))


def _action(
    name: str, obstacles: list[Obstacle], windows: list[Window], at: int, permitted: Callable[[int], bool]
) -> dict[str, Any]:
    reasons = [obstacle.reason for obstacle in obstacles]
    reasons += [window.reason for window in windows if window.used(at) >= window.most]

    def possible(then: int) -> bool:
        clear = all(obstacle.until is not None and obstacle.until <= then for obstacle in obstacles)
        return clear and permitted(then) and all(window.used(then) < window.most for window in windows)

    turns = {obstacle.until for obstacle in obstacles if obstacle.until is not None}
    turns |= {time + window.span for window in windows for time in window.times}
    openings = sorted(turn for turn in turns if turn > at and possible(turn))
    return {
        "action_name": name,
        "can_perform_action": not reasons,
        "reason": reasons[0] if reasons else None,
        "retry_at": openings[0] if reasons and openings else None,
        "limits": [window.limit(at) for window in windows],
    }


def _of_the_number(known: list[PairFact], at: int, policy: Policy, number: Business) -> list[Obstacle]:
    """What stands in the way of both actions, in the order of design 13."""
    obstacles = []
    settings = [setting for setting in number.settings if setting.at <= at]
    last = max((setting.at for setting in settings), default=0)
    if any(setting.at == last and not setting.enabled for setting in settings) or _told_off(
        known, at, number, CALLING_OFF
    ):
        obstacles.append(Obstacle("calling_disabled", None))
    if _country_blocked(at, policy, number) or _told_off(known, at, number, COUNTRY_OFF):
        obstacles.append(Obstacle("country_not_supported", None))
    told = [one for one in number.restrictions if one.at <= at and one.restricts != "user_initiated"]
    ends = [one.until for one in told]
    paused = _refused_with(known, PAUSED)
    for refused_at in paused:
        told_since = any(one.at >= refused_at for one in told)
        told_then = any(one.at <= refused_at < one.until for one in told)
        if not told_since and not told_then:
            ends.append(refused_at + WEEK_S)
    if ends and max(ends) > at:
        obstacles.append(Obstacle("business_restricted", max(ends)))
    return obstacles


def _readings(known: Iterable[PairFact]) -> list[ReadingTaken]:
    """The provider, asked, is the truth (domain G17): what it allows, no older error of its own forbids."""
    return [fact for fact in known if isinstance(fact, ReadingTaken)]


def _refused_with(known: Iterable[PairFact], code: int) -> list[int]:
    return [
        fact.occurred_at for fact in known if isinstance(fact, RequestRefused | CallRefused) and fact.error_code == code
    ]


def _told_off(known: list[PairFact], at: int, number: Business, code: int) -> bool:
    """An error said so, and since then no settings webhook, reading or connected call said otherwise."""
    off = _refused_with(known, code)
    on = [
        call.connected_at
        for call in calls_of(known)
        if call.connected_at is not None and (code == CALLING_OFF or not call.by_user)
    ]
    on += [fact.occurred_at for fact in known if isinstance(fact, ReadingTaken) and (fact.can_request or fact.can_call)]
    if code == CALLING_OFF:  # a settings webhook, like a user's call, says nothing of where we may call from
        on += [setting.at for setting in number.settings if setting.at <= at and setting.enabled]
    return bool(off) and max(off) >= max(on, default=0)


def _country_blocked(at: int, policy: Policy, number: Business) -> bool:
    blocked: tuple[str, ...] = ()
    for entry in policy.bic_blocked_business_countries:
        if entry.since.timestamp() <= at or not blocked:
            blocked = entry.countries
    return number.country in blocked

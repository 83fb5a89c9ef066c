"""Why the answer is what it is, and what would change it, and when.

Owns the sentences about a verdict and the list of what lies ahead. Every obstacle and instant comes from the
functions that answer questions (`answer.may_request`, `answer.may_call`), so the story cannot say something else than
the api.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from schemas.policy import Policy
from streams.permission.answer import Obstacle, may_call, may_request, usage_of
from streams.permission.grants import Grant
from streams.permission.number import Number, calling_enabled
from streams.permission.standing import Timeline, service_until
from streams.permission.windows import DAY_S, WEEK_S, usage
from streams.replay.blocks import Block, blocks, lifts
from streams.replay.rules import RULES
from streams.replay.sentences import OBSTACLES, held, span, utc

Said = dict[str, Any]
_VIA_RULES = {
    "profile": "accepted_profile",
    "callback": "callback",
    "reading": "reading",
    "inferred": "refused_138017",
}
_HOLD_RULES = {"revoked": "revoked_via_request", "auto_revoked": "auto_revoked", "declined": "declined"}


def why(line: Timeline, policy: Policy, number: Number) -> list[Said]:
    """What decides the permission and the two verdicts at the instant of the timeline."""
    used = usage_of(line, policy, number)
    by_error = blocks(line, policy, number)
    said = [_said("permission", held(line), _hold_rule(line), _decided_at(line))]
    for what, door, name, obstacles in (
        ("send_call_permission_request", "request", "A request may be sent", may_request(line, used, policy, number)),
        ("start_call", "call", "A call may be started", may_call(line, used, policy, number)),
    ):
        if not obstacles:
            said.append(_said(what, name, "allowed", None))
        for obstacle in obstacles:
            text = _stands(name, obstacle, _error_behind(obstacle, by_error, door))
            said.append(_said(what, text, _rule_of(obstacle, by_error, door), obstacle.until))
    return said


def _error_behind(obstacle: Obstacle, by_error: Iterable[Block], door: str) -> Block | None:
    return next((one for one in by_error if one.reason == obstacle.reason and door in one.doors), None)


def _rule_of(obstacle: Obstacle, by_error: Iterable[Block], door: str) -> str:
    return obstacle.reason if _error_behind(obstacle, by_error, door) is None else "refused"


def _stands(name: str, obstacle: Obstacle, block: Block | None) -> str:
    code = f" (error {block.code})" if block is not None else ""
    until = f", until {utc(obstacle.until)}" if obstacle.until is not None else ""
    return f"{name.replace(' may ', ' may not ')}: {OBSTACLES[obstacle.reason]}{code}{until}"


def _said(what: str, text: str, rule: str, at: int | None) -> Said:
    return {"what": what, "text": text, "rule": RULES[rule]._asdict(), "at": at}


def _decided_at(line: Timeline) -> int | None:
    if line.hold.grant is not None:
        return line.hold.grant.granted_at
    word = next((word for word in line.state.decisions if word.id == line.hold.decided_by), None)
    ended = line.ended[-1].ended_at if line.ended else None
    return max((at for at in (word.at if word is not None else None, ended) if at is not None), default=None)


def _hold_rule(line: Timeline) -> str:
    grant = line.hold.grant
    if grant is None:
        last = line.ended[-1].end_cause if line.ended else None
        if line.hold.reason == "revoked" and last in ("revoked_via_request", "revoked_via_profile"):
            return last
        return _HOLD_RULES.get(line.hold.reason, line.hold.reason)
    return _grant_rule(grant)


def _grant_rule(grant: Grant) -> str:
    if grant.via == "request":
        return "accepted_permanent" if grant.kind == "permanent" else "accepted_temporary"
    return _VIA_RULES[grant.via]


def ahead(line: Timeline, policy: Policy, number: Number) -> list[Said]:
    """What would change the answer: at an instant, if nothing else happens, in the order of time; then what has
    none.
    """
    at, grant = line.at, line.hold.grant
    used, by_error = usage_of(line, policy, number), blocks(line, policy, number)
    found: list[Said] = []

    def add(when: int | None, what: str, text: str, rule: str) -> None:
        if when is None or when > at:
            later = f"in {span(when - at)}" if when is not None else None
            found.append({"at": when, "in": later, "what": what, "text": text, "rule": RULES[rule]._asdict()})

    if grant is not None and grant.expires_at is not None:
        add(grant.expires_at, "permission_expires", "the temporary permission runs out", "expired")
    for door, name, obstacles in (
        ("request", "a request may be sent again", may_request(line, used, policy, number)),
        ("call", "a call may be started again", may_call(line, used, policy, number)),
    ):
        opens = [obstacle.until for obstacle in obstacles]
        if opens and all(until is not None for until in opens):
            add(max(until or 0 for until in opens), "opens", name, _rule_of(obstacles[0], by_error, door))
    for times, window, maximum, name, rule in (
        (used.requests, DAY_S, used.requests_24h, "requests in 24 hours", "request_limit_24h"),
        (used.requests, WEEK_S, used.requests_7d, "requests in 7 days", "request_limit_7d"),
        (used.calls, DAY_S, used.connected_calls_24h, "connected calls in 24 hours", "connected_call_limit_24h"),
    ):
        if (count := usage(times, at, window)) > 0:
            first = next(when for when in times if when > at - window)
            add(first + window, "window", f"one of {count} used {name} (at most {maximum}) is free again", rule)
    for life in line.lives:
        if life.final_class == "open":
            text = f"request {life.request_id} leaves the user's screen unanswered"
            add(life.expires_at, "request_expires", text, "request")
    if (closes := service_until(line)) is not None:
        add(closes, "service_window", "the service window closes", "service_window")
    at_any_time = [(None, *said) for said in _at_any_time(line, policy, number)]
    for when, what, text, rule in [*_lifting(by_error, number, at), *at_any_time]:
        add(when, what, text, rule)
    return sorted(found, key=lambda one: (one["at"] is None, one["at"] or 0))


def _lifting(by_error: Iterable[Block], number: Number, at: int) -> Iterator[tuple[int | None, str, str, str]]:
    """What lifts what forbids: instant, kind, sentence, rule."""
    for block in by_error:
        for when, text in lifts(block):
            yield when, "lifts", text, "refused"
    if not calling_enabled(number, at):
        yield None, "lifts", "a settings webhook switches calling on", "calling_disabled"


def _at_any_time(line: Timeline, policy: Policy, number: Number) -> Iterator[tuple[str, str, str]]:
    """What may happen whenever it likes: kind, sentence, rule."""
    if line.hold.grant is None:
        text = "an accepted request, or the switch in the business profile, gives permission"
        yield "accept", text, "accepted_temporary"
    else:
        profile = policy.profiles[number.profile]
        nudge, limit = profile.at("unanswered_nudge", line.at), profile.at("unanswered_revoke", line.at)
        left, row = limit - line.streak, f"now {line.streak} of {limit}"
        if left == 1:
            yield "at_risk", f"at risk: one more unanswered call takes the permission away ({row})", "streak"
        elif left > 1:
            text = f"{left} more unanswered calls in a row take the permission away"
            yield "streak", f"{text} ({row}; the user is asked at {nudge})", "streak"
        yield "revoke", "the user takes the permission back", "revoked_via_profile"
    if not (line.hold.grant.confirmed if line.hold.grant is not None else line.hold.confirmed):
        yield "unconfirmed", "not confirmed: a reading of the provider's answer would confirm or correct it", "reading"

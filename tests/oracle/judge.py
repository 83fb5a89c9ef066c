"""The standing line of a pair at an instant (design 13), without the pair's name."""

from collections.abc import Iterable
from typing import Any

from schemas.events import PairFact, UserMessaged
from schemas.policy import Policy
from tests.oracle.business import Business
from tests.oracle.calls import calls_of
from tests.oracle.doors import DAY_S, may_call, may_request
from tests.oracle.facts import distinct, replies_of, until
from tests.oracle.grants import Grant, story_of
from tests.oracle.requests import final_class, requests_of


def judge(
    facts: Iterable[PairFact], phone_number_id: str, user: str, at: int, policy: Policy, number: Business
) -> dict[str, Any]:
    """What holds at `at`, as far as these facts of the pair know."""
    known = until(distinct(of_pair(facts, phone_number_id, user)), at)
    story = story_of(known, policy, number)
    grant = story.grant_at(at)
    return {
        "as_of": at,
        "permission": _permission(grant),
        "actions": [
            may_request(known, grant, at, policy, number),
            may_call(known, grant, at, policy, number),
        ],
        "standing": {
            "label": _label(known, grant, story.reason, at, policy),
            "reason": story.reason if grant is None else None,
            "via": grant.via if grant else None,
            "source": grant.source if grant else None,
            "confirmed": grant.confirmed if grant else story.confirmed,
            "granted_at": grant.granted_at if grant else None,
            "request_id": grant.request_id if grant else None,
            "unanswered_streak": story.streak,
            "service_window_until": _service_window_until(known, at),
            "flags": sorted(grant.flags if grant else story.last_flags),
        },
    }


def of_pair(facts: Iterable[PairFact], phone_number_id: str, user: str) -> list[PairFact]:
    """The facts of one pair."""
    return [fact for fact in facts if fact.phone_number_id == phone_number_id and fact.user == user]


def _permission(grant: Grant | None) -> dict[str, Any]:
    if grant is None:
        return {"status": "no_permission"}
    if grant.permanent:
        return {"status": "permanent"}
    return {"status": "temporary", "expiration_time": grant.expires_at}


def _label(known: list[PairFact], grant: Grant | None, reason: str, at: int, policy: Policy) -> str:
    everyone = requests_of(known)
    if grant is not None:
        return "granted"
    if any(final_class(asked, everyone, at, policy) == "open" for asked in everyone):
        return "pending"
    if reason in ("declined", "revoked"):
        return "denied"
    if reason in ("auto_revoked", "auto_revoke_inferred"):
        return "auto_revoked"
    if reason == "expired":
        return "expired"
    asked_before = any(asked.replies or asked.failed_at is None for asked in everyone)
    return "no_answer" if asked_before else "not_requested"


def _service_window_until(known: list[PairFact], at: int) -> int | None:
    opened = [reply.at for reply in replies_of(known) if not reply.automatic]
    opened += [fact.occurred_at for fact in known if isinstance(fact, UserMessaged)]
    for call in calls_of(known):
        if call.by_user:
            opened.append(call.first_sign_at)
        elif call.connected_at is not None:  # the user picked up (domain 2.3)
            opened.append(call.connected_at)
    until_at = max(opened, default=0) + DAY_S
    return until_at if at < until_at else None

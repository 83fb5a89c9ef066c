"""The request and grant rows of a pair as of an instant (design 13), without version, deletion mark and grant id."""

from collections.abc import Iterable
from typing import Any

from schemas.events import PairFact, RequestRefused
from schemas.policy import Policy
from tests.oracle.business import Business
from tests.oracle.calls import PULSE_S, calls_of
from tests.oracle.facts import distinct, until
from tests.oracle.grants import Grant, story_of
from tests.oracle.judge import of_pair
from tests.oracle.requests import expires_at, final_class, requests_of, superseded_at


def request_rows(
    facts: Iterable[PairFact], phone_number_id: str, user: str, at: int, policy: Policy, number: Business
) -> list[dict[str, Any]]:
    """One row a request, by request id."""
    known = until(distinct(of_pair(facts, phone_number_id, user)), at)
    everyone = requests_of(known)
    sent = [asked.id for asked in everyone if asked.sent is not None]
    rows = []
    for asked in sorted(everyone, key=lambda asked: asked.id):
        template = asked.sent.template if asked.sent else None
        first, last = (asked.replies[0], asked.replies[-1]) if asked.replies else (None, None)
        rows.append(
            {
                "request_id": asked.id,
                "phone_number_id": phone_number_id,
                "user": user,
                "kind": asked.sent.kind if asked.sent else "",
                "template_name": template.name if template else None,
                "template_language": template.language if template else None,
                "template_category": template.category if template else None,
                "campaign": asked.sent.campaign if asked.sent else None,
                "origin": asked.sent.origin if asked.sent else None,
                "attempt": sent.index(asked.id) + 1 if asked.sent else 0,
                "prior": _prior(asked.started_at if asked.sent else asked.started_at - 1, known, policy, number),
                "anchor_at": asked.started_at,
                "sent_at": asked.sent_at,
                "delivered_at": asked.delivered_at,
                "read_at": asked.read_at,
                "failed_at": asked.failed_at,
                "error_code": asked.error_code,
                "first_response": first.kind if first else None,
                "first_response_at": first.at if first else None,
                "last_response": last.kind if last else None,
                "last_response_at": last.at if last else None,
                "superseded_at": superseded_at(asked, everyone, policy),
                "expires_at": expires_at(asked, everyone, policy),
                "final_class": final_class(asked, everyone, at, policy),
            }
        )
    return rows


def _prior(at: int, known: list[PairFact], policy: Policy, number: Business) -> str:
    """How the pair stood when it was asked; the second before its first sign where nobody says when that was."""
    story = story_of(until(known, at), policy, number)
    as_prior = {
        "reading": "revoked",
        "refused_138006": "revoked",
        "number_changed": "never",
        "auto_revoke_inferred": "auto_revoked",
    }
    return "granted" if story.grant_at(at) else as_prior.get(story.reason, story.reason)


def refusal_rows(
    facts: Iterable[PairFact], phone_number_id: str, user: str, at: int, policy: Policy, number: Business
) -> list[dict[str, Any]]:
    """One row a request that the provider did not take, by its action id."""
    known = until(distinct(of_pair(facts, phone_number_id, user)), at)
    nothing = dict.fromkeys(
        (
            *("template_name", "template_language", "template_category", "delivered_at", "read_at"),
            *("failed_at", "first_response", "first_response_at", "last_response", "last_response_at"),
            *("superseded_at", "expires_at"),
        )
    )
    refused = sorted((fact for fact in known if isinstance(fact, RequestRefused)), key=lambda fact: fact.action_id)
    return [
        {
            **nothing,
            "request_id": fact.action_id,
            "phone_number_id": phone_number_id,
            "user": user,
            "kind": "",
            "campaign": fact.campaign,
            "origin": fact.origin,
            "attempt": 0,
            "prior": _prior(fact.occurred_at, known, policy, number),
            "anchor_at": fact.occurred_at,
            "sent_at": fact.occurred_at,
            "error_code": fact.error_code,
            "final_class": "refused",
        }
        for fact in refused
    ]


def call_rows(facts: Iterable[PairFact], phone_number_id: str, user: str, at: int) -> list[dict[str, Any]]:
    """One row a call, by its id."""
    known = until(distinct(of_pair(facts, phone_number_id, user)), at)
    rows = []
    for call in calls_of(known):
        duration = call.end.duration_s if call.end else None
        offered = [offer.occurred_at for offer in call.offers]
        campaigns = [offer.campaign for offer in call.offers if offer.campaign is not None]
        rows.append(
            {
                "call_id": call.id,
                "phone_number_id": phone_number_id,
                "user": user,
                "direction": "user_initiated" if call.by_user else "business_initiated",
                "outcome": call.outcome,
                "anchor_at": call.first_sign_at,
                "started_at": min(offered, default=call.first_sign_at),
                "connected_at": call.connected_at,
                "ended_at": (call.end.ended_at or call.end.occurred_at) if call.end else None,
                "duration_s": duration,
                "pulses": -(-(duration or 0) // PULSE_S),
                "campaign": min(campaigns, default=None),
                "disposition": call.disposition,
            }
        )
    return rows


def grant_rows(
    facts: Iterable[PairFact], phone_number_id: str, user: str, at: int, policy: Policy, number: Business
) -> list[dict[str, Any]]:
    """One row a grant, in the order in which they were given."""
    known = until(distinct(of_pair(facts, phone_number_id, user)), at)
    return [_grant_row(grant, phone_number_id, user, at) for grant in story_of(known, policy, number).grants]


def _grant_row(grant: Grant, phone_number_id: str, user: str, at: int) -> dict[str, Any]:
    ended_at, end_cause = grant.ended_at, grant.end_cause
    if ended_at is None and not grant.holds(at):
        ended_at, end_cause = max(grant.granted_at, grant.expires_at or 0), "expired"  # no grant ends before it began
    return {
        "phone_number_id": phone_number_id,
        "user": user,
        "request_id": grant.request_id,
        "kind": "permanent" if grant.permanent else "temporary",
        "via": grant.via,
        "source": grant.source,
        "confirmed": grant.confirmed,
        "granted_at": grant.granted_at,
        "expires_at": grant.expires_at,
        "ended_at": ended_at,
        "end_cause": end_cause,
        "flags": sorted(grant.flags),
    }

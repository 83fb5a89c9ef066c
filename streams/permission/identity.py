"""One user, several names: a pair known by a business-scoped id hands its evidence to the pair of the wa_id (design 7).

Of two links of one such id the earliest holds, and the other is told as an anomaly; from then on each new fact goes to
the pair of the one that holds. What was handed on before stays where it went: a mark does not know by which name its
fact came, and to know it would cost every mark of every pair and a rule for marks that came by both, for what
WhatsApp's ids rule out: a user who changes the number gets another scoped id (domain 3.11).

Owns the way back from marks to facts. Facts commute and are unique by id, so the canonical pair ends the same
whenever the link is learned. A forwarded fact carries the fields its mark kept and says that it was forwarded.
"""

from dataclasses import replace
from typing import Any

from schemas.events import (
    CallConnected,
    CallEnded,
    CallOffered,
    CallRefused,
    CallRejected,
    CallRinging,
    DispositionRecorded,
    MessageStatus,
    PairFact,
    PermissionReplied,
    ReadingTaken,
    RequestRefused,
    RequestSent,
    Template,
    UserMessaged,
    UserNumberChanged,
)
from schemas.ids import derived_id
from schemas.marks import Call, Decision, Refusal, Request
from schemas.state import Base, PairState

PROVIDER = "forwarded"
_STATUSES = (
    ("sent", "status_sent_at"),
    ("delivered", "delivered_at"),
    ("read", "read_at"),
    ("failed", "failed_at"),
)
_READ = {"read_none": "no_permission", "read_temporary": "temporary", "read_permanent": "permanent"}


def forwarded(fact: PairFact, user: str) -> PairFact:
    """The fact as the pair of `user` gets it."""
    aliases = tuple(sorted({*fact.aliases, fact.user} - {user}))
    return replace(fact, user=user, aliases=aliases, forwarded=True)


def facts_of(state: PairState) -> list[PairFact]:
    """Every fact whose mark the state holds, with what the marks kept of it; what was settled as its latest word."""
    facts: list[PairFact] = []
    if state.base is not None:
        facts += _settled(state, state.base)
    for word in state.decisions:
        facts += _of_word(state, word)
    for entry in state.requests:
        facts += _of_request(state, entry)
    facts += [_of_refusal(state, refusal) for refusal in state.refusals]
    for call in state.calls:
        facts += _of_call(state, call)
    for message in state.messages:
        common = _common(state, message.at, message.at)
        facts.append(UserMessaged(fact_id=message.fact_id, message_id="", **common))
    return facts


def _common(state: PairState, at: int, recorded_at: int) -> dict[str, Any]:
    return {
        "phone_number_id": state.phone_number_id,
        "user": state.user,
        "aliases": state.aliases,
        "occurred_at": at,
        "recorded_at": recorded_at,
        "provider": PROVIDER,
    }


def _of_word(state: PairState, word: Decision) -> list[PairFact]:
    common = _common(state, word.at, word.recorded_at)
    named = word.id.removeprefix("#")
    if word.what in ("temporary", "permanent", "reject"):
        message_id = None if word.id.startswith("#") else word.id
        fact_id = named if message_id is None else derived_id("permission_replied", state.phone_number_id, message_id)
        return [
            PermissionReplied(
                fact_id=fact_id,
                message_id=message_id,
                response="reject" if word.what == "reject" else "accept",
                is_permanent=word.what == "permanent",
                expires_at=word.expires_at,
                source="automatic" if word.source == "automatic" else "user_action" if word.source else None,
                context_id=word.context_id,
                revoked=word.is_revocation,
                inferred=("is_permanent",) if word.is_inferred else (),
                **common,
            )
        ]
    if word.what in _READ:
        opens = word.opens or 0
        status: Any = _READ[word.what]
        return [
            ReadingTaken(
                fact_id=named,
                status=status,
                expires_at=word.expires_at,
                can_request=bool(opens & 1),
                can_call=bool(opens & 2),
                requests_24h=None,
                requests_7d=None,
                connected_calls_24h=None,
                inferred=("status",) if word.is_inferred else (),
                **common,
            )
        ]
    if word.what in ("moved_away", "moved_here"):
        role: Any = "old" if word.what == "moved_away" else "new"
        return [UserNumberChanged(fact_id=named, message_id="", role=role, other=word.context_id or "", **common)]
    return []  # 138006 and 138017 are kept twice: their refusal brings the word along


def _of_request(state: PairState, entry: Request) -> list[PairFact]:
    facts: list[PairFact] = []
    if entry.sent_at is not None:
        template = entry.template
        kind: Any = entry.kind
        origin: Any = entry.origin
        facts.append(
            RequestSent(
                fact_id=derived_id("request_sent", state.phone_number_id, entry.message_id),
                message_id=entry.message_id,
                kind=kind,
                template=Template(name=template[0], language=template[1], category=template[2]) if template else None,
                campaign=entry.campaign,
                origin=origin,
                reservation_id=entry.reservation_id,
                **_common(state, entry.sent_at, entry.recorded_at or entry.sent_at),
            )
        )
    for name, field in _STATUSES:
        at = getattr(entry, field)
        if at is not None:
            status: Any = name
            facts.append(
                MessageStatus(
                    fact_id=derived_id("message_status", state.phone_number_id, entry.message_id, name),
                    message_id=entry.message_id,
                    status=status,
                    error_code=entry.error_code if name == "failed" else None,
                    **_common(state, at, at),
                )
            )
    return facts


def _of_refusal(state: PairState, refusal: Refusal) -> PairFact:
    kind = RequestRefused if refusal.door == "request" else CallRefused
    origin: Any = refusal.origin
    name = "request_refused" if refusal.door == "request" else "call_refused"
    return kind(
        fact_id=derived_id(name, state.phone_number_id, refusal.action_id),
        action_id=refusal.action_id,
        error_code=refusal.error_code,
        details=None,
        retry_at=refusal.retry_at,
        campaign=refusal.campaign,
        origin=origin,
        reservation_id=None,
        **_common(state, refusal.at, refusal.recorded_at),
    )


def _of_call(state: PairState, call: Call) -> list[PairFact]:
    facts: list[PairFact] = []
    direction: Any = call.direction or "business_initiated"
    origin: Any = call.origin

    def common(kind: str, at: int) -> dict[str, Any]:
        fact_id = derived_id(kind, state.phone_number_id, call.call_id)
        return {"fact_id": fact_id, "call_id": call.call_id, **_common(state, at, call.recorded_at)}

    for reported, at in ((False, call.offered_at), (True, call.reported_at)):
        if at is not None:
            known = common("call_offered", at)
            if reported:
                known["fact_id"] = derived_id("call_offered", state.phone_number_id, call.call_id, "started")
            facts.append(
                CallOffered(
                    direction=direction,
                    campaign=call.campaign,
                    origin=origin,
                    reservation_id=call.reservation_id,
                    reported=reported,
                    **known,
                )
            )
    if call.ringing_at is not None:
        facts.append(CallRinging(**common("call_ringing", call.ringing_at)))
    for exact, at in ((False, call.accepted_at), (True, call.started_at)):
        if at is not None:
            facts.append(CallConnected(direction=direction, exact=exact, **common("call_connected", at)))
    if call.rejected_at is not None:
        facts.append(CallRejected(**common("call_rejected", call.rejected_at)))
    if call.terminated_at is not None:
        status: Any = call.status
        facts.append(
            CallEnded(
                direction=direction,
                status=status,
                started_at=call.started_at,
                ended_at=call.ended_at,
                duration_s=call.duration_s,
                error_code=call.error_code,
                **common("call_ended", call.terminated_at),
            )
        )
    if call.disposed_at is not None:
        outcome = call.disposition or ""
        natural = (state.phone_number_id, call.call_id, call.disposed_at, outcome)
        fact = common("disposition_recorded", call.disposed_at)
        fact["fact_id"] = derived_id("disposition_recorded", *natural)  # as the action's, or it would count twice
        facts.append(DispositionRecorded(outcome=outcome, **fact))
    return facts


def _settled(state: PairState, base: Base) -> list[PairFact]:
    """The latest decision and the running row, as the facts that they were: all that is handed on of what was settled
    before the link was known. Where no few marks told them, as a plain word and plain calls.
    """
    if (proof := state.proof) is not None:
        return facts_of(state._replace(base=None, proof=None, messages=(), **proof._asdict()))
    facts: list[PairFact] = []
    if base.decided_by is not None and base.reason != "number_changed":
        grant = base.grant
        kind, source, expires_at = (grant[1], grant[3], grant[5]) if grant is not None else (None, None, None)
        automatic = source == "automatic" if grant is not None else base.reason.startswith("auto")
        word = Decision(
            base.decided_by,
            base.decided_at,
            base.decided_at,
            "reject" if kind is None else "permanent" if kind == "permanent" else "temporary",
            expires_at,
            "automatic" if automatic else "user_action",
            grant[6] if grant is not None else None,
        )
        facts += _of_word(state, word)
    for call_id, at in base.streak:
        facts += _of_call(state, Call(call_id, at, "business_initiated", terminated_at=at, status="completed"))
    return facts

"""Who gave or took permission, and until when: transitions of the grant (domain 1.2 G1-G15, 1.3, 1.5; design 15,
replies).

Owns what one decision does to what is held. Refuses to look at other evidence: what a decision needs to know of
requests comes in as `Clues`. A grant holds while `at < expires_at`.
"""

from typing import Literal, NamedTuple

from schemas.ids import derived_id
from schemas.policy import Policy
from schemas.state import Decision

Reason = Literal["never", "declined", "revoked", "auto_revoked", "expired"]
CALL_PREFIX = "wacid."


class Grant(NamedTuple):
    """One permission from the decision that gave it to its end. `ended_at` and `end_cause` are None while it lasts."""

    grant_id: str
    kind: str
    via: str
    source: str
    granted_at: int
    expires_at: int | None
    request_id: str | None
    confirmed: bool
    flags: tuple[str, ...]
    ended_at: int | None = None
    end_cause: str | None = None


class Hold(NamedTuple):
    """What is held after some decisions: a grant, or the reason why there is none. `decided_by`: the last decision's
    id.
    """

    grant: Grant | None
    reason: Reason
    decided_by: str | None
    flags: tuple[str, ...]


class Clues(NamedTuple):
    """What the decision's request and neighbours say: the flags that are known before the decision is applied."""

    flags: tuple[str, ...]


NOTHING = Hold(None, "never", None, ())


def rank(decision: Decision) -> int:
    """Same second: accept temporary, then accept permanent, then reject (domain 1.3)."""
    return (1 if decision.permanent else 0) if decision.accept else 2


def order(decision: Decision) -> tuple[int, int, str]:
    """The order in which decisions count, whatever their order of arrival."""
    return decision.at, rank(decision), decision.id


def is_call(context_id: str | None) -> bool:
    """Whether a reply's context is a call: the callback permission (domain 1.2 G4, A16)."""
    return context_id is not None and context_id.startswith(CALL_PREFIX)


def is_automatic(decision: Decision) -> bool:
    """Whether WhatsApp decided, not the user; where the dialect does not say, an accept after a call is automatic
    (4.3).
    """
    if decision.source is not None:
        return decision.source == "automatic"
    return decision.accept and is_call(decision.context_id)


def run_out(hold: Hold, at: int) -> tuple[Hold, Grant | None]:
    """The hold at `at`, and the grant that ran out by then (G12)."""
    grant = hold.grant
    if grant is None or grant.expires_at is None or at < grant.expires_at:
        return hold, None
    # An expiry not after the reply is believed: the grant ended at once (design 15).
    ended = grant._replace(ended_at=max(grant.expires_at, grant.granted_at), end_cause="expired")
    return Hold(None, "expired", hold.decided_by, grant.flags), ended


def decided(hold: Hold, decision: Decision, clues: Clues, number: str, policy: Policy) -> tuple[Hold, Grant | None]:
    """The hold after one more decision, and the grant that it ended. `hold` is as of the decision's instant."""
    flags = clues.flags if decision.source is not None else (*clues.flags, "source_inferred")
    if not decision.accept:
        return _rejected(hold, decision, flags)
    if is_automatic(decision) and hold.grant is not None and not _lifts(hold.grant, decision):
        return _prolonged(hold, hold.grant, decision, policy), None
    held = hold.grant
    if held is not None and held.kind == "permanent" and decision.permanent:
        return hold._replace(decided_by=decision.id), None
    expires_at: int | None = None
    if not decision.permanent:
        expires_at = decision.expires_at
        if held is not None and held.kind == "permanent":
            flags = (*flags, "downgrade")
        if expires_at is None:
            expires_at = decision.at + policy.defaults.temporary_seconds
            flags = (*flags, "expiry_inferred")
    context = decision.context_id
    via = "callback" if is_call(context) or is_automatic(decision) else "request" if context else "profile"
    grant = Grant(
        grant_id=derived_id("grant", number, decision.id),
        kind="permanent" if decision.permanent else "temporary",
        via=via,
        source="automatic" if is_automatic(decision) else "user_action",
        granted_at=decision.at,
        expires_at=expires_at,
        request_id=context if via == "request" else None,
        confirmed=True,
        flags=tuple(sorted(set(flags))),
    )
    ended = None if held is None else held._replace(ended_at=decision.at, end_cause="replaced")
    return Hold(grant, hold.reason, decision.id, grant.flags), ended


def _lifts(held: Grant, decision: Decision) -> bool:
    """Whether an accept makes a temporary permission permanent (G15)."""
    return held.kind == "temporary" and decision.permanent


def _prolonged(hold: Hold, held: Grant, decision: Decision, policy: Policy) -> Hold:
    """An automatic accept extends a temporary grant and never touches a permanent one (G5, G6)."""
    if held.expires_at is None:
        return hold._replace(decided_by=decision.id)
    until = decision.expires_at or decision.at + policy.defaults.temporary_seconds
    return hold._replace(grant=held._replace(expires_at=max(held.expires_at, until)), decided_by=decision.id)


def _rejected(hold: Hold, decision: Decision, flags: tuple[str, ...]) -> tuple[Hold, Grant | None]:
    """A reject ends what is held (G8-G10); without a grant it is a decline or says that we missed one (G7, G11)."""
    held, automatic = hold.grant, decision.source == "automatic"
    reason: Reason
    if held is not None:
        cause = "auto_revoked" if automatic else "revoked_via_request" if decision.context_id else "revoked_via_profile"
        reason = "auto_revoked" if automatic else "revoked"
        ended = held._replace(ended_at=decision.at, end_cause=cause)
        return Hold(None, reason, decision.id, tuple(sorted(set(flags)))), ended
    if automatic:
        return Hold(None, hold.reason, decision.id, tuple(sorted({*flags, "revoke_without_grant"}))), None
    if decision.context_id:
        return Hold(None, "declined", decision.id, tuple(sorted(set(flags)))), None
    return Hold(None, "revoked", decision.id, tuple(sorted({*flags, "revoke_without_grant"}))), None

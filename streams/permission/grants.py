"""Who gave or took permission, and until when: transitions of the grant (domain 1.2 G1-G20, 1.3, 1.5; design 15).

Owns what one word on the permission, or one revocation that nobody told, does to what is held. Refuses to look at other
evidence: what a word needs to know of its request and of the streak comes in. A grant holds while `at < expires_at`.
"""

from typing import Final, NamedTuple

from schemas.ids import derived_id
from schemas.mark_lists import filled
from schemas.marks import Decision
from schemas.policy import Policy

CALL_PREFIX: Final = "wacid."
CONFLICT: Final = "same_second_conflict"
"""Other words of the second say otherwise: what holds then is a guess, which a reading settles (domain 1.3, A38)."""
INFERRED_END: Final = "expiry_inferred"
"""Nobody named the end that holds: the usual span was taken (domain 1.3)."""
RANKS: Final = {
    "temporary": 0,
    "permanent": 1,
    "reject": 2,
    "refused_138017": 3,
    "refused_138006": 4,
    "read_none": 5,
    "read_temporary": 5,
    "read_permanent": 5,
    "moved_here": 6,
    "moved_away": 7,
}


class Grant(NamedTuple):
    """One permission from the word that gave it to its end. `ended_at` and `end_cause` are None while it lasts."""

    grant_id: str
    kind: str
    via: str
    source: str | None
    granted_at: int
    expires_at: int | None
    request_id: str | None
    confirmed: bool
    flags: tuple[str, ...]
    ended_at: int | None = None
    end_cause: str | None = None


class Hold(NamedTuple):
    """What is held after some words: a grant, or the reason why there is none. `decided_by`: the last word's id.

    `confirmed`: whether a provider said so; of what is not held as of what is.
    """

    grant: Grant | None
    reason: str
    decided_by: str | None
    flags: tuple[str, ...]
    confirmed: bool


NOTHING: Final = Hold(None, "never", None, (), True)


def order(decision: Decision) -> tuple[int, int, str]:
    """The order in which words count, whatever their order of arrival (domain 1.3: ties within a second)."""
    return decision.at, RANKS[decision.what], decision.id


def is_reply(decision: Decision) -> bool:
    """Whether the word is a reply, not a reading, an error or a move."""
    return RANKS[decision.what] <= 2


def is_call(context_id: str | None) -> bool:
    """Whether a reply's context is a call: the callback permission (domain 1.2 G4, A16)."""
    return context_id is not None and context_id.startswith(CALL_PREFIX)


def is_automatic(decision: Decision, *, at_threshold: bool = False) -> bool:
    """Whether WhatsApp decided, not the user. Where the dialect does not say (4.3 rule 4): an accept after a call is
    automatic, and so is a reject without context while the streak stands at the threshold."""
    if decision.source is not None:
        return decision.source == "automatic"
    if decision.what == "reject":
        return decision.context_id is None and at_threshold
    return is_call(decision.context_id)


def run_out(hold: Hold, at: int) -> tuple[Hold, Grant | None]:
    """The hold at `at`, and the grant that ran out by then (G12)."""
    grant = hold.grant
    if grant is None or grant.expires_at is None or at < grant.expires_at:
        return hold, None
    # An expiry not after the reply is believed: the grant ended at once (design 15).
    ended = grant._replace(ended_at=max(grant.expires_at, grant.granted_at), end_cause="expired")
    return Hold(None, "expired", hold.decided_by, grant.flags, True), ended


def inferred_revoke(hold: Hold, at: int) -> tuple[Hold, Grant | None]:
    """The streak reached its limit and no webhook has said so yet (G16)."""
    if hold.grant is None:
        return hold, None
    ended = hold.grant._replace(ended_at=at, end_cause="auto_revoke_inferred")
    return Hold(None, "auto_revoke_inferred", hold.decided_by, (), False), ended


def decided(
    hold: Hold, word: Decision, flags: tuple[str, ...], number: str, policy: Policy, *, at_threshold: bool
) -> tuple[Hold, Grant | None]:
    """The hold after one more word, and the grant it ended. `hold` is as of the word's instant, `flags` what its
    request and its neighbours say of it."""
    if word.what == "reject":
        return _rejected(hold, word, flags, at_threshold=at_threshold)
    if word.what in ("temporary", "permanent"):
        return _accepted(hold, word, flags, number, policy)
    if word.what in ("moved_away", "moved_here"):
        return _moved(hold, word)
    return _observed(hold, word, number, policy)


def _accepted(
    hold: Hold, word: Decision, flags: tuple[str, ...], number: str, policy: Policy
) -> tuple[Hold, Grant | None]:
    """G1-G6, G13-G15. WhatsApp's own accept prolongs what is held; the user's replaces it. What a dialect left to be
    inferred is unconfirmed (domain 4.3; scenario 48), and so is what is given in a conflict.
    """
    sure = not word.is_inferred and CONFLICT not in flags
    if word.source is None:
        flags = (*flags, "source_inferred")
    held, automatic, permanent = hold.grant, is_automatic(word), word.what == "permanent"
    if held is not None and automatic and not (permanent and held.kind == "temporary"):
        return _prolonged(hold, held, word, policy), None
    if held is not None and held.kind == "permanent" and permanent:
        confirmed = held.confirmed or sure
        return hold._replace(grant=held._replace(confirmed=confirmed), decided_by=word.id, confirmed=confirmed), None
    expires_at: int | None = None
    if not permanent:
        expires_at = word.expires_at
        if held is not None and held.kind == "permanent":
            flags = (*flags, "downgrade")
        if expires_at is None:
            expires_at = word.at + policy.defaults.temporary_seconds
            flags = (*flags, INFERRED_END)
    context = word.context_id
    called_back = is_call(context) or (automatic and not permanent)
    via = "callback" if called_back else "request" if context else "profile"
    fields = (
        derived_id("grant", number, word.id),
        "permanent" if permanent else "temporary",
        via,
        "automatic" if automatic else "user_action",
        word.at,
        expires_at,
        context if via == "request" else None,
        sure,
        _sorted(flags),
        None,
        None,
    )
    grant = filled(Grant, fields)
    ended = None if held is None else held._replace(ended_at=word.at, end_cause="replaced")
    return Hold(grant, hold.reason, word.id, grant.flags, grant.confirmed), ended


def _prolonged(hold: Hold, held: Grant, word: Decision, policy: Policy) -> Hold:
    """An automatic accept extends a temporary grant and never touches a permanent one (G5, G6)."""
    if held.expires_at is None:
        return hold._replace(decided_by=word.id)
    until = word.expires_at or word.at + policy.defaults.temporary_seconds
    if until < held.expires_at or (until == held.expires_at and not word.expires_at):
        return hold._replace(decided_by=word.id)
    return _ending(hold, held, until, named=bool(word.expires_at))._replace(decided_by=word.id)


def _ending(hold: Hold, held: Grant, until: int, *, named: bool) -> Hold:
    """The same grant with another end, or with the same that is now named."""
    others = [flag for flag in held.flags if flag != INFERRED_END]
    flags = tuple(others if named else sorted([*others, INFERRED_END]))
    return hold._replace(grant=held._replace(expires_at=until, flags=flags), flags=flags)


def _rejected(hold: Hold, word: Decision, flags: tuple[str, ...], *, at_threshold: bool) -> tuple[Hold, Grant | None]:
    """A reject ends what is held (G8-G10); without a grant it is a decline, confirms an inferred revoke, or says that
    we missed a grant (G7, G11). In a conflict it holds unconfirmed."""
    sure = CONFLICT not in flags
    if word.source is None:
        flags = (*flags, "source_inferred")
    held, automatic = hold.grant, is_automatic(word, at_threshold=at_threshold)
    if held is not None:
        cause = "auto_revoked" if automatic else "revoked_via_request" if word.context_id else "revoked_via_profile"
        reason = "auto_revoked" if automatic else "revoked"
        return Hold(None, reason, word.id, _sorted(flags), sure), held._replace(ended_at=word.at, end_cause=cause)
    if automatic:
        if hold.reason == "auto_revoke_inferred":
            return Hold(None, "auto_revoked", word.id, _sorted(flags), sure), None
        # Nothing is in doubt where nothing was ever held, or it ran out by itself (design 15).
        sure = (sure or hold.reason in ("never", "expired")) and hold.confirmed
        return Hold(None, hold.reason, word.id, _sorted((*flags, "revoke_without_grant")), sure), None
    if word.context_id and not word.is_revocation:
        return Hold(None, "declined", word.id, _sorted(flags), sure), None
    return Hold(None, "revoked", word.id, _sorted((*flags, "revoke_without_grant")), sure), None


def _observed(hold: Hold, word: Decision, number: str, policy: Policy) -> tuple[Hold, Grant | None]:
    """A reading is the truth at its instant (G17); 138006 and 138017 tell less than a reading (G18, G19)."""
    held, error = hold.grant, word.what.startswith("refused_")
    if word.what in ("read_none", "refused_138006"):
        reason = "refused_138006" if error else "reading"
        if held is None:  # nothing was granted: the reason stays, a reading confirms it
            return hold._replace(confirmed=hold.confirmed or not (error or word.is_inferred)), None
        sure = not error and not word.is_inferred
        return Hold(None, reason, word.id, (), sure), held._replace(ended_at=word.at, end_cause=reason)
    if held is not None and word.is_inferred:  # it knows that there is a permission, not which
        return hold, None
    if word.what == "read_temporary":
        if held is not None and held.kind == "temporary":  # it agrees; an expiry that it names is the truth, too
            held = held._replace(confirmed=True)
            hold = hold._replace(grant=held, confirmed=True)
            return hold if word.expires_at is None else _ending(hold, held, word.expires_at, named=True), None
        until = word.expires_at or word.at + policy.defaults.temporary_seconds
        flags = () if word.expires_at else (INFERRED_END,)
        grant = _seen(word, number, "temporary", until, flags)
    else:
        if held is not None and held.kind == "permanent":
            return hold._replace(grant=held._replace(confirmed=held.confirmed or not error)), None
        grant = _seen(word, number, "permanent", None, ())
    ended = None if held is None else held._replace(ended_at=word.at, end_cause="reading" if not error else "replaced")
    return Hold(grant, hold.reason, word.id, grant.flags, grant.confirmed), ended


def _seen(word: Decision, number: str, kind: str, until: int | None, flags: tuple[str, ...]) -> Grant:
    error = word.what.startswith("refused_")
    confirmed = not error and not word.is_inferred
    return Grant(
        grant_id=derived_id("grant", number, word.id),
        kind=kind,
        via="inferred" if error else "reading",
        source="inferred" if error else None,
        granted_at=word.at,
        expires_at=until,
        request_id=None,
        confirmed=confirmed,
        flags=flags,
    )


def _moved(hold: Hold, word: Decision) -> tuple[Hold, Grant | None]:
    """The user has another number: the old pair is closed, and the new one starts without a grant (G20), even where the
    number's earlier owner had given one."""
    ended = None if hold.grant is None else hold.grant._replace(ended_at=word.at, end_cause="number_changed")
    return Hold(None, "number_changed", word.id, (), False), ended


def _sorted(flags: tuple[str, ...]) -> tuple[str, ...]:
    return flags if len(flags) < 2 else tuple(sorted(set(flags)))

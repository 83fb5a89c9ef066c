"""Evolve: the state with one more fact. Adding a fact twice, or facts in any order, gives the same marks (design 4).

Owns where a fact's mark is kept and the merge of two facts with one id: every field takes the smaller of both values,
in a fixed order, so the merge does not depend on which came first. Refuses to judge.
"""

from bisect import insort
from typing import Any, assert_never

from schemas.codec import canonical
from schemas.events import Fact, MessageStatus, PermissionReplied, RequestSent
from schemas.state import MAX_UNMATCHED, Decision, PairState, Request
from streams.permission.grants import order

_STATUS_FIELD = {"sent": "status_sent_at", "delivered": "delivered_at", "read": "read_at", "failed": "failed_at"}


def evolve(state: PairState, fact: Fact) -> PairState:
    """`state` with the mark of `fact`; `state` itself when the fact says nothing new. `version` is not touched."""
    aliases = state.aliases if not fact.aliases else tuple(sorted({*state.aliases, *fact.aliases}))
    decisions, entries, dropped = state.decisions, state.requests, state.dropped
    match fact:
        case PermissionReplied():
            decisions = _with_decision(decisions, fact)
        case MessageStatus():
            entries = _with_status(entries, fact)
        case RequestSent():
            entries = _with_request(entries, fact)
        case other:
            assert_never(other)
    if decisions is state.decisions and entries is state.requests and aliases == state.aliases:
        return state
    if len(entries) > MAX_UNMATCHED:
        entries, lost = _bounded(entries, decisions)
        dropped += lost
    return PairState(
        phone_number_id=state.phone_number_id,
        user=state.user,
        version=state.version,
        judged_at=state.judged_at,
        decisions=decisions,
        requests=entries,
        aliases=aliases,
        dropped=dropped,
    )


def _smaller(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _with_decision(decisions: tuple[Decision, ...], fact: PermissionReplied) -> tuple[Decision, ...]:
    mark = Decision(
        fact.message_id or fact.fact_id,
        fact.occurred_at,
        fact.recorded_at,
        fact.response == "accept",
        fact.is_permanent,
        fact.expires_at,
        fact.source,
        fact.context_id,
    )
    rest = decisions
    for place, held in enumerate(decisions):
        if held.id == mark.id:
            said: Any = min((held[3:], mark[3:]), key=canonical)
            merged = Decision(mark.id, min(held.at, mark.at), min(held.recorded_at, mark.recorded_at), *said)
            if merged == held:
                return decisions
            mark, rest = merged, decisions[:place] + decisions[place + 1 :]
            break
    marks = list(rest)
    insort(marks, mark, key=order)
    return tuple(marks)


def _with_status(entries: tuple[Request, ...], fact: MessageStatus) -> tuple[Request, ...]:
    place, held = _find(entries, fact.message_id)
    name = _STATUS_FIELD[fact.status]
    seen: dict[str, Any] = {name: _smaller(getattr(held, name), fact.occurred_at)}
    if fact.status == "failed":
        seen["error_code"] = _smaller(held.error_code, fact.error_code)
    merged = held._replace(**seen)
    return _put(entries, place, held, merged)


def _with_request(entries: tuple[Request, ...], fact: RequestSent) -> tuple[Request, ...]:
    place, held = _find(entries, fact.message_id)
    template = (fact.template.name, fact.template.language, fact.template.category) if fact.template else None
    said: Any = (fact.kind, template, fact.campaign, fact.origin, fact.reservation_id)
    if held.sent_at is not None:
        said = min(said, held[3:8], key=canonical)
    kind, template, campaign, origin, reservation_id = said
    merged = held._replace(
        sent_at=_smaller(held.sent_at, fact.occurred_at),
        recorded_at=_smaller(held.recorded_at, fact.recorded_at),
        kind=kind,
        template=template,
        campaign=campaign,
        origin=origin,
        reservation_id=reservation_id,
    )
    return _put(entries, place, held, merged)


def _find(entries: tuple[Request, ...], message_id: str) -> tuple[int, Request]:
    """Where the entry of a message stands or would stand, and the entry as it is so far."""
    low, high = 0, len(entries)
    while low < high:
        middle = (low + high) // 2
        if entries[middle].message_id < message_id:
            low = middle + 1
        else:
            high = middle
    if low < len(entries) and entries[low].message_id == message_id:
        return low, entries[low]
    return low, Request(message_id)


def _put(entries: tuple[Request, ...], place: int, held: Request, merged: Request) -> tuple[Request, ...]:
    stands = place < len(entries) and entries[place] is held
    if stands and merged == held:
        return entries
    return (*entries[:place], merged, *entries[place + stands :])


def _bounded(entries: tuple[Request, ...], decisions: tuple[Decision, ...]) -> tuple[tuple[Request, ...], int]:
    """The entries without the oldest ones that match no known request, where those exceed their bound (design 4)."""
    contexts = {mark.context_id for mark in decisions}
    unmatched = [entry for entry in entries if entry.sent_at is None and entry.message_id not in contexts]
    excess = len(unmatched) - MAX_UNMATCHED
    if excess <= 0:
        return entries, 0
    unmatched.sort(key=_newest)
    gone = {entry.message_id for entry in unmatched[:excess]}
    return tuple(entry for entry in entries if entry.message_id not in gone), excess


def _newest(entry: Request) -> tuple[int, str]:
    seen = (entry.status_sent_at, entry.delivered_at, entry.read_at, entry.failed_at)
    return max(instant for instant in seen if instant is not None), entry.message_id

"""Evolve: the state with one more fact. Adding a fact twice, or facts in any order, gives the same marks (design 4).

Owns where a fact's mark is kept and the merge of two facts with one id: every field takes the smaller of both values,
in a fixed order, so the merge does not depend on which came first. Refuses to judge.
"""

from bisect import insort
from typing import Any, TypeVar, assert_never

from schemas.codec import canonical
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
    UserMessaged,
    UserNumberChanged,
    UsersLinked,
)
from schemas.ids import is_wa_id
from schemas.state import (
    MAX_MESSAGES,
    MAX_UNMATCHED,
    Call,
    Decision,
    Link,
    Message,
    PairState,
    Refusal,
    Request,
    What,
)
from streams.permission.grants import order

Mark = TypeVar("Mark", Request, Refusal, Call)

_STATUS_FIELD = {"sent": "status_sent_at", "delivered": "delivered_at", "read": "read_at", "failed": "failed_at"}
_READ: dict[str, What] = {
    "no_permission": "read_none",
    "temporary": "read_temporary",
    "permanent": "read_permanent",
}
_TELLING: dict[int, What] = {138_006: "refused_138006", 138_017: "refused_138017"}


def evolve(state: PairState, fact: PairFact) -> PairState:
    """`state` with the mark of `fact`; `state` itself when the fact says nothing new. Bookkeeping is not touched."""
    new = _with_mark(state, fact)
    if fact.aliases and not set(fact.aliases) <= set(state.aliases):
        new = new._replace(aliases=tuple(sorted({*new.aliases, *fact.aliases})))
    return new


def _with_mark(state: PairState, fact: PairFact) -> PairState:
    match fact:
        case PermissionReplied() | ReadingTaken() | UserNumberChanged():
            return _with_decision(state, _word(fact))
        case MessageStatus():
            return _with_requests(state, _with_status(state.requests, fact))
        case RequestSent():
            return _with_requests(state, _with_request(state.requests, fact))
        case RequestRefused() | CallRefused():
            return _with_refusal(state, fact)
        case CallOffered() | CallRinging() | CallConnected() | CallRejected() | CallEnded() | DispositionRecorded():
            rung = _with_call(state.calls, fact)
            return state if rung is state.calls else state._replace(calls=rung)
        case UserMessaged():
            return _with_message(state, Message(fact.fact_id, fact.occurred_at))
        case UsersLinked():
            return _with_link(state, Link(fact.occurred_at, fact.wa_id))
        case other:
            assert_never(other)


def smaller(one: Any, other: Any) -> Any:
    """The merge of one field: the value that is known, else the smaller one."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _word(fact: PermissionReplied | ReadingTaken | UserNumberChanged) -> Decision:
    match fact:
        case PermissionReplied():
            what: What = "reject" if fact.response == "reject" else "permanent" if fact.is_permanent else "temporary"
            name = fact.message_id or f"#{fact.fact_id}"
            expires_at = fact.expires_at if what == "temporary" else None
            return Decision(name, fact.occurred_at, fact.recorded_at, what, expires_at, fact.source, fact.context_id)
        case ReadingTaken():
            opens = (1 if fact.can_request else 0) | (2 if fact.can_call else 0)
            expires_at = fact.expires_at if fact.status == "temporary" else None
            name, what = f"#{fact.fact_id}", _READ[fact.status]
            return Decision(name, fact.occurred_at, fact.recorded_at, what, expires_at, None, None, opens)
        case UserNumberChanged():
            what = "moved_away" if fact.role == "old" else "moved_here"
            return Decision(f"#{fact.fact_id}", fact.occurred_at, fact.recorded_at, what, None, None, fact.other)
        case other:
            assert_never(other)


def _with_decision(state: PairState, word: Decision) -> PairState:
    rest = state.decisions
    for place, held in enumerate(rest):
        if held.id == word.id:
            said: Any = min((held[3:], word[3:]), key=canonical)
            merged = Decision(word.id, min(held.at, word.at), min(held.recorded_at, word.recorded_at), *said)
            if merged == held:
                return state
            word, rest = merged, rest[:place] + rest[place + 1 :]
            break
    words = list(rest)
    insort(words, word, key=order)
    return state._replace(decisions=tuple(words))


def _with_requests(state: PairState, entries: tuple[Request, ...]) -> PairState:
    if entries is state.requests:
        return state
    if len(entries) <= MAX_UNMATCHED:
        return state._replace(requests=entries)
    kept, lost = _bounded(entries, state.decisions)
    return state._replace(requests=kept, dropped=state.dropped + lost)


def _with_status(entries: tuple[Request, ...], fact: MessageStatus) -> tuple[Request, ...]:
    place, held = _find(entries, Request(fact.message_id))
    name = _STATUS_FIELD[fact.status]
    seen: dict[str, Any] = {name: smaller(getattr(held, name), fact.occurred_at)}
    if fact.status == "failed":
        seen["error_code"] = smaller(held.error_code, fact.error_code)
    return _put(entries, place, held, held._replace(**seen))


def _with_request(entries: tuple[Request, ...], fact: RequestSent) -> tuple[Request, ...]:
    place, held = _find(entries, Request(fact.message_id))
    template = (fact.template.name, fact.template.language, fact.template.category) if fact.template else None
    said: Any = (fact.kind, template, fact.campaign, fact.origin, fact.reservation_id)
    if held.sent_at is not None:
        said = min(said, held[3:8], key=canonical)
    kind, template, campaign, origin, reservation_id = said
    merged = held._replace(
        sent_at=smaller(held.sent_at, fact.occurred_at),
        recorded_at=smaller(held.recorded_at, fact.recorded_at),
        kind=kind,
        template=template,
        campaign=campaign,
        origin=origin,
        reservation_id=reservation_id,
    )
    return _put(entries, place, held, merged)


def _with_refusal(state: PairState, fact: RequestRefused | CallRefused) -> PairState:
    door = "request" if isinstance(fact, RequestRefused) else "call"
    mark = Refusal(
        f"{door}:{fact.action_id}",
        fact.occurred_at,
        fact.recorded_at,
        "request" if door == "request" else "call",
        fact.error_code,
        fact.retry_at,
        fact.campaign,
        fact.origin,
    )
    place, held = _find(state.refusals, mark)
    if held is not mark:
        said: Any = min((held[3:], mark[3:]), key=canonical)
        mark = Refusal(mark.id, min(held.at, mark.at), min(held.recorded_at, mark.recorded_at), *said)
    marks = _put(state.refusals, place, held, mark)
    if marks is not state.refusals:
        state = state._replace(refusals=marks)
    what = _TELLING.get(mark.error_code)
    return state if what is None else _with_decision(state, Decision(f"!{mark.id}", mark.at, mark.recorded_at, what))


def _with_call(
    entries: tuple[Call, ...],
    fact: CallOffered | CallRinging | CallConnected | CallRejected | CallEnded | DispositionRecorded,
) -> tuple[Call, ...]:
    place, held = _find(entries, Call(fact.call_id, fact.recorded_at))
    said: dict[str, Any] = {"recorded_at": fact.recorded_at}
    match fact:
        case CallOffered():
            said |= {
                "direction": fact.direction,
                "offered_at": fact.occurred_at,
                "campaign": fact.campaign,
                "origin": fact.origin,
                "reservation_id": fact.reservation_id,
            }
        case CallRinging():
            said |= {"ringing_at": fact.occurred_at}
        case CallConnected():
            said |= {"direction": fact.direction, "started_at" if fact.exact else "accepted_at": fact.occurred_at}
        case CallRejected():
            said |= {"rejected_at": fact.occurred_at}
        case CallEnded():  # its start came as a fact of its own, beside it
            said |= {
                "direction": fact.direction,
                "terminated_at": fact.occurred_at,
                "status": fact.status,
                "ended_at": fact.ended_at,
                "duration_s": fact.duration_s,
                "error_code": fact.error_code,
            }
        case DispositionRecorded():
            newest = max((held.disposed_at or 0, held.disposition or ""), (fact.occurred_at, fact.outcome))
            return _put(entries, place, held, held._replace(disposed_at=newest[0], disposition=newest[1]))
        case other:
            assert_never(other)
    merged = held._replace(**{name: smaller(getattr(held, name), value) for name, value in said.items()})
    return _put(entries, place, held, merged)


def _with_message(state: PairState, message: Message) -> PairState:
    for held in state.messages:
        if held.fact_id == message.fact_id:
            if held.at <= message.at:
                return state
            rest = {one for one in state.messages if one is not held}
            return state._replace(messages=tuple(sorted({*rest, message}, key=_by_time)))
    messages = sorted({*state.messages, message}, key=_by_time)
    if len(messages) <= MAX_MESSAGES:
        return state._replace(messages=tuple(messages))
    kept = tuple(messages[-MAX_MESSAGES:])
    return state if kept == state.messages else state._replace(messages=kept, dropped=state.dropped + 1)


def _with_link(state: PairState, link: Link) -> PairState:
    """Each name once, from the earliest payload that showed it. A canonical name leads nowhere: facts would go in
    circles.
    """
    if is_wa_id(state.user) or not is_wa_id(link.wa_id):
        return state
    if any(held.wa_id == link.wa_id and held.at <= link.at for held in state.links):
        return state
    others = [held for held in state.links if held.wa_id != link.wa_id]
    return state._replace(links=tuple(sorted([*others, link])))


def _by_time(message: Message) -> tuple[int, str]:
    return message.at, message.fact_id


def _find(entries: tuple[Mark, ...], absent: Mark) -> tuple[int, Mark]:
    """Where the entry with the id of `absent` stands or would stand, and the entry as it is so far."""
    low, high, name = 0, len(entries), absent[0]
    while low < high:
        middle = (low + high) // 2
        if entries[middle][0] < name:
            low = middle + 1
        else:
            high = middle
    if low < len(entries) and entries[low][0] == name:
        return low, entries[low]
    return low, absent


def _put(entries: tuple[Mark, ...], place: int, held: Mark, merged: Mark) -> tuple[Mark, ...]:
    stands: bool = place < len(entries) and entries[place] is held
    if stands and merged == held:
        return entries
    return entries[:place] + (merged,) + entries[place + stands :]  # noqa: RUF005 - unpacking loses the one type


def _bounded(entries: tuple[Request, ...], words: tuple[Decision, ...]) -> tuple[tuple[Request, ...], int]:
    """The entries without the oldest ones that match no known request, where those exceed their bound (design 4)."""
    contexts = {word.context_id for word in words}
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

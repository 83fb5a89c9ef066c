"""Evolve: the state with one more fact. Adding a fact twice, or facts in any order, gives the same marks (design 4).

Owns where a fact's mark is kept and the merge of two facts with one id: every field takes the smaller of both values,
in a fixed order, so the merge does not depend on which came first. Refuses to judge.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final, assert_never

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
from schemas.mark_lists import filled, marks_of
from schemas.marks import (
    INFERRED,
    MAX_MESSAGES,
    MAX_UNMATCHED,
    REVOKED,
    Call,
    Decision,
    Link,
    Message,
    Refusal,
    Request,
    What,
)
from schemas.state import PairState
from schemas.state_row import with_field
from streams.permission.grants import order

_STATUS_FIELD: Final = {
    status: Request._fields.index(field)
    for status, field in (
        ("sent", "status_sent_at"),
        ("delivered", "delivered_at"),
        ("read", "read_at"),
        ("failed", "failed_at"),
    )
}
_CALL: Final = {field: place for place, field in enumerate(Call._fields)}
_CALL_RECORDED: Final = _CALL["recorded_at"]
_ERROR: Final = Request._fields.index("error_code")
_DECISIONS: Final = PairState._fields.index("decisions")
_REQUESTS: Final = PairState._fields.index("requests")
_CALLS: Final = PairState._fields.index("calls")
_MESSAGES: Final = PairState._fields.index("messages")
_READ: Final[dict[str, What]] = {
    "no_permission": "read_none",
    "temporary": "read_temporary",
    "permanent": "read_permanent",
}
_NOTHING_SAID: Final = (None,) * (len(Request._fields) - 1)
_BASIS: Final = frozenset({"is_permanent", "phone_number_id"})
"""What a grant rests on; inferred, it is unconfirmed."""
_TELLING: Final[dict[int, What]] = {138_006: "refused_138006", 138_017: "refused_138017"}


def evolve(state: PairState, fact: PairFact) -> PairState:
    """`state` with the mark of `fact`; `state` itself when the fact says nothing new. Bookkeeping is not touched."""
    new = _with_mark(state, fact)
    if fact.aliases and not set(fact.aliases) <= set(state.aliases):
        new = new._replace(aliases=tuple(sorted({*new.aliases, *fact.aliases})))
    return new


def _with_mark(state: PairState, fact: PairFact) -> PairState:
    match fact:  # the most frequent first
        case MessageStatus():
            return _with_requests(state, _with_status(state.requests, fact))
        case UserMessaged():
            return _with_message(state, filled(Message, (fact.fact_id, fact.occurred_at)))
        case RequestSent():
            return _with_requests(state, _with_request(state.requests, fact))
        case PermissionReplied() | ReadingTaken() | UserNumberChanged():
            return _with_decision(state, _word(fact))
        case RequestRefused() | CallRefused():
            return _with_refusal(state, fact)
        case CallOffered() | CallRinging() | CallConnected() | CallRejected() | CallEnded() | DispositionRecorded():
            rung = _with_call(state.calls, fact)
            return state if rung is state.calls else with_field(state, _CALLS, rung)
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
            said = (INFERRED if _BASIS.intersection(fact.inferred) else 0) | (REVOKED if fact.revoked else 0)
            at, received = fact.occurred_at, fact.recorded_at
            fields = (name, at, received, what, expires_at, fact.source, fact.context_id, None, said or None)
            return filled(Decision, fields)
        case ReadingTaken():
            opens = (1 if fact.can_request else 0) | (2 if fact.can_call else 0)
            expires_at = fact.expires_at if fact.status == "temporary" else None
            name, what = f"#{fact.fact_id}", _READ[fact.status]
            hints = INFERRED if "status" in fact.inferred else None
            return Decision(name, fact.occurred_at, fact.recorded_at, what, expires_at, None, None, opens, hints)
        case UserNumberChanged():
            what = "moved_away" if fact.role == "old" else "moved_here"
            return Decision(f"#{fact.fact_id}", fact.occurred_at, fact.recorded_at, what, None, None, fact.other)
        case other:
            assert_never(other)


def _with_decision(state: PairState, word: Decision) -> PairState:
    words = marks_of(Decision, state.decisions)
    for place, raw in enumerate(words.raw):
        if raw[0] == word.id:
            held = words[place]
            said: Any = min((held[3:], word[3:]), key=canonical)
            merged = Decision(word.id, min(held.at, word.at), min(held.recorded_at, word.recorded_at), *said)
            if merged == held:
                return state
            words = marks_of(Decision, (*words[:place], *words[place + 1 :]))
            word = merged
            break
    place = len(words)
    if place and order(words[-1]) >= order(word):
        place = bisect_left(words, order(word), key=order)
    return with_field(state, _DECISIONS, words.put(place, word, instead=False))


def _with_requests(state: PairState, entries: Sequence[Request]) -> PairState:
    if entries is state.requests:
        return state
    if len(entries) <= MAX_UNMATCHED:
        return with_field(state, _REQUESTS, entries)
    kept, lost = _bounded(entries, state.decisions)
    return state._replace(requests=kept, dropped=state.dropped + lost)


def _unheard_of(message_id: str) -> Request:
    """A request whose first fact comes."""
    return filled(Request, (message_id, *_NOTHING_SAID))


def _with_status(entries: Sequence[Request], fact: MessageStatus) -> Sequence[Request]:
    marks = marks_of(Request, entries)
    place, there = marks.find(fact.message_id)
    held = marks[place] if there else _unheard_of(fact.message_id)
    fields: list[Any] = list(held)
    field = _STATUS_FIELD[fact.status]
    fields[field] = smaller(fields[field], fact.occurred_at)
    if fact.status == "failed":
        fields[_ERROR] = smaller(fields[_ERROR], fact.error_code)
    merged = filled(Request, fields)
    return entries if merged == held and there else marks.put(place, merged, instead=there)


def _with_request(entries: Sequence[Request], fact: RequestSent) -> Sequence[Request]:
    marks = marks_of(Request, entries)
    place, there = marks.find(fact.message_id)
    held = marks[place] if there else _unheard_of(fact.message_id)
    template = (fact.template.name, fact.template.language, fact.template.category) if fact.template else None
    said: Any = (fact.kind, template, fact.campaign, fact.origin, fact.reservation_id)
    if held.sent_at is not None:
        said = min(said, held[3:8], key=canonical)
    sent_at, recorded_at = smaller(held.sent_at, fact.occurred_at), smaller(held.recorded_at, fact.recorded_at)
    merged = filled(Request, (held.message_id, sent_at, recorded_at, *said, *held[8:]))
    return entries if merged == held and there else marks.put(place, merged, instead=there)


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
    marks = marks_of(Refusal, state.refusals)
    place, there = marks.find(mark.id)
    held = marks[place] if there else None
    if held is not None:
        said: Any = min((held[3:], mark[3:]), key=canonical)
        mark = Refusal(mark.id, min(held.at, mark.at), min(held.recorded_at, mark.recorded_at), *said)
    if mark != held:
        state = state._replace(refusals=marks.put(place, mark, instead=there))
    what = _TELLING.get(mark.error_code)
    if held is not None and held.error_code in _TELLING and what is None:  # merged to another error: its word goes
        words = tuple(word for word in state.decisions if word.id != f"!{mark.id}")
        state = state._replace(decisions=words)
    return state if what is None else _with_decision(state, Decision(f"!{mark.id}", mark.at, mark.recorded_at, what))


def _with_call(
    entries: Sequence[Call],
    fact: CallOffered | CallRinging | CallConnected | CallRejected | CallEnded | DispositionRecorded,
) -> Sequence[Call]:
    marks = marks_of(Call, entries)
    place, there = marks.find(fact.call_id)
    held = marks[place] if there else Call(fact.call_id, fact.recorded_at)
    if isinstance(fact, DispositionRecorded):
        newest = max((held.disposed_at or 0, held.disposition or ""), (fact.occurred_at, fact.outcome))
        merged = held._replace(disposed_at=newest[0], disposition=newest[1])
        return entries if merged == held and there else marks.put(place, merged, instead=there)
    fields: list[Any] = list(held)
    for field, value in ((_CALL_RECORDED, fact.recorded_at), *_said_of_call(fact)):
        if value is not None:
            fields[field] = smaller(fields[field], value)
    merged = filled(Call, fields)
    return entries if merged == held and there else marks.put(place, merged, instead=there)


def _said_of_call(
    fact: CallOffered | CallRinging | CallConnected | CallRejected | CallEnded,
) -> tuple[tuple[int, Any], ...]:
    """What the fact says of the call, by the place of the field."""
    at = fact.occurred_at
    match fact:
        case CallRinging():
            return ((_CALL["ringing_at"], at),)
        case CallOffered():
            return (
                (_CALL["direction"], fact.direction),
                (_CALL["reported_at" if fact.reported else "offered_at"], at),
                (_CALL["campaign"], fact.campaign),
                (_CALL["origin"], fact.origin),
                (_CALL["reservation_id"], fact.reservation_id),
            )
        case CallConnected():
            picked_up = "started_at" if fact.exact else "accepted_at"
            return (_CALL["direction"], fact.direction), (_CALL[picked_up], at)
        case CallRejected():
            return ((_CALL["rejected_at"], at),)
        case CallEnded():  # its start came as a fact of its own, beside it
            return (
                (_CALL["direction"], fact.direction),
                (_CALL["terminated_at"], at),
                (_CALL["status"], fact.status),
                (_CALL["ended_at"], fact.ended_at),
                (_CALL["duration_s"], fact.duration_s),
                (_CALL["error_code"], fact.error_code),
            )
        case other:
            assert_never(other)


def _with_message(state: PairState, message: Message) -> PairState:
    held = marks_of(Message, state.messages)
    for place, raw in enumerate(held.raw):
        if raw[0] == message.fact_id:
            if raw[1] <= message.at:
                return state
            held = marks_of(Message, (*held[:place], *held[place + 1 :]))
            break
    place = len(held)
    if place and held.raw[-1][1] >= message.at and _by_time(held[-1]) > _by_time(message):
        place = bisect_left(held, _by_time(message), key=_by_time)
    messages = held.put(place, message, instead=False)
    if len(messages) <= MAX_MESSAGES:
        return with_field(state, _MESSAGES, messages)
    kept = marks_of(Message, messages[-MAX_MESSAGES:])
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


def _bounded(entries: Sequence[Request], words: Sequence[Decision]) -> tuple[Sequence[Request], int]:
    """The entries without the oldest ones that match no known request, where those exceed their bound (design 4)."""
    contexts = {word.context_id for word in words}
    unmatched = [entry for entry in entries if entry.sent_at is None and entry.message_id not in contexts]
    excess = len(unmatched) - MAX_UNMATCHED
    if excess <= 0:
        return entries, 0
    unmatched.sort(key=_newest)
    gone = {entry.message_id for entry in unmatched[:excess]}
    return marks_of(Request, [entry for entry in entries if entry.message_id not in gone]), excess


def _newest(entry: Request) -> tuple[int, str]:
    seen = (entry.status_sent_at, entry.delivered_at, entry.read_at, entry.failed_at)
    return max(instant for instant in seen if instant is not None), entry.message_id

"""Onward: a fact that comes in order of time continues what was judged before it, and walks nothing again.

Owns which facts do, and which rows of the pair they can touch. What it gives is what the walk over all evidence gives,
to the last field (a law in the tests). Refuses whatever is not plain at a glance: then the step walks.
"""

from collections.abc import Sequence
from typing import Final

from schemas.events import (
    CallConnected,
    CallEnded,
    CallOffered,
    CallRejected,
    CallRinging,
    DispositionRecorded,
    MessageStatus,
    PairFact,
    PermissionReplied,
    RequestSent,
)
from schemas.mark_lists import field_of, filled, marks_of
from schemas.marks import Call, Decision, Request
from schemas.policy import Policy
from schemas.state import PairState, Walked
from streams.permission import grants, requests
from streams.permission.number import Number
from streams.permission.requests import Life
from streams.permission.standing import Timeline, Walk, beat_of, clues, prior_letter, prior_of, resumed

Rung = CallOffered | CallRinging | CallConnected | CallRejected | CallEnded | DispositionRecorded
_RUNG: Final = (CallOffered, CallRinging, CallConnected, CallRejected, CallEnded, DispositionRecorded)
_CONTEXT: Final = Decision._fields.index("context_id")
_SENT: Final = Request._fields.index("sent_at")
_FAILED: Final = Request._fields.index("failed_at")


class Onward:
    """What the fact did: the judgement before and after it, None where nothing that is held or announced can differ;
    the requests it touched, as they were and as they are; the call, likewise.

    `walked`: what the next fact continues from.
    """

    __slots__ = ("call", "lines", "lives", "walked")

    def __init__(
        self,
        lines: tuple[Timeline, Timeline] | None,
        lives: tuple[Sequence[Life], Sequence[Life]],
        call: tuple[Call | None, Call] | None,
        walked: Walked,
    ) -> None:
        self.lines, self.lives, self.call, self.walked = lines, lives, call, walked


def onward(
    state: PairState, new: PairState, fact: PairFact, policy: Policy, number: Number, walked: Walked
) -> Onward | None:
    """The fact judged as a continuation of `walked`; None where all evidence must be walked again.

    `new`: the state with the fact. `walked`: what was judged up to now, and still holds.
    """
    if isinstance(fact, MessageStatus):  # the most frequent first: an `isinstance` that fails is slow
        return _status(state, new, fact, policy, number, walked)
    if isinstance(fact, RequestSent):
        return _sent(state, new, fact, policy, number, walked)
    if isinstance(fact, PermissionReplied):
        return _word(state, new, fact, policy, number, walked)
    if isinstance(fact, _RUNG):
        return _rung(state, new, fact, policy, number, walked)
    return None


def _status(
    state: PairState, new: PairState, fact: MessageStatus, policy: Policy, number: Number, walked: Walked
) -> Onward | None:
    """A status moves its own request; a delivery pushes untouched older ones aside. What may say that an answer came
    late is walked: a status of its request, or the delivery of a newer one before what was judged.
    """
    name, entries, held = fact.message_id, marks_of(Request, new.requests), marks_of(Request, state.requests)
    entry = entries[entries.find(name)[0]]
    if entry.sent_at is None:
        return None
    was = held[held.find(name)[0]]
    answered, moved = _is_answered(new, name), requests.delivered_at(was) != requests.delivered_at(entry)
    if answered and (moved or fact.status == "failed"):
        return None
    delivery = requests.delivered_at(entry)
    if moved and delivery is not None and delivery <= walked.since:
        return None
    if not moved and (was.read_at, was.failed_at, was.error_code) == (entry.read_at, entry.failed_at, entry.error_code):
        return Onward(None, ((), ()), None, walked)  # the provider's word on the sending stands in no row
    if not answered and not (moved and _pushes(new, name)):
        return Onward(None, ((), (_waiting(new, entry, policy, walked),)), None, walked)
    walk = Walk.on(state, policy, number, walked)
    before = resumed(state, new.judged_at, policy, walk, walked.priors)
    after = resumed(new, new.judged_at, policy, walk, walked.priors)
    touched = [name] if answered else [*after.book.place][: after.book.place[name] + 1]
    return Onward(None, _differing(before, after, touched), None, walked)


def _waiting(new: PairState, entry: Request, policy: Policy, walked: Walked) -> Life:
    """The life of a request that nobody answered, without a look at what happened to the others but their delivery."""
    mine, older, aside = (entry.sent_at, entry.message_id), 0, None
    for raw in marks_of(Request, new.requests).raw:
        sent_at = field_of(raw, _SENT)
        if sent_at is not None:
            if (sent_at, raw[0]) < mine:
                older += 1
            elif raw[0] != entry.message_id:
                delivery = requests.delivered_in(raw)
                if delivery is not None and (aside is None or delivery < aside):
                    aside = delivery
    attempts = new.base.attempts if new.base is not None else 0
    prior = prior_of(walked.priors[older])
    return requests.waiting(entry, aside, new.judged_at, policy, attempts + older + 1, prior)


def _pushes(new: PairState, name: str) -> bool:
    """Whether a delivery of the request may push an unanswered one aside. Cautious: it looks at no order."""
    raw = marks_of(Request, new.requests).raw
    waiting = [
        each[0]
        for each in raw
        if each[0] != name and field_of(each, _SENT) is not None and field_of(each, _FAILED) is None
    ]
    return any(not _is_answered(new, other) for other in waiting)


def _is_answered(state: PairState, name: str) -> bool:
    words = marks_of(Decision, state.decisions)
    return words.may_name(name) and any(field_of(raw, _CONTEXT) == name for raw in words.raw)


def _sent(
    state: PairState, new: PairState, fact: RequestSent, policy: Policy, number: Number, walked: Walked
) -> Onward | None:
    """A newly sent request, newer than every other and than all that was judged."""
    name, at = fact.message_id, fact.occurred_at
    held = marks_of(Request, state.requests)
    place, there = held.find(name)
    if at < walked.since or _is_answered(new, name) or (there and held[place].sent_at is not None):
        return None
    if any(field_of(raw, _SENT) is not None and (raw[_SENT], raw[0]) > (at, name) for raw in held.raw):
        return None
    arrived = there and requests.delivered_in(held.raw[place]) is not None
    if arrived and (at == walked.since or _pushes(new, name)):
        return None
    walk = Walk.on(state, policy, number, walked)
    priors = walked.priors + prior_letter(walk.hold)
    before = resumed(state, new.judged_at, policy, walk, walked.priors)
    after = resumed(new, new.judged_at, policy, walk, priors)
    walked = filled(Walked, [*walked[:-1], priors])
    entry = new.requests[marks_of(Request, new.requests).find(name)[0]]
    return Onward((before, after), ((), [_waiting(new, entry, policy, walked)]), None, walked)


def _rung(
    state: PairState, new: PairState, fact: Rung, policy: Policy, number: Number, walked: Walked
) -> Onward | None:
    """A call: what it adds to the row of unanswered ones, or that it ends the row."""
    entries, held = marks_of(Call, new.calls), marks_of(Call, state.calls)
    place, there = held.find(fact.call_id)
    was, call = held[place] if there else None, entries[place]
    beat, earlier = beat_of(call, policy), beat_of(was, policy) if was is not None else None
    if beat == earlier and not isinstance(fact, CallConnected):
        return Onward(None, ((), ()), (was, call), walked)
    walk = Walk.on(state, policy, number, walked)
    before = resumed(state, new.judged_at, policy, walk, walked.priors)
    walk.part()
    if beat != earlier:
        if beat is None or earlier is not None or not walked.since < beat.at <= new.judged_at:
            return None
        walk.hear(beat)
        if walk.hold != before.hold and _asked_since(new, beat.at):
            return None
    after = resumed(new, new.judged_at, policy, walk, walked.priors)
    return Onward((before, after), ((), ()), (was, call), after.walked(number))


def _word(
    state: PairState, new: PairState, fact: PermissionReplied, policy: Policy, number: Number, walked: Walked
) -> Onward | None:
    """A reply later than all that was judged, to a request we know or to none."""
    word, at = new.decisions[-1], fact.occurred_at
    if len(new.decisions) == len(state.decisions) or word.at != at or at <= walked.since or _asked_since(new, at):
        return None
    walk = Walk.on(state, policy, number, walked)
    before = resumed(state, new.judged_at, policy, walk, walked.priors)
    walk.part()
    after = resumed(new, new.judged_at, policy, walk, walked.priors)
    before.asked_like(after)
    touched: list[str] = []
    flags: tuple[str, ...] = ()
    if word.context_id is not None and not grants.is_call(word.context_id):
        book, running = after.book, at - policy.defaults.request_open_seconds
        asked = book.place.get(word.context_id)
        if asked is None:
            return None
        flags = clues(new.decisions, len(new.decisions) - 1, book, policy)
        for name, given in book.answers.items():
            if given[-1].at <= running:
                continue
            place = book.place.get(name)
            if place is None:
                return None
            # A newer one was answered: what the user had on the screen of an older one goes. All other words are older.
            if place == asked or (place < asked and requests.ends_at(book, place, at, policy) != after.ends_at(place)):
                touched.append(name)
    if word.what == "reject" and walk.hold.grant is None and walk.hold.reason == "auto_revoke_inferred":
        return None  # it may confirm how a grant ended that is not in sight here
    walk.take(word, flags)
    walk.reach(new.judged_at)
    after.take_over(walk)
    return Onward((before, after), ((), [after.life(name) for name in touched]), None, after.walked(number))


def _asked_since(state: PairState, at: int) -> bool:
    """Whether a request was sent or refused at `at` or later: the standing before it would be another."""
    asked = marks_of(Request, state.requests).raw
    if any(field_of(raw, _SENT) is not None and raw[_SENT] >= at for raw in asked):
        return True
    return any(refusal.at >= at for refusal in state.refusals)


def _differing(before: Timeline, after: Timeline, names: Sequence[str]) -> tuple[Sequence[Life], Sequence[Life]]:
    """The lives among `names`, all known as sent before and after, that differ: as they were and as they are."""
    changed = [name for name in names if before.inputs(name) != after.inputs(name)]
    return [before.life(name) for name in changed], [after.life(name) for name in changed]

"""The standing: all evidence of a pair up to an instant, judged in order of time (domain 1.1; design 4).

Owns the walk over the evidence and the labels. It composes the rules, which do not know each other: a word on the
permission gives or ends a grant (`grants`), an unanswered call lengthens the row (`streak`), a request lives and ends
(`requests`). As-of is the same walk with later evidence left out.
"""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, NamedTuple

from schemas.policy import Policy
from schemas.state import Call, Decision, PairState, Request
from streams.permission import calls, grants, requests, service_window, streak
from streams.permission.grants import Grant, Hold
from streams.permission.number import Number
from streams.permission.streak import Beat

_PRIOR = {
    "reading": "revoked",
    "refused_138006": "revoked",
    "number_changed": "never",
    "auto_revoke_inferred": "auto_revoked",
}
_STATUSES = ("status_sent_at", "delivered_at", "read_at", "failed_at", "error_code")
_LABELS = {
    "declined": "denied",
    "revoked": "denied",
    "auto_revoked": "auto_revoked",
    "auto_revoke_inferred": "auto_revoked",
    "expired": "expired",
}
ANOMALIES = frozenset(
    {"downgrade", "reply_to_expired_request", "revoke_without_grant", "same_second_conflict", "unknown_request"}
)


class Notice(NamedTuple):
    """Something on the way worth telling: a nudge, a row at risk, an odd reply. `id` is the call's or the word's."""

    kind: str
    id: str
    at: int
    streak: int


class Timeline:
    """A pair judged at `at`: what is held, every grant so far (ended ones first), requests, calls, the running streak.

    The lives of requests are judged when asked: most questions need none, and a step only those that changed.
    """

    __slots__ = ("at", "book", "ended", "flags", "hold", "notices", "policy", "spans", "state", "unanswered")

    hold: Hold
    unanswered: tuple[tuple[str, int], ...]
    ended: list[Grant]
    notices: list[Notice]
    spans: list[tuple[int, str]]

    def __init__(self, state: PairState, at: int, policy: Policy, number: Number, beside: "Timeline | None") -> None:
        self.at, self.policy = at, policy
        self.state = state = as_of(state, at)
        answers: dict[str, list[Decision]] = {}
        for word in state.decisions:
            if word.context_id is not None and grants.is_reply(word) and not grants.is_call(word.context_id):
                answers.setdefault(word.context_id, []).append(word)
        self.book = requests.Book(state.requests, answers)
        self.flags = [_clues(state.decisions, place, self.book, policy) for place in range(len(state.decisions))]
        if beside is not None and beside.at == at and self._walks_like(beside):
            self.hold, self.unanswered, self.ended = beside.hold, beside.unanswered, beside.ended
            self.notices, self.spans = beside.notices, beside.spans
            return
        walk = _Walk(state, policy, number)
        beats = _beats(state, policy)
        following = 0
        for word, flags in zip(state.decisions, self.flags, strict=True):
            while following < len(beats) and beats[following].at <= word.at:
                walk.hear(beats[following])
                following += 1
            walk.take(word, flags)
        for beat in beats[following:]:
            walk.hear(beat)
        walk.reach(at)
        self.hold, self.unanswered, self.ended = walk.hold, walk.unanswered, walk.ended
        self.notices, self.spans = walk.notices, walk.spans

    def _walks_like(self, other: "Timeline") -> bool:
        """Whether the walk over both is the same: the marks it looks at are, and so is what requests say of replies."""
        mine, theirs = self.state, other.state
        same = mine.decisions is theirs.decisions and mine.calls is theirs.calls and mine.base is theirs.base
        return same and self.flags == other.flags

    @property
    def grants(self) -> list[Grant]:
        """Every grant of the pair, in the order they were given."""
        return self.ended if self.hold.grant is None else [*self.ended, self.hold.grant]

    @property
    def streak(self) -> int:
        """Unanswered calls in a row."""
        return len(self.unanswered)

    @property
    def lives(self) -> list[requests.Life]:
        """Every request, judged."""
        return [self.life(name) for name in self.names()]

    def names(self) -> list[str]:
        """Every request: those known as sent, those known by a reply alone, those refused."""
        unsent = sorted(self.book.answers.keys() - self.book.place.keys())
        refused = [refusal.action_id for refusal in self.state.refusals if refusal.door == "request"]
        return [*self.book.place, *unsent, *refused]

    def inputs(self, name: str) -> tuple[object, ...]:
        """All that the life of a request is judged from, cheap to compare with that of another timeline of one
        instant.
        """
        place = self.book.place.get(name)
        if place is None:
            return (self.life(name),)
        entry, given = self.book.sent[place], self.book.answers.get(name, ())
        newer = self.book.newer_answer(place, given[0].at, self.at + 1) if given else None
        return entry, self.book.aside[place], given, newer, place, _prior(self.spans, entry.sent_at or 0)

    def life(self, name: str) -> requests.Life:
        """One request, judged."""
        book, state = self.book, self.state
        place = book.place.get(name)
        if place is not None:
            attempts = state.base.attempts if state.base is not None else 0
            life = requests.live(book, place, self.at, self.policy)
            return life._replace(attempt=attempts + place + 1, prior=_prior(self.spans, life.sent_at or 0))
        given = book.answers.get(name)
        if given is not None:
            entry = next((entry for entry in state.requests if entry.message_id == name), Request(name))
            life = requests.known_by_reply(entry, given, self.policy)
            return life._replace(prior=_prior(self.spans, life.anchor_at - 1))
        life = requests.refused(next(one for one in state.refusals if one.id == f"request:{name}"))
        return life._replace(prior=_prior(self.spans, life.anchor_at))


def as_of(state: PairState, at: int) -> PairState:
    """The state with evidence later than `at` left out; the state itself where nothing is later."""
    if at >= state.judged_at:
        return state
    clipped = [_clipped(entry, at) for entry in state.requests]
    rung = [_cut(call, at) for call in state.calls]
    return state._replace(
        judged_at=at,
        decisions=tuple(mark for mark in state.decisions if mark.at <= at),
        requests=tuple(clipped),
        refusals=tuple(mark for mark in state.refusals if mark.at <= at),
        calls=tuple(call for call in rung if call is not None),
        messages=tuple(mark for mark in state.messages if mark.at <= at),
    )


def _seen(instant: int | None, at: int) -> int | None:
    return instant if instant is not None and instant <= at else None


def _clipped(entry: Request, at: int) -> Request:
    if entry.sent_at is not None and entry.sent_at > at:  # what it was is known only once it was sent
        nothing = Request(entry.message_id)
        entry = nothing._replace(**{name: getattr(entry, name) for name in _STATUSES})
    failed_at = _seen(entry.failed_at, at)
    return entry._replace(
        sent_at=_seen(entry.sent_at, at),
        status_sent_at=_seen(entry.status_sent_at, at),
        delivered_at=_seen(entry.delivered_at, at),
        read_at=_seen(entry.read_at, at),
        failed_at=failed_at,
        error_code=entry.error_code if failed_at is not None else None,
    )


def _cut(call: Call, at: int) -> Call | None:
    over, disposed = _seen(call.terminated_at, at), _seen(call.disposed_at, at)
    cut = call._replace(
        offered_at=_seen(call.offered_at, at),
        ringing_at=_seen(call.ringing_at, at),
        accepted_at=_seen(call.accepted_at, at),
        started_at=_seen(call.started_at, at),
        rejected_at=_seen(call.rejected_at, at),
        terminated_at=over,
        status=call.status if over is not None else None,
        ended_at=call.ended_at if over is not None else None,
        duration_s=call.duration_s if over is not None else None,
        error_code=call.error_code if over is not None else None,
        disposition=call.disposition if disposed is not None else None,
        disposed_at=disposed,
    )
    signs = (cut.offered_at, cut.ringing_at, cut.accepted_at, cut.started_at, cut.rejected_at, over, disposed)
    return cut if any(sign is not None for sign in signs) else None


class _Walk:
    """The walk: words and calls in order of time, with what is held and the row of unanswered calls on the way."""

    __slots__ = ("ended", "hold", "notices", "number", "policy", "profile", "spans", "unanswered")

    def __init__(self, state: PairState, policy: Policy, number: Number) -> None:
        self.policy, self.number, self.profile = policy, state.phone_number_id, policy.profiles[number.profile]
        self.ended: list[Grant] = []
        self.notices: list[Notice] = []
        base = state.base
        if base is None:
            self.hold: Hold = grants.NOTHING
            self.unanswered: tuple[tuple[str, int], ...] = ()
        else:
            grant = Grant(*base.grant) if base.grant is not None else None
            self.hold = Hold(grant, base.reason, base.decided_by, base.flags, base.confirmed)
            self.unanswered = base.streak
        self.spans = [(0, "granted" if self.hold.grant is not None else self.hold.reason)]

    def reach(self, at: int) -> None:
        """Time passes up to `at`."""
        hold, out = grants.run_out(self.hold, at)
        if out is not None:
            self.hold = hold
            self.ended.append(out)
            self.spans.append((out.ended_at or 0, "expired"))

    def hear(self, beat: Beat) -> None:
        """A call of the row."""
        self.reach(beat.at)
        if beat.effect == "resets":
            self.unanswered = ()
            return
        self.unanswered = (*self.unanswered, (beat.call_id, beat.at))
        if self.hold.grant is None:
            return  # nobody is nudged and nothing is revoked where nothing is held
        row, limit = len(self.unanswered), self.profile.at("unanswered_revoke", beat.at)
        if row == self.profile.at("unanswered_nudge", beat.at):
            self.notices.append(Notice("user_nudged", beat.call_id, beat.at, row))
        if row == limit - 1:
            self.notices.append(Notice("streak_at_risk", beat.call_id, beat.at, row))
        if streak.revokes(row, limit):
            self.hold, out = grants.inferred_revoke(self.hold, beat.at)
            if out is not None:
                self.ended.append(out)
            self.spans.append((beat.at, self.hold.reason))

    def take(self, word: Decision, flags: tuple[str, ...]) -> None:
        """A word on the permission."""
        self.reach(word.at)
        at_threshold = len(self.unanswered) >= self.profile.at("unanswered_revoke", word.at)
        inferred = self.hold.reason == "auto_revoke_inferred" and self.hold.grant is None
        self.hold, out = grants.decided(self.hold, word, flags, self.number, self.policy, at_threshold=at_threshold)
        if out is not None:
            self.ended.append(out)
        automatic = word.what == "reject" and grants.is_automatic(word, at_threshold=at_threshold)
        if automatic and inferred and self.ended and self.ended[-1].end_cause == "auto_revoke_inferred":
            self.ended[-1] = self.ended[-1]._replace(end_cause="auto_revoked")  # the webhook confirms what we inferred
        if automatic or word.what in ("temporary", "permanent", "read_temporary", "read_permanent"):
            self.unanswered = ()
        self.spans.append((word.at, "granted" if self.hold.grant is not None else self.hold.reason))
        said = flags if self.hold.decided_by != word.id else self.hold.flags
        self.notices += [Notice(flag, word.id, word.at, 0) for flag in said if flag in ANOMALIES]


def timeline(state: PairState, at: int, policy: Policy, number: Number, beside: Timeline | None = None) -> Timeline:
    """The evidence of `state` up to `at`, walked in order of time.

    `beside`: another timeline of the same instant and pair, whose walk is taken over where it must be the same.
    """
    return Timeline(state, at, policy, number, beside)


def _beats(state: PairState, policy: Policy) -> list[Beat]:
    if not state.calls:
        return []
    beats = [
        beat
        for call in state.calls
        if (beat := streak.beat_of(call, calls.connected_at(call), calls.outcome_of(call), policy)) is not None
    ]
    beats.sort()
    return beats


def _clues(words: tuple[Decision, ...], place: int, book: requests.Book, policy: Policy) -> tuple[str, ...]:
    """The flags that a reply's request and its neighbours in time give it (domain 1.3)."""
    word = words[place]
    if not grants.is_reply(word):
        return ()
    flags: tuple[str, ...] = ()
    if any(other.what != word.what and grants.is_reply(other) for other in _same_second(words, place)):
        flags = ("same_second_conflict",)
    context = word.context_id
    if context is None or grants.is_call(context):
        return flags
    asked = book.place.get(context)
    if asked is None:
        return (*flags, "unknown_request")
    ends = requests.ends_at(book, asked, word.at, policy)
    return (*flags, "reply_to_expired_request") if ends is not None and word.at >= ends else flags


def _same_second(words: tuple[Decision, ...], place: int) -> Iterator[Decision]:
    """The other words of the second, which stand beside it."""
    at = words[place].at
    for way in (range(place - 1, -1, -1), range(place + 1, len(words))):
        yield from takewhile(lambda other: other.at == at, (words[other] for other in way))


def _prior(spans: list[tuple[int, str]], at: int) -> str:
    """The standing of the pair at `at`, in the words of a request row."""
    reason = spans[0][1]
    for since, what in spans:
        if since > at:
            break
        reason = what
    return _PRIOR.get(reason, reason)


def label_of(line: Timeline) -> str:
    """The product's label, the first that fits (design 13)."""
    if line.hold.grant is not None:
        return "granted"
    if any(life.final_class == "open" for life in line.lives):
        return "pending"
    if line.hold.reason in _LABELS:
        return _LABELS[line.hold.reason]
    asked = any(life.sent_at is not None and life.final_class not in ("failed", "refused") for life in line.lives)
    settled = line.state.base is not None and line.state.base.attempts > 0
    return "no_answer" if asked or settled else "not_requested"


def permission_of(hold: Hold) -> dict[str, Any]:
    """Meta's status; `expiration_time` only when temporary."""
    if hold.grant is None:
        return {"status": "no_permission"}
    if hold.grant.expires_at is None:
        return {"status": "permanent"}
    return {"status": "temporary", "expiration_time": hold.grant.expires_at}


def service_until(line: Timeline) -> int | None:
    """Until when the user's last own sign keeps the service window open."""
    state = line.state
    signs = [word.at for word in state.decisions if grants.is_reply(word) and not grants.is_automatic(word)]
    signs += [message.at for message in state.messages]
    for call in state.calls:
        at = calls.begun_at(call) if call.direction == streak.USER else calls.connected_at(call)
        if at is not None:
            signs.append(at)
    if state.base is not None:
        signs.append(state.base.service_at)
    return service_window.open_until(signs, line.at)


def standing_of(line: Timeline) -> dict[str, Any]:
    """The `standing` object of an answer, a standing line and a change (design 13)."""
    hold, grant = line.hold, line.hold.grant
    return {
        "label": label_of(line),
        "reason": None if grant else hold.reason,
        "via": grant.via if grant else None,
        "source": grant.source if grant else None,
        "confirmed": grant.confirmed if grant else hold.confirmed,
        "granted_at": grant.granted_at if grant else None,
        "request_id": grant.request_id if grant else None,
        "unanswered_streak": line.streak,
        "service_window_until": service_until(line),
        "flags": sorted(hold.flags),
    }

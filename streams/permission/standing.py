"""The standing: all evidence of a pair up to an instant, judged in order of time (domain 1.1; design 4).

Owns the walk over the evidence and the labels. It composes the rules, which do not know each other: a word on the
permission gives or ends a grant (`grants`), an unanswered call lengthens the row (`streak`), a request lives and ends
(`requests`). As-of is the same walk with later evidence left out.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from schemas.mark_lists import arrays_of, field_of, filled
from schemas.marks import Call, Decision, Message, Request
from schemas.policy import Policy
from schemas.state import PairState, Walked
from schemas.state_row import decider_named
from streams.permission import calls, grants, refusals, requests, service_window, streak
from streams.permission.grants import Grant, Hold
from streams.permission.number import Number
from streams.permission.streak import Beat

_PRIOR: Final = {
    "reading": "revoked",
    "refused_138006": "revoked",
    "number_changed": "never",
    "auto_revoke_inferred": "auto_revoked",
}
_STATUSES: Final = ("status_sent_at", "delivered_at", "read_at", "failed_at", "error_code")
_LABELS: Final = {
    "declined": "denied",
    "revoked": "denied",
    "auto_revoked": "auto_revoked",
    "auto_revoke_inferred": "auto_revoked",
    "expired": "expired",
}
_PRIOR_LETTERS: Final = {
    "never": "n",
    "declined": "d",
    "expired": "e",
    "revoked": "r",
    "auto_revoked": "a",
    "granted": "g",
}
_PRIORS: Final = {letter: prior for prior, letter in _PRIOR_LETTERS.items()}
NOTHING_WALKED: Final = (*grants.NOTHING[1:], None, (), "")
"""What a walk over no evidence comes to, behind its rules and its instant."""
_MESSAGE_AT: Final = Message._fields.index("at")
_CONTEXT: Final = Decision._fields.index("context_id")
ANOMALIES: Final = frozenset(
    {"downgrade", "reply_to_expired_request", "revoke_without_grant", grants.CONFLICT, "unknown_request"}
)


class Notice(NamedTuple):
    """Something on the way worth telling: a nudge, a row at risk, an odd reply. `id` is the call's or the word's."""

    kind: str
    id: str
    at: int
    streak: int


class Timeline:
    """A pair judged at `at`: what is held, every grant so far (ended ones first), requests, calls, the running streak.

    The lives of requests are judged when asked: most questions need none, and a step only those that changed. `since`:
    the instant of the last thing the walk met.
    """

    __slots__ = (
        "_asked",
        "_book",
        "_flags",
        "_priors",
        "_sent",
        "at",
        "ended",
        "hold",
        "notices",
        "other_signs",
        "policy",
        "since",
        "spans",
        "state",
        "unanswered",
    )

    hold: Hold
    unanswered: tuple[tuple[str, int], ...]
    ended: list[Grant]
    notices: list[Notice]
    spans: list[tuple[int, str]]
    since: int

    def __init__(self, state: PairState, at: int, policy: Policy) -> None:
        self.at, self.policy, self.state = at, policy, state
        self._book: requests.Book | None = None
        self._flags: list[tuple[str, ...]] | None = None
        self._priors: str | None = None
        self._asked: Timeline | None = None
        self._sent: list[Sequence[Any]] | None = None
        self.other_signs: list[int] | None = None

    @property
    def book(self) -> requests.Book:
        """The requests with their answers."""
        if self._book is None:
            self._book = requests.Book(self.state.requests, _answers(self.state.decisions))
        return self._book

    @property
    def sent(self) -> list[Sequence[Any]]:
        """The requests known as sent, in the order of sending, as arrays."""
        if self._sent is None:
            asked = self._asked
            self._sent = requests.known_arrays(self.state.requests) if asked is None else asked.sent
        return self._sent

    def asked_like(self, other: "Timeline") -> None:
        """Nothing but words on the permission tell this pair from that of `other`: their requests are the same."""
        self._asked = other

    def ends_at(self, place: int) -> int | None:
        """When the request at `place` stops being on the user's screen."""
        return requests.ends_at(self.book, place, self.at + 1, self.policy)

    @property
    def flags(self) -> list[tuple[str, ...]]:
        """What is odd about each word on the permission, in their order."""
        if self._flags is None:
            words = self.state.decisions
            self._flags = [clues(words, place, self.book, self.policy) for place in range(len(words))]
        return self._flags

    def take_over(self, walk: "Walk | Timeline") -> None:
        """What a walk came to is what is held."""
        self.hold, self.unanswered, self.ended = walk.hold, walk.unanswered, walk.ended
        self.notices, self.spans, self.since = walk.notices, walk.spans, walk.since

    def walks_like(self, other: "Timeline") -> bool:
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
        book, place = self.book, self.book.place.get(name)
        if place is None:
            return (self.life(name),)
        entry, ends = book.sent[place], self.ends_at(place)
        return entry, ends, book.aside[place] == ends, book.answers.get(name, ()), place, self._prior(place)

    def life(self, name: str) -> requests.Life:
        """One request, judged."""
        book, state = self.book, self.state
        place = book.place.get(name)
        if place is not None:
            attempts = state.base.attempts if state.base is not None else 0
            return requests.live(book, place, self.at, self.policy, attempts + place + 1, self._prior(place))
        given = book.answers.get(name)
        if given is not None:
            entry = next((entry for entry in state.requests if entry.message_id == name), Request(name))
            life = requests.known_by_reply(entry, given, self.policy)
            return life._replace(prior=_prior(self.spans, life.anchor_at - 1))
        life = requests.refused(next(one for one in state.refusals if one.id == f"request:{name}"))
        return life._replace(prior=_prior(self.spans, life.anchor_at))

    def _prior(self, place: int) -> str:
        if self._priors is not None and place < len(self._priors):
            return prior_of(self._priors[place])
        return _prior(self.spans, self.book.sent[place].sent_at or 0)

    def walked(self, number: Number) -> Walked:
        """What the next fact in order of time continues from."""
        hold = self.hold
        known = (
            self._priors
            if self._priors is not None
            else "".join([_PRIOR_LETTERS[self._prior(place)] for place in range(len(self.book.sent))])
        )
        fields = (
            self.policy.rules_of(number.profile),
            self.since,
            hold.reason,
            hold.decided_by,
            hold.flags,
            hold.confirmed,
            None if hold.grant is None else tuple(hold.grant),
            self.unanswered,
            known,
        )
        return filled(Walked, fields)


def _answers(words: Sequence[Decision]) -> dict[str, list[Decision]]:
    answers: dict[str, list[Decision]] = {}
    for word in words:
        context = word.context_id
        if context is not None and grants.is_reply(word) and not grants.is_call(context):
            answers.setdefault(context, []).append(word)
    return answers


def timeline(state: PairState, at: int, policy: Policy, number: Number, beside: Timeline | None = None) -> Timeline:
    """The evidence of `state` up to `at`, walked in order of time.

    `beside`: another timeline of the same instant and pair, whose walk is taken over where it must be the same.
    """
    line = Timeline(as_of(state, at), at, policy)
    if beside is not None and beside.at == at and line.walks_like(beside):
        line.take_over(beside)
        return line
    state = line.state
    walk = Walk.over(state, policy, number)
    beats = _beats(state, policy)
    following = 0
    for word, flags in zip(state.decisions, line.flags, strict=True):
        while following < len(beats) and beats[following].at <= word.at:
            walk.hear(beats[following])
            following += 1
        walk.take(word, flags)
    for beat in beats[following:]:
        walk.hear(beat)
    walk.reach(at)
    line.take_over(walk)
    return line


def goes_on(state: PairState, at: int, rules: str) -> Walked | None:
    """What was judged so far, where it holds at `at` still: under these rules (`Policy.rules_of`), with nothing run
    out on the way.
    """
    walked = state.walked
    if walked is None and not (state.decisions or state.refusals or state.calls or state.base):
        if any(entry.sent_at is not None for entry in state.requests):
            return None
        walked = Walked(rules, 0, *NOTHING_WALKED)
    if walked is None or walked.by != rules or at < state.judged_at:
        return None
    return None if state.due_at is not None and at >= state.due_at else walked


def judged_as(state: PairState, policy: Policy, number: Number, rules: str) -> Number:
    """The number as it was when the pair was judged last, of which a walk asks the profile alone. `number` itself where
    the rules are the same, or those of then are of another policy file: that is another generation. `rules`: the
    present ones (`Policy.rules_of`).
    """
    walked = state.walked
    if walked is None or walked.by == rules:
        return number
    profile = policy.profile_of(walked.by)
    return number if profile is None else Number(profile=profile)


def resumed(state: PairState, at: int, policy: Policy, walk: "Walk", priors: str) -> Timeline:
    """The timeline where a walk that was continued has come to. Grants that ended earlier are not in it."""
    line = Timeline(state, at, policy)
    line._priors = priors  # noqa: SLF001 - of its own kind
    line.take_over(walk)
    return line


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
        reported_at=_seen(call.reported_at, at),
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
    signs = (
        cut.reported_at,
        cut.offered_at,
        cut.ringing_at,
        cut.accepted_at,
        cut.started_at,
        cut.rejected_at,
        over,
        disposed,
    )
    return cut if any(sign is not None for sign in signs) else None


class Walk:
    """The walk: words and calls in order of time, with what is held and the row of unanswered calls on the way."""

    __slots__ = ("ended", "hold", "notices", "number", "policy", "profile", "since", "spans", "unanswered")

    def __init__(
        self,
        state: PairState,
        policy: Policy,
        number: Number,
        hold: Hold,
        unanswered: tuple[tuple[str, int], ...],
        since: int,
    ) -> None:
        self.policy, self.number, self.profile = policy, state.phone_number_id, policy.profiles[number.profile]
        self.ended: list[Grant] = []
        self.notices: list[Notice] = []
        self.hold, self.unanswered, self.since = hold, unanswered, since
        self.spans = [(0, "granted" if hold.grant is not None else hold.reason)]

    @staticmethod
    def over(state: PairState, policy: Policy, number: Number) -> "Walk":
        """From the beginning, or from what was settled."""
        base = state.base
        if base is None:
            return Walk(state, policy, number, grants.NOTHING, (), 0)
        grant = Grant(*base.grant) if base.grant is not None else None
        hold = Hold(grant, base.reason, base.decided_by, base.flags, base.confirmed)
        return Walk(state, policy, number, hold, base.streak, base.until)

    @staticmethod
    def on(state: PairState, policy: Policy, number: Number, walked: Walked) -> "Walk":
        """From where the last one stopped."""
        walked = decider_named(walked, state.decisions)
        grant = filled(Grant, walked.grant) if walked.grant is not None else None
        hold = filled(Hold, (grant, walked.reason, walked.decided_by, walked.flags, walked.confirmed))
        return Walk(state, policy, number, hold, walked.streak, walked.since)

    def part(self) -> None:
        """From here on the walk goes on without the timelines that took it over: what they hold stays as it is."""
        self.ended, self.notices, self.spans = [*self.ended], [*self.notices], [*self.spans]

    def reach(self, at: int) -> None:
        """Time passes up to `at`."""
        hold, out = grants.run_out(self.hold, at)
        if out is not None:
            self.hold = hold
            self.ended.append(out)
            self.spans.append((out.ended_at or 0, "expired"))
            self.since = max(self.since, out.ended_at or 0)

    def hear(self, beat: Beat) -> None:
        """A call of the row."""
        self.reach(beat.at)
        self.since = max(self.since, beat.at)
        if beat.resets:
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
        self.since = max(self.since, word.at)
        at_threshold = len(self.unanswered) >= self.profile.at("unanswered_revoke", word.at)
        held = self.hold.grant
        inferred = self.hold.reason == "auto_revoke_inferred" and held is None
        self.hold, out = grants.decided(self.hold, word, flags, self.number, self.policy, at_threshold=at_threshold)
        grant = self.hold.grant
        if out is not None:
            self.ended.append(out)
        automatic = word.what == "reject" and grants.is_automatic(word, at_threshold=at_threshold)
        if automatic and inferred and self.ended and self.ended[-1].end_cause == "auto_revoke_inferred":
            self.ended[-1] = self.ended[-1]._replace(end_cause="auto_revoked")  # the webhook confirms what we inferred
        shown = held is None and grant is not None  # by a reading or 138017, too; one that agrees only confirms
        if automatic or shown or word.what in ("temporary", "permanent"):
            self.unanswered = ()
        self.spans.append((word.at, "granted" if grant is not None else self.hold.reason))
        # What is held may be of an older word, and so may its flags then: of this word they say nothing.
        same = held is not None and grant is not None and grant.grant_id == held.grant_id
        said = flags if same or self.hold.decided_by != word.id else self.hold.flags
        self.notices += [Notice(flag, word.id, word.at, 0) for flag in said if flag in ANOMALIES]


def _beats(state: PairState, policy: Policy) -> list[Beat]:
    if not state.calls:
        return []
    beats = [beat for call in state.calls if (beat := beat_of(call, policy)) is not None]
    beats.sort()
    return beats


def beat_of(call: Call, policy: Policy) -> Beat | None:
    """What a call does to the streak."""
    return streak.beat_of(call, calls.connected_at(call), calls.outcome_of(call), policy)


def clues(words: Sequence[Decision], place: int, book: requests.Book, policy: Policy) -> tuple[str, ...]:
    """The flags that a reply's request and its neighbours in time give it (domain 1.3)."""
    word = words[place]
    if not grants.is_reply(word):
        return ()
    flags: tuple[str, ...] = (grants.CONFLICT,) if _is_contradicted(words, place) else ()
    context = word.context_id
    if context is None or grants.is_call(context):
        return flags
    asked = book.place.get(context)
    if asked is None:
        return (*flags, "unknown_request")
    ends = requests.ends_at(book, asked, word.at, policy)
    return (*flags, "reply_to_expired_request") if ends is not None and word.at >= ends else flags


def _is_contradicted(words: Sequence[Decision], place: int) -> bool:
    """Whether another reply of the second, which stands beside it, says otherwise."""
    word = words[place]
    for way in (-1, 1):
        beside = place + way
        while 0 <= beside < len(words):
            other = words[beside]
            if other.at != word.at:
                break
            if other.what != word.what and grants.is_reply(other):
                return True
            beside += way
    return False


def prior_letter(hold: Hold) -> str:
    """The letter, in `Walked.priors`, of a request sent while `hold` is held."""
    return _PRIOR_LETTERS["granted" if hold.grant is not None else _PRIOR.get(hold.reason, hold.reason)]


def prior_of(letter: str) -> str:
    """The standing that a letter of `Walked.priors` means."""
    return _PRIORS[letter]


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
    answered = {field_of(raw, _CONTEXT) for raw in arrays_of(line.state.decisions)}
    if requests.any_open(line.sent, answered, line.at, line.policy):
        return "pending"
    if line.hold.reason in _LABELS:
        return _LABELS[line.hold.reason]
    return "no_answer" if was_asked(line) else "not_requested"


def was_asked(line: Timeline) -> bool:
    """Whether a request reached the user, or may have; one that failed or was refused did not (design 15). Whoever
    answers was asked, also by a request that nobody reported.
    """
    base = line.state.base
    if base is not None and (base.attempts > 0 if base.asked is None else base.asked):
        return True
    return requests.any_arrived(line.sent) or any(map(_is_answer, line.state.decisions))


def _is_answer(word: Decision) -> bool:
    """Whether the word answers a request."""
    return word.context_id is not None and grants.is_reply(word) and not grants.is_call(word.context_id)


def permission_of(hold: Hold) -> dict[str, Any]:
    """Meta's status; `expiration_time` only when temporary."""
    if hold.grant is None:
        return {"status": "no_permission"}
    if hold.grant.expires_at is None:
        return {"status": "permanent"}
    return {"status": "temporary", "expiration_time": hold.grant.expires_at}


def denials(state: PairState, code: int) -> list[int]:
    """When the pair's evidence said otherwise than an error that says that calling is off or the country not supported
    (design 15): by a reading, or a call that was accepted, that is, picked up. A call of the user, too, needs calling
    to be on, and says nothing of where we may call from.
    """
    direction = None if code == refusals.CALLING_OFF else streak.BUSINESS
    return [*refusals.opened(state.decisions), *calls.connected_starts(state.calls, direction)]


def service_until(line: Timeline) -> int | None:
    """Until when the user's last own sign keeps the service window open."""
    if line.other_signs is None:
        line.other_signs = _other_signs(line.state)
    signs, words = line.other_signs, line.state.decisions
    for place in range(len(words) - 1, -1, -1):  # in order of time: the last one is enough
        word = words[place]
        if grants.is_reply(word) and not grants.is_automatic(word):
            signs = [*signs, word.at]
            break
    return service_window.open_until(signs, line.at)


def same_signs(before: Timeline, after: Timeline) -> None:
    """Where nothing but words on the permission tells two timelines apart, other signs are looked for once."""
    one, other = before.state, after.state
    if one.messages is other.messages and one.calls is other.calls and one.base is other.base:
        after.other_signs = before.other_signs = _other_signs(one)


def _other_signs(state: PairState) -> list[int]:
    """The user's own signs that are no words on the permission; of messages the last."""
    signs = [state.base.service_at] if state.base is not None else []
    if state.messages:
        signs.append(arrays_of(state.messages)[-1][_MESSAGE_AT])
    for place, array in enumerate(arrays_of(state.calls)):
        at = calls.begun_at(state.calls[place]) if calls.is_of(array, streak.USER) else calls.connected_in(array)
        if at is not None:
            signs.append(at)
    return signs


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

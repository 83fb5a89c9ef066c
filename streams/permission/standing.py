"""The standing: all evidence of a pair up to an instant, judged in order of time (domain 1.1; design 4).

Owns the walk over the evidence and the labels. It composes the rules, which do not know each other: a decision ends or
gives a grant (`grants`), a request lives and ends (`requests`). As-of is the same walk with later evidence left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from schemas.policy import Policy
from schemas.state import Decision, PairState, Request
from streams.permission import grants, requests, service_window
from streams.permission.grants import Clues, Grant, Hold

_PRIOR = {
    "reading": "revoked",
    "refused_138006": "revoked",
    "number_changed": "never",
    "auto_revoke_inferred": "auto_revoked",
}
_STATUSES = ("status_sent_at", "delivered_at", "read_at", "failed_at", "error_code")
_LABELS = {"declined": "denied", "revoked": "denied", "auto_revoked": "auto_revoked", "expired": "expired"}


@dataclass(frozen=True, slots=True)
class Timeline:
    """A pair judged at `at`: what is held, every grant so far (ended ones first), every request with its life."""

    at: int
    hold: Hold
    ended: tuple[Grant, ...]
    lives: tuple[requests.Life, ...]
    own_replies: tuple[Decision, ...]

    @property
    def grants(self) -> tuple[Grant, ...]:
        """Every grant of the pair, in the order they were given."""
        return self.ended if self.hold.grant is None else (*self.ended, self.hold.grant)


def as_of(state: PairState, at: int) -> PairState:
    """The state with evidence later than `at` left out; the state itself where nothing is later."""
    if at >= state.judged_at:
        return state
    kept = tuple(mark for mark in state.decisions if mark.at <= at)
    clipped = tuple(_clip(entry, at) for entry in state.requests)
    return PairState(
        phone_number_id=state.phone_number_id,
        user=state.user,
        version=state.version,
        judged_at=at,
        decisions=kept,
        requests=clipped,
        aliases=state.aliases,
        dropped=state.dropped,
    )


def _clip(entry: Request, at: int) -> Request:
    def seen(instant: int | None) -> int | None:
        return instant if instant is not None and instant <= at else None

    if entry.sent_at is not None and entry.sent_at > at:  # what it was is known only once it was sent
        nothing = Request(entry.message_id)
        entry = nothing._replace(**{name: getattr(entry, name) for name in _STATUSES})
    failed_at = seen(entry.failed_at)
    return entry._replace(
        sent_at=seen(entry.sent_at),
        status_sent_at=seen(entry.status_sent_at),
        delivered_at=seen(entry.delivered_at),
        read_at=seen(entry.read_at),
        failed_at=failed_at,
        error_code=entry.error_code if failed_at is not None else None,
    )


def timeline(state: PairState, at: int, policy: Policy) -> Timeline:
    """The evidence of `state` up to `at`, walked in order of time."""
    state = as_of(state, at)
    sent = requests.known(state.requests)
    newer = {entry.message_id: tuple(sent[place + 1 :]) for place, entry in enumerate(sent)}
    by_id = {entry.message_id: entry for entry in state.requests}
    answers: dict[str, list[Decision]] = {}
    for mark in state.decisions:
        if mark.context_id is not None and not grants.is_call(mark.context_id):
            answers.setdefault(mark.context_id, []).append(mark)

    hold, ended, spans = grants.NOTHING, list[Grant](), [(0, "never")]
    for place, mark in enumerate(state.decisions):
        hold, out = grants.run_out(hold, mark.at)
        if out is not None:
            ended.append(out)
            spans.append((out.ended_at or 0, "expired"))
        clues = Clues(_clues(state.decisions, place, by_id, newer, answers, policy))
        hold, out = grants.decided(hold, mark, clues, state.phone_number_id, policy)
        if out is not None:
            ended.append(out)
        spans.append((mark.at, "granted" if hold.grant is not None else hold.reason))
    hold, out = grants.run_out(hold, at)
    if out is not None:
        ended.append(out)
        spans.append((out.ended_at or 0, "expired"))

    lives = [requests.live(entry, newer[entry.message_id], answers, at, policy) for entry in sent]
    lives = [
        life._replace(attempt=count, prior=_prior(spans, life.anchor_at)) for count, life in enumerate(lives, start=1)
    ]
    for context in sorted(answers.keys() - newer.keys()):
        life = requests.live(by_id.get(context, Request(context)), (), answers, at, policy)
        lives.append(life._replace(prior=_prior(spans, life.anchor_at - 1)))
    own = tuple(mark for mark in state.decisions if not grants.is_automatic(mark))
    return Timeline(at, hold, tuple(ended), tuple(lives), own)


def _clues(
    decisions: tuple[Decision, ...],
    place: int,
    by_id: dict[str, Request],
    newer: dict[str, tuple[Request, ...]],
    answers: dict[str, list[Decision]],
    policy: Policy,
) -> tuple[str, ...]:
    """The flags that a decision's request and its neighbours in time give it (domain 1.3)."""
    mark = decisions[place]
    flags = []
    rank = grants.rank(mark)
    if any(grants.rank(other) != rank for other in _same_second(decisions, place)):
        flags.append("same_second_conflict")
    context = mark.context_id
    if context is not None and not grants.is_call(context):
        if context not in newer:
            flags.append("unknown_request")
        else:
            ends = requests.ends_at(by_id[context], newer[context], answers, mark.at, policy)
            if ends is not None and mark.at >= ends:
                flags.append("reply_to_expired_request")
    return tuple(flags)


def _same_second(decisions: tuple[Decision, ...], place: int) -> Iterator[Decision]:
    """The other decisions of the second, which stand beside it."""
    at = decisions[place].at
    for way in (range(place - 1, -1, -1), range(place + 1, len(decisions))):
        yield from takewhile(lambda other: other.at == at, (decisions[other] for other in way))


def _prior(spans: list[tuple[int, str]], at: int) -> str:
    """The standing of the pair at `at`, in the words of a request row."""
    reason = "never"
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
    return "no_answer" if asked else "not_requested"


def permission_of(hold: Hold) -> dict[str, Any]:
    """Meta's status; `expiration_time` only when temporary."""
    if hold.grant is None:
        return {"status": "no_permission"}
    if hold.grant.expires_at is None:
        return {"status": "permanent"}
    return {"status": "temporary", "expiration_time": hold.grant.expires_at}


def standing_of(line: Timeline) -> dict[str, Any]:
    """The `standing` object of an answer, a standing line and a change (design 13)."""
    hold, grant = line.hold, line.hold.grant
    return {
        "label": label_of(line),
        "reason": None if grant else hold.reason,
        "via": grant.via if grant else None,
        "source": grant.source if grant else None,
        "confirmed": grant.confirmed if grant else True,
        "granted_at": grant.granted_at if grant else None,
        "request_id": grant.request_id if grant else None,
        "unanswered_streak": 0,
        "service_window_until": service_window.open_until(line.own_replies, line.at),
        "flags": sorted(hold.flags),
    }

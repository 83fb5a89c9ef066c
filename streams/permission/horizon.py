"""The horizon: evidence that no rule can still need is settled, so that a pair stays small (design 4).

Owns what is settled and when. A fact that is displaced by more than the horizon is kept in the log, counted, and
changes nothing; so a mark can be settled once it lies the horizon and the longest life of a request before the pair's
latest receipt. The walk up to there is kept as `Base`, the marks go. A request and its answers, or a call, are
settled whole or not at all. Spans are seconds.

What another name of the user hands on was never judged here, however old it is: it counts unless the latest word here
is newer, and nothing is settled while more of it may be on its way.
"""

from collections.abc import Iterable
from typing import Final

from schemas.events import PairFact, UsersLinked
from schemas.marks import Call, Refusal, Request
from schemas.policy import Policy
from schemas.state import Base, PairState
from streams.permission import refusals
from streams.permission.calls import begun_at
from streams.permission.number import Number
from streams.permission.proof import proof_of
from streams.permission.standing import denials, service_until, timeline, was_asked
from streams.permission.windows import DAY_S, WEEK_S

HORIZON_S: Final = 30 * DAY_S
"""Longer than Meta's seven days of retries plus seven days of a request's or grant's life."""
LIFE_S: Final = 2 * WEEK_S
"""An answer comes within a week of delivery, delivery within a week of sending."""
SLACK_S: Final = DAY_S
"""Settling waits until this much can be settled at once: it costs a walk."""
EVERY: Final = 16
"""Settling is tried at every so many stored changes: looking costs more than a step should."""


def too_late(state: PairState, fact: PairFact, horizon_s: int | None) -> bool:
    """Whether the fact lies beyond the horizon: older than its receipt by more, or older than what is settled.

    A link never does: it is timeless, and nobody sends it a second time for being late.
    """
    if horizon_s is None or isinstance(fact, UsersLinked):
        return False
    return fact.recorded_at - fact.occurred_at > horizon_s or (state.base is not None and _is_before(state.base, fact))


def _is_before(base: Base, fact: PairFact) -> bool:
    """Whether what was settled already says what the fact could say, or something newer."""
    if not fact.forwarded:
        return fact.occurred_at <= base.until
    call_id = getattr(fact, "call_id", None)
    return fact.occurred_at <= base.decided_at or any(name == call_id for name, _ in base.streak)


def settled(
    state: PairState, policy: Policy, number: Number, horizon_s: int | None, fact: PairFact | None = None
) -> PairState:
    """The state with what lies before the horizon settled; the state itself while there is little to settle. `fact`:
    what came last.
    """
    if horizon_s is None or state.version % EVERY:
        return state
    until = state.recorded_at - horizon_s - LIFE_S
    if fact is not None and fact.forwarded and fact.occurred_at <= until:
        return state
    spans = [*_requests(state), *_calls(state), *[(word.at, word.at) for word in state.decisions]]
    if not spans or until - min(first for first, _ in spans) < SLACK_S:
        return state
    while (straddling := [first for first, last in spans if first <= until < last]) != []:
        until = min(straddling) - 1
    if all(first > until for first, _ in spans):
        return state
    line = timeline(state, until, policy, number)
    hold, base, words = line.hold, state.base, line.state.decisions
    service = service_until(line)
    gone = [entry for entry in state.requests if _first(entry) <= until]
    rest = state._replace(
        base=Base(
            until=until,
            reason=hold.reason,
            decided_by=hold.decided_by,
            decided_at=words[-1].at if words else base.decided_at if base is not None else 0,
            flags=hold.flags,
            confirmed=hold.confirmed,
            grant=tuple(hold.grant) if hold.grant is not None else None,
            streak=line.unanswered,
            attempts=(base.attempts if base is not None else 0) + sum(entry.sent_at is not None for entry in gone),
            service_at=service - DAY_S if service is not None else 0,
            asked=was_asked(line),
        ),
        proof=proof_of(state, line, policy, number),
        decisions=tuple(word for word in state.decisions if word.at > until),
        requests=tuple(entry for entry in state.requests if _first(entry) > until),
        refusals=tuple(mark for mark in state.refusals if mark.at > until or _still_blocks(mark, state, line.state)),
        calls=tuple(call for call in state.calls if begun_at(call) > until),
        messages=tuple(message for message in state.messages if message.at > until),
    )
    if state.walked is None or state.walked.by != policy.rules_of(number.profile):
        return rest._replace(walked=None)  # judged by another policy file: the next fact walks anew
    # Walked at once, not with the next fact: by then the number may be of another profile.
    return rest._replace(walked=timeline(rest, rest.judged_at, policy, number).walked(number))


def _requests(state: PairState) -> Iterable[tuple[int, int]]:
    """First and last sign of every request, its answers included."""
    answered: dict[str, list[int]] = {}
    for word in state.decisions:
        if word.context_id is not None:
            answered.setdefault(word.context_id, []).append(word.at)
    for entry in state.requests:
        signs = [*_signs(entry), *answered.get(entry.message_id, ())]
        yield min(signs), max(signs)


def _calls(state: PairState) -> Iterable[tuple[int, int]]:
    return [(begun_at(call), _last(call)) for call in state.calls]


def _signs(entry: Request) -> list[int]:
    known = (entry.sent_at, entry.status_sent_at, entry.delivered_at, entry.read_at, entry.failed_at)
    return [sign for sign in known if sign is not None]


def _first(entry: Request) -> int:
    return min(_signs(entry))


def _last(call: Call) -> int:
    signs = (call.terminated_at, call.rejected_at, call.started_at, call.accepted_at, call.ringing_at, call.disposed_at)
    return max((sign for sign in signs if sign is not None), default=begun_at(call))


def _still_blocks(mark: Refusal, state: PairState, gone: PairState) -> bool:
    """The last word that calling is off or the country not supported holds until something newer denies it, which may
    be settled with it (`gone`).
    """
    code = mark.error_code
    if code not in (refusals.CALLING_OFF, refusals.COUNTRY) or mark.at != refusals.latest(state.refusals, code):
        return False
    return refusals.still_holds(mark.at, denials(gone, code))

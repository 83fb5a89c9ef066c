"""What became of each call (domain 1.6, 3.6; design 15, *Calls*)."""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.events import (
    CallConnected,
    CallEnded,
    CallOffered,
    CallRejected,
    CallRinging,
    DispositionRecorded,
    PairFact,
)
from schemas.policy import Policy

PULSE_S = 6
CALL_FACTS = (CallOffered, CallRinging, CallConnected, CallRejected, CallEnded)


@dataclass(frozen=True)
class Called:
    """One call with every fact known so far."""

    id: str
    by_user: bool
    first_sign_at: int
    offers: tuple[CallOffered, ...]
    connected_at: int | None
    rejected_at: int | None
    end: CallEnded | None
    disposition: str | None

    @property
    def outcome(self) -> str:
        failed = self.end is not None and self.end.status == "failed"
        if self.connected_at is not None:
            return "technical_failure" if failed else "connected"
        if self.rejected_at is not None:
            return "rejected"
        if failed:
            return "technical_failure"
        if self.end is None:
            return "open"
        return "cancelled" if self.end.status == "cancelled" else "unanswered"

    def unanswered_at(self, policy: Policy) -> int | None:
        """When it counts into the run of unanswered calls; None when it does not."""
        if self.by_user or self.connected_at is not None:
            return None
        counts = {
            "rejected": True,
            "unanswered": True,
            "cancelled": policy.defaults.count_business_cancelled_in_streak,
            "technical_failure": policy.defaults.count_failed_calls_in_streak,
        }
        if not counts.get(self.outcome, False):
            return None
        return self.end.occurred_at if self.rejected_at is None and self.end else self.rejected_at


def calls_of(facts: Iterable[PairFact]) -> list[Called]:
    """Every call these facts know of, by id."""
    facts = list(facts)
    ids = sorted({fact.call_id for fact in facts if isinstance(fact, CALL_FACTS)})
    return [_called(call_id, facts) for call_id in ids]


def _called(call_id: str, facts: list[PairFact]) -> Called:
    mine = [fact for fact in facts if isinstance(fact, CALL_FACTS) and fact.call_id == call_id]
    picked_up = [fact for fact in mine if isinstance(fact, CallConnected)]
    ends = [fact for fact in mine if isinstance(fact, CallEnded)]
    rejects = [fact.occurred_at for fact in mine if isinstance(fact, CallRejected)]
    notes = [fact.outcome for fact in facts if isinstance(fact, DispositionRecorded) and fact.call_id == call_id]
    directions = {fact.direction for fact in mine if isinstance(fact, CallOffered | CallConnected | CallEnded)}
    starts = [fact.occurred_at for fact in picked_up if fact.exact]
    starts += [fact.started_at for fact in ends if fact.started_at is not None]  # a terminate alone proves the pick-up
    accepts = [fact.occurred_at for fact in picked_up]
    return Called(
        id=call_id,
        by_user="user_initiated" in directions,
        first_sign_at=min(fact.occurred_at for fact in mine),
        offers=tuple(fact for fact in mine if isinstance(fact, CallOffered)),
        connected_at=min(starts or accepts, default=None),
        rejected_at=rejects[0] if rejects else None,
        end=ends[0] if ends else None,
        disposition=notes[-1] if notes else None,
    )

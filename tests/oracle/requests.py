"""What became of each request, and when its life ends (domain 1.4).

A message is a request of ours when the business said so, or when a reply answers it. Statuses alone make none.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.events import MessageStatus, PairFact, RequestSent
from schemas.policy import Policy
from tests.oracle.facts import Reply, replies_of


@dataclass(frozen=True)
class Asked:
    """One request with every mark known so far. `sent` is None when only a reply speaks of it."""

    id: str
    sent: RequestSent | None
    first_sign_at: int
    delivered_at: int | None
    read_at: int | None
    failed_at: int | None
    error_code: int | None
    replies: tuple[Reply, ...]

    @property
    def sent_at(self) -> int | None:
        return None if self.sent is None else self.sent.occurred_at

    @property
    def started_at(self) -> int:
        return self.first_sign_at if self.sent is None else self.sent.occurred_at


def requests_of(facts: Iterable[PairFact]) -> list[Asked]:
    """Every request these facts know of, by time and id."""
    facts = list(facts)
    replies = replies_of(facts)
    sent = {fact.message_id: fact for fact in facts if isinstance(fact, RequestSent)}
    answered = {reply.request_id for reply in replies if reply.request_id is not None}
    found = [_asked(message_id, facts, replies, sent.get(message_id)) for message_id in sent.keys() | answered]
    return sorted(found, key=lambda asked: (asked.started_at, asked.id))


def _asked(message_id: str, facts: list[PairFact], replies: list[Reply], sent: RequestSent | None) -> Asked:
    statuses = [fact for fact in facts if isinstance(fact, MessageStatus) and fact.message_id == message_id]
    when = {fact.status: fact.occurred_at for fact in statuses}
    codes = [fact.error_code for fact in statuses if fact.status == "failed"]
    mine = tuple(reply for reply in replies if reply.request_id == message_id)
    return Asked(
        id=message_id,
        sent=sent,
        first_sign_at=min([*when.values(), *(reply.at for reply in mine), *([sent.occurred_at] if sent else [])]),
        delivered_at=when.get("delivered", when.get("read")),
        read_at=when.get("read"),
        failed_at=when.get("failed"),
        error_code=codes[0] if codes else None,
        replies=mine,
    )


def newer_than(asked: Asked, everyone: list[Asked]) -> list[Asked]:
    """The requests the business sent after this one; none where nobody says when this one was sent."""
    if asked.sent is None:
        return []
    return [
        other
        for other in everyone
        if other.sent is not None and (other.started_at, other.id) > (asked.started_at, asked.id)
    ]


def superseded_at(asked: Asked, everyone: list[Asked], policy: Policy) -> int | None:
    """When a newer request reached the user while this one was unanswered and alive."""
    if asked.replies or asked.failed_at is not None:
        return None
    arrivals = [other.delivered_at for other in newer_than(asked, everyone) if other.delivered_at is not None]
    if not arrivals or min(arrivals) > _unanswered_until(asked, policy):
        return None
    return min(arrivals)


def expires_at(asked: Asked, everyone: list[Asked], policy: Policy) -> int | None:
    """When its life ends if nothing else happens; None when it never reached the user."""
    if asked.failed_at is not None and not asked.replies:
        return None
    if not asked.replies:
        return superseded_at(asked, everyone, policy) or _unanswered_until(asked, policy)
    first_at, last_at = asked.replies[0].at, asked.replies[-1].at
    ends = [reply.at for other in newer_than(asked, everyone) for reply in other.replies if reply.at >= first_at]
    return min([last_at + policy.defaults.request_open_seconds, *ends])


def _unanswered_until(asked: Asked, policy: Policy) -> int:
    start = asked.started_at if asked.delivered_at is None else asked.delivered_at
    return start + policy.defaults.request_open_seconds


def final_class(asked: Asked, everyone: list[Asked], at: int, policy: Policy) -> str:
    """The one class it belongs to at an instant (domain 6.2)."""
    if asked.replies:  # whoever answers has received it, whatever a failed status says
        return asked.replies[0].kind
    if asked.failed_at is not None:
        return "failed"
    if superseded_at(asked, everyone, policy) is not None:
        return "superseded"
    end = expires_at(asked, everyone, policy)
    return "expired_no_response" if end is not None and end <= at else "open"

"""The life of a permission request: open, answered, superseded, expired (domain 1.4, 6.2; design 15, requests).

Owns final classes, expiry instants and which requests count in a window. Refuses to know what an answer did to the
grant.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.policy import Policy
from schemas.state import Decision, Request

Answers = Mapping[str, Sequence[Decision]]


class Life(NamedTuple):
    """One request judged at an instant; the fields of a request row (design 13). `attempt` and `prior` are the
    pair's.
    """

    request_id: str
    kind: str
    template: tuple[str, str, str] | None
    campaign: str | None
    origin: str | None
    attempt: int
    prior: str
    anchor_at: int
    sent_at: int | None
    delivered_at: int | None
    read_at: int | None
    failed_at: int | None
    error_code: int | None
    first_response: str | None
    first_response_at: int | None
    last_response: str | None
    last_response_at: int | None
    superseded_at: int | None
    expires_at: int | None
    final_class: str


def known(requests: Sequence[Request]) -> list[Request]:
    """The requests we know as sent, in the order of sending."""
    return sorted((entry for entry in requests if entry.sent_at is not None), key=_sent)


def _sent(request: Request) -> tuple[int, str]:
    return request.sent_at or 0, request.message_id


def counted(requests: Sequence[Request], policy: Policy, reset_at: int = 0) -> list[int]:
    """The instants that count in the request windows, sorted: sent after `reset_at`, failed ones released (domain
    2.1).
    """
    keep_failed = policy.defaults.count_failed_requests
    return sorted(
        entry.sent_at
        for entry in requests
        if entry.sent_at is not None and entry.sent_at > reset_at and (keep_failed or entry.failed_at is None)
    )


def response_of(decision: Decision) -> str:
    """The class of one answer."""
    if not decision.accept:
        return "declined"
    return "accepted_permanent" if decision.permanent else "accepted_temporary"


def delivered_at(request: Request) -> int | None:
    """When it was delivered; read implies delivered, so a missing delivery takes the time of reading (domain 3.7)."""
    return request.delivered_at if request.delivered_at is not None else request.read_at


def superseded_at(newer: Sequence[Request]) -> int | None:
    """When an untouched request was pushed aside: the first delivery of a newer one (domain 1.4)."""
    deliveries = [delivery for entry in newer if (delivery := delivered_at(entry)) is not None]
    return min(deliveries, default=None)


def ends_at(request: Request, newer: Sequence[Request], answers: Answers, before: int, policy: Policy) -> int | None:
    """When the request stops being on the user's screen, seen with the answers given before `before`; None: it failed.

    Unanswered: `request_open_seconds` after delivery (sending, when no delivery is known), or when superseded.
    Answered: as long after the last answer, or when the newer one is answered.
    """
    span = policy.defaults.request_open_seconds
    given = [answer.at for answer in answers.get(request.message_id, ()) if answer.at < before]
    if given:
        later = [
            answer.at
            for entry in newer
            for answer in answers.get(entry.message_id, ())
            if given[0] <= answer.at < before
        ]
        return min([given[-1] + span, *later])
    if request.failed_at is not None:
        return None
    delivery = delivered_at(request)
    own = (delivery if delivery is not None else request.sent_at or 0) + span
    pushed = superseded_at(newer)
    return own if pushed is None else min(own, pushed)


def live(request: Request, newer: Sequence[Request], answers: Answers, at: int, policy: Policy) -> Life:
    """The request as judged at `at`, from evidence up to `at`. `attempt` and `prior` are filled in by the caller."""
    given = answers.get(request.message_id, ())
    first, last = (given[0], given[-1]) if given else (None, None)
    ends = ends_at(request, newer, answers, at + 1, policy)
    pushed = None
    if first is not None:
        final = response_of(first)
    elif request.failed_at is not None:
        final = "failed"
    elif (aside := superseded_at(newer)) is not None and aside == ends:
        pushed, final = aside, "superseded"
    else:
        final = "expired_no_response" if ends is not None and at >= ends else "open"
    signs = (request.sent_at, request.status_sent_at, request.delivered_at, request.read_at, request.failed_at)
    known_signs = [sign for sign in (*signs, first.at if first else None) if sign is not None]
    return Life(
        request_id=request.message_id,
        kind=request.kind,
        template=request.template,
        campaign=request.campaign,
        origin=request.origin,
        attempt=0,
        prior="never",
        anchor_at=request.sent_at if request.sent_at is not None else min(known_signs),
        sent_at=request.sent_at,
        delivered_at=delivered_at(request),
        read_at=request.read_at,
        failed_at=request.failed_at,
        error_code=request.error_code,
        first_response=response_of(first) if first else None,
        first_response_at=first.at if first else None,
        last_response=response_of(last) if last else None,
        last_response_at=last.at if last else None,
        superseded_at=pushed,
        expires_at=ends,
        final_class=final,
    )

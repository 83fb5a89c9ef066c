"""The simulator's own idea of Meta's rules (domain 1.2 to 1.4, 2.1): the obvious way, over sorted lists, nothing kept
between calls.

Owns what follows from a pair's happenings at an instant: its grants, its permission, the final class of each request,
what may be sent or answered. Refuses to share a line with the product: were both built from one core, their agreement
would prove nothing.

Decisions bound here
- A happening later than the instant asked has not happened. Something that ends at `x` has ended at `x`.
- A request's class is its *first* answer's; only `changed_mind` looks at the last one (domain 6.2).
- An unanswered request ends with the delivery of a newer one or seven days after its own delivery, whichever comes
  first. Never delivered: seven days after it was sent.
- A failed request does not count against the limits (domain A28).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from streams.simulator.happenings import (
    DAY_S,
    WEEK_S,
    Answer,
    Happening,
    Replied,
    RequestSent,
    StatusName,
    StatusReported,
)

EndCause = Literal["revoked_via_request", "revoked_via_profile", "expired", "replaced"]
Response = Literal["accepted_temporary", "accepted_permanent", "declined"]
FinalClass = Response | Literal["refused", "failed", "expired_no_response", "superseded", "open"]
PermissionStatus = Literal["no_permission", "temporary", "permanent"]

RESPONSES: dict[Answer, Response] = {
    "temporary": "accepted_temporary",
    "permanent": "accepted_permanent",
    "reject": "declined",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    kind: Literal["temporary", "permanent"]
    via: Literal["request", "profile"]
    request_id: str | None
    granted_at: int
    expires_at: int | None
    ended_at: int | None = None
    end_cause: EndCause | None = None

    def holds(self, at: int) -> bool:
        return (self.ended_at is None or at < self.ended_at) and (self.expires_at is None or at < self.expires_at)


@dataclass(frozen=True, slots=True)
class Permission:
    """Meta's word for the pair at an instant; `expires_at` only when temporary."""

    status: PermissionStatus
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """One request judged at an instant."""

    request: RequestSent
    delivered_at: int | None
    read_at: int | None
    failed_at: int | None
    error_code: int | None
    answers: tuple[tuple[int, Response], ...]
    superseded_at: int | None
    expires_at: int
    final_class: FinalClass

    @property
    def changed_mind(self) -> bool:
        return bool(self.answers) and self.answers[0][1] != self.answers[-1][1]


def grants(happenings: Iterable[Happening], at: int) -> list[Grant]:
    """The pair's grants until `at`, oldest first; all but the last have ended."""
    given: list[Grant] = []
    for reply in sorted((h for h in happenings if isinstance(h, Replied) and h.at <= at), key=lambda r: r.at):
        running = given[-1] if given and given[-1].holds(reply.at) else None
        match reply.answer:
            case "reject":
                if running:
                    cause: EndCause = "revoked_via_request" if reply.request_id else "revoked_via_profile"
                    given[-1] = replace(running, ended_at=reply.at, end_cause=cause)
            case "permanent" | "temporary":
                if running and running.kind == reply.answer == "permanent":
                    continue  # saying for ever twice is one grant
                if running:
                    given[-1] = replace(running, ended_at=reply.at, end_cause="replaced")
                given.append(_granted(reply, reply.answer))
            case other:
                assert_never(other)
    return [_run_out(grant, at) for grant in given]


def _granted(reply: Replied, kind: Literal["temporary", "permanent"]) -> Grant:
    via: Literal["request", "profile"] = "request" if reply.request_id else "profile"
    return Grant(kind=kind, via=via, request_id=reply.request_id, granted_at=reply.at, expires_at=reply.expires_at)


def _run_out(grant: Grant, at: int) -> Grant:
    if grant.ended_at is None and grant.expires_at is not None and grant.expires_at <= at:
        return replace(grant, ended_at=grant.expires_at, end_cause="expired")
    return grant


def permission(happenings: Iterable[Happening], at: int) -> Permission:
    given = grants(happenings, at)
    if not given or not given[-1].holds(at):
        return Permission("no_permission")
    return Permission(given[-1].kind, given[-1].expires_at)


def requests(happenings: Sequence[Happening], at: int) -> list[RequestRow]:
    """The pair's requests until `at`, oldest first, each with its class at `at`."""
    known = [h for h in happenings if h.at <= at]
    sent = sorted((h for h in known if isinstance(h, RequestSent)), key=lambda r: r.at)
    return [_judge(request, sent[place + 1 :], known, at) for place, request in enumerate(sent)]


def _judge(request: RequestSent, newer: Sequence[RequestSent], known: Sequence[Happening], at: int) -> RequestRow:
    delivered_at = _delivered_at(request, known)
    expires_at = (delivered_at if delivered_at is not None else request.at) + WEEK_S
    answers = tuple((r.at, RESPONSES[r.answer]) for r in sorted(_answers(request, known), key=lambda r: r.at))
    failed = [
        h
        for h in known
        if isinstance(h, StatusReported) and h.message_id == request.message_id and h.status == "failed"
    ]
    arrivals = [arrived for arrived in (_delivered_at(n, known) for n in newer) if arrived is not None]
    superseded_at = min(arrivals) if arrivals and not answers and not failed and min(arrivals) < expires_at else None
    final: FinalClass
    if answers:
        final = answers[0][1]
    elif failed:
        final = "failed"
    elif superseded_at is not None:
        final = "superseded"
    elif expires_at <= at:
        final = "expired_no_response"
    else:
        final = "open"
    return RequestRow(
        request=request,
        delivered_at=delivered_at,
        read_at=_reported_at(request, "read", known),
        failed_at=failed[0].at if failed else None,
        error_code=failed[0].error_code if failed else None,
        answers=answers,
        superseded_at=superseded_at,
        expires_at=expires_at,
        final_class=final,
    )


def _reported_at(request: RequestSent, status: StatusName, known: Iterable[Happening]) -> int | None:
    reports = (h for h in known if isinstance(h, StatusReported) and h.message_id == request.message_id)
    return min((h.at for h in reports if h.status == status), default=None)


def _delivered_at(request: RequestSent, known: Sequence[Happening]) -> int | None:
    """Reading implies delivery: without a delivered status the time of reading stands in."""
    delivered = _reported_at(request, "delivered", known)
    return delivered if delivered is not None else _reported_at(request, "read", known)


def _answers(request: RequestSent, known: Iterable[Happening]) -> list[Replied]:
    return [h for h in known if isinstance(h, Replied) and h.request_id == request.message_id]


def may_request_from(happenings: Sequence[Happening], at: int) -> int | None:
    """The first instant from `at` on when Meta takes a request (1 per 24 h, 2 per 7 d); None while permanent."""
    if permission(happenings, at).status == "permanent":
        return None
    counted = sorted(row.request.at for row in requests(happenings, at) if row.failed_at is None)
    free_at = [at]
    if counted:
        free_at.append(counted[-1] + DAY_S)
    if len(counted) >= 2:
        free_at.append(counted[-2] + WEEK_S)
    return max(free_at)


def may_answer(happenings: Sequence[Happening], request_id: str, at: int) -> bool:
    """Does the user still see this request's buttons? (The expiry rules of domain 1.4.)"""
    rows = requests(happenings, at)
    place = next(index for index, row in enumerate(rows) if row.request.message_id == request_id)
    row = rows[place]
    if row.answers:
        return at < row.answers[-1][0] + WEEK_S and not any(later.answers for later in rows[place + 1 :])
    return row.delivered_at is not None and row.final_class == "open"

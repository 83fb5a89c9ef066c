"""The life of a permission request: open, answered, superseded, expired (domain 1.4, 6.2; design 15, requests).

Owns final classes, expiry instants and which requests count in a window. Refuses to know what an answer did to the
grant.
"""

from bisect import bisect_left
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final, NamedTuple

from schemas.mark_lists import arrays_of, field_of, filled
from schemas.marks import Decision, Refusal, Request
from schemas.policy import Policy

Answers = Mapping[str, Sequence[Decision]]
"""By request: its answers in order of time, at least one."""
_SENT: Final = Request._fields.index("sent_at")
_FAILED: Final = Request._fields.index("failed_at")
_DELIVERED: Final = Request._fields.index("delivered_at")
_READ: Final = Request._fields.index("read_at")
_RESPONSES: Final = {"temporary": "accepted_temporary", "permanent": "accepted_permanent", "reject": "declined"}


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
    return sorted([entry for entry in requests if entry.sent_at is not None], key=_by_sending)


def _by_sending(request: Request) -> tuple[int, str]:
    return request.sent_at or 0, request.message_id


def counted(requests: Sequence[Request], policy: Policy, reset_at: int = 0) -> list[int]:
    """The instants that count in the request windows, sorted: sent after `reset_at`, failed ones released (domain
    2.1).
    """
    keep_failed = policy.defaults.count_failed_requests
    times: list[int] = []
    for raw in arrays_of(requests):
        sent_at = field_of(raw, _SENT)
        if sent_at is not None and sent_at > reset_at and (keep_failed or field_of(raw, _FAILED) is None):
            times.append(sent_at)
    times.sort()
    return times


def response_of(decision: Decision) -> str:
    """The class of one answer."""
    return _RESPONSES[decision.what]


def delivered_at(request: Request) -> int | None:
    """When it was delivered; read implies delivered, so a missing delivery takes the time of reading (domain 3.7)."""
    return request.delivered_at if request.delivered_at is not None else request.read_at


def delivered_in(array: Sequence[Any]) -> int | None:
    """`delivered_at` of a request's array, which need not be made for it."""
    delivery: int | None = field_of(array, _DELIVERED)
    if delivery is None:
        delivery = field_of(array, _READ)
    return delivery


class Book:
    """The requests of a pair with their answers, in the order of sending, made once for many questions.

    `aside[place]`: when an untouched request is pushed aside, the first delivery of a newer one (domain 1.4).
    """

    __slots__ = ("answered", "answers", "aside", "place", "sent")

    def __init__(self, requests: Sequence[Request], answers: Answers) -> None:
        self.sent = known(requests)
        self.place = {entry.message_id: place for place, entry in enumerate(self.sent)}
        self.aside: list[int | None] = [None] * len(self.sent)
        first: int | None = None
        for place in range(len(self.sent) - 1, -1, -1):
            self.aside[place] = first
            delivery = delivered_at(self.sent[place])
            if delivery is not None and (first is None or delivery < first):
                first = delivery
        self.answers = answers
        answered: list[tuple[int, int]] = []
        for name, given in answers.items():
            known_as = self.place.get(name)
            if known_as is not None:
                answered += [(answer.at, known_as) for answer in given]
        answered.sort()
        self.answered = answered

    def newer_answer(self, place: int, since: int, before: int) -> int | None:
        """When a request newer than the one at `place` was first answered from `since` on, and before `before`."""
        answered = self.answered
        for turn in range(bisect_left(answered, (since, 0)), len(answered)):
            at, other = answered[turn]
            if at >= before:
                return None
            if other > place:
                return at
        return None


def ends_at(book: Book, place: int, before: int, policy: Policy) -> int | None:
    """When the request at `place` stops being on the user's screen, seen with the answers given before `before`.

    Unanswered: `request_open_seconds` after delivery (sending, when no delivery is known), or when superseded; None: it
    failed. Answered: as long after the last answer, or when a newer one is answered.
    """
    request = book.sent[place]
    given = book.answers.get(request.message_id)
    if given is not None and given[0].at < before:
        span, last = policy.defaults.request_open_seconds, given[0].at
        for answer in given:
            if answer.at < before:
                last = answer.at
        newer = book.newer_answer(place, given[0].at, before)
        return last + span if newer is None else min(last + span, newer)
    return _unanswered_ends_at(request, book.aside[place], policy)


def live(book: Book, place: int, at: int, policy: Policy, attempt: int, prior: str) -> Life:
    """The request at `place` as judged at `at`, from evidence up to `at`."""
    request, aside = book.sent[place], book.aside[place]
    given = book.answers.get(request.message_id, ())
    if given:
        ends = ends_at(book, place, at + 1, policy)
        return _life(request, given, ends, response_of(given[0]), attempt, prior)
    return waiting(request, aside, at, policy, attempt, prior)


def waiting(request: Request, aside: int | None, at: int, policy: Policy, attempt: int, prior: str) -> Life:
    """A request that nobody answered, as judged at `at`. `aside`: the first delivery of a newer one."""
    ends, pushed = _unanswered_ends_at(request, aside, policy), None
    if ends is None:
        final = "failed"
    elif aside == ends:
        final, pushed = "superseded", aside
    else:
        final = "expired_no_response" if at >= ends else "open"
    fields = (
        request.message_id,
        request.kind or "",
        request.template,
        request.campaign,
        request.origin,
        attempt,
        prior,
        request.sent_at or 0,
        request.sent_at,
        delivered_at(request),
        request.read_at,
        request.failed_at,
        request.error_code,
        None,
        None,
        None,
        None,
        pushed,
        ends,
        final,
    )
    return filled(Life, fields)


def _unanswered_ends_at(request: Request, aside: int | None, policy: Policy) -> int | None:
    return None if request.failed_at is not None else _ends(request.sent_at, delivered_at(request), aside, policy)


def _ends(sent_at: int | None, delivery: int | None, aside: int | None, policy: Policy) -> int:
    own = (delivery if delivery is not None else sent_at or 0) + policy.defaults.request_open_seconds
    return own if aside is None else min(own, aside)


def known_arrays(requests: Sequence[Request]) -> list[Sequence[Any]]:
    """As `known`, the arrays of the marks: to ask the two questions below of many requests."""
    sent = [raw for raw in arrays_of(requests) if field_of(raw, _SENT) is not None]
    sent.sort(key=_array_by_sending)
    return sent


def _array_by_sending(raw: Sequence[Any]) -> tuple[int, str]:
    return raw[_SENT], raw[0]


def any_open(sent: Sequence[Sequence[Any]], answered: Container[str | None], at: int, policy: Policy) -> bool:
    """Whether one of the requests (`known_arrays`) still waits for its first answer at `at`."""
    aside: int | None = None
    for place in range(len(sent) - 1, -1, -1):  # `reversed` makes an object and a call a turn, in the compiled core
        raw = sent[place]
        delivery = delivered_in(raw)
        if field_of(raw, _FAILED) is None:
            ends = _ends(raw[_SENT], delivery, aside, policy)
            if at < ends and ends != aside and raw[0] not in answered:
                return True
        if delivery is not None and (aside is None or delivery < aside):
            aside = delivery
    return False


def any_arrived(sent: Sequence[Sequence[Any]]) -> bool:
    """Whether one of the requests (`known_arrays`) may have reached the user: it did not fail."""
    return any(field_of(raw, _FAILED) is None for raw in sent)


def known_by_reply(request: Request, given: Sequence[Decision], policy: Policy) -> Life:
    """A request of which nothing but its answers, and perhaps its statuses, came (domain 1.3)."""
    return _life(request, given, given[-1].at + policy.defaults.request_open_seconds, response_of(given[0]))


def _life(
    request: Request,
    given: Sequence[Decision],
    ends: int | None,
    final: str,
    attempt: int = 0,
    prior: str = "never",
) -> Life:
    first, last, anchor_at = given[0], given[-1], request.sent_at
    if anchor_at is None:
        signs = (request.status_sent_at, request.delivered_at, request.read_at, request.failed_at, first.at)
        anchor_at = min([sign for sign in signs if sign is not None])
    fields = (
        request.message_id,
        request.kind or "",
        request.template,
        request.campaign,
        request.origin,
        attempt,
        prior,
        anchor_at,
        request.sent_at,
        delivered_at(request),
        request.read_at,
        request.failed_at,
        request.error_code,
        response_of(first),
        first.at,
        response_of(last),
        last.at,
        None,
        ends,
        final,
    )
    return filled(Life, fields)


def refused(refusal: Refusal) -> Life:
    """A request that the provider did not take: it was created, reached nobody and counts nowhere (domain 6.2)."""
    return Life(
        request_id=refusal.action_id,
        kind="",
        template=None,
        campaign=refusal.campaign,
        origin=refusal.origin,
        attempt=0,
        prior="never",
        anchor_at=refusal.at,
        sent_at=refusal.at,
        delivered_at=None,
        read_at=None,
        failed_at=None,
        error_code=refusal.error_code,
        first_response=None,
        first_response_at=None,
        last_response=None,
        last_response_at=None,
        superseded_at=None,
        expires_at=None,
        final_class="refused",
    )

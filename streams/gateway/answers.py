"""Every answer of the gateway: status, headers, body, made once and sent as two ASGI messages.

Owns the closed set of refusals, their mapping to HTTP and what each counts as, in one place. Refuses to quote anything
that came in.
"""

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import orjson

from streams.kafka.outcomes import NotAcknowledged

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

Outcome = Literal["accepted", "answered", "unauthenticated", "refused", "unavailable", "gone"]
Reason = Literal[
    "none",
    # unauthenticated: no secret is configured; none was presented, several were, or another one
    "closed", "missing", "several", "wrong",
    # refused
    "too_large", "slow", "invalid", "kind", "packed", "no_door", "no_method", "not_http", "head_too_large", "head_slow",
    # unavailable: our own bounds; the broker's (`streams.kafka.outcomes`)
    "busy", "crowded", "away", "full", "late", "ending", "refused_by_broker",
]  # fmt: skip


class Counted(NamedTuple):
    """What an answer counts as."""

    outcome: Outcome
    reason: Reason = "none"


CLOSE: Final[Header] = (b"connection", b"close")
RETRY: Final[Header] = (b"retry-after", b"1")
NO_STORE: Final[Header] = (b"cache-control", b"no-store")
NO_SNIFF: Final[Header] = (b"x-content-type-options", b"nosniff")
GONE: Final = Counted("gone")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, ready to be sent, and what it counts as."""

    counted: Counted
    start: Message
    body: Message

    @property
    def status(self) -> int:
        status: int = self.start["status"]
        return status

    @property
    def content(self) -> bytes:
        content: bytes = self.body["body"]
        return content


Entry = Callable[[Scope, Receive], Coroutine[Any, Any, Answer | None]]
"""What stands behind a door: the answer to one request, None when nobody is left to hear it."""


def answer(counted: Counted, status: int, body: bytes = b"", kind: bytes | None = None, *headers: Header) -> Answer:
    all_headers: list[Header] = [(b"content-length", b"%d" % len(body)), *headers]
    if kind is not None:
        all_headers.append((b"content-type", kind))
    return Answer(
        counted,
        {"type": "http.response.start", "status": status, "headers": all_headers},
        {"type": "http.response.body", "body": body, "more_body": False},
    )


def text(status: int, body: str, *headers: Header) -> Answer:
    counted = Counted("answered")
    return answer(counted, status, body.encode(), b"text/plain; charset=utf-8", NO_SNIFF, NO_STORE, *headers)


def json(status: int, value: object) -> Answer:
    return answer(Counted("accepted"), status, orjson.dumps(value), b"application/json")


def problem(
    counted: Counted,
    status: int,
    title: str,
    detail: str,
    *headers: Header,
    faults: tuple[dict[str, object], ...] = (),
) -> Answer:
    """An answer as RFC 9457 has it."""
    fields: dict[str, object] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if faults:
        fields["faults"] = faults
    return answer(counted, status, orjson.dumps(fields), b"application/problem+json", *headers)


def _unauthentic(reason: Reason, *headers: Header) -> Answer:
    return answer(Counted("unauthenticated", reason), 401, b"", None, *headers)


STORED: Final = answer(Counted("accepted"), 200)
WRONG_SIGNATURE: Final = _unauthentic("wrong")
# Where the body was not read, nothing that follows on this connection can be trusted to be a request.
CLOSED_DOOR: Final = _unauthentic("closed", CLOSE)
NO_SECRET: Final = _unauthentic("missing", CLOSE)
SEVERAL_SECRETS: Final = _unauthentic("several", CLOSE)
WRONG_TOKEN: Final = _unauthentic("wrong", CLOSE)


def _unknown_key(reason: Reason) -> Answer:
    return problem(
        Counted("unauthenticated", reason),
        401,
        "Unauthorized",
        "send Authorization: Bearer <id>:<secret> with a key of CALLGRANT_API_KEYS, once",
        (b"www-authenticate", b"Bearer"),
        CLOSE,
    )


NO_KEY: Final = _unknown_key("missing")
SEVERAL_KEYS: Final = _unknown_key("several")
WRONG_KEY: Final = _unknown_key("wrong")
NOT_VERIFIED: Final = answer(Counted("unauthenticated", "wrong"), 403)

TOO_LARGE: Final = problem(
    Counted("refused", "too_large"), 413, "Content Too Large", "the body is larger than this door takes", CLOSE
)
SLOW: Final = problem(
    Counted("refused", "slow"), 408, "Request Timeout", "the body did not arrive in time, send it again", CLOSE
)
PACKED: Final = problem(
    Counted("refused", "packed"),
    415,
    "Unsupported Media Type",
    "send the body as it is, without Content-Encoding",
    (b"accept-encoding", b"identity"),
    CLOSE,
)
NOT_FOUND: Final = problem(Counted("refused", "no_door"), 404, "Not Found", "no such door", CLOSE)


def not_allowed(*methods: str) -> Answer:
    return problem(
        Counted("refused", "no_method"),
        405,
        "Method Not Allowed",
        f"allowed: {', '.join(methods)}",
        (b"allow", ", ".join(methods).encode()),
        CLOSE,
    )


def _unavailable(reason: Reason, detail: str, *headers: Header) -> Answer:
    return problem(Counted("unavailable", reason), 503, "Service Unavailable", detail, RETRY, *headers)


BUSY: Final = _unavailable("busy", "too many bodies are arriving at once, send again", CLOSE)
_NOT_ACKNOWLEDGED: Final[dict[str, Reason]] = {
    "away": "away",
    "full": "full",
    "late": "late",
    "closed": "ending",
    "refused": "refused_by_broker",
}
UNAVAILABLE: Final = {
    word: _unavailable(reason, "not acknowledged by the broker, send again")
    for word, reason in _NOT_ACKNOWLEDGED.items()
} | {"too_large": TOO_LARGE}


def unavailable(outcome: NotAcknowledged) -> Answer:
    """What a sender hears when there is no acknowledgement: nobody promised anything."""
    return UNAVAILABLE[outcome.reason]

"""Every answer of the gateway: status, headers, body, made once and sent as two ASGI messages.

Owns the closed set of refusals and their mapping to HTTP, in one place. Refuses to quote anything that came in.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

OutcomeLabel = Literal[
    "accepted", "unauthenticated", "too_large", "slow", "invalid", "unavailable", "refused", "gone", "answered"
]
CLOSE: Final[Header] = (b"connection", b"close")
RETRY: Final[Header] = (b"retry-after", b"1")
NO_STORE: Final[Header] = (b"cache-control", b"no-store")
NO_SNIFF: Final[Header] = (b"x-content-type-options", b"nosniff")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, ready to be sent, and the outcome it counts as."""

    outcome: OutcomeLabel
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


def answer(
    outcome: OutcomeLabel, status: int, body: bytes = b"", kind: bytes | None = None, *headers: Header
) -> Answer:
    all_headers: list[Header] = [(b"content-length", b"%d" % len(body)), *headers]
    if kind is not None:
        all_headers.append((b"content-type", kind))
    return Answer(
        outcome,
        {"type": "http.response.start", "status": status, "headers": all_headers},
        {"type": "http.response.body", "body": body, "more_body": False},
    )


def text(status: int, body: str, *headers: Header) -> Answer:
    return answer("answered", status, body.encode(), b"text/plain; charset=utf-8", NO_SNIFF, NO_STORE, *headers)


def problem(
    outcome: OutcomeLabel,
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
    return answer(outcome, status, orjson.dumps(fields), b"application/problem+json", *headers)


STORED: Final = answer("accepted", 200)
UNAUTHENTIC: Final = answer("unauthenticated", 401)
UNAUTHENTIC_CLOSE: Final = answer("unauthenticated", 401, b"", None, CLOSE)
"""Where the body was not read: nothing that follows on this connection can be trusted to be a request."""
UNKNOWN_KEY: Final = problem(
    "unauthenticated",
    401,
    "Unauthorized",
    "send Authorization: Bearer <id>:<secret> with a key of CALLGRANT_API_KEYS",
    (b"www-authenticate", b"Bearer"),
    CLOSE,
)
TOO_LARGE: Final = problem("too_large", 413, "Content Too Large", "the body is larger than this door takes", CLOSE)
SLOW: Final = problem("slow", 408, "Request Timeout", "the body did not arrive in time", CLOSE)
BUSY: Final = problem(
    "unavailable", 503, "Service Unavailable", "too many large bodies at once, send again", RETRY, CLOSE
)
UNAVAILABLE: Final = problem(
    "unavailable", 503, "Service Unavailable", "not acknowledged by the broker, send again", RETRY
)
NOT_VERIFIED: Final = answer("unauthenticated", 403)
NOT_FOUND: Final = problem("refused", 404, "Not Found", "no such door", CLOSE)


def not_allowed(*methods: str) -> Answer:
    return problem(
        "refused",
        405,
        "Method Not Allowed",
        f"allowed: {', '.join(methods)}",
        (b"allow", ", ".join(methods).encode()),
        CLOSE,
    )

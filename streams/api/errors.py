"""What goes wrong, said in two forms: Graph's shape on Meta's path, RFC 9457 everywhere else (design 13).

Owns the closed set of errors, their statuses and their bodies. Refuses to quote anything a caller sent: a body names
the parameter and what is allowed, never a value (promise 7).

Every fault of a question is 400 with code 100, as Graph answers it; 422 is not used. 503 carries `Retry-After`, code
2 and `is_transient`.
"""

from enum import Enum
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

RETRY_AFTER_S: Final = 2
META_PATH: Final = "/call_permissions"


class Trouble(Enum):
    """HTTP status, Graph's code, Graph's message."""

    PARAMETER = (400, 100, "(#100) Invalid parameter")
    UNAUTHENTICATED = (401, 190, "Invalid access token")
    NOT_FOUND = (404, 100, "(#100) Unknown path")
    METHOD = (405, 100, "(#100) Unsupported method")
    DEFECT = (500, 1, "(#1) An unknown error occurred")
    UNAVAILABLE = (503, 2, "(#2) Service temporarily unavailable")

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message


class ErrorData(BaseModel):
    """What to change."""

    model_config = ConfigDict(extra="forbid")

    messaging_product: str
    details: str


class GraphErrorFields(BaseModel):
    """`code`: 100 a parameter, 190 the key, 2 try again, 1 a defect."""

    model_config = ConfigDict(extra="forbid")

    message: str
    type: str
    code: int
    is_transient: bool
    error_data: ErrorData
    fbtrace_id: str


class GraphError(BaseModel):
    """Graph's error shape."""

    model_config = ConfigDict(extra="forbid")

    error: GraphErrorFields


class Problem(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    trace: str


def refuse(path: str, trouble: Trouble, detail: str, headers: dict[str, str] | None = None) -> Response:
    """The answer for a request that got none. Its trace stands in the log line of the request."""
    trace = token_urlsafe(12)
    sent = {"callgrant-trace": trace, "cache-control": "no-store", **(headers or {})}
    if trouble is Trouble.UNAVAILABLE:
        sent["retry-after"] = str(RETRY_AFTER_S)
    if trouble is Trouble.UNAUTHENTICATED:
        sent["www-authenticate"] = 'Bearer realm="callgrant"'
    if path.endswith(META_PATH):
        body = graph_error(trouble, detail, trace)
        return Response(orjson.dumps(body), trouble.status, sent, "application/json")
    return Response(orjson.dumps(problem(trouble, detail, trace)), trouble.status, sent, "application/problem+json")


def graph_error(trouble: Trouble, detail: str, trace: str) -> dict[str, object]:
    """The body of `GraphError`."""
    return {
        "error": {
            "message": trouble.message,
            "type": "OAuthException",
            "code": trouble.code,
            "is_transient": trouble is Trouble.UNAVAILABLE,
            "error_data": {"messaging_product": "whatsapp", "details": detail},
            "fbtrace_id": trace,
        }
    }


def problem(trouble: Trouble, detail: str, trace: str) -> dict[str, object]:
    """The body of `Problem`."""
    title = HTTPStatus(trouble.status).phrase
    return {"type": "about:blank", "title": title, "status": trouble.status, "detail": detail, "trace": trace}

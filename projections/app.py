"""The projection's HTTP door: the page, the named questions, progress, health.

Owns routes, who may enter, and how faults are told. Refuses free SQL: a question is one of a closed list, its
parameters are typed. Whatever blocks runs in a thread.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from projections.answers import as_csv, as_document, as_json, bad_parameter, problem
from projections.keys import CHALLENGE, Keys
from projections.metrics import Metrics
from projections.page.assets import assets
from projections.page.render import CONTENT_SECURITY_POLICY, render
from projections.page.seen import look
from projections.progress import ProgressUnknown, Standing
from projections.questions import QUESTIONS, Asked, BadParameter, ask, asked_of
from projections.store import Refused, Store

OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/metrics"})
_RETRY_AFTER: Final = {"retry-after": "5"}

log = structlog.get_logger(__name__)


class Parts:
    """What the routes need; filled in as the process comes up. None: not there yet."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.store: Store | None = None
        self.loader: Standing | None = None
        self.waiting_for = "the process is starting"


class _Door:
    """Refuses everything but health and metrics without a key."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            given = Request(scope).headers.getlist("authorization")
            if not self._keys.fit(given[0] if len(given) == 1 else None):
                refusal = problem(
                    401,
                    "A key is needed",
                    "send one of the keys of CALLGRANT_API_KEYS as `Authorization: Bearer id:secret`, "
                    "or as user name and password of HTTP Basic",
                    headers={"www-authenticate": CHALLENGE},
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def application(parts: Parts, keys: Keys) -> Starlette:
    """The ASGI application."""

    def to(handler: Callable[[Parts, Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await handler(parts, request)

        return endpoint

    return Starlette(
        routes=[
            Route("/", to(_page), methods=["GET"]),
            Route("/assets/{name}", to(_asset), methods=["GET"]),
            Route("/v1/analytics", to(_list), methods=["GET"]),
            Route("/v1/analytics/{question}", to(_question), methods=["GET"]),
            Route("/v1/progress", to(_progress), methods=["GET"]),
            Route("/livez", to(_livez), methods=["GET"]),
            Route("/readyz", to(_readyz), methods=["GET"]),
            Route("/metrics", to(_metrics), methods=["GET"]),
        ],
        middleware=[Middleware(_Door, keys=keys)],
        exception_handlers={
            HTTPException: _refused,
            Refused: _store_away,
            ProgressUnknown: _unknown,
            Exception: _crash,
        },
    )


async def _page(parts: Parts, request: Request) -> Response:
    store = _store(parts)
    asked: Asked | str
    try:
        given = [(name, value) for name, value in request.query_params.multi_items() if name != "by"]
        asked = asked_of(QUESTIONS["funnel"], given)
    except BadParameter as fault:
        asked = str(fault)
    behind, why = await _behind(parts)
    seen = await look(store, asked, behind, why)
    return HTMLResponse(
        render(seen, await asyncio.to_thread(assets)),
        status_code=422 if seen.fault else 200,
        headers={
            "content-security-policy": CONTENT_SECURITY_POLICY,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",
        },
    )


async def _asset(_parts: Parts, request: Request) -> Response:
    for asset in (await asyncio.to_thread(assets)).values():
        if asset.path == request.url.path:
            zipped = "gzip" in request.headers.get("accept-encoding", "")
            return Response(
                asset.zipped if zipped else asset.content,
                headers={
                    "content-type": asset.media_type,
                    "cache-control": "private, max-age=31536000, immutable",
                    "vary": "accept-encoding",
                    "x-content-type-options": "nosniff",
                    **({"content-encoding": "gzip"} if zipped else {}),
                },
            )
    raise HTTPException(404)


async def _list(_parts: Parts, _request: Request) -> Response:
    parameters = {
        "number": "a phone_number_id; without it all numbers",
        "since": "first day, like 2026-03-02 (UTC, inclusive)",
        "until": "last day, like 2026-03-08 (UTC, inclusive)",
        "format": "json (default) or csv",
    }
    return as_document(
        {
            "questions": [
                {
                    "name": question.name,
                    "asks": question.asks,
                    "href": f"/v1/analytics/{question.name}",
                    "parameters": {
                        **parameters,
                        **({"by": f"one row for each: {', '.join(question.groupings)}"} if question.groupings else {}),
                    },
                }
                for question in QUESTIONS.values()
            ]
        }
    )


async def _question(parts: Parts, request: Request) -> Response:
    question = QUESTIONS.get(request.path_params["question"])
    if question is None:
        return problem(404, "No such question", f"the questions are {', '.join(QUESTIONS)}; see /v1/analytics")
    given = request.query_params.multi_items()
    form = [value for name, value in given if name == "format"]
    try:
        if len(form) > 1 or form[0:1] not in ([], ["json"], ["csv"]):
            raise BadParameter("format", "must be json or csv")
        asked = asked_of(question, [(name, value) for name, value in given if name != "format"])
    except BadParameter as fault:
        parts.metrics.asked(question.name, "refused")
        return bad_parameter(fault)
    try:
        found = await asyncio.to_thread(ask, _store(parts), question, asked)
    except Refused:
        parts.metrics.asked(question.name, "failed")
        raise
    parts.metrics.asked(question.name, "answered")
    if form == ["csv"]:
        return as_csv(found)
    behind, _ = await _behind(parts)
    return as_json(found, behind)


async def _progress(parts: Parts, _request: Request) -> Response:
    if parts.loader is None:
        raise ProgressUnknown(parts.waiting_for)
    found = await parts.loader.progress()
    return as_document(found.as_words() | {"phase": parts.loader.phase})


async def _livez(_parts: Parts, _request: Request) -> Response:
    return as_document({"live": True})


async def _readyz(parts: Parts, _request: Request) -> Response:
    loader = parts.loader
    if loader is None or loader.phase != "loading":
        reason = parts.waiting_for if loader is None else loader.reason
        return as_document({"ready": False, "phase": loader.phase if loader else "starting", "reason": reason}, 503)
    behind, why = await _behind(parts)
    return as_document({"ready": True, "phase": loader.phase, "behind_records": behind, "reason": why or None})


async def _metrics(parts: Parts, _request: Request) -> Response:
    await _behind(parts)  # the lag is looked up when it is asked for
    return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _behind(parts: Parts) -> tuple[int | None, str]:
    """How many records are not stored yet; else None and why that is not known."""
    if parts.loader is None:
        return None, parts.waiting_for
    try:
        found = await parts.loader.progress()
    except ProgressUnknown as fault:
        return None, str(fault)
    return found.behind_records, ""


def _store(parts: Parts) -> Store:
    if parts.store is None:
        raise Refused(name=parts.waiting_for)
    return parts.store


async def _refused(_request: Request, fault: Exception) -> Response:
    status = fault.status_code if isinstance(fault, HTTPException) else 500
    return problem(status, {404: "Not found", 405: "Method not allowed"}.get(status, "Refused"), "see /v1/analytics")


async def _store_away(_request: Request, fault: Exception) -> Response:
    log.warning("question_failed", fault=str(fault))
    return problem(503, "The store does not answer", str(fault), headers=_RETRY_AFTER)


async def _unknown(_request: Request, fault: Exception) -> Response:
    return problem(503, "Progress is not known", str(fault), headers=_RETRY_AFTER)


async def _crash(_request: Request, fault: Exception) -> Response:
    log.error("request_failed", fault=type(fault).__name__)
    return problem(500, "A fault of ours", "the request could not be answered; the log has the kind of fault")

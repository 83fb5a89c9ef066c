"""The routes: a question about a pair or a business number, health, metrics, the paper.

Owns the order in which a question is refused: the key, then the parameters, then the freshness; so a stranger learns
nothing, and a caller learns of a wrong parameter even while there is no answer. Owns the two names of the path (with
and without Graph's version). Refuses to judge: `streams.permission.answer` does, for the instant asked.

A pair that is not in the replica is one that nothing was ever heard of: *never*, `not_requested`, not an error. A
question by either name of a user gets the same answer (design 7); one about an instant of which the windows would
reach into what was settled is refused with the earliest that can be answered (design 4).
"""

from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.responses import Response

from schemas.envelope import rfc3339
from schemas.ids import Pair
from schemas.mark_lists import StateUnreadable
from schemas.policy import Policy
from schemas.state import PairState
from schemas.state_row import decode_state
from streams.api import clock, paper
from streams.api.errors import Trouble, refuse
from streams.api.freshness import Lag, LagSource, Rows
from streams.api.gauges import Gauges
from streams.api.keys import Keys
from streams.api.number import number_answer
from streams.api.question import BadQuestion, Question, read_number_question, read_question
from streams.api.settings import ApiSettings
from streams.api.watch import Watch
from streams.countries import country_of
from streams.permission.answer import answer, answerable_from
from streams.permission.directory import Directory

_log: Any = structlog.get_logger("api")


class ShortNumber(Convertor[int]):
    """A part of Graph's version. Starlette's own `int` takes digits without end, which Python refuses to read."""

    regex = "[0-9]{1,4}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("short", ShortNumber())


class Api(FastAPI):
    """FastAPI with what it leaves out of its paper."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            paper.complete(super().openapi())
        return super().openapi()


def build(settings: ApiSettings, keys: Keys, rows: Rows, freshness: LagSource, numbers: Directory | None = None) -> Api:
    """The application over a replica and whoever knows how fresh it is.

    `numbers`: what is known of business numbers; by default what the policy file says.
    """
    numbers = Directory(settings.policy, country_of) if numbers is None else numbers
    gauges = Gauges()
    app = Api(
        title="Callgrant",
        summary="May we call, may we ask, until when, and why.",
        version="1",
        openapi_url=None,  # served below, where it is counted like every route; the pages would load foreign scripts
        redirect_slashes=False,
    )
    app.add_middleware(Watch, gauges=gauges)
    app.add_exception_handler(HTTPException, _no_route)
    _add_question(app, settings, keys, rows, freshness, gauges, numbers)
    _add_number(app, settings, keys, freshness, gauges, numbers)
    _add_health(app, settings, rows, freshness, gauges)
    return app


def _add_question(
    app: Api, settings: ApiSettings, keys: Keys, rows: Rows, freshness: LagSource, gauges: Gauges, numbers: Directory
) -> None:
    policy, max_lag_s = settings.policy, settings.max_lag_s

    async def ask(request: Request) -> Response:
        path: str = request.scope["path"]
        if not keys.admit(_authorization(request)):
            return refuse(path, Trouble.UNAUTHENTICATED, "Authorization: Bearer <id>:<secret>")
        try:
            question = read_question(request.path_params["phone_number_id"], request.scope["query_string"])
        except BadQuestion as fault:
            return refuse(path, Trouble.PARAMETER, str(fault))
        lag = freshness.lag()
        if (why := lag.too_old(max_lag_s)) is not None:
            return refuse(path, Trouble.UNAVAILABLE, why)
        if not numbers.is_readable(question.pair.phone_number_id):
            return _unreadable_number(path, gauges)
        try:
            return _answered(question, rows, lag, policy, numbers)
        except BadQuestion as fault:
            return refuse(path, Trouble.PARAMETER, str(fault))
        except StateUnreadable:
            gauges.unreadable.inc()
            _log.error("state_unreadable", pair=repr(question.pair))
            return refuse(path, Trouble.UNAVAILABLE, "the stored state of this pair cannot be read by this version")

    for path, written in (
        ("/{phone_number_id}/call_permissions", paper.QUESTION),
        ("/v{major:short}.{minor:short}/{phone_number_id}/call_permissions", paper.QUESTION_VERSIONED),
    ):
        app.add_api_route(
            path,
            ask,
            methods=["GET"],
            operation_id="ask" if written is paper.QUESTION else "ask_versioned",
            summary="The standing of a pair: Meta's path and body, additions in extra keys.",
            responses=paper.QUESTION_RESPONSES,
            openapi_extra=written,
            response_class=Response,
        )


def _unreadable_number(path: str, gauges: Gauges) -> Response:
    gauges.unreadable.inc()
    _log.error("number_unreadable")
    return refuse(path, Trouble.UNAVAILABLE, "what is stored of this number cannot be read by this version")


def _add_number(
    app: Api, settings: ApiSettings, keys: Keys, freshness: LagSource, gauges: Gauges, numbers: Directory
) -> None:
    policy, max_lag_s = settings.policy, settings.max_lag_s

    async def ask(request: Request) -> Response:
        path: str = request.scope["path"]
        if not keys.admit(_authorization(request)):
            return refuse(path, Trouble.UNAUTHENTICATED, "Authorization: Bearer <id>:<secret>")
        name: str = request.path_params["phone_number_id"]
        try:
            at = read_number_question(name, request.scope["query_string"])
        except BadQuestion as fault:
            return refuse(path, Trouble.PARAMETER, str(fault))
        lag = freshness.lag()
        if (why := lag.too_old(max_lag_s)) is not None:
            return refuse(path, Trouble.UNAVAILABLE, why)
        if not numbers.is_readable(name):
            return _unreadable_number(path, gauges)
        return _fresh(number_answer(numbers, name, clock.now() if at is None else at, policy), lag)

    app.add_api_route(
        "/v1/numbers/{phone_number_id}",
        ask,
        methods=["GET"],
        operation_id="ask_number",
        summary="A business number: its profile, country, switches, restrictions, warnings and templates.",
        responses=paper.NUMBER_RESPONSES,
        openapi_extra=paper.NUMBER_QUESTION,
        response_class=Response,
    )


def _answered(question: Question, rows: Rows, lag: Lag, policy: Policy, numbers: Directory) -> Response:
    number = question.pair.phone_number_id
    state = _state(question.pair, rows)
    at = clock.now() if question.at is None else question.at
    if at < (earliest := answerable_from(state)):
        raise BadQuestion(f"at: what led to earlier answers is settled; ask for {rfc3339(earliest)} or later")
    judged = answer(state, at, policy, numbers.of(number))
    return _fresh({"messaging_product": "whatsapp", **judged}, lag)


def _fresh(body: dict[str, Any], lag: Lag) -> Response:
    """An answer, and what it may lack."""
    return Response(
        orjson.dumps(body),
        headers={
            "callgrant-lag-records": str(lag.records),
            "callgrant-lag-seconds": f"{lag.seconds:.1f}",
            "cache-control": "no-store",
        },
        media_type="application/json",
    )


def _state(pair: Pair, rows: Rows) -> PairState:
    """What is known of the pair; of a user's other name, what is known under the canonical one."""
    state = _stored(pair, rows)
    canonical = state.forwards_to
    return state if canonical is None else _stored(pair._replace(user=canonical), rows)


def _stored(pair: Pair, rows: Rows) -> PairState:
    row = rows.get(pair.key)
    return PairState(phone_number_id=pair.phone_number_id, user=pair.user) if row is None else decode_state(row)


def _add_health(app: Api, settings: ApiSettings, rows: Rows, freshness: LagSource, gauges: Gauges) -> None:
    async def livez() -> Response:
        return Response(b'{"alive":true}', media_type="application/json")

    async def readyz(request: Request) -> Response:
        lag = freshness.lag()
        if (why := lag.too_old(settings.max_lag_s)) is not None:
            return refuse(request.url.path, Trouble.UNAVAILABLE, why)
        body = {"ready": True, "lag_records": lag.records, "lag_seconds": lag.seconds}
        return Response(orjson.dumps(body), media_type="application/json")

    async def metrics() -> Response:
        lag = freshness.lag()
        gauges.show(rows, lag)
        return Response(gauges.text(), media_type="text/plain; version=0.0.4")

    async def openapi() -> Response:
        return Response(orjson.dumps(app.openapi()), media_type="application/json")

    app.add_api_route("/openapi.json", openapi, include_in_schema=False)
    app.add_api_route("/livez", livez, summary="The process answers.", response_class=Response)
    app.add_api_route(
        "/readyz",
        readyz,
        summary="Questions are answered: caught up and within the bound.",
        responses=paper.READY_RESPONSES,
        response_class=Response,
    )
    app.add_api_route("/metrics", metrics, summary="Prometheus' text format.", response_class=Response)


async def _no_route(request: Request, fault: Exception) -> Response:
    if not isinstance(fault, HTTPException):
        raise fault
    trouble = Trouble.METHOD if fault.status_code == Trouble.METHOD.status else Trouble.NOT_FOUND
    detail = "only GET is answered here" if trouble is Trouble.METHOD else "no such path; see /openapi.json"
    return refuse(request.url.path, trouble, detail, dict(fault.headers or {}))


def _authorization(request: Request) -> bytes | None:
    given = [value for name, value in request.scope["headers"] if name == b"authorization"]
    return given[0] if len(given) == 1 else None

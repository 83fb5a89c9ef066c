"""Around every request: its log line, its numbers, and the answer when we failed.

Owns what is told of a request that was refused or failed: the route's template, the status, the time, the trace. One
that was answered well is counted and not logged: a line for every question would fill the disk. Refuses to tell path or
query: both name people (promise 7). An exception's text may quote what it met, so only its type and place are told.
"""

import time
import traceback
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.api.errors import Trouble, refuse
from streams.api.gauges import Gauges

QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines: that they are not ready yet is an answer, no refusal."""

_log: Any = structlog.get_logger("api")


class Watch:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, gauges: Gauges) -> None:
        self._app = app
        self._gauges = gauges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0
        trace = ""

        async def told(message: Message) -> None:
            nonlocal status, trace
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= 400:
                    trace = next((v.decode() for k, v in message["headers"] if k == b"callgrant-trace"), "")
            await send(message)

        try:
            await self._app(scope, receive, told)
        except Exception as defect:  # noqa: BLE001 - the last net: a defect is told here and answered, whatever it is
            _log.error("api_defect", **_place_of(defect))
            if status == 0:
                await refuse(scope["path"], Trouble.DEFECT, "a defect of ours; the log tells more")(
                    scope, receive, told
                )
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "unmatched")
            self._gauges.answered(route, status, seconds)
            if not 0 < status < (500 if route in QUIET else 400):
                more = {"trace": trace} if trace else {}
                _log.info("answered", route=route, status=status, ms=round(seconds * 1000, 2), **more)


def _place_of(defect: Exception) -> dict[str, object]:
    last = traceback.extract_tb(defect.__traceback__)[-1]
    return {"defect": type(defect).__name__, "module": last.name, "line": last.lineno}

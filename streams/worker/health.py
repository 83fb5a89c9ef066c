"""`/livez`, `/readyz` and `/metrics`, in a thread of their own: a blocked event loop must not silence them.

Owns what live and ready mean. Refuses every other path. Faust's own web says OK whatever happens, so it stays off.
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from streams.worker.measures import Measures

LIVE_LAG_S: Final = 15.0
"""Beyond this the event loop counts as blocked; the watchdog ends the process at twice that."""


class Health:
    """Answers until the process ends. `ready`, `halted` (why, None: it is not) and `loop_lag_s` are asked each time."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self.ready: Callable[[], bool] = lambda: False
        self.halted: Callable[[], str | None] = lambda: None
        self.loop_lag_s: Callable[[], float] = lambda: 0.0

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        match path.partition("?")[0]:
            case "/livez":
                live = self.loop_lag_s() < LIVE_LAG_S
                return (200, "text/plain", b"live\n") if live else (503, "text/plain", b"the event loop is blocked\n")
            case "/readyz":
                if (why := self.halted()) is not None:
                    return 503, "text/plain", f"halted: {why}\n".encode()
                return (200, "text/plain", b"ready\n") if self.ready() else (503, "text/plain", b"not ready\n")
            case "/metrics":
                return 200, "text/plain; version=0.0.4; charset=utf-8", self._measures.page()
            case _:
                return 404, "text/plain", b"not found\n"

    def serve(self, host: str, port: int) -> ThreadingHTTPServer:
        """Listen from now on. Raises `OSError` when the port is taken."""
        health = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 5  # seconds: a silent client must not keep its thread

            def do_GET(self) -> None:
                status, kind, body = health.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing: a probe every second is no event."""

        server = ThreadingHTTPServer((host, port), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        return server

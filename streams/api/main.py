"""The api process: HTTP, the two replicas and the look at the lag in one loop, until TERM or INT.

Owns start and end. It serves at once and refuses until it is caught up. A part that ends by itself is a defect: the
process then leaves with 1 and is started again by whoever watches it.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from typing import Any, Final

import structlog
import uvicorn
import uvloop

from schemas.state_row import version_of
from schemas.topics import TopicNames
from streams.api import logs
from streams.api.app import build
from streams.api.freshness import Freshness
from streams.api.keys import Keys
from streams.api.settings import ApiSettings
from streams.countries import country_of
from streams.kafka.replica import Replica
from streams.permission.directory import Directory

FINISH_WITHIN_S: Final = 5
KEEP_ALIVE_S: Final = 75
"""Longer than the idle time of the usual proxies and client pools, so that they close first."""

_log: Any = structlog.get_logger("api")


def run(settings: ApiSettings) -> int:
    """Serve until TERM or INT. The exit code: 0 after a clean end, 1 when a part failed or the port is taken."""
    logs.set_up()
    try:
        door = _listen(settings.bind, settings.port)
    except OSError as fault:
        told = f"set CALLGRANT_API_PORT or CALLGRANT_BIND to an address that is free ({fault.strerror})"
        _log.error("port_unusable", bind=settings.bind, port=settings.port, told=told)
        return 1
    with door:
        return uvloop.run(_serve(settings, door))


async def _serve(settings: ApiSettings, door: socket.socket) -> int:
    names = TopicNames(settings.topic_prefix, settings.generation)
    replica = Replica(settings.kafka_bootstrap, names.of("permission.state"), version_of)
    numbers = Directory(settings.policy, country_of)
    number_rows = Replica(settings.kafka_bootstrap, names.of("business.state"), version_of, numbers.hear)
    freshness = Freshness(settings.kafka_bootstrap, names, replica, number_rows, every_s=settings.check_every_s)
    keys = Keys(settings.api_keys)
    server = _Server(
        uvicorn.Config(
            build(settings, keys, replica, freshness, numbers),
            http="httptools",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=FINISH_WITHIN_S,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.leave)
    serving = asyncio.create_task(server.serve([door]))
    parts = [asyncio.create_task(part.run()) for part in (replica, number_rows, freshness)]
    if settings.keys_again is not None:
        parts.append(asyncio.create_task(settings.keys_again(keys.take)))
    _log.info("api_listens", bind=settings.bind, port=settings.port, generation=settings.generation)
    await asyncio.wait([serving, *parts], return_when=asyncio.FIRST_COMPLETED)
    failed = [part for part in parts if part.done()]
    server.leave()
    await asyncio.wait([serving], timeout=FINISH_WITHIN_S + 1)
    for part in parts:
        part.cancel()
    for ended in await asyncio.gather(serving, *parts, return_exceptions=True):
        if isinstance(ended, Exception):
            _log.error("part_failed", defect=type(ended).__name__)
            failed.append(part)
    _log.info("api_ended", clean=not failed)
    return 1 if failed else 0


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, which would end the process before the replica is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def leave(self) -> None:
        """Stop accepting, finish what was begun, end."""
        self.should_exit = True


def _listen(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    return socket.create_server((bind, port), family=family, backlog=2_048)

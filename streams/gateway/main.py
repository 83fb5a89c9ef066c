"""The process: a socket, uvicorn, the producer, and a clean end.

Owns start and stop. Refuses to serve content rules. On TERM or INT: no new connections, requests in flight are
answered, the producer is flushed, exit 0; 1 when something could not be flushed or the port cannot be had. A broker
that is away does not keep the process from starting: `/readyz` says so, webhooks are answered 503, and it recovers by
itself.
"""

import asyncio
import resource
import signal
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final, cast

import structlog
import uvicorn
import uvloop

from schemas.topics import TopicNames
from streams.gateway import log as logs
from streams.gateway.app import MIN_FLUSH_S, Gateway
from streams.gateway.pieces import InPieces
from streams.gateway.protocol import BoundedHttp, Bounds
from streams.gateway.settings import TOKENS_SETTING, GatewaySettings
from streams.kafka.producer import BatchProducer, ProducerLimits
from streams.kafka.session import KafkaSession

BACKLOG: Final = 2_048
CLIENT_ID: Final = "callgrant-gateway"
OTHER_DESCRIPTORS: Final = 48
"""Kept free beside those of connections: the loop's own, the broker's, files, and the listener's next one."""

log = structlog.get_logger("callgrant.gateway")


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn raises a caught TERM again after its clean stop, and the process would not exit
    0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(settings: GatewaySettings) -> int:
    """Serve until told to end; the exit code."""
    logs.set_up()
    try:
        listening = _listen(settings.bind, settings.port)
    except OSError as fault:
        log.error(  # noqa: TRY400 - the reason is known, a traceback would hide it
            "cannot_listen",
            bind=settings.bind,
            port=settings.port,
            why=fault.strerror or type(fault).__name__,
            mend="set CALLGRANT_GATEWAY_PORT or CALLGRANT_BIND, or end what listens there",
        )
        return 1
    with listening, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, listening))


async def _serve(settings: GatewaySettings, listening: socket.socket) -> int:
    names = TopicNames(settings.topic_prefix)
    topics = (names.of("webhooks.raw"), names.of("actions.raw"))
    limits = ProducerLimits(
        flush_after_ms=settings.flush_after_ms,
        acknowledge_within_s=settings.acknowledge_within_s,
        max_pending_bytes=settings.max_pending_bytes,
    )
    producer = BatchProducer(limits, lambda: KafkaSession(settings.kafka_bootstrap, topics, CLIENT_ID))
    gateway = Gateway(settings, producer)
    bounds = Bounds(settings.read_within_s, _connections(settings), gateway.count)
    server = _Server(
        uvicorn.Config(
            gateway,
            loop="none",
            http=cast("type[asyncio.Protocol]", InPieces.before(BoundedHttp.within(bounds))),  # only ever called
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, int(settings.stop_within_s - MIN_FLUSH_S)),
        )
    )
    gateway.open_connections = server.server_state.connections
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, server, gateway, number)
    log.info("listening", address="http://{}:{}".format(*listening.getsockname()[:2]), closed_doors=_closed(settings))
    await server.serve(sockets=[listening])
    log.info("stopped", flushed=gateway.flushed)
    return 0 if gateway.flushed else 1


def _stop(server: uvicorn.Server, gateway: Gateway, number: signal.Signals) -> None:
    server.should_exit = True
    if gateway.ending_at_s is None:
        gateway.ending_at_s = asyncio.get_running_loop().time()
        log.info("stopping", asked_by=number.name)


def _connections(settings: GatewaySettings) -> int:
    """As many as set, if the system has a descriptor for each; else what it has, and the log says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            mend = f"raise the limit of open files (ulimit -n) to {wanted}"
            log.warning("few_descriptors", connections=max(1, soft - OTHER_DESCRIPTORS), mend=mend)
            return max(1, soft - OTHER_DESCRIPTORS)
    return settings.max_connections


def _listen(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((bind, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _closed(settings: GatewaySettings) -> list[str]:
    """The settings without which a door stays closed."""
    needed: dict[str, Collection[object]] = {
        "CALLGRANT_META_APP_SECRETS": settings.meta_app_secrets,
        "CALLGRANT_META_VERIFY_TOKENS": settings.meta_verify_tokens,
        "CALLGRANT_API_KEYS": settings.api_keys,
    }
    for provider, setting in TOKENS_SETTING.items():
        needed[setting] = [token for owner, token in settings.provider_tokens if owner == provider]
    return [name for name, secrets in needed.items() if not secrets]

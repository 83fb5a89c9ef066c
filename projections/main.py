"""The projection as a process: HTTP first, then the store, its migrations, and loading until told to stop.

Owns the order of coming up and going down. Health answers from the first moment, so that whoever waits sees what is
waited for.
"""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import structlog
import uvicorn
from aiokafka.errors import KafkaError

from projections.app import Parts, application
from projections.faults import ProjectionFault, TooManyParked
from projections.keys import Keys
from projections.loader import Loader
from projections.logs import set_up
from projections.metrics import Metrics
from projections.migrate import migrate
from projections.settings import ProjectionSettings
from projections.store import Refused, Store, open_embedded, open_server

log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us: the loader must end before the door closes."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(settings: ProjectionSettings) -> int:
    """Run until TERM or INT. 0: ended as told. 1: a fault that the log names."""
    set_up()
    return asyncio.run(_run(settings))


async def _run(settings: ProjectionSettings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    parts, keys = Parts(Metrics()), Keys(settings.api_keys)
    server = _Server(
        uvicorn.Config(
            application(parts, keys),
            host=settings.bind,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=3,
            lifespan="off",
        )
    )
    serving = asyncio.create_task(_serve(server, stop))
    rotating = asyncio.create_task(settings.keys_again(keys.take)) if settings.keys_again is not None else None
    code = 0
    try:
        await _work(settings, parts, stop)
    except ProjectionFault as fault:
        log.critical("projection_ends", fault=type(fault).__name__, reason=str(fault))
        code = 1
    except KafkaError as fault:
        log.critical(
            "projection_ends", fault=type(fault).__name__, reason="Kafka refused in a way that waiting cannot mend"
        )
        code = 1
    finally:
        stop.set()
        server.should_exit = True
        if rotating is not None:
            rotating.cancel()
        served = await serving
        if parts.store is not None:
            await asyncio.to_thread(parts.store.close)  # waits for what is still being inserted or asked
    log.info("projection_ended", code=code if served else 1)
    return code if served else 1


async def _serve(server: uvicorn.Server, stop: asyncio.Event) -> bool:
    """Serve until told to stop; False when the port could not be had."""
    try:
        await server.serve()
    except SystemExit:  # uvicorn's way to say that it could not bind
        log.critical("port_taken", setting="CALLGRANT_ANALYTICS_PORT")
        return False
    else:
        return True
    finally:
        stop.set()


async def _work(settings: ProjectionSettings, parts: Parts, stop: asyncio.Event) -> None:
    store = await _opened(settings, parts, stop)
    if store is None:
        return
    parts.store = store
    loader = Loader(settings, store, parts.metrics, stop)
    parts.loader = loader
    log.info("projection_started", store=store.kind, database=store.database, topic=loader.topic)
    try:
        await loader.run()
    except TooManyParked as fault:
        # Ending would let a supervisor start us again, and each start would park some more: stay, answer, load nothing.
        log.critical("loading_halted", reason=str(fault))
        await stop.wait()


async def _opened(settings: ProjectionSettings, parts: Parts, stop: asyncio.Event) -> Store | None:
    """The store, migrated; None when told to stop before a server answered."""
    wait_s = settings.retry_first_s
    while not stop.is_set():
        try:
            store = await asyncio.to_thread(_open, settings)
            try:
                applied = await asyncio.to_thread(migrate, store)
            except BaseException:
                await asyncio.to_thread(store.close)
                raise
        except Refused as fault:
            parts.waiting_for = f"ClickHouse does not answer at CALLGRANT_CLICKHOUSE_URL: {fault}"
            log.warning("store_away", fault=str(fault), again_in_s=wait_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait_s)
            wait_s = min(wait_s * 2, settings.retry_most_s)
        else:
            log.info("migrated", applied=applied)
            return store
    return None


def _open(settings: ProjectionSettings) -> Store:
    if settings.clickhouse_url:
        return open_server(settings.clickhouse_url, settings.database, readers=settings.readers)
    return open_embedded(
        settings.store_folder,
        settings.database,
        memory_bytes=settings.embedded_memory_bytes,
        readers=settings.readers,
    )

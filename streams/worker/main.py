"""`run`: one worker from start to end, blocking. The exit code says why it ended (`streams.worker.exits`).

Owns the order of starting: logs, health, folder, broker and topics, Faust, watchdog. Refuses side effects on import.
"""

import asyncio
import logging
import signal

import faust
import uvloop
from faust.exceptions import ConsistencyError

from streams.worker.app import build
from streams.worker.exits import Code, Watchdog, told
from streams.worker.health import Health
from streams.worker.logs import set_up_logs
from streams.worker.measures import Measures
from streams.worker.settings import WorkerSettings
from streams.worker.startup import Unfit, check_generation, check_topics, hold, topic_counts

log = logging.getLogger(__name__)


def run(settings: WorkerSettings) -> int:
    """Work until TERM or INT (0) or a fault (anything else: start again)."""
    set_up_logs()
    try:
        check_generation(settings)
    except Unfit as fault:
        log.critical("%s", fault)
        return fault.code
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until Faust takes it: TERM ends the waiting like INT
    measures = Measures()
    health = Health(measures)
    try:
        server = health.serve(settings.bind, settings.port)
    except OSError as fault:
        log.critical("%s:%d (CALLGRANT_WORKER_PORT) cannot be used: %s", settings.bind, settings.port, fault.strerror)
        return Code.PORT_TAKEN
    try:
        with hold(settings.folder):
            check_topics(asyncio.run(topic_counts(settings)), settings)
            return _work(settings, measures, health)
    except Unfit as fault:
        log.critical("%s", fault)
        return fault.code
    except KeyboardInterrupt:
        return Code.STOPPED
    finally:
        server.shutdown()
        server.server_close()


def _work(settings: WorkerSettings, measures: Measures, health: Health) -> int:
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # the consumer's thread makes a loop of its own by it
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = build(settings, measures)
    running = faust.Worker(worker.app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    running.spinner = None
    watchdog = Watchdog(worker, loop.call_soon_threadsafe)
    health.ready, health.halted, health.loop_lag_s = worker.ready, worker.halted, watchdog.loop_lag_s
    watchdog.start()
    log.info("worker %s starts in group %s", settings.instance, worker.app.conf.id)
    code: int = Code.STOPPED
    try:
        running.execute_from_commandline()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else Code.CRASHED
    crash = worker.app.crash_reason or running.crash_reason
    if isinstance(crash, ConsistencyError):
        log.critical(
            "the store in %s is ahead of %s: that topic was made anew or cut, and only the store still has what it "
            "lost. Keep the folder and bring the topic back",
            settings.folder,
            settings.names.of("permission.state"),
        )
        return Code.STORE_AHEAD
    if crash is not None:
        log.critical("the worker crashed: %s", told(crash))
        return Code.CRASHED
    log.info("worker %s stopped", settings.instance)
    return code

"""`run`: one worker from start to end, blocking. The exit code says why it ended (`streams.worker.exits`).

Owns the order of starting: logs, health, folder, broker and topics, Faust, watchdog. Refuses side effects on import.
"""

import asyncio
import gc
import logging
import signal
import sys
from typing import Final

import faust
import uvloop

from streams.worker.app import build
from streams.worker.codes import Code
from streams.worker.exits import Watchdog, told
from streams.worker.fitness import check_fitness
from streams.worker.handover import take_over
from streams.worker.health import Health
from streams.worker.lives import lives
from streams.worker.logs import set_up_logs
from streams.worker.measures import Measures
from streams.worker.settings import WorkerSettings
from streams.worker.startup import Unfit, check_topics, hold, topic_counts
from streams.worker.topic_ids import check_ids

log = logging.getLogger(__name__)


SWITCH_AFTER_S: Final = 0.0005
"""A thread that needs the interpreter waits so long for one that does not let go. Fetching goes on in a thread of its
own and asks several times for each fetch: with Python's 5 ms that would be much of the time a fact is on its way.
"""


COLLECT_AFTER: Final = (50_000, 20, 100)
"""A batch makes some ten thousand objects that live until it is written, and next to no cycles. Collecting after every
700, as Python does by itself, looks at all of them again and again: a quarter of the fold's time.
"""


def run(settings: WorkerSettings) -> int:
    """Work until TERM or INT (0) or a fault (anything else: start again)."""
    set_up_logs()
    sys.setswitchinterval(SWITCH_AFTER_S)
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
            measures.last_exit = lives.begins(settings.folder)
            check_topics(asyncio.run(topic_counts(settings)), settings)
            measures.clock_apart_s = asyncio.run(check_fitness(settings))
            asyncio.run(check_ids(settings))
            asyncio.run(take_over(settings))
            return _work(settings, measures, health)
    except Unfit as fault:
        log.critical("%s", fault)
        lives.ends(fault.code, str(fault))
        return fault.code
    except KeyboardInterrupt:
        lives.ends(Code.STOPPED)
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
    watchdog = Watchdog(worker, loop.call_soon_threadsafe, frozen_s=settings.session_timeout_s)
    health.ready, health.halted, health.loop_lag_s = worker.ready, worker.halted, watchdog.loop_lag_s
    measures.ready = worker.ready
    watchdog.start()
    gc.set_threshold(*COLLECT_AFTER)
    gc.freeze()  # modules and what was built: they stay
    does = "only folds" if settings.only_folds else "translates and folds"
    log.info("worker %s starts in group %s and %s", settings.instance, worker.app.conf.id, does)
    code: int = Code.STOPPED
    try:
        running.execute_from_commandline()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else Code.CRASHED
    crash = worker.app.crash_reason or running.crash_reason
    if crash is not None:
        log.critical("the worker crashed: %s", told(crash))
        lives.ends(Code.CRASHED, told(crash))
        return Code.CRASHED
    lives.ends(code)
    log.info("worker %s stopped", settings.instance)
    return code

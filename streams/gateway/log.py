"""One event a line on stdout, ours and the libraries' alike: JSON for programs, columns for people on a terminal.

Owns the form of a line and which libraries may speak. Refuses content: a library's line keeps the words of its
template and loses its arguments, a fault is told by its type and where it happened, never by its text or what stood in
its locals. aiokafka describes records when it talks freely, so it only speaks of what ends it; what matters of a
session is said by `streams.kafka` itself.
"""

import logging
import os
import sys
from typing import Final

import structlog

from streams.spoken import Templates, fault_without_content

LEVELS: Final = {"aiokafka": logging.CRITICAL, "uvicorn": logging.ERROR, "asyncio": logging.ERROR}


class _Lines(structlog.PrintLogger):
    """Whoever reads the log may be gone, or its disk full: a line is lost then, and nothing else."""

    def msg(self, message: str) -> None:
        try:
            super().msg(message)
        except BrokenPipeError:
            # What is still buffered would be tried once more when Python ends, and make of any end a failure.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError:
            return

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def set_up(*, for_people: bool | None = None) -> None:
    """Once, at the start of the process. `for_people`: columns instead of JSON; by default when stdout is a
    terminal."""
    columns = sys.stdout.isatty() if for_people is None else for_people
    form = (
        structlog.dev.ConsoleRenderer(exception_formatter=_nothing) if columns else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            fault_without_content,
            form,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Lines(sys.stdout),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[Templates()], force=True)
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)


def set_up_for_people() -> None:
    set_up(for_people=True)


def _nothing(*_: object) -> None:
    """A traceback quotes what stood in its lines; `fault_without_content` has already said where it was."""

"""One event a line on stdout, ours and the libraries' alike: JSON for programs, columns for people on a terminal.

Owns the form of a line and which libraries may speak. Refuses content: a library's line keeps the words of its
template and loses its arguments, a fault is told by its type and where it happened, never by its text or what stood in
its locals. aiokafka describes records when it talks freely, so it only speaks of what ends it; what matters of a
session is said by `streams.kafka` itself.
"""

import logging
import os
import re
import sys
from traceback import walk_tb
from typing import Final

import structlog

LEVELS: Final = {"aiokafka": logging.CRITICAL, "uvicorn": logging.ERROR, "asyncio": logging.ERROR}
BEFORE_QUOTES: Final = re.compile(r"[\n\d'\"(<{=]")
"""Where the words of a template may end and a quote begin: asyncio puts arguments and results into its templates."""
PLACES: Final = 3
"""How many frames of a fault are named, the innermost last."""


class _Templates(logging.Handler):
    """Hands a library's line on as its template."""

    def emit(self, record: logging.LogRecord) -> None:
        words = BEFORE_QUOTES.split(str(record.msg), maxsplit=1)[0].strip()
        structlog.get_logger(record.name).log(
            record.levelno, "library", logger=record.name, template=words, exc_info=record.exc_info
        )


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
            _fault_without_content,
            form,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Lines(sys.stdout),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Templates()], force=True)
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)


def set_up_for_people() -> None:
    set_up(for_people=True)


def _nothing(*_: object) -> None:
    """A traceback quotes what stood in its lines; `_fault_without_content` has already said where it was."""


def _fault_without_content(
    _logger: structlog.typing.WrappedLogger, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """`exc_info`, in each of its forms, as type and place."""
    given = line.pop("exc_info", None)
    fault = given[1] if isinstance(given, tuple) else sys.exc_info()[1] if given is True else given
    if isinstance(fault, BaseException):
        places = [f"{frame.f_globals.get('__name__')}:{number}" for frame, number in walk_tb(fault.__traceback__)]
        line["fault"] = type(fault).__name__
        line["at"] = " > ".join(places[-PLACES:])
    return line

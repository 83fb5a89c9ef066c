"""What of a library's line and of a fault may stand in a log: for the processes that write one (gateway, worker, api).

Owns that reduction: a library's line keeps the words of its template and loses its arguments; a fault keeps its type
and place and loses its text, its locals and the lines it passed. Refuses the set-up of a log, which is each process's
own. The analytics side has the same for itself (`projections.logs`): the two sides share nothing that runs.
"""

import logging
import re
import sys
from traceback import walk_tb
from typing import Final

import structlog
from structlog.typing import EventDict, WrappedLogger

BEFORE_QUOTES: Final = re.compile(r"[\n\d'\"(<{=]")
"""Where the words of a template may end and a quote begin: asyncio puts arguments and results into its templates."""
PLACES: Final = 3
"""How many frames of a fault are named, the innermost last."""


def words_of(record: logging.LogRecord) -> str:
    """The words of a line's template, up to where it may quote."""
    return BEFORE_QUOTES.split(str(record.msg), maxsplit=1)[0].strip()


def fault_of(line: EventDict) -> BaseException | None:
    """The fault of a line, in each form it may be given, taken out of it."""
    given = line.pop("exc_info", None)
    fault = given[1] if isinstance(given, tuple) else sys.exc_info()[1] if given is True else given
    return fault if isinstance(fault, BaseException) else None


def fault_without_content(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """The fault of a line as type and place."""
    fault = fault_of(line)
    if fault is not None:
        places = [f"{frame.f_globals.get('__name__')}:{number}" for frame, number in walk_tb(fault.__traceback__)]
        line["fault"] = type(fault).__name__
        line["at"] = " > ".join(places[-PLACES:])
    return line


class Templates(logging.Handler):
    """Hands a library's line on as its template."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(
            record.levelno, "library", logger=record.name, template=words_of(record), exc_info=record.exc_info
        )

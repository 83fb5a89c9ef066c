"""Log lines of this process: one JSON object each, on stdout.

Owns the set-up. Lines of libraries keep the words of their template and lose their arguments, faults keep their type
and place and lose their text: ClickHouse's texts quote the row they choked on, phone numbers included. The Kafka client
would repeat an outage many times a second: we say it once. (The streams reduce theirs likewise, in `streams.spoken`:
the two sides share nothing that runs.)
"""

import logging
import re
import sys
from traceback import walk_tb
from typing import Final

import structlog

BEFORE_QUOTES: Final = re.compile(r"[\n\d'\"(<{=]")
"""Where the words of a template may end and a quote begin: asyncio puts arguments and results into its templates."""
PLACES: Final = 3
"""How many frames of a fault are named, the innermost last."""


class _TemplatesOnly(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        words = BEFORE_QUOTES.split(str(record.msg), maxsplit=1)[0].strip()
        structlog.get_logger(record.name).log(
            record.levelno, "library", logger=record.name, template=words, exc_info=record.exc_info
        )


def set_up() -> None:
    """Once, when the process starts."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _fault_without_content,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_TemplatesOnly()], force=True)
    for noisy in ("aiokafka", "clickhouse_connect"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)


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

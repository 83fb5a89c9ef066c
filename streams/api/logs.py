"""Log lines of this process: one JSON object each, on stdout.

Owns the set-up. Lines of libraries are reduced to the words of their template, without the arguments, and faults to
their type and place: the rest may quote what was met (promise 7). aiokafka is silenced: it would repeat an outage ten
times a second, and the rooms that use it say it once.
"""

import logging
import sys
from typing import Any

import orjson
import structlog

from streams.spoken import Templates, fault_without_content


def set_up() -> None:
    """Once, at the start of the process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            fault_without_content,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[Templates()], force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _json(line: Any, **_: Any) -> bytes:
    return orjson.dumps(line, default=str)

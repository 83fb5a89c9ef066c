"""JSON lines on stdout, one event a line, ours and the libraries' alike.

Owns the form of a line and which libraries may speak. Refuses content: aiokafka describes records when it talks
freely, so it only speaks of what ends it; what matters of a session is said by `streams.kafka` itself.
"""

import logging
import sys
from typing import Final

import structlog

LEVELS: Final = {"aiokafka": logging.CRITICAL, "uvicorn": logging.ERROR, "asyncio": logging.ERROR}


def set_up() -> None:
    stamped: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.dict_tracebacks,
    ]
    structlog.configure(
        processors=[*stamped, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=stamped,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)

"""Log lines of this process: one JSON object each, on stdout.

Owns the set-up. Lines of libraries keep their template and lose their arguments: ClickHouse's texts quote the row they
choked on, phone numbers included. The Kafka client would repeat an outage many times a second: we say it once.
"""

import logging
import sys

import structlog


class _TemplatesOnly(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        fault = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        log = structlog.get_logger(record.name)
        log.log(record.levelno, "library", logger=record.name, template=str(record.msg)[:200], fault=fault)


def set_up() -> None:
    """Once, when the process starts."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_TemplatesOnly()], force=True)
    for noisy in ("aiokafka", "clickhouse_connect"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)

"""One JSON line a happening, on stdout: ours, Faust's and aiokafka's alike.

Owns levels and the rate limit of a broker that is away. Refuses content: we log names, partitions, offsets, counts; a
library's line keeps the words of its template and loses its arguments; a fault is told by its type and place.
"""

import logging
import sys
import time
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from streams.spoken import fault_of, words_of
from streams.worker.exits import told

QUIET_S: Final = 10.0
"""Without a broker aiokafka writes thousands of lines; one of each kind in this time says as much."""
REPLICA: Final = "replica"
"""The name under which `streams.kafka.replica` speaks."""


def _ours(record: logging.LogRecord) -> bool:
    # Faust's services speak under the name of the module of their class: ours, for some.
    if record.name == REPLICA:
        return True
    return record.name.startswith("streams.") and not str(record.msg).startswith("[^")


def _without_content(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    record: logging.LogRecord = line["_record"]
    line.pop("stack_info", None)
    if not _ours(record):
        line["event"] = words_of(record)
    return _fault_told(_logger, _method, line)


def _fault_told(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """A fault of a structlog line, in each form it may be given, by type and place."""
    fault = fault_of(line)
    if fault is not None:
        line["fault"] = told(fault)
    return line


_OWN: Final[tuple[Processor, ...]] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_SHARED: Final[tuple[Processor, ...]] = (*_OWN, _without_content)


class RateLimit(logging.Filter):
    """Lets one line of each text (before its arguments) through every `QUIET_S`."""

    def __init__(self) -> None:
        super().__init__()
        self._last_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one passes."""
        now, text = time.monotonic(), str(record.msg)
        if now - self._last_at.get(text, -QUIET_S) < QUIET_S:
            return False
        self._last_at[text] = now
        return True


class _Lines(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name; its own shows the arguments
        sys.stderr.write(f"a line of {record.name} could not be written\n")


def set_up_logs(stream: TextIO | None = None) -> None:
    """Route everything through one handler. Called once by `run`."""
    handler = _Lines(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    # The replica of numbers, a room under this one, speaks through structlog.
    structlog.configure(
        processors=[*_OWN, _fault_told, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    logging.getLogger(REPLICA).setLevel(logging.INFO)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("streams").setLevel(logging.INFO)
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.ERROR)  # "woke up too late" is a false alarm on a busy core
    limit = RateLimit()

    def passes(record: logging.LogRecord) -> bool:
        if record.name.startswith("aiokafka"):
            return limit.filter(record)
        return record.levelno > logging.INFO or _ours(record)  # services tell of each start and stop

    handler.addFilter(passes)

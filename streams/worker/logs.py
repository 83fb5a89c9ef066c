"""One JSON line a happening, on stdout: ours, Faust's and aiokafka's alike.

Owns levels and the rate limit of a broker that is away. Refuses content: names, partitions, offsets, counts are logged.
"""

import logging
import sys
import time
from typing import Final, TextIO

import structlog

QUIET_S: Final = 10.0
"""Without a broker aiokafka writes thousands of lines; one of each kind in this time says as much."""

_SHARED: Final[tuple[structlog.typing.Processor, ...]] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


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


def set_up_logs(stream: TextIO | None = None) -> None:
    """Route everything through one handler. Called once by `run`."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
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
        # Faust's services tell of each start and stop under the name of the module of their class: ours, for some.
        return record.levelno > logging.INFO or not str(record.msg).startswith("[^")

    handler.addFilter(passes)

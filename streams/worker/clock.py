"""The worker's clock. The one place here that reads it; everything else takes an instant as an argument.

Durations are taken on `time.monotonic` where they are read, but for those that somebody else counts too.
"""

import time
from collections.abc import Callable
from typing import Final


def now_ms() -> int:
    """Epoch milliseconds: the stamp of a record."""
    return time.time_ns() // 1_000_000


def now_s() -> int:
    """Epoch seconds: the instant of a tick."""
    return int(time.time())


def _going_on() -> Callable[[], float]:
    try:
        boot = time.CLOCK_BOOTTIME
        time.clock_gettime(boot)
    except (AttributeError, OSError):
        return time.monotonic
    return lambda: time.clock_gettime(boot)


_GOING_ON: Final = _going_on()


def since_boot_s() -> float:
    """Seconds on a clock that never goes back and goes on while the machine is suspended: for what the broker counts
    meanwhile. `time.monotonic` stands still on Linux then. Systems without one (`CLOCK_BOOTTIME`) have the latter here.
    """
    return _GOING_ON()

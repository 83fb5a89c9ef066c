"""The worker's clock. The one place here that reads it; everything else takes an instant as an argument."""

import time


def now_ms() -> int:
    """Epoch milliseconds: the stamp of a record."""
    return time.time_ns() // 1_000_000


def now_s() -> int:
    """Epoch seconds: the instant of a tick."""
    return int(time.time())

"""The gateway's clock. The one place here that reads it."""

import time


def now_ms() -> int:
    """Epoch milliseconds: when a body was received, and the stamp of its record."""
    return time.time_ns() // 1_000_000

"""The one place of the projection that reads a clock."""

import time


def now() -> float:
    """Epoch seconds."""
    return time.time()


def elapsed() -> float:
    """Seconds on a clock that never goes back."""
    return time.monotonic()

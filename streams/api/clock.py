"""The one place of this room that reads the wall clock."""

import time


def now() -> int:
    """Whole epoch seconds: the grain of every rule and of the answer's `as_of`."""
    return int(time.time())

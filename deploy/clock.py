"""The wall clock of the commands. The one place of this room that reads it."""

import time


def now() -> int:
    """Epoch seconds."""
    return int(time.time())

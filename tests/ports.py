"""Ports nobody uses, none given twice. They lie below those that the system gives to outgoing connections: one of
those would be taken by the next connection of anybody, before the process it was drawn for listens.
"""

import random
import socket
from typing import Final

DRAWN_FROM: Final = range(12_000, 32_000)

_given: set[int] = set()
_chance: Final = random.SystemRandom()  # what seeds the others makes each run draw the same


def free_port() -> int:
    while True:
        port = _chance.choice(DRAWN_FROM)
        if _is_free(port):
            _given.add(port)
            return port


def free_pair() -> int:
    """The lower of two neighbours, for the broker and its controller."""
    while True:
        port = free_port()
        if _is_free(port + 1):
            _given.add(port + 1)
            return port


def _is_free(port: int) -> bool:
    if port in _given:
        return False
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

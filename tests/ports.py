"""Ports nobody uses, asked of the operating system, none given twice: it may offer one again once it is let go."""

import socket

_given: set[int] = set()


def free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def free_pair() -> int:
    """The lower of two neighbours, for the broker and its controller."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
        if port + 1 not in _given:
            _given.add(port + 1)
            return port

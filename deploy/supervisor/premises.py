"""What must be ours before anything starts: the data folder and the ports.

Owns the lock of `DATA_DIR` and the question whether a port is free. Refuses to end whoever holds them: it names the
holder, or the setting to change.
"""

import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.data_folder import made_private
from deploy.trouble import Trouble


class Occupied(Trouble):
    """The folder or a port belongs to somebody else; the text says to whom, or which setting to change."""


@contextmanager
def alone_in(data_dir: Path) -> Iterator[None]:
    """Hold the folder. The kernel lets go of the lock with the process, however that ends, so it is never stale."""
    made_private(data_dir)
    path = data_dir / "up.lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise Occupied(
                f"{data_dir} is in use by another `callgrant up` or `demo` (pid {holder}): "
                f"stop that one, or set CALLGRANT_DATA_DIR to another folder"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
        lock.truncate(0)


def check_ports(bind: str, ports: Mapping[str, int]) -> None:
    """`ports`: by the setting each follows from (such as `CALLGRANT_KAFKA_PORT + 1`).

    Raises `Occupied` with one line for every port that cannot be had.
    """
    faults: list[str] = []
    seen: dict[int, str] = {}
    for setting, port in ports.items():
        name = setting.partition(" ")[0]
        if not 0 < port < 65_536:
            faults.append(f"{setting}: {port} is no port; set {name} lower")
        elif port in seen:
            faults.append(f"{seen[port]} and {setting} are both {port}: give each a port of its own")
        elif (why := taken(bind, port)) is not None:
            faults.append(
                f"port {port} ({setting}) cannot be used: {why}. End what listens there, or set {name} to another port"
            )
        seen.setdefault(port, setting)
    if faults:
        raise Occupied("\n".join(faults))


def taken(bind: str, port: int) -> str | None:
    """Why nothing of ours could listen there now, or None."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as fault:
            return (fault.strerror or type(fault).__name__).lower()
    return None

"""One child process that cannot outlive us.

Owns the thread it is started from: Linux tells a child that its parent died when the *thread* that made it ends, so
that thread does nothing but wait for it. Refuses to end any process but this one.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Final

TETHER: Final = Path(__file__).with_name("tether.py")


class Child:
    """A running program, its output going to `log`. `keep`: file descriptors it inherits."""

    def __init__(self, command: Sequence[str], *, cwd: Path, log: IO[bytes], keep: Sequence[int]) -> None:
        self._ended = threading.Event()
        started: Future[subprocess.Popen[bytes]] = Future()
        tethered = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command]

        def live() -> None:
            try:
                process = subprocess.Popen(
                    tethered,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=keep,
                    start_new_session=True,  # a Ctrl-C in the terminal is for us: we decide who stops before whom
                )
            except OSError as trouble:
                started.set_exception(trouble)
                return
            started.set_result(process)
            process.wait()
            self._ended.set()

        threading.Thread(target=live, name=f"parent of {Path(command[0]).name}", daemon=True).start()
        self._process = started.result()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode if self._ended.is_set() else None

    def wait(self, within_s: float | None = None) -> bool:
        """Whether it has ended within the time."""
        return self._ended.wait(within_s)

    def terminate(self) -> None:
        if self.alive:
            self._process.terminate()

    def kill(self) -> None:
        if self.alive:
            self._process.kill()

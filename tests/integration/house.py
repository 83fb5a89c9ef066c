"""Every process of the product as it runs in production, started by its command, on ports of its own.

Owns start, readiness, SIGKILL and stop of these processes, by pid. Refuses to import any of their rooms.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import httpx

from tests.ports import free_port

ROOT: Final = Path(__file__).parent.parent.parent
APP_SECRET: Final = "TEST-app-secret"
API_KEY: Final = "test:TEST-api-secret"
READY_WITHIN_S: Final = 180.0
STOPPED_WITHIN_S: Final = 120.0
PORTS: Final = {
    "gateway": "GATEWAY_PORT",
    "worker": "WORKER_PORT",
    "api": "API_PORT",
    "projection": "ANALYTICS_PORT",
}


class House:
    """The four processes over one cluster, with one data folder and one topic prefix.

    `settings`: further ones, by their names without our prefix.
    """

    def __init__(self, folder: Path, bootstrap: str, topic_prefix: str, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._ports = {name: free_port() for name in PORTS}
        ours = {
            "DATA_DIR": str(self.data),
            "KAFKA_BOOTSTRAP": bootstrap,
            "TOPIC_PREFIX": topic_prefix,
            "META_APP_SECRETS": APP_SECRET,
            "META_VERIFY_TOKENS": "TEST-verify",
            "API_KEYS": API_KEY,
            **{setting: str(self._ports[name]) for name, setting in PORTS.items()},
            **settings,
        }
        foreign = {name: value for name, value in os.environ.items() if not name.startswith("CALLGRANT_")}
        self._environment = {
            **foreign,
            **{f"CALLGRANT_{name}": value for name, value in ours.items()},
            "PYTHONPATH": str(ROOT),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    def command(self, *words: str) -> None:
        """One command of ours, to its end."""
        subprocess.run(self._line(*words), env=self._environment, cwd=self.folder, check=True, capture_output=True)

    def asked(self, *words: str) -> tuple[int, str]:
        """One command of ours, to its end: its exit code, and all it said."""
        done = subprocess.run(
            self._line(*words),
            env=self._environment,
            cwd=self.folder,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                self._line(name), env=self._environment, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
            )

    def until_ready(self, name: str) -> None:
        """Return when the process says it is ready; tell the end of its log when it ends or takes too long."""
        give_up_at = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < give_up_at and self._running[name].poll() is None:
            try:
                if httpx.get(f"{self.url(name)}/readyz", timeout=20.0, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)  # between two looks
        raise AssertionError(f"{name} did not become ready:\n{self.log(name)[-3000:]}")

    def kill(self, name: str) -> None:
        """SIGKILL, as the kernel does it: no good-byes."""
        self._running[name].send_signal(signal.SIGKILL)
        assert self._running.pop(name).wait() == -signal.SIGKILL

    def stop(self, name: str) -> int:
        """TERM, and the exit code."""
        running = self._running.pop(name)
        running.terminate()
        try:
            return running.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            raise AssertionError(f"{name} did not stop:\n{self.log(name)[-3000:]}") from None

    def end(self) -> None:
        """Whatever still runs is ended."""
        for running in self._running.values():
            running.kill()
            running.wait()
        self._running.clear()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def _line(self, *words: str) -> list[str]:
        return [sys.executable, "-W", "ignore", "-m", "deploy.cli", *words]

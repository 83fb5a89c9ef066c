"""The two kinds of things that are kept running: a command of ours, and the local broker.

Owns starting and ending them as operating system processes, each with its own log file, in a session of its own (so a
Ctrl-C in the terminal is ours to pass on, in order) and tethered to us: on Linux the kernel ends it when we are gone.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.broker.child import TETHER
from deploy.broker.node import LocalBroker
from deploy.broker.troubles import BrokerDied
from deploy.supervisor.keeper import Hopeless, last_words

STOP_WITHIN_S: Final = 20.0
ASK_AGAIN_AFTER_S: Final = 0.1
BROKER_READY_WITHIN_S: Final = 120.0
LOG_AT_MOST_BYTES: Final = 50 * 1024 * 1024
LOOK_AT_LOG_EVERY_S: Final = 60.0


class Program:
    """A command. `url`: where it answers `/readyz`; empty: it is ready when it runs. `final`: exit codes by which it
    says that starting it again cannot help."""

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        url: str,
        final: Collection[int] = (),
    ) -> None:
        self.name = name
        self.address = url
        self.log = log
        self._command = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command]
        self._environment = dict(environment)
        self._final = frozenset(final)
        self._running: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._running.pid if self._running is not None else None

    async def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(bounded, self.log)
        with self.log.open("ab") as log:
            # The tether counts on the thread that forks to live as long as we do: asyncio forks in the loop's own.
            self._running = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    async def until_ready(self) -> None:
        if not self.address:
            return
        import httpx

        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{self.address}/readyz")).status_code == httpx.codes.OK:
                        return
                await asyncio.sleep(ASK_AGAIN_AFTER_S)

    async def until_ended(self) -> str:
        if (running := self._running) is None:
            return "ended"
        while (code := running.returncode) is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AT_LOG_EVERY_S):
                    await running.wait()
            await asyncio.to_thread(bounded, self.log)
        if code in self._final:
            raise Hopeless(
                f"{self.name} ended with exit code {code}, and starting it again would change nothing; "
                f"the end of {self.log}:\n{last_words(self.log)}"
            )
        return f"ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def stop(self) -> None:
        if (running := self._running) is None:
            return
        with contextlib.suppress(ProcessLookupError):
            running.terminate()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await running.wait()
        except TimeoutError:
            self.kill()
            await running.wait()
        self._running = None

    def kill(self) -> None:
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                self._running.kill()


def bounded(log: Path) -> None:
    """Begin a log anew that has grown too long; what it held is kept until the next time.

    The process goes on writing to the same file: it was opened to append, so it writes on from the new beginning. The
    lines of the moment between copying and emptying are lost.
    """
    if log.exists() and log.stat().st_size > LOG_AT_MOST_BYTES:
        shutil.copyfile(log, log.with_suffix(".before.log"))
        os.truncate(log, 0)


class Broker:
    """The local broker, its blocking calls in threads."""

    name = "broker"

    def __init__(self, broker: LocalBroker) -> None:
        self._broker = broker
        self.address = broker.bootstrap
        self.log = broker.folder.log

    @property
    def pid(self) -> int | None:
        return self._broker.pid

    async def start(self) -> None:
        await asyncio.to_thread(self._broker.start)

    async def until_ready(self) -> None:
        await asyncio.to_thread(self._broker.wait_ready, BROKER_READY_WITHIN_S)

    async def until_ended(self) -> str:
        try:
            await asyncio.to_thread(self._broker.wait_end)
        except BrokerDied as how:
            return str(how).partition("\n")[0]
        return "ended"

    async def stop(self) -> None:
        await asyncio.to_thread(self._broker.stop)

    def kill(self) -> None:
        if self._broker.alive() and (pid := self._broker.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

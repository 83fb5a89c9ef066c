"""The life of one local broker: format, start, ready, stop, kill, and start again on the same data.

Owns the order of these steps and what is told when one cannot be taken. Blocking calls throughout: an asynchronous
caller wraps them in `asyncio.to_thread`. Refuses to be ready before the broker has proved it, and to leave a process
behind: it ends with us even when we are killed.
"""

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from deploy.broker import jars, java, ready
from deploy.broker.child import Child
from deploy.broker.folder import Folder, new_cluster_id
from deploy.broker.troubles import BrokerDied, NotReady, PortTaken

HOST: Final = "127.0.0.1"
STOP_WITHIN_S: Final = 20
FORMAT_WITHIN_S: Final = 60
LOG4J: Final = Path(__file__).with_name("log4j2.properties")

LASTING: Final = ("-server", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:-UsePerfData")
"""Compiled whole, as a broker is that stays up: a third less CPU time a request once a minute of load has passed. No
performance file, which would lie outside DATA_DIR.
"""
QUICK: Final = "-XX:TieredStopAtLevel=1"
"""Where a quick start counts for more than speed later."""
SERVER: Final = (*LASTING, QUICK)
SMALL_TOOL: Final = ("-Xmx128m", QUICK, "-XX:+UseSerialGC", "-XX:-UsePerfData")


class LocalBroker:
    """One Kafka node on `port` (its controller on the next one), with everything it keeps under `data_dir`.

    `cache_dir`: where the jars lie, `data_dir/cache` unless told otherwise. `tell`: gets what a person should know.
    `lasting`: it is to be as fast as one that stays up for long, at the cost of a slower beginning.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        port: int = 9092,
        cache_dir: Path | None = None,
        tell: Callable[[str], None] = lambda _: None,
        lasting: bool = False,
    ) -> None:
        self.port = port
        self._server = LASTING if lasting else SERVER
        self.controller_port = port + 1
        self.folder = Folder(data_dir / "kafka")
        self._jars = (cache_dir or data_dir / "cache").absolute() / "jars"
        self._tell = tell
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    def start(self) -> None:
        """Start the process, formatting its folder the first time. Not ready yet: see `wait_ready`.

        May be called again after `stop`, after `kill` and after the broker died by itself.
        """
        if self.alive():
            return
        self._let_go(clean=False)
        if (stale := self.folder.lock()) is not None:
            self._tell(stale)
        try:
            self._check_ports()
            recorded = jars.recorded()
            jars.fetch(self._jars, recorded)
            runtime = str(java.java(os.environ))
            class_path = jars.class_path(self._jars, recorded)
            self.folder.prepare(port=self.port, controller_port=self.controller_port)
            if self.folder.cluster_id is None:
                self._format([runtime, *SMALL_TOOL, *self._common(class_path)])
            with self.folder.log.open("wb") as log:
                command = [
                    runtime,
                    *self._server,
                    *self._common(class_path),
                    "kafka.Kafka",
                    str(self.folder.properties),
                ]
                self._child = Child(command, cwd=self.folder.root, log=log, keep=[self.folder.lock_fd])
            self.folder.sign(self._child.pid, self.port)
        except BaseException:
            self._end(within_s=0)
            raise

    def wait_ready(self, within_s: float = 60) -> None:
        """Block until the broker takes and serves topics."""
        try:
            asyncio.run(ready.until_ready(HOST, self.port, within_s, self._check_alive))
        except TimeoutError:
            raise NotReady(
                f"the broker on {self.bootstrap} did not get ready within {within_s:g} s; its log is {self.folder.log}"
            ) from None

    def wait_end(self) -> None:
        """Block until the broker ends by itself, and raise to say so."""
        if self._child is not None:
            self._child.wait()
        self._check_alive()

    def stop(self) -> None:
        """TERM, and KILL when it has not ended after 20 s. Does nothing when it does not run."""
        self._end(within_s=STOP_WITHIN_S)

    def kill(self) -> None:
        """SIGKILL at once, as a crash would: what the broker had acknowledged is there at the next start."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._let_go(clean=False)

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end(self, *, within_s: float) -> None:
        if self._child is not None:
            self._child.terminate()
            if not self._child.wait(within_s):
                self._child.kill()
                self._child.wait()
        self._let_go(clean=True)

    def _let_go(self, *, clean: bool) -> None:
        self._child = None
        self.folder.unlock(clean=clean)

    def _common(self, class_path: str) -> list[str]:
        return [
            "-Xshare:auto",
            f"-Dlog4j2.configurationFile={LOG4J}",
            f"-Dkafka.logs.dir={self.folder.logs}",
            f"-Djava.io.tmpdir={self.folder.temp}",  # zstd and snappy unpack their native libraries there
            f"-XX:ErrorFile={self.folder.logs}/jvm-%p.log",
            "-Djava.net.preferIPv4Stack=true",
            "-cp",
            class_path,
        ]

    def _format(self, tool: list[str]) -> None:
        arguments = ["format", "--ignore-formatted", "-t", new_cluster_id(), "-c", str(self.folder.properties)]
        done = subprocess.run(
            [*tool, "kafka.tools.StorageTool", *arguments],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder.root,
            timeout=FORMAT_WITHIN_S,
        )
        if done.returncode != 0 or self.folder.cluster_id is None:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[-500:]
            raise BrokerDied(
                f"{self.folder.data} could not be formatted for the broker (exit {done.returncode}):\n{said}"
            )

    def _check_ports(self) -> None:
        for port, whose in ((self.port, "the broker"), (self.controller_port, "the broker's controller")):
            if not 0 < port < 65_536:
                raise PortTaken(f"{port} is no port for {whose}: set CALLGRANT_KAFKA_PORT to one below 65535")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError as trouble:
                    next_to = "" if port == self.port else " (CALLGRANT_KAFKA_PORT + 1)"
                    raise PortTaken(
                        f"port {port}{next_to}, which {whose} needs, cannot be used: {trouble.strerror}. "
                        f"End what listens there, set CALLGRANT_KAFKA_PORT to another port whose next one is free too, "
                        f"or set CALLGRANT_KAFKA_BOOTSTRAP to use a cluster that runs already."
                    ) from None

    def _check_alive(self) -> None:
        if self._child is None:
            raise BrokerDied("the broker was not started")
        if not self._child.alive:
            raise BrokerDied(
                f"the broker ended by itself (exit {self._child.exit_code}); "
                f"the end of {self.folder.log}:\n{self.folder.last_words()}"
            )

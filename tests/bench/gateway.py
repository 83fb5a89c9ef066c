"""What a signed webhook costs the gateway until the broker has it, beside FastAPI doing the same and beside a server
that only answers 200; and how long senders wait at 1,000 a second.

The three run side by side against one broker and are asked in turn, each round by a sender of its own. The cost is the
CPU time of the server's process. One webhook is a permission reply of some 700 bytes.
"""

import asyncio
import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import psutil

from deploy.topics import create_topics
from schemas.topics import TopicNames
from tests.bench.stage import ROOT, broker
from tests.gateway.process import started, until_ready

NAMES: Final = TopicNames("bench.")
ROUNDS: Final = 5
LANES: Final = 64
COUNTS: Final = {"ours": 5_000, "fastapi": 2_000, "bare": 5_000}
WARM_UP: Final = 1_000
PER_S: Final = 1_000
OPEN_LOOP_S: Final = 5
STRETCHES: Final = 3


class Server:
    """A running server and what it has cost so far."""

    def __init__(self, pid: int, port: int) -> None:
        self._process = psutil.Process(pid)
        self._port = port

    def load(self, count: int, per_s: int | None = None) -> tuple[float, list[float]]:
        """CPU microseconds a webhook, and the milliseconds each took."""
        command = [sys.executable, "-m", "tests.bench.gateway_load", str(self._port), str(count)]
        command += [str(LANES)] if per_s is None else ["256", str(per_s)]
        before_s = self._spent_s()
        done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT, timeout=90)
        return (self._spent_s() - before_s) / count * 1e6, json.loads(done.stdout)

    def _spent_s(self) -> float:
        spent = self._process.cpu_times()
        return spent.user + spent.system


@contextmanager
def peer(name: str, bootstrap: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.bench.gateway_peers", name, bootstrap, NAMES.of("webhooks.raw")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert child.stdout is not None
        yield Server(child.pid, int(child.stdout.readline()))
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=20)


async def prepared(bootstrap: str) -> None:
    await create_topics(bootstrap, NAMES, 4)


def gateway() -> Iterator[tuple[str, float, str]]:
    """Name, figure, unit."""
    with ExitStack() as held:
        bootstrap, _ = held.enter_context(broker())
        asyncio.run(prepared(bootstrap))
        ours = held.enter_context(started(bootstrap, NAMES.prefix))
        asyncio.run(until_ready(ours))
        servers = {
            "ours": Server(ours.child.pid, ours.port),
            "fastapi": held.enter_context(peer("fastapi", bootstrap)),
            "bare": held.enter_context(peer("bare", bootstrap)),
        }
        for server in servers.values():
            server.load(WARM_UP)
        cost_us: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(ROUNDS):
            for name, server in servers.items():
                cost_us[name].append(server.load(COUNTS[name])[0])
        best = {name: min(costs) for name, costs in cost_us.items()}
        yield "gateway_us", best["ours"], "us"
        yield "gateway_fastapi_us", best["fastapi"], "us"
        yield "gateway_bare_us", best["bare"], "us"
        yield "gateway_vs_fastapi", best["fastapi"] / best["ours"], "x"
        yield "gateway_vs_bare", best["bare"] / best["ours"], "x"
        # The machine disturbs but never helps: the best of a few stretches is what the gateway does.
        stretches = [servers["ours"].load(PER_S * OPEN_LOOP_S, PER_S) for _ in range(STRETCHES)]
        yield "gateway_us_at_1000", min(cost for cost, _ in stretches), "us"
        yield "gateway_p50_ms", min(statistics.median(took_ms) for _, took_ms in stretches), "ms"
        yield "gateway_p99_ms", min(statistics.quantiles(took_ms, n=100)[98] for _, took_ms in stretches), "ms"

"""How long it takes from a webhook to the announcement of what it changed, with every process running on this machine:
broker, gateway, worker, api and projection. Before that, with those alone that lie on its way.

The traffic is a provider's (`e2e_traffic`); a reply of a user turns the standing of its pair, and counts from the
instant its webhook was due until a consumer of `permission.changes` holds what it caused. Then the same with nothing
but replies.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer

from tests.bench.measure import tell
from tests.bench.stage import ROOT, broker, spent_s
from tests.integration.house import House

ON_THE_WAY: Final = ("gateway", "worker")
BESIDE: Final = ("api", "projection")
WARM_UP: Final = ("mixed", 1_000, 30)
"""Traffic, rate and seconds, until the broker has compiled what it does most; then what is measured."""
USUAL: Final = ("mixed", 1_000, 20)
RUNS: Final = (USUAL, ("mixed", 5_000, 8), ("replies", 1_000, 20))
BEHIND_S: Final = 1.0
"""Who is further behind than this when the last webhook has gone out does not carry the rate."""
GIVE_UP_AFTER_S: Final = 90.0
PREFIX: Final = "bench."


@dataclass(frozen=True, slots=True)
class Found:
    """One run. `lag_s`: from the last reply's due instant until all was announced. `cpu_us`: by process, a request of
    `sent`.
    """

    rate: int
    sent: int
    cpu_us: dict[str, float]
    took_ms: list[float]
    answered_ms: list[float]
    lag_s: float


class Ear:
    """A downstream service: knows when which change came."""

    def __init__(self, bootstrap: str) -> None:
        self.heard: dict[str, float] = {}
        self._consumer = AIOKafkaConsumer(
            f"{PREFIX}permission.changes",
            bootstrap_servers=bootstrap,
            group_id=None,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )

    async def listen(self) -> None:
        await self._consumer.start()
        try:
            async for record in self._consumer:
                now = time.time()
                change = orjson.loads(record.value)
                if change["type"] in ("permission_granted", "permission_revoked", "permission_declined"):
                    self.heard.setdefault(f"{record.key.decode()}@{change['occurred_at']}", now)
        finally:
            await self._consumer.stop()


async def _run(house: House, ear: Ear, run: int, traffic: str, rate: int, seconds: int) -> Found:
    port = house.url("gateway").rsplit(":", 1)[1]
    command = [sys.executable, "-m", "tests.bench.e2e_load", port, traffic, *map(str, (rate, seconds, run))]
    pids = {name: running.pid for name, running in house._running.items()}
    before_s = {name: spent_s(pid) for name, pid in pids.items()}
    load = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT, limit=1 << 26)
    said, _ = await load.communicate()
    assert load.returncode == 0, "the gateway refused webhooks"
    told: dict[str, Any] = json.loads(said)
    due: dict[str, float] = told["due"]
    give_up_at = time.monotonic() + GIVE_UP_AFTER_S
    while not due.keys() <= ear.heard.keys():
        assert time.monotonic() < give_up_at, f"{len(due.keys() - ear.heard.keys())} announcements are missing"
        await asyncio.sleep(0.1)
    sent = rate * seconds
    cpu_us = {name: (spent_s(pid) - before_s[name]) / sent * 1e6 for name, pid in pids.items()}
    lag_s = max(ear.heard[name] for name in due) - max(due.values())
    return Found(
        rate, sent, cpu_us, [(ear.heard[name] - at) * 1000 for name, at in due.items()], told["answered_ms"], lag_s
    )


async def _all(house: House, bootstrap: str) -> list[Found]:
    ear = Ear(bootstrap)
    listening = asyncio.create_task(ear.listen())
    try:
        await _run(house, ear, 0, *WARM_UP)
        found = [await _run(house, ear, 1, *USUAL)]
        await asyncio.to_thread(_started, house, BESIDE)
        await _run(house, ear, 2, *WARM_UP)
        return found + [await _run(house, ear, place, *run) for place, run in enumerate(RUNS, 3)]
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def e2e() -> None:
    with broker() as (bootstrap, folder):
        alone, usual, many, worst = _in_the_house(bootstrap, folder)
    _told(alone, "_on_the_way")
    _told(usual, "")
    for name, us in usual.cpu_us.items():
        tell(f"e2e_{name}_us", us, "us")
    _told(many, "_5k")
    if many.lag_s > BEHIND_S:
        sent_s = many.sent / many.rate
        print(
            f"e2e_p99_ms_5k is the length of a queue: this machine does not carry {many.rate:,} requests/s with "
            f"everything running on it; the last announcement came {many.lag_s:.1f} s after the last reply was due",
            flush=True,
        )
        tell("e2e_carried_per_s", many.sent / (sent_s + many.lag_s), "requests/s")
    _told(worst, "_replies")


def _started(house: House, names: tuple[str, ...]) -> None:
    for name in names:
        house.start(name)
    for name in names:
        house.until_ready(name)


def _told(run: Found, suffix: str) -> None:
    percentiles = statistics.quantiles(run.took_ms, n=100)
    tell(f"e2e_p50_ms{suffix}", percentiles[49], "ms")
    tell(f"e2e_p99_ms{suffix}", percentiles[98], "ms")
    tell(f"e2e_answered_p99_ms{suffix}", statistics.quantiles(run.answered_ms, n=100)[98], "ms")


def _in_the_house(bootstrap: str, folder: Path) -> list[Found]:
    house = House(folder, bootstrap, PREFIX)
    try:
        house.command("topics", "create")
        _started(house, ON_THE_WAY)
        return asyncio.run(_all(house, bootstrap))
    finally:
        house.end()

"""How many questions one api process answers, and how long they wait at 1,000 a second.

The api holds the pairs of a simulated week, told again under further business numbers; a worker stands beside it, so
that its answers are as fresh as they must be. Questions come from a process of its own, for pairs drawn at random.
`ask_us` is the CPU time of the api's process; `ask_per_s` is what came out on this machine, with the asking process and
everything else on it too.
"""

import asyncio
import json
import statistics
import subprocess
import sys
from typing import Final

from schemas.ids import is_wa_id, parse_pair
from schemas.topics import TopicNames
from streams.worker.rows import Row
from tests.bench.measure import tell
from tests.bench.past import by_key
from tests.bench.recovery import rows
from tests.bench.stage import ROOT, broker, fill, sending, spent_s
from tests.integration.house import House

PREFIX: Final = "bench."
PAIRS: Final = 2_000
TOLD_AGAIN: Final = 10
WARM_UP: Final = 2_000
COUNT: Final = 10_000
LANES: Final = 64
ROUNDS: Final = 3
RATE: Final = 1_000
OPEN_LOOP_S: Final = 10


def _asked(house: House, users: str, *words: int) -> list[float]:
    port = house.url("api").rsplit(":", 1)[1]
    command = [sys.executable, "-m", "tests.bench.api_load", port, *map(str, words)]
    done = subprocess.run(command, input=users, capture_output=True, check=True, text=True, cwd=ROOT, timeout=180)
    took_ms: list[float] = json.loads(done.stdout)
    return took_ms


async def _filled(bootstrap: str, told: list[Row]) -> None:
    async with sending(bootstrap) as producer:
        await fill(producer, TopicNames(PREFIX).of("permission.state"), by_key(told))


def _canonical(key: bytes | None) -> bool:
    pair = parse_pair(key or b"")
    return pair is not None and is_wa_id(pair.user)


def api() -> None:
    told = rows(PAIRS, TOLD_AGAIN)
    users = "\n".join((row.key or b"").decode() for row in told if _canonical(row.key))
    with broker() as (bootstrap, folder):
        house = House(folder, bootstrap, PREFIX)
        try:
            house.command("topics", "create")
            asyncio.run(_filled(bootstrap, told))
            for name in ("worker", "api"):
                house.start(name)
            for name in ("worker", "api"):
                house.until_ready(name)
            _asked(house, users, WARM_UP, LANES)
            pid = house._running["api"].pid
            us, per_s = [], []
            for _ in range(ROUNDS):
                before_s = spent_s(pid)
                took_ms = _asked(house, users, COUNT, LANES)[0]
                us.append((spent_s(pid) - before_s) / COUNT * 1e6)
                per_s.append(COUNT / took_ms * 1000)
            open_ms = statistics.quantiles(_asked(house, users, RATE * OPEN_LOOP_S, LANES, RATE), n=100)
        finally:
            house.end()
    tell("ask_us", statistics.median(us), "us")
    tell("ask_per_s", statistics.median(per_s), "questions/s")
    tell("ask_p50_ms", open_ms[49], "ms")
    tell("ask_p99_ms", open_ms[98], "ms")

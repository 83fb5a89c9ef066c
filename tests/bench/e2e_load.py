"""Traffic for the gateway, from a process of its own, in open loop:
`python -m tests.bench.e2e_load <port> <traffic> <rate> <seconds> <run>`.

The instants are drawn beforehand (`e2e_traffic`), and each request counts from the instant it was due, sent or not
(`http_load`). Prints one JSON object: `due`, for each reply by its key and second when its webhook was due, epoch
seconds; `answered_ms`, how long each request waited for its answer.
"""

import asyncio
import json
import sys
import time
from typing import Any, Final

import uvloop

from tests.bench.e2e_traffic import mixed, replies
from tests.bench.http_load import Load

BEGINS_IN_S: Final = 3.0
TRAFFIC: Final = {"mixed": mixed, "replies": replies}


async def run(port: int, traffic: str, rate: int, seconds: int, run: int) -> dict[str, Any]:
    making_s = 60e-6 * rate * seconds  # so that the first is not due before the last is made
    sendings = list(TRAFFIC[traffic](rate, seconds, run, time.time() + BEGINS_IN_S + making_s))
    turns = {one.turns: one.due.at_s for one in sendings if one.turns is not None}
    assert len(turns) == sum(one.turns is not None for one in sendings), "two replies of one user in one second"
    load = Load(len(sendings))
    await load.connect(port)
    await load.open_loop([one.due for one in sendings])
    answered_ms = [(at_s - one.due.at_s) * 1000 for at_s, one in zip(load.answered_at, sendings, strict=True)]
    return {"due": turns, "answered_ms": answered_ms}


if __name__ == "__main__":
    port, traffic, *numbers = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(int(port), traffic, *map(int, numbers)))))

"""Questions about pairs from a process of its own: `python -m tests.bench.api_load <port> <count> <lanes> [<rate>]`.

The pairs stand on stdin, one a line. Without a rate each lane asks again when it was answered, and what is printed is
the time that all of them took; with one the instants are drawn beforehand (`http_load`), and it is what each waited.
Prints one JSON list, milliseconds.
"""

import asyncio
import json
import random
import sys
import time
from typing import Final

import uvloop

from schemas.ids import Pair, parse_pair
from tests.bench.http_load import Due, Load
from tests.integration.house import API_KEY

BEGINS_IN_S: Final = 1.0


def question(pair: Pair) -> bytes:
    return (
        f"GET /{pair.phone_number_id}/call_permissions?user_wa_id={pair.user} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Accept: application/json\r\nAuthorization: Bearer {API_KEY}\r\n\r\n"
    ).encode()


async def run(pairs: list[Pair], port: int, count: int, lanes: int, rate: float | None) -> list[float]:
    dice = random.Random(20260302)
    asked = [question(pair) for pair in dice.choices(pairs, k=count)]
    load = Load(count)
    await load.connect(port, lanes)
    if rate is None:
        began_s = time.time()
        await load.closed_loop(iter(asked))
        return [(max(load.answered_at) - began_s) * 1000]
    at_s, due = time.time() + BEGINS_IN_S, []
    for request in asked:
        at_s += dice.expovariate(rate)
        due.append(Due(at_s, request))
    await load.open_loop(due)
    return [(answered - one.at_s) * 1000 for answered, one in zip(load.answered_at, due, strict=True)]


if __name__ == "__main__":
    known = [pair for line in sys.stdin if (pair := parse_pair(line.strip())) is not None]
    port, count, lanes = map(int, sys.argv[1:4])
    rate = float(sys.argv[4]) if len(sys.argv) > 4 else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(known, port, count, lanes, rate))))

"""Users who say yes and no in turn, as signed webhooks from a process of its own, in open loop:
`python -m tests.bench.e2e_load <port> <rate> <seconds> <run>`.

The instants are drawn beforehand, and each webhook counts from the instant it was due, sent or not (`http_load`). Each
of them changes one standing. Prints one JSON object: `due`, for each reply by its key and second when its webhook was
due, epoch seconds; `answered_ms`, how long each waited for its answer.
"""

import asyncio
import json
import random
import sys
import time
from typing import Any, Final

import uvloop

from tests.bench.http_load import Due, Load
from tests.gateway.asgi import signature
from tests.integration.house import APP_SECRET
from tests.providers.payloads import body, envelope, value

USERS: Final = 1_000
"""To a business number: what the range reserved for drama holds."""
SECONDS_APART: Final = 10
"""Of one user's replies. Raw records keep no order among themselves: a no that overtakes its yes would have nothing to
announce."""
BEGINS_IN_S: Final = 3.0
WEEK_S: Final = 7 * 86_400


def number_and_user(run: int, place: int) -> tuple[str, str]:
    return f"70010020{run:02}{place // USERS:05}", f"447700900{place % USERS:03}"


def webhooks(rate: int, seconds: int, run: int, begins_at: float) -> dict[str, Due]:
    """All of them by the reply they bring, made before the first is sent."""
    dice = random.Random(20260302)
    pairs = rate * SECONDS_APART
    made: dict[str, Due] = {}
    at_s = begins_at
    for n in range(rate * seconds):
        at_s += dice.expovariate(rate)
        at = int(at_s)
        number, user = number_and_user(run, n % pairs)
        said: dict[str, Any] = {"response": "reject", "response_source": "user_action"}
        if n // pairs % 2 == 0:
            said = {"response": "accept", "expiration_timestamp": str(at + WEEK_S), "response_source": "user_action"}
        message = {
            "from": user,
            "id": f"wamid.TEST{dice.randbytes(20).hex()}",
            "timestamp": str(at),
            "type": "interactive",
            "interactive": {"type": "call_permission_reply", "call_permission_reply": said},
        }
        told = value(contacts=[{"profile": {"name": "Test User"}, "wa_id": user}], messages=[message])
        told["metadata"] = {"display_phone_number": "442079460123", "phone_number_id": number}
        content = body(envelope(told))
        head = (
            "POST /webhooks/meta HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: facebookexternalua\r\nAccept: */*\r\n"
            f"Content-Type: application/json\r\nX-Hub-Signature-256: {signature(content, APP_SECRET)}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        made[f"{number}/{user}@{at}"] = Due(at_s, head.encode() + content)
    return made


async def run(port: int, rate: int, seconds: int, run: int) -> dict[str, Any]:
    making_s = 60e-6 * rate * seconds  # so that the first is not due before the last is made
    due = webhooks(rate, seconds, run, time.time() + BEGINS_IN_S + making_s)
    assert len(due) == rate * seconds, "two replies of one user in one second"
    load = Load(len(due))
    await load.connect(port)
    await load.open_loop(list(due.values()))
    answered_ms = [(at_s - one.at_s) * 1000 for at_s, one in zip(load.answered_at, due.values(), strict=True)]
    return {"due": {name: one.at_s for name, one in due.items()}, "answered_ms": answered_ms}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(*map(int, sys.argv[1:])))))

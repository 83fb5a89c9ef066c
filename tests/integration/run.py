"""One run of the whole product, and everything it left behind.

Owns the course: start all, send everything, kill the worker twice on the way, wait until nothing is unread and every
passed deadline was announced, ask, stop, read what is left. Refuses to judge: `test_end_to_end.py` does.
"""

import asyncio
import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import rocksdict

from deploy.progress import Stage, stages, until_caught_up
from schemas.ids import parse_pair
from schemas.topics import TopicNames
from tests.integration.happenings import DAY_S, NUMBERS, USERS, scoped_id
from tests.integration.house import API_KEY, APP_SECRET, ROOT, House
from tests.integration.log import Log, Record, log_of
from tests.integration.sendings import Sending

AT_ONCE: Final = 12
KILLS: Final = 2
KILL_AFTER_FACTS: Final = 300
CAUGHT_UP_WITHIN_S: Final = 300.0
TOPICS: Final = (
    "webhooks.raw",
    "actions.raw",
    "permission.events",
    "business.events",
    "permission.state",
    "permission.changes",
    "permission.records",
    "permission.ticks",
    "deadletters",
)
AUTHORIZED: Final = {"authorization": f"Bearer {API_KEY}"}


@dataclass
class Evidence:
    """What was sent and answered, and what could be seen afterwards."""

    answered: list[tuple[Sending, list[int]]] = field(default_factory=list)
    """Each sending with the status codes of its attempts (0: no answer)."""
    kills: list[int] = field(default_factory=list)
    """How many facts were on the log when the worker was killed."""
    announced_until: int = 0
    """Every deadline up to this instant was announced."""
    topics: dict[str, list[Record]] = field(default_factory=dict)
    answers: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    """What the api said of (number, user) as of an instant."""
    questions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    views: list[dict[str, Any]] = field(default_factory=list)
    table: dict[bytes, bytes] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)

    def acknowledged(self, *kinds: str) -> list[Sending]:
        return [sent for sent, codes in self.answered if sent.kind in kinds and codes[-1] in (200, 202)]


def drive(house: House, bootstrap: str, names: TopicNames, sendings: list[Sending], now: int) -> Evidence:
    """The whole run; leaves nothing running."""
    try:
        house.command("topics", "create")
        for name in ("projection", "gateway", "worker", "api"):
            house.start(name)
        for name in ("gateway", "worker", "api", "projection"):
            house.until_ready(name)
        return asyncio.run(_drive(house, bootstrap, names, sendings, now))
    finally:
        house.end()


async def _drive(house: House, bootstrap: str, names: TopicNames, sendings: list[Sending], now: int) -> Evidence:
    seen = Evidence()
    async with log_of(bootstrap) as log, httpx.AsyncClient(trust_env=False, timeout=120.0) as client:
        share = len(sendings) // (KILLS + 1) + 1
        for first in range(0, len(sendings), share):
            sending = asyncio.create_task(_send(client, house, sendings[first : first + share], seen))
            if len(seen.kills) < KILLS:
                await _kill_the_worker_at_work(house, log, names, seen)
            await sending
        await until_caught_up(bootstrap, stages(names), CAUGHT_UP_WITHIN_S)
        await _until_deadlines_are_announced(bootstrap, log, names, seen)
        await _ask(client, house, now, seen)
        for name in ("worker", "api", "gateway", "projection"):
            seen.exits[name] = await asyncio.to_thread(house.stop, name)
            seen.logs[name] = house.log(name)
        for topic in TOPICS:
            seen.topics[topic] = await log.everything_on(names.of(topic))
    seen.table = _table(house.data / "worker")
    seen.views = _views(house.data / "clickhouse")
    return seen


async def _send(client: httpx.AsyncClient, house: House, sendings: Iterable[Sending], seen: Evidence) -> None:
    """Post all of them, a dozen at once, each again while it is answered 503."""
    waiting = iter(sendings)

    async def one_after_the_other() -> None:
        for sending in waiting:
            codes: list[int] = []
            while not codes or codes[-1] == 503:
                codes.append(await _post(client, house, sending))
            seen.answered.append((sending, codes))

    await asyncio.gather(*[one_after_the_other() for _ in range(AT_ONCE)])


async def _post(client: httpx.AsyncClient, house: House, sending: Sending) -> int:
    headers = {"content-type": sending.content_type}
    if "action" in sending.kind:
        path = "/v1/actions"
        headers |= {} if sending.kind == "keyless_action" else AUTHORIZED
    else:
        path = "/webhooks/meta"
        secret = "somebody else's" if sending.kind == "forged" else APP_SECRET
        if sending.kind != "unsigned":
            signed = hmac.new(secret.encode(), sending.body, hashlib.sha256).hexdigest()
            headers["x-hub-signature-256"] = f"sha256={signed}"
    return (await client.post(house.url("gateway") + path, content=sending.body, headers=headers)).status_code


async def _kill_the_worker_at_work(house: House, log: Log, names: TopicNames, seen: Evidence) -> None:
    """SIGKILL in the middle of its work: hundreds of facts further, new rows written, more to come. Start it again."""
    events, rows = names.of("permission.events"), names.of("permission.state")
    facts_then, rows_then = await log.length(events), await log.length(rows)
    give_up_at = time.monotonic() + CAUGHT_UP_WITHIN_S
    while await log.length(events) < facts_then + KILL_AFTER_FACTS or await log.length(rows) <= rows_then:
        assert time.monotonic() < give_up_at, f"the worker does nothing:\n{house.log('worker')[-3000:]}"
    await asyncio.to_thread(house.kill, "worker")
    seen.kills.append(await log.length(events))
    house.start("worker")


async def _until_deadlines_are_announced(bootstrap: str, log: Log, names: TopicNames, seen: Evidence) -> None:
    """Wait until every partition has seen a tick of this moment or later, and what it brought is stored."""
    moment = int(time.time())
    async with asyncio.timeout(CAUGHT_UP_WITHIN_S):
        told: dict[int, int] = {}
        while not told or min(told.values()) < moment or len(told) < len(await log.ends(names.of("permission.ticks"))):
            told = {
                tick.partition: json.loads(tick.value)["at"]
                for tick in await log.everything_on(names.of("permission.ticks"))
            }
            await asyncio.sleep(0.5)  # between two looks
    ticks = Stage(names.group("worker"), (names.of("permission.ticks"),))
    await until_caught_up(bootstrap, [ticks, *stages(names)], CAUGHT_UP_WITHIN_S)
    seen.announced_until = moment


async def _ask(client: httpx.AsyncClient, house: House, now: int, seen: Evidence) -> None:
    """The api about every pair, now and at two instants of the past; the projection its two questions."""
    for name in ("funnel", "revocations"):
        answer = await client.get(f"{house.url('projection')}/v1/analytics/{name}", headers=AUTHORIZED)
        assert answer.status_code == 200, answer.text
        seen.questions[name] = answer.json()["rows"]
    asked = [
        (number, user, at)
        for number, user in [
            *[(number, name) for number in NUMBERS for user in USERS for name in (user, scoped_id(number, user))],
            *[("700100200300499", user) for user in USERS],
        ]
        for at in (None, now - 3 * DAY_S, now - 9 * DAY_S)
    ]
    waiting = iter(asked)

    async def one_after_the_other() -> None:
        for number, user, at in waiting:
            more = {} if at is None else {"at": at}
            answer = await client.get(
                f"{house.url('api')}/{number}/call_permissions",
                params={"user_wa_id" if user.isdigit() else "recipient": user, **more},
                headers=AUTHORIZED,
            )
            assert answer.status_code == 200, answer.text
            said = answer.json()
            assert at in (None, said["as_of"])
            seen.answers[number, user, said["as_of"]] = said

    await asyncio.gather(*[one_after_the_other() for _ in range(AT_ONCE)])


def _table(folder: Path) -> dict[bytes, bytes]:
    """The rows of the worker's local store, beside which lie its offset and its time index."""
    found: dict[bytes, bytes] = {}
    stores = sorted(folder.glob("**/pairs-*.db"))
    assert stores, "the worker left no local store"
    for store in stores:
        read_only = rocksdict.AccessType.read_only()
        rows: Any = rocksdict.Rdict(str(store), rocksdict.Options(raw_mode=True), access_type=read_only)
        found |= {key: value for key, value in rows.items() if parse_pair(key) is not None}
        rows.close()
    return found


def _views(folder: Path) -> list[dict[str, Any]]:
    line = [sys.executable, "-W", "ignore", "-m", "tests.integration.views", str(folder), "callgrant"]
    told = subprocess.run(line, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    return [json.loads(row) for row in told.stdout.splitlines()]

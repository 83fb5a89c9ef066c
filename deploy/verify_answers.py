"""What the running api says of pairs, beside what the log says of them, at one instant.

Owns asking and what becomes of an answer that does not come. Refuses to judge: the answer expected is made where the
log was folded, by the core.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import httpx
import orjson

from deploy.asking import authorization
from deploy.config import Config
from deploy.verify_log import CannotJudge, Tell
from deploy.verify_report import Findings
from schemas.ids import Pair, is_wa_id

AT_ONCE: Final = 8
ASK_AGAIN_AFTER_S: Final = 0.5
ANSWERS_WITHIN_S: Final = 30.0


class Expected(NamedTuple):
    """The answer that the log leads to, without Meta's constant."""

    pair: Pair
    body: Mapping[str, Any]


class NobodyAnswers(Exception):
    """No api runs where one should."""


async def compare(
    config: Config, at: int, expected: Iterable[Expected], within_s: float, into: Findings, tell: Tell
) -> None:
    """Ask about each pair as of `at`. Raises `NobodyAnswers`, and `CannotJudge` when the api refuses."""
    url = config.url(config.names.api_port)
    waiting: Iterator[Expected] = iter(expected)
    async with httpx.AsyncClient(
        base_url=url, headers=authorization(config), timeout=ANSWERS_WITHIN_S, trust_env=False
    ) as client:

        async def one_after_the_other() -> None:
            for one in waiting:
                said = await _asked(client, one.pair, at, within_s)
                said.pop("messaging_product", None)
                into.compared["answers"] += 1
                tell(f"asked about {into.compared['answers']} pairs")
                if said != orjson.loads(orjson.dumps(one.body)):
                    into.differs("answers.differs", one.pair.key, _difference(said, one.body))

        try:
            await client.get("/livez")
        except httpx.ConnectError as fault:
            raise NobodyAnswers(f"no api runs at {url}") from fault
        except httpx.HTTPError as fault:
            raise CannotJudge(f"the api at {url} did not answer ({type(fault).__name__})") from fault
        refusal: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(one_after_the_other())
        except* CannotJudge as faults:
            refusal = faults.exceptions[0]  # raised in here, some Pythons would wrap it once more
        if refusal is not None:
            raise refusal


async def _asked(client: httpx.AsyncClient, pair: Pair, at: int, within_s: float) -> dict[str, Any]:
    name = "user_wa_id" if is_wa_id(pair.user) else "recipient"
    path, asked = f"/{pair.phone_number_id}/call_permissions", {name: pair.user, "at": str(at)}
    left_s = within_s
    while True:
        try:
            answer = await client.get(path, params=asked)
        except httpx.HTTPError as fault:
            raise CannotJudge(f"the api at {client.base_url} did not answer ({type(fault).__name__})") from fault
        match answer.status_code:
            case httpx.codes.OK:
                said: dict[str, Any] = answer.json()
                return said
            case httpx.codes.SERVICE_UNAVAILABLE if left_s > 0:  # it has not read everything yet, and says so
                left_s -= ASK_AGAIN_AFTER_S
                await asyncio.sleep(ASK_AGAIN_AFTER_S)
            case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
                raise CannotJudge(
                    f"the api at {client.base_url} does not know our key: set CALLGRANT_API_KEYS (id:secret), or "
                    f"CALLGRANT_DATA_DIR to the folder whose secrets.env it uses"
                )
            case code:
                raise CannotJudge(
                    f"the api at {client.base_url} answered {code} and would not say more in time: look at its "
                    f"/readyz, or set CALLGRANT_API_PORT to another one"
                )


def _difference(said: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Which parts differ; never their values, which may name a message."""
    parts = [name for name in expected if json.dumps(said.get(name)) != json.dumps(expected[name])]
    return ", ".join(parts or ["keys the log does not lead to"])

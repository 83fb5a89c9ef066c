"""The app over a dict and a lag that is told: what the quick tests ask."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from schemas.marks import Decision, Request
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import encode_state
from streams.api.app import Api, build
from streams.api.freshness import Lag
from streams.api.keys import Keys
from streams.api.settings import ApiSettings

NUMBER = "700100200300400"
USER = "447700900123"
ASKED_AT = 1_772_443_800
KEY = "test:s3cret"
BEARER = {"Authorization": f"Bearer {KEY}"}
SETTINGS = ApiSettings(
    kafka_bootstrap="127.0.0.1:1",
    topic_prefix="test.",
    generation=1,
    bind="127.0.0.1",
    port=0,
    api_keys=(("test", "s3cret"), ("test", "previous"), ("other", "0ther")),
    policy=DEFAULT_POLICY,
)
KEYS = Keys(SETTINGS.api_keys)
GRANTED = PairState(
    phone_number_id=NUMBER,
    user=USER,
    version=2,
    judged_at=ASKED_AT,
    decisions=(
        Decision(
            id="wamid.TESTREP0001",
            at=ASKED_AT,
            recorded_at=ASKED_AT,
            what="temporary",
            expires_at=ASKED_AT + 604_800,
            source="user_action",
            context_id="wamid.TESTREQ0001",
        ),
    ),
    requests=(Request(message_id="wamid.TESTREQ0001", sent_at=ASKED_AT - 1_800, recorded_at=ASKED_AT - 1_800),),
)


class Rows:
    def __init__(self, *states: PairState) -> None:
        self.rows = {state.pair.key: encode_state(state) for state in states}
        self.positions: dict[int, int] = {}
        self.caught_up = True
        self.lag_records = 0
        self.outranked = 0

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)


class Told:
    """A lag somebody tells."""

    def __init__(self, records: int = 0, seconds: float | None = 0.25) -> None:
        self.told = Lag(records, seconds)

    def lag(self) -> Lag:
        return self.told


def app_of(rows: Rows | None = None, told: Told | None = None, settings: ApiSettings = SETTINGS) -> Api:
    return build(settings, Keys(settings.api_keys), Rows(GRANTED) if rows is None else rows, told or Told())


@asynccontextmanager
async def asking(app: Api, headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    given = BEARER if headers is None else headers
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=given) as client:
        yield client


def path(number: str = NUMBER) -> str:
    return f"/{number}/call_permissions"


def who(user: str = USER, **more: Any) -> dict[str, Any]:
    return {"user_wa_id": user, **more}

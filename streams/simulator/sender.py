"""Posts deliveries to a gateway the way Meta does: signed, several at once, again and again until they are answered
2xx.

Owns repetition and the tally. Refuses to give up silently: a delivery ends as *acked* (2xx), *refused* (an answer
that repeating cannot mend) or *unknown* (no clear answer until patience ran out), and the tally says how many of
each.

Decisions bound here
- No answer, a broken connection, 408, 425, 429 and every 5xx are repeated, after the `Retry-After` of the answer or a
  growing, jittered pause.
- Patience is counted from the last delivery that was acknowledged: while anything gets through, nothing is given up;
  with the gateway gone for longer than that, each remaining delivery is still tried once and recorded as unknown.
- 401 and 403 end the run: with a wrong secret nothing can follow that is worth sending.
- Proxies of the environment are not asked: the gateway named is the gateway meant.
"""

import asyncio
import hmac
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import assert_never

import httpx

from streams.simulator.deliveries import Delivery
from streams.simulator.sent_log import Outcome, SentLog

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
AGAIN = frozenset({408, 425, 429})
EXAMPLES = 5


class NotAccepted(Exception):
    """The gateway does not believe us; the message names the settings to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where and how to post. Secrets stay out of the repr."""

    gateway_url: str
    app_secret: str = field(repr=False)
    api_key: str = field(repr=False)
    concurrency: int
    rate_per_s: float | None
    timeout_s: float
    patience_s: float
    sent_log: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the sending is. `repeated` counts attempts beyond the first of each delivery."""

    total: int
    acked: int = 0
    refused: int = 0
    unknown: int = 0
    repeated: int = 0

    @property
    def done(self) -> int:
        return self.acked + self.refused + self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of all deliveries; `examples` are the first that did not get through, without their contents."""

    counts: Progress
    examples: tuple[str, ...]
    elapsed_s: float


async def send(
    deliveries: Sequence[Delivery], door: Door, *, dice: Random, progress: Callable[[Progress], None] | None = None
) -> Tally:
    sending = _Sending(deliveries, door, dice, progress)
    if door.sent_log is None:
        return await sending.run(None)
    with SentLog(door.sent_log) as log:
        return await sending.run(log)


def signature(app_secret: str, body: bytes) -> str:
    """The value of `X-Hub-Signature-256`."""
    return "sha256=" + hmac.digest(app_secret.encode(), body, "sha256").hex()


class _Sending:
    """One run over all deliveries: several lanes take from one list, in its order."""

    def __init__(
        self,
        deliveries: Sequence[Delivery],
        door: Door,
        dice: Random,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._left = iter(enumerate(deliveries))
        self._total = len(deliveries)
        self._door = door
        self._dice = dice
        self._trusted = ssl.create_default_context()  # made once: it reads every certificate of the system
        self._progress = progress
        self._counts: Counter[Outcome] = Counter()
        self._repeated = 0
        self._examples: list[str] = []
        self._clock = asyncio.get_running_loop().time
        self._started_s = self._last_ack_s = self._clock()

    async def run(self, log: SentLog | None) -> Tally:
        lanes = [asyncio.ensure_future(self._lane(log)) for _ in range(min(self._door.concurrency, self._total))]
        try:
            await asyncio.gather(*lanes)
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
        return Tally(counts=self._so_far(), examples=tuple(self._examples), elapsed_s=self._clock() - self._started_s)

    async def _lane(self, log: SentLog | None) -> None:
        # A connection of its own: one pool for all lanes spends more time on choosing connections than on posting.
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        door = self._door
        async with httpx.AsyncClient(
            base_url=door.gateway_url, timeout=door.timeout_s, limits=limits, trust_env=False, verify=self._trusted
        ) as client:
            await self._post_all(client, log)

    async def _post_all(self, client: httpx.AsyncClient, log: SentLog | None) -> None:
        for place, delivery in self._left:
            if self._door.rate_per_s is not None:
                await asyncio.sleep(self._started_s + place / self._door.rate_per_s - self._clock())
            outcome, status, attempts = await self._deliver(client, delivery)
            if log is not None:
                await log.write(place, delivery, outcome, status, attempts)
            self._counts[outcome] += 1
            if outcome != "acked" and len(self._examples) < EXAMPLES:
                self._examples.append(
                    f"delivery {place} to the {delivery.door} door: {outcome}, last answer {status or 'none'}"
                )
            if self._progress is not None:
                self._progress(self._so_far())

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> tuple[Outcome, int | None, int]:
        attempts, status = 0, None
        while True:
            attempts += 1
            self._repeated += attempts > 1
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempts - 1)) * (0.5 + self._dice.random() / 2)
            try:
                response = await self._post(client, delivery)
            except (httpx.TransportError, ssl.SSLError):  # httpx translates no TLS fault after the handshake
                status = None
            else:
                status = response.status_code
                if response.is_success:
                    self._last_ack_s = self._clock()
                    return "acked", status, attempts
                if status in (401, 403):
                    raise NotAccepted(_not_accepted(delivery, status))
                if status < 500 and status not in AGAIN:
                    return "refused", status, attempts
                pause_s = _retry_after_s(response) or pause_s
            if self._clock() + pause_s > self._last_ack_s + self._door.patience_s:
                return "unknown", status, attempts
            await asyncio.sleep(pause_s)

    async def _post(self, client: httpx.AsyncClient, delivery: Delivery) -> httpx.Response:
        match delivery.door:
            case "webhook":
                path, proof = "/webhooks/meta", {"X-Hub-Signature-256": signature(self._door.app_secret, delivery.body)}
            case "action":
                path, proof = "/v1/actions", {"Authorization": f"Bearer {self._door.api_key}"}
            case other:
                assert_never(other)
        return await client.post(path, content=delivery.body, headers={"Content-Type": "application/json", **proof})

    def _so_far(self) -> Progress:
        counts = self._counts
        return Progress(
            total=self._total,
            acked=counts["acked"],
            refused=counts["refused"],
            unknown=counts["unknown"],
            repeated=self._repeated,
        )


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds only: a date would need a clock that agrees with the gateway's."""
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else None


def _not_accepted(delivery: Delivery, status: int) -> str:
    match delivery.door:
        case "webhook":
            return f"{status} to a signed webhook: app_secret must be one of the gateway's CALLGRANT_META_APP_SECRETS"
        case "action":
            return f"{status} to an action: api_key (id:secret) must be one of the gateway's CALLGRANT_API_KEYS"
        case other:
            assert_never(other)

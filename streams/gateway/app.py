"""The doors: a bare ASGI callable, from a request to its answer. A 200 means: the bytes are on the broker (promise 1).

Owns the order of steps behind each door, and the order is the guarantee: authentic, then stored, then acknowledged,
then answered. Refuses to understand a webhook: between a valid signature and the acknowledgement nothing can fail on
content.

Decisions bound here
- A request without any chance to be authentic (no secret, no signature or two, no key) is refused before its body is
  read, and its connection closed.
- The doors of providers that are not configured answer like a wrong secret: 401, empty.
- An action request is acknowledged as a whole; when only a part of it came through, the answer is 503 and the caller
  repeats all of it (facts have derived ids, so repeats are harmless).
"""

from collections.abc import Callable, Coroutine
from hashlib import sha256
from time import perf_counter
from typing import Any, Final

import orjson
import structlog

from schemas.envelope import raw_record
from schemas.topics import TopicNames
from streams.gateway import answers, counters
from streams.gateway.actions import Unacceptable, read_actions
from streams.gateway.answers import Answer, Receive, Scope, Send
from streams.gateway.body import NOT_DECLARED, BodyReader, Fault
from streams.gateway.clock import now_ms
from streams.gateway.keys import ApiKeys
from streams.gateway.settings import GatewaySettings
from streams.gateway.signature import Signatures
from streams.gateway.verification import challenge_of
from streams.kafka.outcomes import Acknowledged
from streams.kafka.producer import HEADER_ROOM_BYTES, BatchProducer
from streams.kafka.session import Record

CLOSED_PROVIDERS: Final = ("gupshup", "infobip", "360dialog", "ycloud", "zernio")
OF_FAULT: Final[dict[Fault, Answer | None]] = {
    "too_large": answers.TOO_LARGE,
    "slow": answers.SLOW,
    "busy": answers.BUSY,
    "gone": None,
}
TITLES: Final = {400: "Bad Request", 415: "Unsupported Media Type", 422: "Unprocessable Content"}

Door = Callable[[Scope, Receive], Coroutine[Any, Any, Answer | None]]
log = structlog.get_logger("callgrant.gateway")


class Gateway:
    """The ASGI callable. `producer` is started and stopped with the server's lifespan."""

    def __init__(self, settings: GatewaySettings, producer: BatchProducer) -> None:
        names = TopicNames(settings.topic_prefix)
        self._webhooks = names.of("webhooks.raw")
        self._actions = names.of("actions.raw")
        self._settings = settings
        self._producer = producer
        self._signatures = Signatures(settings.meta_app_secrets)
        self._keys = ApiKeys(settings.api_keys)
        self._bodies = BodyReader(
            max_bytes=settings.max_body_bytes,
            within_s=settings.read_within_s,
            large_bytes=settings.large_body_bytes,
            large_at_once=settings.large_bodies_at_once,
        )
        self.counters = counters.Counters()
        self.counters.know_slots("meta", self._signatures.slots)
        self.counters.know_slots("actions", self._keys.slots)
        self.flushed = True
        """Whether the stop of the lifespan brought everything to the broker."""
        self._doors: dict[str, dict[str, tuple[counters.Door, Door]]] = {
            "/webhooks/meta": {"POST": ("meta", self._meta), "GET": ("verification", self._verify)},
            "/v1/actions": {"POST": ("actions", self._act)},
            "/livez": {"GET": ("other", self._live), "HEAD": ("other", self._live)},
            "/readyz": {"GET": ("other", self._ready), "HEAD": ("other", self._ready)},
            "/metrics": {"GET": ("other", self._metrics), "HEAD": ("other", self._metrics)},
        }
        for provider in CLOSED_PROVIDERS:
            self._doors[f"/webhooks/{provider}"] = {"POST": ("closed", self._closed)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._live_and_stop(receive, send)
            return
        methods = self._doors.get(scope["path"])
        found = methods.get(scope["method"]) if methods is not None else None
        if found is not None:
            name, door = found
            answer = await door(scope, receive)
        else:
            name, answer = "other", answers.NOT_FOUND if methods is None else answers.not_allowed(*methods)
        if answer is None:
            self.counters.requests[name, "gone"] += 1
            return
        self.counters.requests[name, answer.outcome] += 1
        await send(answer.start)
        await send(answer.body)

    async def _live_and_stop(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._producer.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                self.flushed = await self._producer.stop(self._settings.stop_within_s)
                await send({"type": "lifespan.shutdown.complete"})
                return

    # Webhooks

    async def _meta(self, scope: Scope, receive: Receive) -> Answer | None:
        given: bytes | None = None
        declared_bytes = NOT_DECLARED
        for name, value in scope["headers"]:
            if name == b"x-hub-signature-256":
                if given is not None:
                    return answers.UNAUTHENTIC_CLOSE
                given = value
            elif name == b"content-length":
                declared_bytes = int(value)
        if given is None or not self._signatures:
            return answers.UNAUTHENTIC_CLOSE
        body = await self._bodies.read(receive, declared_bytes)
        if isinstance(body, str):
            return OF_FAULT[body]
        signed = self._signatures.check(body, given)
        if signed is None:
            return answers.UNAUTHENTIC
        began_s = perf_counter()
        at_ms = now_ms()
        headers = raw_record(
            provider="meta", received_at_ms=at_ms, delivery_id=signed.delivery_id, secret_slot=signed.slot
        )
        outcome = await self._producer.append(self._webhooks, Record(None, body, headers, at_ms))
        if not isinstance(outcome, Acknowledged):
            return answers.UNAVAILABLE
        self.counters.acknowledged(perf_counter() - began_s)
        self.counters.slots["meta", signed.slot] += 1
        return answers.STORED

    async def _verify(self, scope: Scope, _receive: Receive) -> Answer:
        challenge = challenge_of(scope["query_string"], self._settings.meta_verify_tokens)
        return answers.NOT_VERIFIED if challenge is None else answers.text(200, challenge)

    async def _closed(self, _scope: Scope, _receive: Receive) -> Answer:
        return answers.UNAUTHENTIC_CLOSE

    # Actions

    async def _act(self, scope: Scope, receive: Receive) -> Answer | None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        slot = self._keys.check(given[0]) if len(given) == 1 else None
        if slot is None:
            return answers.UNKNOWN_KEY
        said = {name: value.decode("latin-1") for name, value in scope["headers"]}
        body = await self._bodies.read(receive, int(said.get(b"content-length", NOT_DECLARED)))
        if isinstance(body, str):
            return OF_FAULT[body]
        kind, encoding = said.get(b"content-type", ""), said.get(b"content-encoding", "")
        actions = read_actions(body, kind, encoding, now_at=now_ms() // 1000)
        if isinstance(actions, Unacceptable):
            return answers.problem(
                "invalid", actions.status, TITLES[actions.status], actions.detail, faults=actions.faults
            )
        return await self._store(actions.values, body, slot)

    async def _store(self, values: tuple[bytes, ...], body: bytes, slot: str) -> Answer:
        if self._producer.refusal(sum(map(len, values)) + HEADER_ROOM_BYTES * len(values)) is not None:
            return answers.UNAVAILABLE
        began_s = perf_counter()
        at_ms = now_ms()
        delivery = sha256(body).hexdigest()[:32]
        waiters = [
            self._producer.append(
                self._actions,
                Record(
                    None,
                    value,
                    raw_record(
                        provider="actions", received_at_ms=at_ms, delivery_id=f"{delivery}/{index}", secret_slot=slot
                    ),
                    at_ms,
                ),
            )
            for index, value in enumerate(values)
        ]
        outcomes = [await waiter for waiter in waiters]
        if not all(isinstance(outcome, Acknowledged) for outcome in outcomes):
            return answers.UNAVAILABLE
        self.counters.acknowledged(perf_counter() - began_s)
        self.counters.slots["actions", slot] += 1
        return answers.answer("accepted", 202, orjson.dumps({"accepted": len(values)}), b"application/json")

    # Health

    async def _live(self, _scope: Scope, _receive: Receive) -> Answer:
        return answers.text(200, "live\n")

    async def _ready(self, _scope: Scope, _receive: Receive) -> Answer:
        if self._producer.ready():
            return answers.text(200, "ready\n")
        return answers.text(503, "the broker does not acknowledge\n", answers.RETRY)

    async def _metrics(self, _scope: Scope, _receive: Receive) -> Answer:
        self.counters.pending_bytes = self._producer.pending_bytes
        self.counters.ready = self._producer.ready()
        return answers.answer("answered", 200, self.counters.text(), counters.KIND)

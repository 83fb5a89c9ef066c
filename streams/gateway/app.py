"""Which door answers what: a bare ASGI callable, from a request to its answer. A 200 means: the bytes are on the broker
(promise 1).

Owns the table of doors, health, and what lives as long as the server does: the producer, and the secrets that files
may change meanwhile. Refuses whatever is not in the table, without a redirect: no address is ever made from what a
request says about its host.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from streams.gateway import answers, counters
from streams.gateway.admission import Admission
from streams.gateway.answers import Answer, Counted, Entry, Message, Receive, Scope, Send
from streams.gateway.body import BodyReader
from streams.gateway.counters import ACTIONS, BY_TOKEN, META, OTHER, VERIFICATION, Door
from streams.gateway.refusals import Refusals
from streams.gateway.reports import Reports
from streams.gateway.sendlog import SendLog
from streams.gateway.settings import GatewaySettings
from streams.gateway.storing import Store
from streams.gateway.webhooks import Webhooks
from streams.kafka.producer import BatchProducer
from streams.rotation import Rotation

MIN_FLUSH_S: Final = 1.0


LINGERS_FOR_S: Final = 1.0
LINGERS_OVER_BYTES: Final = 8 << 20
LINGER_AT_ONCE: Final = 16
"""Each may hold some tens of kilobytes that are on their way; beyond this many, a sender may miss why."""
NO_MORE: Final[Message] = {"type": "http.response.body", "body": b"", "more_body": False}


async def _rest_of(receive: Receive) -> None:
    """Read on for a moment after an answer that closes: closing over unread bytes resets the connection, and a sender
    that is still writing would never see why it was refused."""
    left_bytes = LINGERS_OVER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGERS_FOR_S):
            while left_bytes > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                left_bytes -= len(message.get("body", b""))


class Gateway:
    """The ASGI callable. `producer` is started and stopped with the server's lifespan."""

    def __init__(self, settings: GatewaySettings, producer: BatchProducer) -> None:
        self._settings = settings
        self._producer = producer
        self.counters = counters.Counters()
        self.admission = Admission(settings)
        self.rotation = Rotation(settings.secret_files, settings, self._take, every_s=settings.secrets_again_every_s)
        self._take(settings)
        self.counters.unusable = self.rotation.unusable
        self.flushed = True
        """Whether the stop of the lifespan brought everything to the broker."""
        self.ending_at_s: float | None = None
        """On the loop's clock: when we were told to end."""
        self.open_connections: Iterable[object] = ()
        bodies = BodyReader(
            max_bytes=settings.max_body_bytes,
            within_s=settings.read_within_s,
            large_bytes=settings.large_body_bytes,
            large_room_bytes=settings.large_room_bytes,
            max_arriving_bytes=settings.max_arriving_bytes,
        )
        store = Store(settings.topic_prefix, producer, self.counters)
        webhooks = Webhooks(self.admission, bodies, store)
        reports = Reports(self.admission, bodies, store)
        table: list[tuple[str, str, Door, Entry]] = [
            ("POST", "/webhooks/meta", META, webhooks.meta),
            ("GET", "/webhooks/meta", VERIFICATION, webhooks.verify),
            *(("POST", f"/webhooks/{name}", door, webhooks.by_token(name)) for name, door in BY_TOKEN.items()),
            ("POST", "/v1/actions", ACTIONS, reports.act),
            ("POST", "/v1/actions/meta", ACTIONS, SendLog(self.admission, bodies, store).exchanged),
        ]
        for method in ("GET", "HEAD"):
            table += [
                (method, "/livez", OTHER, self._live),
                (method, "/readyz", OTHER, self._ready),
                (method, "/metrics", OTHER, self._metrics),
            ]
        self._lingering = 0
        self._doors: dict[str, dict[str, tuple[Door, Entry]]] = {}
        for method, path, door, entry in table:
            self._doors.setdefault(path, {})[method] = (door, entry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._live_and_stop(receive, send)
            return
        methods = self._doors.get(scope["path"])
        found = methods.get(scope["method"]) if methods is not None else None
        if found is not None:
            door, enter = found
            answer = await enter(scope, receive)
        else:
            door, answer = OTHER, answers.NOT_FOUND if methods is None else answers.not_allowed(*methods)
        if answer is None:
            self.counters.requests[door, answers.GONE] += 1
            return
        self.counters.requests[door, answer.counted] += 1
        await send(answer.start)
        if answers.CLOSE not in answer.start["headers"] or self._lingering >= LINGER_AT_ONCE:
            await send(answer.body)
            return
        await send({**answer.body, "more_body": True})
        self._lingering += 1
        try:
            await _rest_of(receive)
        finally:
            self._lingering -= 1
        await send(NO_MORE)

    def count(self, counted: Counted) -> None:
        """Something that ended before there was a request."""
        self.counters.requests[OTHER, counted] += 1

    def _take(self, settings: GatewaySettings) -> None:
        self.admission.take(settings)
        self.counters.know_slots(self.admission.slots())

    async def _live_and_stop(self, receive: Receive, send: Send) -> None:
        beside = []
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._producer.start()
                refusals = Refusals(self.counters)
                beside = [asyncio.create_task(work) for work in (self.rotation.keep(), refusals.keep())]
                await send({"type": "lifespan.startup.complete"})
            else:
                for task in beside:
                    task.cancel()
                if beside:
                    await asyncio.wait(beside)
                self.flushed = await self._producer.stop(self._left_s())
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _left_s(self) -> float:
        """What is left to flush: requests in flight had their share of the time we have to end."""
        now_s = asyncio.get_running_loop().time()
        spent_s = now_s - self.ending_at_s if self.ending_at_s is not None else 0.0
        return max(MIN_FLUSH_S, self._settings.stop_within_s - spent_s)

    # Health

    async def _live(self, _scope: Scope, _receive: Receive) -> Answer:
        return answers.text(200, "live\n")

    async def _ready(self, _scope: Scope, _receive: Receive) -> Answer:
        if self._producer.ready():
            return answers.text(200, "ready\n")
        return answers.text(503, "the broker does not acknowledge\n", answers.RETRY)

    async def _metrics(self, _scope: Scope, _receive: Receive) -> Answer:
        self.counters.pending_bytes = self._producer.pending_bytes
        self.counters.connections = sum(1 for _ in self.open_connections)
        self.counters.ready = self._producer.ready()
        return answers.answer(Counted("answered"), 200, self.counters.text(), counters.KIND)

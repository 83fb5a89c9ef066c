"""From bytes that may come in to the broker's word that it has them; nothing else makes an answer an acceptance.

Owns the headers of a raw record, and what counts as acknowledged: every record of a request. Refuses to look at what it
stores. A request of several records is acknowledged as a whole; when only a part of it came through, the answer is 503
and the caller repeats all of it (facts have derived ids, so repeats are harmless).
"""

from collections.abc import Sequence
from time import perf_counter
from typing import Final, Literal

from schemas.envelope import raw_record
from schemas.topics import TopicNames
from streams.gateway.answers import Answer, unavailable
from streams.gateway.clock import now_ms
from streams.gateway.counters import Counters, Door
from streams.kafka.outcomes import NotAcknowledged
from streams.kafka.producer import HEADER_ROOM_BYTES, BatchProducer
from streams.kafka.session import Record

RawTopic = Literal["webhooks.raw", "actions.raw"]
TOPICS: Final[tuple[RawTopic, ...]] = ("webhooks.raw", "actions.raw")


class Store:
    """The two raw topics of one deployment."""

    def __init__(self, prefix: str, producer: BatchProducer, counters: Counters) -> None:
        names = TopicNames(prefix)
        self._names = {topic: names.of(topic) for topic in TOPICS}
        self._producer = producer
        self._counters = counters

    async def one(
        self, door: Door, topic: RawTopic, body: bytes, *, provider: str, delivery_id: str, slot: str
    ) -> Answer | None:
        """None: the broker has it."""
        began_s = perf_counter()
        at_ms = now_ms()
        headers = raw_record(provider=provider, received_at_ms=at_ms, delivery_id=delivery_id, secret_slot=slot)
        outcome = await self._producer.append(self._names[topic], Record(None, body, headers, at_ms))
        if isinstance(outcome, NotAcknowledged):
            return unavailable(outcome)
        self._counters.acknowledged(perf_counter() - began_s)
        self._counters.slots[door, slot] += 1
        return None

    async def all(
        self, door: Door, topic: RawTopic, bodies: Sequence[bytes], *, provider: str, delivery_id: str, slot: str
    ) -> Answer | None:
        """None: the broker has all of them. Their delivery ids are that of the request and their place in it."""
        refusal = self._producer.refusal(sum(map(len, bodies)) + HEADER_ROOM_BYTES * len(bodies))
        if refusal is not None:
            return unavailable(refusal)
        began_s = perf_counter()
        at_ms = now_ms()
        waiters = []
        for place, body in enumerate(bodies):
            headers = raw_record(
                provider=provider, received_at_ms=at_ms, delivery_id=f"{delivery_id}/{place}", secret_slot=slot
            )
            waiters.append(self._producer.append(self._names[topic], Record(None, body, headers, at_ms)))
        refused: NotAcknowledged | None = None
        for waiter in waiters:
            outcome = await waiter
            if isinstance(outcome, NotAcknowledged):
                refused = outcome
        if refused is not None:
            return unavailable(refused)
        self._counters.acknowledged(perf_counter() - began_s)
        self._counters.slots[door, slot] += 1
        return None

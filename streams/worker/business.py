"""The agent of business numbers: `business.events` to `business.state`, the table of numbers.

Owns which rows a batch touches and what is parked. The order of writes and acknowledgement is that of the fold
(`writing`, design 5), and so is what a crash does: the batch comes again, and a fact met twice changes nothing. Refuses
to judge a number, and to announce anything: its pairs say what it means for them.
"""

import hashlib
import time
from collections.abc import Sequence
from typing import Any, Final

from faust.types import TP

from schemas.business import BusinessState, BusinessUnreadable, decode_business, encode_business, name_of
from schemas.codec import Unreadable
from schemas.events import NumberFact
from schemas.ids import partition_of
from schemas.topics import TopicNames
from streams.permission.business import evolve_business
from streams.worker.agents import Limits
from streams.worker.fold import WRONG_PARTITION, Folded, Get, fact_in
from streams.worker.measures import Measures
from streams.worker.parking import KEPT_BYTES
from streams.worker.rows import Arrival, Row, number_headers
from streams.worker.writing import StateTable, Writer

TOLD: Final = "business.events"


class Business:
    """Facts about numbers to the state of numbers."""

    def __init__(
        self,
        table: StateTable,
        writer: Writer,
        measures: Measures,
        *,
        names: TopicNames,
        partitions: int,
        park_until_at: int | None = None,
    ) -> None:
        self._table, self._writer, self._measures = table, writer, measures
        self._topic, self._partitions = names.of(TOLD), partitions
        self._limits = Limits(park_until_at)

    async def work(self, event: Any) -> None:
        """One batch of one partition."""
        began_at = time.monotonic()
        arrivals: list[Arrival] = event.value
        partition = event.message.partition
        folded = fold_numbers(arrivals, lambda key: self._table.get(partition, key), self._partitions)
        flags = folded.flags + [True] * self._writer.newly_unreadable(partition, folded)
        self._limits.check(TP(self._topic, partition), flags, folded.reasons, arrivals)
        await self._writer.write(partition, folded)
        event.ack()
        self._measures.batch("business", len(arrivals), began_at)


def fold_numbers(arrivals: Sequence[Arrival], get: Get, partitions: int) -> Folded:
    """Fold a batch of `business.events`. Never raises on content.

    A row is encoded after each new fact, not once: facts about numbers are few, and what cannot be written is found out
    with the fact that brought it.
    """
    folded = Folded()
    states: dict[bytes, BusinessState | None] = {}
    for arrival in arrivals:
        fact = _fact_of(arrival, partitions)
        if isinstance(fact, Unreadable):
            folded.park(arrival, fact)
            folded.flags.append(True)
            continue
        key = arrival.key or b""
        if key not in states:
            states[key] = _load(key, get, folded)
        state = states[key]
        if state is None:
            detail = "the stored state of this number is not of this program's form"
            folded.park(arrival, Unreadable(reason="state_unreadable", path="$", detail=detail))
            continue
        new = evolve_business(state, fact)
        try:
            row = Row(key, encode_business(new), number_headers(new)) if new is not state else None
        except Exception as fault:  # noqa: BLE001 - a figure beyond JSON's, an instant beyond every calendar: one fact must not stop its partition
            folded.park(arrival, Unreadable(reason="fold_failed", path="$", detail=type(fault).__name__))
            folded.flags.append(True)
            continue
        if row is not None and len(row.value or b"") > KEPT_BYTES:
            detail = f"with it the number's state would exceed {KEPT_BYTES} bytes"
            folded.park(arrival, Unreadable(reason="state_too_large", path="$", detail=detail))
            folded.flags.append(True)
            continue
        folded.flags.append(False)
        folded.repeated += row is None
        folded.new += row is not None
        if row is not None:
            states[key], folded.rows[key] = new, row
    return folded


def _load(key: bytes, get: Get, folded: Folded) -> BusinessState | None:
    value = get(key)
    try:
        return decode_business(value) if value is not None else BusinessState(name=key.decode())
    except BusinessUnreadable:
        folded.unreadable.add(hashlib.sha256(key).hexdigest()[:16])
        return None


def _fact_of(arrival: Arrival, partitions: int) -> NumberFact | Unreadable:
    fact = fact_in(arrival)
    if isinstance(fact, Unreadable):
        return fact
    if not isinstance(fact, NumberFact):
        return Unreadable(reason="not_of_a_number", path="$.type", detail="facts of pairs belong to permission.events")
    name = name_of(fact).encode("utf-8", "replace")
    if not name or b"/" in name or arrival.key != name:
        return Unreadable(reason="key_mismatch", path="$", detail="the key is not what the fact names its number by")
    if partition_of(name, partitions) != arrival.partition:
        return WRONG_PARTITION
    return fact

"""What the compiler watches: the core at work on a simulated week.

Owns the load that a build is trained by, between its two compilations: webhooks and actions are translated, their facts
folded in small batches of one partition, as the worker does it. Refuses any say in results: a build of another
training judges the same, only slower.
"""

from dataclasses import replace
from typing import Final, NamedTuple

import orjson

from schemas.envelope import Headers, raw_record
from schemas.policy import DEFAULT_POLICY
from streams.simulator import SimulatorConfig, simulate
from streams.worker.fold import FactFold
from streams.worker.rows import Row
from streams.worker.translation import translate_batch

PAIRS: Final = 600
WEEK_ENDS_AT: Final = 1_772_442_000
PARTITIONS: Final = 8
TRANSLATED: Final = 50
"""Raw records of a batch. What they give is folded at once: a few facts of a pair, then its row is written."""
DOORS: Final = {"webhook": ("webhooks.raw", "meta"), "action": ("actions.raw", "actions")}


class Arrived(NamedTuple):
    """A record as a consumer gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def train() -> int:
    """Judge the week; answers how many rows it leaves."""
    raws, stored = arrivals(PAIRS), dict[bytes, bytes]()
    for start in range(0, len(raws), TRANSLATED):
        by_place = translate_batch(raws[start : start + TRANSLATED], PARTITIONS).facts
        for (topic, partition), facts in by_place.items():
            if topic == "permission.events":
                fold(partition, facts, stored)
    return len(stored)


def fold(partition: int, facts: list[Row], stored: dict[bytes, bytes]) -> None:
    """One batch; its rows are kept as a store keeps them."""
    batch = FactFold(stored.get, DEFAULT_POLICY, PARTITIONS)
    for offset, row in enumerate(facts):
        batch.take(Arrived("permission.events", partition, offset, 0, *row))
    for key, row in batch.finish().rows.items():
        if row.value is not None:
            stored[key] = row.value


def arrivals(pairs: int, *, numbers: int = 2, ends_at: int = WEEK_ENDS_AT) -> list[Arrived]:
    """A simulated week's webhooks and actions in order of arrival, as the gateway stores them."""
    found: list[Arrived] = []
    world = replace(SimulatorConfig.week_ending(ends_at), pairs=pairs, numbers=numbers)
    for delivery in simulate(world).deliveries:
        topic, provider = DOORS[delivery.door]
        told = orjson.loads(delivery.body) if delivery.door == "action" else None
        for body in [orjson.dumps(each) for each in told] if isinstance(told, list) else [delivery.body]:
            at_ms, name = delivery.received_at * 1000, f"TEST{len(found)}"
            headers = raw_record(provider=provider, received_at_ms=at_ms, delivery_id=name, secret_slot=delivery.door)
            found.append(Arrived(topic, 0, len(found), at_ms, None, body, headers))
    return found


if __name__ == "__main__":
    train()

"""What the benches fold: the simulator's world, translated as the worker translates it.

Owns the facts in order of arrival and what they must come to. Refuses a broker.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import orjson

from schemas.envelope import Headers, raw_record
from schemas.ids import partition_of
from schemas.policy import DEFAULT_POLICY
from schemas.topics import TopicNames
from streams.permission.number import Number, number_in
from streams.simulator import SimulatorConfig, simulate
from streams.worker.fold import FactFold, Folded
from streams.worker.rows import Row
from streams.worker.shown import Shown
from streams.worker.translation import translate_batch

PARTITIONS: Final = 8
BATCH: Final = 1_000
WORLD_ENDS_AT: Final = 1_772_442_000
RAW: Final = {"webhook": ("webhooks.raw", "meta"), "action": ("actions.raw", "actions")}


class Arrived(NamedTuple):
    """A record as the client would give it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Placed(NamedTuple):
    """A fact and the partition it belongs to."""

    partition: int
    row: Row


def raw_records(pairs: int, ends_at: int = WORLD_ENDS_AT, numbers: int = 2) -> list[Arrived]:
    """Every webhook and action of a simulated week, in order of arrival, as the gateway stores them."""
    world = replace(SimulatorConfig.week_ending(ends_at), pairs=pairs, numbers=numbers)
    found: list[Arrived] = []
    for delivery in simulate(world).deliveries:
        topic, provider = RAW[delivery.door]
        for body in [delivery.body] if delivery.door == "webhook" else _one_by_one(delivery.body):
            at_ms, name = delivery.received_at * 1000, f"TEST{len(found)}"
            headers = raw_record(provider=provider, received_at_ms=at_ms, delivery_id=name, secret_slot="test")
            found.append(Arrived(topic, 0, len(found), at_ms, None, body, headers))
    return found


def _one_by_one(body: bytes) -> list[bytes]:
    told = orjson.loads(body)
    return [orjson.dumps(action) for action in (told if isinstance(told, list) else [told])]


def facts(pairs: int, numbers: int = 2) -> list[Placed]:
    """The facts of pairs, as they stand on `permission.events`: repeats included, links left out that were shown."""
    shown, found = Shown(), []
    raws = raw_records(pairs, numbers=numbers)
    for at in range(0, len(raws), BATCH):
        done = translate_batch(raws[at : at + BATCH], PARTITIONS, shown)
        shown.acknowledged(done.shown)
        for (topic, partition), rows in done.facts.items():
            if topic == "permission.events":
                found += [Placed(partition, row) for row in rows]
    return found


@dataclass(slots=True)
class Fold:
    """The fold of the worker over a dict, with nothing around it."""

    rows: dict[bytes, bytes]
    numbers: dict[str, Number]
    changes: int = 0
    records: int = 0

    @classmethod
    def empty(cls) -> "Fold":
        return cls({}, {})

    def take(self, arrived: Iterable[Arrived], partitions: int = PARTITIONS) -> Folded:
        """One batch of one partition."""
        fold = FactFold(self.rows.get, DEFAULT_POLICY, partitions, self.number)
        for each in arrived:
            fold.take(each)
        done = fold.finish()
        assert not done.parked, done.reasons
        assert not done.forwards, "the simulator names users by their number"
        for key, row in done.rows.items():
            if row.value is not None:
                self.rows[key] = row.value
        self.changes += len(done.changes)
        self.records += len(done.records)
        return done

    def number(self, name: str) -> Number:
        if name not in self.numbers:
            self.numbers[name] = number_in(DEFAULT_POLICY, name)
        return self.numbers[name]


def batches(placed: Sequence[Placed]) -> list[list[Arrived]]:
    """The facts as batches of one partition."""
    parts: dict[int, list[Arrived]] = defaultdict(list)
    for partition, row in placed:
        mine = parts[partition]
        mine.append(Arrived("permission.events", partition, len(mine), 0, *row))
    return [mine[at : at + BATCH] for mine in parts.values() for at in range(0, len(mine), BATCH)]


def by_partition(placed: Iterable[Placed]) -> dict[int, list[Row]]:
    """Rows to send, in order."""
    parts: dict[int, list[Row]] = defaultdict(list)
    for partition, row in placed:
        parts[partition].append(row)
    return parts


def by_key(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Rows to send, each where its key belongs."""
    parts: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        parts[partition_of(row.key or b"", PARTITIONS)].append(row)
    return parts


def names_of(prefix: str) -> TopicNames:
    """The topics of one that is measured."""
    return TopicNames(prefix, 1)

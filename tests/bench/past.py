"""What the benches fold: the simulator's world, translated as the worker translates it.

Owns the facts in order of arrival and what they must come to. Refuses a broker.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from deploy.compiled.training import Arrived, arrivals
from schemas.ids import partition_of
from schemas.policy import DEFAULT_POLICY
from schemas.topics import TopicNames
from streams.permission.number import Number, number_in
from streams.worker.fold import FactFold, Folded
from streams.worker.rows import Row
from streams.worker.shown import Shown
from streams.worker.translation import translate_batch

PARTITIONS: Final = 8
BATCH: Final = 1_000


class Placed(NamedTuple):
    """A fact and the partition it belongs to."""

    partition: int
    row: Row


def facts(pairs: int, numbers: int = 2) -> list[Placed]:
    """The facts of pairs, as they stand on `permission.events`: repeats included, links left out that were shown."""
    shown, found = Shown(), []
    raws = arrivals(pairs, numbers=numbers)
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

"""Reading the topic of dead letters, from a consumer that hands out what it is given."""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

from aiokafka.structs import TopicPartition

from deploy.deadletters_desk import Desk
from schemas.topics import TopicNames
from tests.deploy.letters import Record, parked

NAMES = TopicNames("t.")


class HandConsumer:
    """Every partition begins at 0; one record of each partition is handed out at a time."""

    def __init__(self, *records: Record) -> None:
        self._by_partition: dict[TopicPartition, list[Record]] = {}
        for record in records:
            tp = TopicPartition(NAMES.of("deadletters"), record.partition)
            self._by_partition.setdefault(tp, []).append(record)
        self._at: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    async def describe_topics(self, _topics: list[str]) -> list[dict[str, Any]]:
        return [{"partitions": [{"partition": tp.partition} for tp in self._by_partition]}]

    async def end_offsets(self, parts: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(self._by_partition[tp]) for tp in parts}

    async def beginning_offsets(self, parts: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, 0)

    def assign(self, parts: Collection[TopicPartition]) -> None:
        self._at, self._paused = dict.fromkeys(parts, 0), set()

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._at[tp] = offset

    def pause(self, *parts: TopicPartition) -> None:
        self._paused.update(parts)

    async def position(self, tp: TopicPartition) -> int:
        return self._at[tp]

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Record]]:
        given = {}
        for tp in self._at.keys() - self._paused:
            given[tp] = self._by_partition[tp][self._at[tp] : self._at[tp] + 1]
            self._at[tp] += 1
        return given


def desk(*records: Record) -> Desk:
    consumer = HandConsumer(*records)
    return Desk("nowhere:9092", NAMES, SimpleNamespace(describe_topics=consumer.describe_topics), consumer)


async def test_reading_the_letters_tells_each_percent_once_and_ends_at_all() -> None:
    told: list[int] = []
    places = [(partition, offset) for partition in (0, 1) for offset in range(150)]
    letters = [parked(place, origin=("t.webhooks.raw", *place)) for place in places]
    ledger = await desk(*letters).ledger(told.append)
    assert len(ledger.letters()) == 300
    assert told == sorted(set(told))
    assert told[-1] == 100


async def test_a_topic_without_letters_tells_nothing() -> None:
    told: list[int] = []
    empty = HandConsumer(parked((0, 0)))
    for records in empty._by_partition.values():
        records.clear()
    nobody = Desk("nowhere:9092", NAMES, SimpleNamespace(describe_topics=empty.describe_topics), empty)
    assert (await nobody.ledger(told.append)).letters() == []
    assert told == []

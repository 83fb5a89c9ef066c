"""A session with a cluster that does what a test tells it: below the unit line only."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber

from streams.kafka.session import Record


class Cluster:
    """What all sessions of one test talk to. `log`: what was stored, in order, as (topic, partition, records)."""

    def __init__(self, partitions: int = 4) -> None:
        self.there = asyncio.Event()
        self.there.set()
        self.log: list[tuple[str, int, list[Record]]] = []
        self.refuse: dict[bytes, KafkaError] = {}
        """By the value of a record: the error with which its batch is refused."""
        self.answers = asyncio.Event()
        self.answers.set()
        self.sessions: list[FakeSession] = []
        self.partition_ids: Collection[int] = range(partitions)

    def session(self) -> "FakeSession":
        self.sessions.append(FakeSession(self))
        return self.sessions[-1]

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for _, _, records in self.log for record in records]


class FakeSession:
    """Keeps Kafka's word on idempotence: after a refused batch a partition refuses every later one of the session."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._broken: set[tuple[str, int]] = set()
        self.closed: dict[str, Any] | None = None

    async def open(self) -> None:
        if not self._cluster.there.is_set():
            raise OSError("nobody listens")

    def partitions(self, topic: str) -> Collection[int]:
        return self._cluster.partition_ids

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        await self._cluster.answers.wait()
        if (topic, partition) in self._broken:
            raise OutOfOrderSequenceNumber
        for record in records:
            if record.value in self._cluster.refuse:
                self._broken.add((topic, partition))
                raise self._cluster.refuse[record.value]
        self._cluster.log.append((topic, partition, list(records)))
        return len(self._cluster.log) - 1

    async def confirm(self) -> bool:
        return self._cluster.there.is_set()

    async def close(self, *, abandon: bool) -> None:
        self.closed = {"abandon": abandon}

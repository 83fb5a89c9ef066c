"""A session with a cluster that does what a test tells it: below the unit line only."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Literal

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
        self.breaks: dict[Literal["new", "open", "confirm", "send", "close"], Exception] = {}
        """What the next session does instead of that step, once."""
        self.sending = 0
        """Batches a session was asked to send so far."""
        self.answers = asyncio.Event()
        self.answers.set()
        self.sessions: list[FakeSession] = []
        self.partition_ids: Collection[int] = range(partitions)

    def session(self) -> "FakeSession":
        self.may_break("new")
        self.sessions.append(FakeSession(self))
        return self.sessions[-1]

    def may_break(self, step: Literal["new", "open", "confirm", "send", "close"]) -> None:
        if (error := self.breaks.pop(step, None)) is not None:
            raise error

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
        self._cluster.may_break("open")
        if not self._cluster.there.is_set():
            raise OSError("nobody listens")

    def partitions(self, topic: str) -> Collection[int]:
        return self._cluster.partition_ids

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        self._cluster.sending += 1
        await self._cluster.answers.wait()
        self._cluster.may_break("send")
        if (topic, partition) in self._broken:
            raise OutOfOrderSequenceNumber
        for record in records:
            if record.value in self._cluster.refuse:
                self._broken.add((topic, partition))
                raise self._cluster.refuse[record.value]
        self._cluster.log.append((topic, partition, list(records)))
        return len(self._cluster.log) - 1

    async def confirm(self) -> bool:
        self._cluster.may_break("confirm")
        return self._cluster.there.is_set()

    async def close(self, *, abandon: bool) -> None:
        self.closed = {"abandon": abandon}
        self._cluster.may_break("close")

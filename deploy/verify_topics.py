"""Our topics as `verify` reads them: each up to where it was noted to reach, its records made comparable.

Owns what is noted, and what of a record that cannot be read is told. Refuses to compare.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson

from deploy.verify_log import Log, Span, Tell
from deploy.verify_report import Findings
from schemas.envelope import header
from schemas.state_row import version_of
from schemas.topics import TopicNames
from streams.replay.verify_rows import Rows
from streams.replay.verify_state import Winners
from streams.replay.verify_told import Heard, NotOne, told_of

NEWEST_TICKS: Final = 10


class Topics:
    """What stands. `at`: when it was looked at, epoch seconds."""

    def __init__(self, log: Log, names: TopicNames, at: int, found: Findings, tell: Tell) -> None:
        self.spans: dict[str, dict[int, Span]] = {}
        self.cut_ms: dict[str, int] = {}
        """By check, from when on what retention has left can be compared."""
        self._log, self._names, self._at_ms = log, names, at * 1000
        self._found, self._tell = found, tell

    async def note(self, *topics: str) -> dict[str, dict[int, Span]]:
        """Note how far these reach now; what was noted, by full name."""
        noted = {topic: await self._log.spans(self._names.of(topic)) for topic in topics}
        self.spans |= noted
        return {self._names.of(topic): spans for topic, spans in noted.items()}

    async def records(self, topic: str, partition: int, span: Span | None = None) -> AsyncIterator[Any]:
        """The records of a partition, up to where it was noted to reach."""
        told = 0
        async for some in self._log.records(self._names.of(topic), partition, span or self.spans[topic][partition]):
            told += len(some)
            self._tell(f"{topic}-{partition}: {told} read")
            for one in some:
                yield one

    async def since(self, topic: str) -> AsyncIterator[Any]:
        """What came after it was noted."""
        for partition, now in (await self._log.spans(self._names.of(topic))).items():
            async for one in self.records(topic, partition, Span(self.spans[topic][partition].end, now.end)):
                yield one

    async def heard(self, partition: int) -> tuple[dict[bytes, Heard], int]:
        """By pair what was announced, and from when on that is known."""
        heard: dict[bytes, Heard] = {}
        begin, cut_ms = self.spans["permission.changes"][partition].begin, 0
        async for one in self.records("permission.changes", partition):
            cut_ms = cut_ms or (one.timestamp if begin else 0)
            try:
                told = told_of(one.key, one.value)
            except NotOne as why:
                self._found.differs("changes.content", one.key or b"", f"offset {one.offset}: {why}")
                continue
            heard.setdefault(one.key, Heard()).take(told)
        if begin:
            cut_ms = cut_ms or self._at_ms
            self._cut("changes", cut_ms)
        return heard, cut_ms

    async def stored(self, topic: str, partition: int, *into: Winners) -> int:
        """The rows of a state topic, into each of these, and when the last was written, on our clock."""
        written_ms = 0
        async for one in self.records(topic, partition):
            for winners in into:
                winners.take(one.key, one.value, header(one.headers, "version"))
            written_ms = max(written_ms, one.timestamp)
        return written_ms

    async def newest_tick(self, partition: int) -> tuple[int, int] | None:
        """The last tick that was worked, and when it was written."""
        topic, span = self._names.of("permission.ticks"), self.spans["permission.ticks"][partition]
        committed = await self._log.committed(self._names.group("worker"))
        last = min(next((offset for part, offset in committed.items() if part == (topic, partition)), 0), span.end)
        newest: tuple[int, int] | None = None
        async for one in self.records("permission.ticks", partition, Span(max(span.begin, last - NEWEST_TICKS), last)):
            try:
                newest = int(json.loads(one.value)["at"]), one.timestamp
            except (TypeError, ValueError, KeyError):
                continue
        return newest

    async def told(self, partition: int) -> dict[bytes, Rows]:
        """By pair the newest form of each row that was told."""
        told: dict[bytes, Rows] = {}
        first_ms = 0
        async for one in self.records("permission.records", partition):
            first_ms = first_ms or one.timestamp
            try:
                told.setdefault(one.key or b"", Rows()).take(orjson.loads(one.value))
            except (ValueError, TypeError, KeyError, AttributeError):
                self._found.differs("records.unreadable", one.key or b"", f"offset {one.offset}")
        if self.spans["permission.records"][partition].begin:
            self._cut("records", first_ms or self._at_ms)
        return told

    def _cut(self, check: str, since_ms: int) -> None:
        if since_ms:
            self.cut_ms[check] = max(since_ms, self.cut_ms.get(check, 0))


def new_winners() -> Winners:
    """A state topic before its first record."""
    return Winners(version_of)

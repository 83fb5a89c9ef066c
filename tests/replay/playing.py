"""A history in memory, replayed in this process."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from schemas.codec import Unreadable
from schemas.ids import Pair
from schemas.policy import DEFAULT_POLICY, Policy
from streams.replay.fold import Change, Listener
from streams.replay.replay import Replayed, replay
from streams.replay.sources import Line as Read
from streams.replay.sources import Sources
from tests.replay.written import NUMBER, Line, write

HISTORIES = sorted(Path(__file__).with_name("histories").glob("*.jsonl"))
Kind = Literal["standings", "requests", "grants", "calls"]
KINDS: tuple[Kind, ...] = ("standings", "requests", "grants", "calls")


class Changes(Listener):
    """Keeps every change."""

    judges = True

    def __init__(self) -> None:
        self.all: list[Change] = []

    def told(self, change: Change) -> None:
        self.all.append(change)


class Played:
    """What came of a history."""

    def __init__(self, done: Replayed, changes: list[Change], parked: list[tuple[int, Unreadable]]) -> None:
        self.done, self.changes, self.parked = done, changes, parked

    def standing(self, who: str, number: str = NUMBER) -> dict[str, Any]:
        (line,) = self.done.judged("standings", [Pair(number, who)])
        return line

    def output(self, kind: Kind) -> bytes:
        return b"\n".join(json.dumps(row).encode() for row in self.done.judged(kind))


def play(folder: Path, lines: Iterable[Line | str | bytes], policy: Policy = DEFAULT_POLICY, **asked: Any) -> Played:
    """Write the lines to a file and replay it."""
    changes, parked = Changes(), list[tuple[int, Unreadable]]()

    def park(line: Read, fault: Unreadable) -> None:
        parked.append((line.number, fault))

    with Sources([str(write(folder / "history.jsonl", *lines))]) as sources:
        done = replay(sources, policy, park, listen=lambda _: changes, **asked)
        return Played(done, changes.all, parked)


def lines_of(path: Path) -> list[bytes]:
    """The lines of a shipped history."""
    return path.read_bytes().splitlines()

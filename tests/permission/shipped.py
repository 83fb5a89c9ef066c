"""A scenario as a file: its story as history lines, and the standing lines that `callgrant replay` prints of them.

Owns `scenarios/NN-what-it-says.jsonl` and, beside it, `….expected.jsonl`: a line for each instant and pair. Both are
written with `SCENARIOS=write`, and otherwise held against what a test told: the same lines, the same answers.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import orjson

from schemas.codec import Unreadable
from schemas.ids import Pair
from schemas.policy import DEFAULT_POLICY
from streams.replay.replay import Replayed, replay
from streams.replay.sources import Line as Read
from streams.replay.sources import Sources
from tests.permission.lines import lines_of
from tests.permission.story import NUMBER, USER, Told, View
from tests.replay.written import Line, write

FOLDER = Path(__file__).with_name("scenarios")
EXPECTED = ".expected.jsonl"
WRITES = os.environ.get("SCENARIOS") == "write"


class Shipped:
    """The file of one scenario."""

    def __init__(self, name: str) -> None:
        self.path = FOLDER / f"{name}.jsonl"

    def holds(
        self, told: Told | None, *instants: int, lines: Iterable[Line] | None = None, beside: Iterable[Line] = ()
    ) -> None:
        """The file tells what was told, and is judged at the instants as the core judged it.

        `lines`: in place of those of the story's facts; `beside`: further ones, of the business number.
        """
        lines = lines_of(*told.facts) if lines is None and told is not None else list(lines or ())
        lines += beside
        if WRITES:
            write(self.path, *lines)
            answers = [row for at in instants for row in standings(self.path, at)]
            expected_of(self.path).write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in answers))
        assert [json.loads(line) for line in self.path.read_bytes().splitlines()] == lines
        answers = expected(self.path)
        assert sorted({row["as_of"] for row in answers}) == sorted(set(instants))
        if told is not None:
            pair = {"phone_number_id": told.state.phone_number_id, "user": told.state.user}
            assert all(pair | told.at(at).body in answers for at in instants)

    def at(self, instant: int, user: str = USER, number: str = NUMBER) -> View:
        """What the file says of a pair."""
        pair = {"phone_number_id": number, "user": user}
        (row,) = (row for row in expected(self.path) if row["as_of"] == instant and row.items() >= pair.items())
        return View(row)

    def rows(self, kind: Literal["requests", "grants", "calls"], at: int) -> list[dict[str, Any]]:
        """The rows that the file gives."""
        return list(judged(self.path, at).judged(kind))

    def final_class(self, request_id: str, at: int) -> str:
        """The class of a request at an instant."""
        (found,) = (row["final_class"] for row in self.rows("requests", at) if row["request_id"] == request_id)
        return str(found)


def histories() -> list[Path]:
    """Every shipped history, in the order of the scenarios."""
    return sorted(path for path in FOLDER.glob("*.jsonl") if not path.name.endswith(EXPECTED))


def expected_of(path: Path) -> Path:
    """Where the standing lines of a history lie."""
    return path.with_name(path.stem + EXPECTED)


def expected(path: Path) -> list[dict[str, Any]]:
    """The standing lines of a history."""
    return [json.loads(line) for line in expected_of(path).read_bytes().splitlines()]


def judged(path: Path, at: int | None = None) -> Replayed:
    """A history, replayed in this process; nothing of it may be parked."""

    def refuse(line: Read, fault: Unreadable) -> None:
        raise AssertionError(f"{path.name}, line {line.number}: {fault}")

    with Sources([str(path)]) as sources:
        return replay(sources, DEFAULT_POLICY, refuse, as_of=at)


def standings(path: Path, at: int) -> list[dict[str, Any]]:
    """The standing lines at an instant; of a history in which nobody occurs, that of the user it does not tell of."""
    done = judged(path, at)
    return list(done.judged("standings")) or list(done.judged("standings", [Pair(NUMBER, USER)]))

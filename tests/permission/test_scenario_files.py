"""The shipped histories of the scenarios: what `callgrant replay` prints of them, in any order of their lines."""

import json
from pathlib import Path
from random import Random
from typing import Literal

import pytest

from schemas.policy import DEFAULT_POLICY
from streams.replay.replay import replay
from streams.replay.sources import Sources
from tests.permission.shipped import expected, histories, standings

KINDS: tuple[Literal["standings", "requests", "grants", "calls"], ...] = ("standings", "requests", "grants", "calls")
BY_GATEWAY = {49}
"""A post that is refused leaves no history."""


def test_every_scenario_but_that_of_the_signature_is_shipped_once() -> None:
    assert [int(path.name[:2]) for path in histories()] == [place for place in range(1, 53) if place not in BY_GATEWAY]


@pytest.mark.parametrize("path", histories(), ids=lambda path: path.stem)
def test_a_shipped_scenario_gives_the_expected_standings(path: Path) -> None:
    lines = expected(path)
    instants = dict.fromkeys(line["as_of"] for line in lines)
    assert [row for at in instants for row in standings(path, at)] == lines
    assert lines


@pytest.mark.parametrize("path", histories(), ids=lambda path: path.stem)
def test_ten_random_orders_of_its_lines_give_the_same_bytes(tmp_path: Path, path: Path) -> None:
    lines, chance, mixed = path.read_bytes().splitlines(keepends=True), Random(7), tmp_path / path.name
    wanted = _printed(path)
    for _ in range(10 if len(lines) > 1 else 0):
        chance.shuffle(lines)
        mixed.write_bytes(b"".join(lines))
        assert _printed(mixed) == wanted


def _printed(path: Path) -> list[bytes]:
    with Sources([str(path)]) as sources:
        done = replay(sources, DEFAULT_POLICY, lambda line, fault: pytest.fail(f"line {line.number}: {fault}"))
    return [b"\n".join(json.dumps(row).encode() for row in done.judged(kind)) for kind in KINDS]

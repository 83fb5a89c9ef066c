"""The checklist of the domain (c) beside its tests: every row once, and nothing that is not there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROWS = re.compile(r"^\| (S\d-\d\d) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TOLD = ROWS.findall((TESTS / "CHECKLIST.md").read_text("utf-8"))
MANY = {"S0": 17, "S1": 54, "S2": 15, "S3": 18, "S4": 40}


@cache
def named(path: Path) -> set[str]:
    """The functions of a test file."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, kinds)}


def test_every_row_stands_in_the_checklist_once_and_in_order() -> None:
    wanted = [f"{source}-{place:02d}" for source, many in MANY.items() for place in range(1, many + 1)]
    assert [name for name, _, _ in TOLD] == wanted


@pytest.mark.parametrize(("row", "held_by"), [(row, held_by) for row, _, held_by in TOLD])
def test_a_row_names_tests_that_exist_or_says_why_it_has_none(row: str, held_by: str) -> None:
    tests = re.findall(r"`([^`]+)::(test_\w+)`", held_by)
    assert tests or re.fullmatch(r"\*[^*]{10,}\*", held_by), row
    for file, name in tests:
        assert name in named(TESTS / file), f"{row}: {file}::{name}"

"""`deploy/interpreter.py`: which Python the environment is made of."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.interpreter import Python, about, asked, chosen, named, seconds

FORM = ("cpython", "cpython-311-x86_64-linux-gnu", "x86_64")
FIRST = Python("/first", (3, 11), FORM, whole=True, headers=True)
FAST = Python("/fast", (3, 11), FORM, whole=True, headers=True)
SLOW = {"/first": 1.0, "/fast": 0.7, "/like": 0.95}


def test_a_clearly_faster_build_of_the_same_version_is_taken() -> None:
    assert chosen(FIRST, [FAST], SLOW.__getitem__) == FAST


def test_the_first_one_stays_where_others_are_hardly_faster() -> None:
    like = Python("/like", (3, 11), FORM, whole=True, headers=True)
    assert chosen(FIRST, [like], SLOW.__getitem__) == FIRST


@pytest.mark.parametrize(
    "other",
    [
        Python("/fast", (3, 12), FORM, whole=True, headers=True),
        Python("/fast", (3, 11), ("pypy", "pypy311-pp73", "x86_64"), whole=True, headers=True),
        Python("/fast", (3, 11), FORM, whole=False, headers=True),
        Python("/fast", (3, 11), FORM, whole=True, headers=False),
    ],
    ids=["another version", "other packages", "no venv", "no headers"],
)
def test_what_lacks_something_is_not_taken_however_fast(other: Python) -> None:
    assert chosen(FIRST, [other], SLOW.__getitem__) == FIRST


def test_a_first_one_that_can_make_no_environment_gives_way_to_one_that_can() -> None:
    bare = Python("/first", (3, 11), FORM, whole=False, headers=False)
    like = Python("/like", (3, 11), FORM, whole=True, headers=False)
    assert chosen(bare, [like], SLOW.__getitem__) == like


def test_nothing_is_measured_where_there_is_no_choice() -> None:
    def never(path: str) -> float:
        raise AssertionError(path)

    assert chosen(FIRST, [FIRST], never) == FIRST


def test_each_is_measured_in_turn_and_counts_by_its_best() -> None:
    figures = {"/first": iter([9.0, 9.0, 1.0, 9.0, 9.0]), "/fast": iter([0.9, 2.0, 2.0, 2.0, 2.0])}
    asked_of: list[str] = []

    def spent(path: str) -> float:
        asked_of.append(path)
        return next(figures[path])

    assert chosen(FIRST, [FAST], spent) == FIRST
    assert asked_of == ["/first", "/fast"] * 5


def test_a_path_that_leads_to_no_python_is_none(tmp_path: Path) -> None:
    broken = tmp_path / "python3.11"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    assert about(str(broken)) is None
    assert about(str(tmp_path / "absent")) is None
    assert asked(str(broken), "print(1)") is None
    assert seconds(str(broken)) == float("inf")


def test_only_executables_of_the_versions_name_are_candidates(tmp_path: Path) -> None:
    for name, mode in (("python3.11", 0o755), ("python3.12", 0o755)):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(mode)
    other = tmp_path / "other"
    (other / "python3.11").mkdir(parents=True)
    assert named((3, 11), ["", str(tmp_path), str(other)]) == [str(tmp_path / "python3.11")]


def test_what_fails_to_work_is_never_taken() -> None:
    bare = Python("/first", (3, 11), FORM, whole=False, headers=False)
    assert chosen(FIRST, [FAST], lambda _: float("inf")) == FIRST
    assert chosen(bare, [FAST], lambda _: float("inf")) == bare


def test_what_it_prints_is_another_python_of_the_same_version_or_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "deploy/interpreter.py"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    if path := done.stdout.strip():
        there = about(path)
        assert there is not None
        assert there.version == sys.version_info[:2]
        assert path in done.stderr


def test_a_python_in_a_folder_with_a_space_makes_the_environment(tmp_path: Path) -> None:
    folder = tmp_path / "a space"
    folder.mkdir()
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    (folder / base.name).symlink_to(base)
    script = folder / "deploy"
    script.mkdir()
    root = Path(__file__).parents[2]
    (script / "interpreter.py").write_text("raise SystemExit(1)\n")  # a choice of speed never stops the set-up
    (folder / "Makefile").write_bytes((root / "Makefile").read_bytes())
    for lock in (
        "requirements.lock",
        "pyproject.toml",
        "tests/mutants/requirements.lock",
        "tests/bench/requirements-quix.lock",
    ):
        (folder / lock).parent.mkdir(parents=True, exist_ok=True)
        (folder / lock).write_text("")
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["make", ".venv/bin/python"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / ".venv" / "bin" / "python").exists()

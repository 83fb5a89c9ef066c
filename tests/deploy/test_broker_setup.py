"""The set-up door, on machines that lack something."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.broker.__main__ import main
from tests.conftest import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The workshop's files alone: enough for make to get as far as a Python."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def pretender(folder: Path, first_line: str) -> str:
    """A Python that behaves differently in one point."""
    path = folder / "pretender"
    path.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} -c "{first_line}\n$2"\nexec {sys.executable} "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


def set_up(clone: Path, *, python: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "setup", f"PYTHON={python}"], cwd=clone, env=given, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("lacking", ["venv", "ensurepip"])
def test_a_python_without_venv_or_ensurepip_gets_the_name_of_the_package(clone: Path, lacking: str) -> None:
    done = set_up(clone, python=pretender(clone, f"import sys; sys.modules['{lacking}'] = None"))
    assert done.returncode != 0
    assert f"python3.{sys.version_info.minor}-venv" in done.stderr
    assert "python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_python_that_is_too_old_is_told_with_what_is_needed(clone: Path) -> None:
    done = set_up(clone, python=pretender(clone, "import sys; sys.version_info = (3, 10, 0)"))
    assert done.returncode != 0
    assert "needs a Python from 3.11 to 3.14" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_name_that_is_no_python_is_told(clone: Path) -> None:
    done = set_up(clone, python="no-such-python")
    assert done.returncode != 0
    assert "none of these is one: no-such-python" in done.stderr


def test_a_port_that_is_no_number_is_told_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CALLGRANT_KAFKA_PORT", "abc")
    assert main(["start"]) == 2
    assert capsys.readouterr().err.startswith("CALLGRANT_KAFKA_PORT: ")

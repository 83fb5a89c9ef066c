"""The set-up door, on machines that lack something."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.broker import jars
from deploy.broker.__main__ import main
from deploy.config import load
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


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where the door would have kept the jars; it runs in an empty folder without settings, and fetches nothing."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CALLGRANT_")]:
        monkeypatch.delenv(name)
    seen: list[Path] = []

    def fetch(cache: Path, _: object) -> int:
        seen.append(cache)
        return 0

    monkeypatch.setattr(jars, "fetch", fetch)
    return seen


@pytest.mark.parametrize(
    ("environment", "env_file", "folder"),
    [
        (None, "", "var"),
        ("", "", "var"),
        ("", "CALLGRANT_DATA_DIR=other\n", "var"),
        (None, "CALLGRANT_DATA_DIR=\n", "var"),
        (None, "CALLGRANT_DATA_DIR=''\n", "var"),
        (None, "export CALLGRANT_DATA_DIR = 'my data'  # here\nCALLGRANT_PARTITIONS=4\n", "my data"),
        ("mine", "CALLGRANT_DATA_DIR=other\n", "mine"),
    ],
)
def test_the_door_of_the_broker_reads_the_data_folder_as_every_command_does(
    caches: list[Path], monkeypatch: pytest.MonkeyPatch, environment: str | None, env_file: str, folder: str
) -> None:
    Path(".env").write_text(env_file)
    if environment is not None:
        monkeypatch.setenv("CALLGRANT_DATA_DIR", environment)
    assert main(["fetch"]) == 0
    assert caches == [Path.cwd() / folder / "cache" / "jars"] == [load().data_dir / "cache" / "jars"]
    assert Path(folder).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CALLGRANT_KAFKA_PORT", "abc", "CALLGRANT_KAFKA_PORT (from environment): 'abc' is not allowed; "),
        (
            "CALLGRANT_KAFKA_PROT",
            "1",
            "CALLGRANT_KAFKA_PROT (in environment) is no setting of callgrant: did you mean ",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_by_its_name(
    caches: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    told: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["fetch"]) == 2
    assert capsys.readouterr().err.startswith(told)
    assert caches == []


@pytest.mark.parametrize("environment", [None, "", "mine"])
@pytest.mark.parametrize(
    "env_file",
    [
        "",
        "CALLGRANT_DATA_DIR=\n",
        "CALLGRANT_DATA_DIR=other\n",
        'CALLGRANT_DATA_DIR="other"\n',
        "CALLGRANT_DATA_DIR='other'   # a comment\n",
        "CALLGRANT_DATA_DIR=''\n",
        "  export CALLGRANT_DATA_DIR = other # a comment\n",
        "CALLGRANT_DATA_DIR=one\nCALLGRANT_API_PORT=9000\nCALLGRANT_DATA_DIR=two\n",
        "# CALLGRANT_DATA_DIR=other\n",
        "CALLGRANT_DATA_DIR=/var/lib/ours#1\n",
    ],
)
def test_make_finds_the_data_folder_where_the_programs_find_it(
    clone: Path, environment: str | None, env_file: str
) -> None:
    (clone / ".env").write_text(env_file)
    (clone / "asked.mk").write_text("include Makefile\n.PHONY: asked\nasked: ; @echo '$(CACHE)'\n")
    ours = {} if environment is None else {"CALLGRANT_DATA_DIR": environment}
    given = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "CALLGRANT_"))}
    done = subprocess.run(
        ["make", "-f", "asked.mk", "asked"], cwd=clone, env=given | ours, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str((clone / load(ours, clone).names.data_dir).absolute() / "cache")

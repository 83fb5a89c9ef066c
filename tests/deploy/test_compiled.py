"""A build of the core is used whole, only while it is of today's sources, and says what they say."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from deploy import compiled
from deploy.compiled import LIBRARY, MANIFEST, MODULES, ROOT, Finder, digest, files, place

HISTORIES = sorted((ROOT / "tests/replay/histories").glob("*.jsonl"))


def told(folder: Path, **otherwise: Any) -> Path:
    """A folder with a manifest as a build leaves it, but for what is given."""
    names = {name: f"{name}.so" for name in (*MODULES, f"{LIBRARY}__mypyc")}
    manifest = {"digest": digest(), "abi": sysconfig.get_config_var("SOABI"), "files": names}
    for file in names.values():
        (folder / file).touch()
    (folder / MANIFEST).write_text(json.dumps(manifest | otherwise), "utf-8")
    return folder


def test_a_build_of_todays_sources_and_this_python_is_used_whole(tmp_path: Path) -> None:
    found = files(told(tmp_path))
    assert set(found) == {*MODULES, f"{LIBRARY}__mypyc"}
    spec = Finder(tmp_path).find_spec("streams.permission.step")
    assert spec is not None
    assert spec.origin == str(tmp_path / "streams.permission.step.so")


@pytest.mark.parametrize("otherwise", [{"digest": "of other sources"}, {"abi": "of another Python"}, {"files": None}])
def test_a_build_of_anything_else_is_not_used_at_all(tmp_path: Path, otherwise: dict[str, Any]) -> None:
    finder = Finder(told(tmp_path, **otherwise))
    assert [finder.find_spec(name) for name in MODULES] == [None] * len(MODULES)


@pytest.mark.parametrize("manifest", [None, "", "[]", '{"digest": 1}'])
def test_a_folder_without_a_readable_manifest_is_no_build(tmp_path: Path, manifest: str | None) -> None:
    if manifest is not None:
        (tmp_path / MANIFEST).write_text(manifest, "utf-8")
    assert files(tmp_path) == {}


def test_a_build_with_a_file_missing_is_not_used_at_all(tmp_path: Path) -> None:
    told(tmp_path)
    (tmp_path / "streams.permission.step.so").unlink()
    assert files(tmp_path) == {}


def test_what_stands_beside_the_sources_is_part_of_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = tmp_path / "tree"
    for room in ("schemas", "streams"):
        shutil.copytree(ROOT / room, copied / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiled, "ROOT", copied)
    assert digest() == (before := digest())
    marks = copied / "schemas" / "marks.py"  # not built, but its constants are in the build
    marks.write_text(marks.read_text("utf-8").replace("MAX_MESSAGES: Final = 32", "MAX_MESSAGES: Final = 2"), "utf-8")
    assert digest() != before


def test_other_modules_are_left_to_python(tmp_path: Path) -> None:
    finder = Finder(told(tmp_path))
    assert finder.find_spec("schemas.events") is None
    assert finder.find_spec("json") is None


def test_the_compiled_core_and_its_sources_say_the_same_of_every_history() -> None:
    if not files(place()):
        pytest.skip("nothing is compiled here: see what `make setup` says of it")
    assert HISTORIES
    judged = [judgement({}), judgement({compiled.INTERPRETED: "1"})]
    assert [lines[0] for lines in judged] == ["compiled", "interpreted"]
    assert judged[0][1:] == judged[1][1:]
    assert len(judged[0]) > 100


def judgement(environment: dict[str, str]) -> list[str]:
    """How the core runs in a process of this environment, and what it says of the histories."""
    asked = (
        "import contextlib, sys; from deploy.compiled import is_used; from deploy.cli.main import main\n"
        "print('compiled' if is_used() else 'interpreted', flush=True)\n"
        "paths = sys.argv[1:]\n"
        "for emitted in ('standings', 'changes', 'requests', 'grants', 'calls'):\n"
        "    sys.argv = ['callgrant', 'replay', *paths, '--emit', emitted]\n"
        "    with contextlib.suppress(SystemExit): main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked, *map(str, HISTORIES)],
        env={name: value for name, value in os.environ.items() if name != compiled.INTERPRETED} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()

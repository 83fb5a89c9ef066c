"""What the tests would notice: every rule is changed a little, and the quick tests must fail for it.

Owns the copy of the tree in which that happens, which tests are asked, the score. Refuses to touch the tree itself:
mutmut writes beside what it changes, so all of it happens in the cache folder, in an environment of its own
(`requirements.lock`).

Run by `make mutants`, or for some files: `python -m tests.mutants windows streak`.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
RULES: Final = Path("streams/permission")
COPIED: Final = ("schemas", "streams")
ASKED: Final = ("permission", "oracle")
BESIDE: Final = ("__init__.py", "replay", "providers")

# Few examples, the same every time, and no search for the smallest: one that fails is enough.
CONFTEST: Final = '''"""Few examples, the same every time."""

import hypothesis

hypothesis.settings.register_profile(
    "mutants",
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("mutants")
'''
PROJECT: Final = """[tool.pytest.ini_options]
addopts = ["--import-mode=importlib", "-p", "no:cacheprovider"]
pythonpath = ["."]
markers = ["broker: not here"]

[tool.mutmut]
source_paths = ["streams"]
only_mutate = [{changed}]
also_copy = ["schemas"]
pytest_add_cli_args = ["-m", "not broker", "-k", "{left_out}"]
pytest_add_cli_args_test_selection = [{tests}]
use_git_change_detection = false
track_dependencies = false
timeout_constant = 5.0
"""
# What needs the gateway, or files that are not copied; and what says slowly what others say at once.
LEFT_OUT: Final = " and ".join(f"not {word}" for word in ("gateway", "signed", "drawing", "ten_random_orders"))
NOTICED: Final = {1: "killed", 3: "killed", 36: "timeout", 24: "timeout", 152: "timeout", 255: "timeout"}


def main(arguments: list[str]) -> int:
    """Make the copy, change and ask, tell the score."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("rules", nargs="*", help="only these files of streams/permission, without .py")
    parser.add_argument("--tests", nargs="+", default=ASKED, help="only these rooms of tests")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "cache" / "mutants", help="where it happens")
    parser.add_argument("--show", action="store_true", help="print what nobody noticed")
    asked = parser.parse_args(arguments)
    folder = asked.folder.resolve()
    tree = folder / "tree"
    copied(tree, asked.rules, asked.tests)
    mutmut = folder / "venv" / "bin" / "mutmut"
    done = subprocess.run([mutmut, "run", "--max-children", "1"], cwd=tree, check=False)
    if done.returncode:
        return done.returncode
    unnoticed = scored(tree)
    if asked.show:
        for name in unnoticed:
            subprocess.run([mutmut, "show", name], cwd=tree, check=False)
    return 0


def copied(tree: Path, rules: Sequence[str], tests: Sequence[str]) -> None:
    """The tree with the rules and the tests that are asked, anew."""
    if tree.exists():
        shutil.rmtree(tree)
    ours = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=ours)
    for name in (*ASKED, *BESIDE):
        source = ROOT / "tests" / name
        if source.is_dir():
            shutil.copytree(source, tree / "tests" / name, ignore=ours)
        else:
            shutil.copy(source, tree / "tests" / name)
    (tree / "tests" / "conftest.py").write_text(CONFTEST, "utf-8")
    told = {
        "tests": ", ".join(f'"tests/{name}"' for name in tests),
        "changed": ", ".join(f'"{RULES}/{name}.py"' for name in rules or ["*"]),
        "left_out": LEFT_OUT,
    }
    (tree / "pyproject.toml").write_text(PROJECT.format_map(told), "utf-8")


def scored(tree: Path) -> list[str]:
    """Print the score, a line a file; the names of what nobody noticed."""
    unnoticed: list[str] = []
    sums: Counter[str] = Counter()
    for meta in sorted((tree / "mutants" / RULES).glob("*.py.meta")):
        codes: dict[str, int | None] = json.loads(meta.read_bytes())["exit_code_by_key"]
        counted = Counter(NOTICED.get(-1 if code is None else code, "unnoticed") for code in codes.values())
        unnoticed += [name for name, code in codes.items() if code not in NOTICED]
        sums += counted
        print(line(meta.name.removesuffix(".meta"), counted))
    print(line("all", sums))
    for name in unnoticed:
        print("unnoticed:", name)
    return unnoticed


def line(name: str, counted: Counter[str]) -> str:
    """One line of the score."""
    noticed, whole = counted["killed"] + counted["timeout"], sum(counted.values())
    return f"{name:20} {noticed:5} of {whole:5} noticed  {noticed / whole if whole else 1:7.1%}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

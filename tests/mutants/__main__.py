"""Would the tests notice? Every rule is changed a little, one place at a time, and the quick tests must fail for it.

Owns which files are changed, which changes are drawn, what is printed. Refuses to touch the tree: a change lives in a
forked process (`asking`), and which ones there are is said by mutmut in an environment of its own (`changes`).

Run by `make mutants`, or for some files: `python -m tests.mutants windows streak`.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from deploy.compiled import Finder
from tests.mutants.asking import PROFILE, Asking, Change
from tests.mutants.score import Score, together

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "streams" / "permission"
ASKED: Final = ("permission", "oracle")
QUIET: Final = ("-qq", "-s", "-o", "timeout=0", "-m", "not broker")


def main(arguments: list[str]) -> int:
    """Change and ask, tell the score."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("rules", nargs="*", help="only these files of streams/permission, without .py")
    parser.add_argument("--sample", type=int, metavar="N", help="ask only N changes of each file, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="draw others")
    parser.add_argument("--tests", nargs="+", default=ASKED, help="only these rooms of tests")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "cache" / "mutants", help="with mutmut's venv")
    asked = parser.parse_args(arguments)
    python = asked.folder / "venv" / "bin" / "python"
    if not python.exists():
        parser.error(f"{python} is not there: `make mutants` sets it up")
    if unknown := [name for name in asked.rules if not (RULES / f"{name}.py").is_file()]:
        parser.error(f"no such rules: {', '.join(unknown)}; there are {', '.join(rules())}")
    # What is compiled cannot be changed in a running process: here the rules run as they are written.
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    names = asked.rules or rules()
    found = changes(python, [RULES / f"{name}.py" for name in names])
    scores = {name: Score(name, sum(one.file == name for one in found)) for name in names}
    drawn = sampled(found, asked.sample, asked.seed)
    left = {name: sum(one.file == name for one in drawn) for name in scores}
    began = time.monotonic()

    def tell(change: Change, noticed: bool) -> None:
        score = scores[change.file]
        score.asked += 1
        score.noticed += noticed
        if not noticed:
            print(
                f"unnoticed: {change.file}.py:{change.line} {change.function}\n  - {change.before}\n  + {change.after}"
            )
        if score.asked == left[change.file]:
            print(score, f"({time.monotonic() - began:.0f} s)", flush=True)

    tests = [str(ROOT / "tests" / name) for name in asked.tests]
    code = pytest.main([f"--hypothesis-profile={PROFILE}", *QUIET, *tests], plugins=[Asking(drawn, tell)])
    if code == pytest.ExitCode.OK:
        print()
        print(*scores.values(), together(scores.values()), sep="\n")
    return code


def rules() -> list[str]:
    """Every file of rules."""
    return sorted(path.stem for path in RULES.glob("[!_]*.py"))


def changes(python: Path, files: Sequence[Path]) -> list[Change]:
    """Every change of the files, in the order of the files."""
    script = Path(__file__).with_name("changes.py")
    said = subprocess.run([python, script, *files], stdout=subprocess.PIPE, check=True).stdout
    return [Change(**json.loads(line)) for line in said.splitlines()]


def sampled(found: Sequence[Change], most: int | None, seed: int) -> list[Change]:
    """At most so many of each file, the same for the same seed and the same file, whatever others are asked."""
    drawn: list[Change] = []
    for name in dict.fromkeys(one.file for one in found):
        of_file = [one for one in found if one.file == name]
        if most is not None and most < len(of_file):
            chosen = set(random.Random(f"{seed} {name}").sample(range(len(of_file)), most))
            of_file = [one for index, one in enumerate(of_file) if index in chosen]
        drawn += of_file
    return drawn


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

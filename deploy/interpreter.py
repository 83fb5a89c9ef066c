"""Which Python the environment is made of: of all on the PATH that go by this one's name, the fastest build.

One version of CPython differs by a third from build to build: whether the compiler was trained on a run of it, whether
it is of one piece or loads itself from a shared library. What a build says of itself does not tell (Debian's says
neither), so it is measured, in turn and in CPU time. Owns that choice. Runs before anything is installed, under any
Python from 3.11 on.

`python3.11 deploy/interpreter.py` prints the path of the one to take instead; nothing where none is clearly faster.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 5
ANSWERS_WITHIN_S = 10.0
CLEARLY = 0.85
"""Another one is taken where it needs this part of the first one's time, or less: where it hardly matters, the first
stays."""
_ABOUT = """
import json, os, sys, sysconfig
try:
    import ensurepip, venv
    whole = True
except ImportError:
    whole = False
headers = os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h"))
told = {
    "version": sys.version_info[:2],
    "form": [sys.implementation.name, sysconfig.get_config_var("SOABI"), os.uname().machine],
    "path": os.path.realpath(sys.executable),
    "whole": whole,
    "headers": headers,
}
print(json.dumps(told))
"""
_WORK = """
import time
def work():
    kept = {}
    for turn in range(30000):
        text, pair = str(turn), (turn, turn + 1)
        kept[turn % 100] = [pair, text, *pair]
work()
began = time.process_time()
work()
print(time.process_time() - began)
"""


@dataclass(frozen=True)
class Python:
    """One that is there. `form`: which packages it takes, beside its version; `whole`: it can make an environment;
    `headers`: C code can be built for it.
    """

    path: str
    version: tuple[int, int]
    form: tuple[str | None, ...]
    whole: bool
    headers: bool


def asked(path: str, code: str) -> str | None:
    """What code prints under a Python; None where that fails."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=ANSWERS_WITHIN_S,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout


def about(path: str) -> Python | None:
    """The Python behind a path; None where there is none."""
    try:
        told = json.loads(asked(path, _ABOUT) or "")
        major, minor = told["version"]
        form = tuple(told["form"])
        return Python(str(told["path"]), (major, minor), form, bool(told["whole"]), bool(told["headers"]))
    except (ValueError, KeyError, TypeError):
        return None


def seconds(path: str) -> float:
    """CPU time of a little work under a Python; endless where it fails."""
    try:
        return float(asked(path, _WORK) or "")
    except ValueError:
        return float("inf")


def named(version: tuple[int, int], folders: Iterable[str]) -> list[str]:
    """Every executable of the version's name in those folders."""
    paths = [Path(folder) / f"python{version[0]}.{version[1]}" for folder in folders if Path(folder).is_absolute()]
    return [str(path) for path in paths if os.access(path, os.X_OK) and path.is_file()]


def chosen(first: Python, others: Iterable[Python], spent: Callable[[str], float]) -> Python:
    """`first`, or what is clearly faster and lacks nothing that it has. `spent`: measures a path, once."""
    rivals = {
        each.path: each
        for each in others
        if (each.version, each.form) == (first.version, first.form)
        and each.whole
        and each.headers >= first.headers
        and each.path != first.path
    }
    if not rivals:
        return first
    turns = [{path: spent(path) for path in (first.path, *rivals)} for _ in range(ROUNDS)]
    best = {path: min(turn[path] for turn in turns) for path in (first.path, *rivals)}
    fastest = min(rivals, key=lambda path: best[path])
    needed = best[fastest] < float("inf") and not first.whole
    return rivals[fastest] if needed or best[fastest] < CLEARLY * best[first.path] else first


def main() -> int:
    """Print the path, if any; answer the exit code."""
    first = about(sys.executable)
    if first is None:
        return 0
    there = [about(path) for path in named(first.version, os.environ.get("PATH", "").split(os.pathsep))]
    taken = chosen(first, [each for each in there if each is not None], seconds)
    if taken.path != first.path:
        version = f"{taken.version[0]}.{taken.version[1]}"
        print(f"Taking {taken.path}: the fastest build of Python {version} here.", file=sys.stderr)
        print(taken.path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

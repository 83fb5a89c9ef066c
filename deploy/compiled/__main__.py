"""`python -m deploy.compiled [trained]`: build the core, unless a build of these sources is there already.

A trained build is compiled twice: the second time the compiler knows what the first did at work (`training.py`).
Answers 0 also where there is no compiler: everything runs without it, and it is said what is missing.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploy.compiled import FLAGS, LEVEL, LIBRARY, MANIFEST, MODULES, ROOT, digest, files, is_trained, place, source

if TYPE_CHECKING:
    from setuptools import Extension

PATH_ENTRY: Final = "callgrant_compiled.pth"
FAILED: Final = "failed"
"""Holds the digest of the sources that could not be built: they are not tried again."""
SLOWER: Final = "the core runs interpreted, at half the speed"


def main(trained: bool) -> int:
    """Answer the exit code. A trained build serves whoever asked for any, not the other way round."""
    folder = place()
    with folder.with_suffix(".lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        return 0 if files(folder) and (is_trained() or not trained) else compiled(folder, trained)


def compiled(folder: Path, trained: bool) -> int:
    """Build into `folder`, whatever it holds."""
    if missing := lacking():
        print(f"Not compiling the core: {missing}; {SLOWER}.")
        return 0
    new = folder.with_name("compiled.new")
    log, failed, sources = new / "log.txt", new / FAILED, digest()
    if failed.is_file() and failed.read_text("utf-8") == sources:
        print(f"The core could not be compiled: see {log}; {SLOWER}.", file=sys.stderr)
        return 0
    span = "and training the core (some minutes" if trained else "the core (a minute"
    print(f"Compiling {span}, whenever it was changed) …", flush=True)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    entry = Path(sysconfig.get_path("purelib")) / PATH_ENTRY  # it does nothing while there is no build
    entry.write_text("import deploy.compiled; deploy.compiled.prefer()\n", "utf-8")
    with log.open("w", encoding="utf-8") as told:
        again = [sys.executable, "-m", "deploy.compiled", "build", str(new), *(["trained"] if trained else [])]
        built = subprocess.run(again, cwd=ROOT, stdout=told, stderr=told, check=False).returncode == 0
    if not built or not in_a_build(new, ""):
        failed.write_text(sources, "utf-8")
        print(f"The core could not be compiled: see {log}; {SLOWER}.", file=sys.stderr)
        return 0
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    return 0


def lacking() -> str:
    """What a build would need and is not there; empty where nothing is."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "the headers of Python are not installed (python3-dev)"
    return ""


def build(folder: Path, trained: bool) -> None:
    """Make the libraries in `folder`, with the manifest that makes them a build. Where the compiler cannot be trained,
    a build is as good as it gets.
    """
    from mypyc.build import mypycify

    before, profile = digest(), folder / "profile"
    paths = [str(source(module).relative_to(ROOT)) for module in MODULES]
    extensions = mypycify(
        paths, opt_level=LEVEL, debug_level="0", target_dir=str(folder / "c"), group_name=LIBRARY, multi_file=True
    )
    used: list[str] = []
    if trained and is_gcc():
        compile_all(extensions, folder, trained, ["-fprofile-generate", f"-fprofile-dir={profile}"])
        if in_a_build(folder, "import deploy.compiled.training; deploy.compiled.training.train()"):
            used = ["-fprofile-use", f"-fprofile-dir={profile}", "-fprofile-partial-training", "-Wno-missing-profile"]
    compile_all(extensions, folder, trained, used)
    if digest() != before:
        raise SystemExit("The sources were changed meanwhile: build again.")
    for left in ("c", "lib", "temp", "profile"):
        shutil.rmtree(folder / left, ignore_errors=True)


def compile_all(extensions: "Sequence[Extension]", folder: Path, trained: bool, profile: Sequence[str]) -> None:
    """The libraries into `folder`, and the manifest."""
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    class SideBySide(build_ext):  # type: ignore[misc]  # setuptools tells no types
        """Compiles as many files at a time as there are cores."""

        def build_extensions(self) -> None:
            one_by_one = self.compiler.compile

            def side_by_side(sources: list[str], **options: Any) -> list[str]:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    return list(chain(*pool.map(lambda path: one_by_one([path], **options), sources)))

            self.compiler.compile = side_by_side
            super().build_extensions()

    again = [copy(extension) for extension in extensions]
    for extension in again:
        extension.extra_compile_args = [*extension.extra_compile_args, *FLAGS, *profile]
        extension.extra_link_args = [*extension.extra_link_args, *profile]
    command = SideBySide(Distribution({"name": LIBRARY, "ext_modules": again}))
    command.build_lib, command.build_temp, command.force = str(folder / "lib"), str(folder / "temp"), True
    command.ensure_finalized()
    command.run()
    names = {}
    for extension in again:
        made = Path(command.get_ext_filename(extension.name))
        names[extension.name] = f"{extension.name}{''.join(made.suffixes)}"
        (folder / "lib" / made).rename(folder / names[extension.name])
    told = {"digest": digest(), "trained": trained, "abi": sysconfig.get_config_var("SOABI"), "files": names}
    (folder / MANIFEST).write_text(json.dumps(told, indent=1), "utf-8")


def is_gcc() -> bool:
    """Whether the compiler is one that we know how to train."""
    asked = [*(sysconfig.get_config_var("CC") or "cc").split(), "-dM", "-E", "-x", "c", os.devnull]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return "__GNUC__" in told and "__clang__" not in told


def in_a_build(folder: Path, asked: str) -> bool:
    """Run a line of Python with what was built; answers whether it went well."""
    first = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path; from deploy import compiled; "
        f"sys.meta_path.insert(0, compiled.Finder(Path({str(folder)!r}))); assert compiled.is_used(); "
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (folder / "log.txt").open("a", encoding="utf-8") as told:
        done = subprocess.run(
            [sys.executable, "-c", first + asked], env=environment, stdout=told, stderr=told, check=False
        )
    return done.returncode == 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        with contextlib.chdir(ROOT):
            build(Path(sys.argv[2]), "trained" in sys.argv)
    else:
        raise SystemExit(main("trained" in sys.argv))

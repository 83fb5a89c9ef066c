"""`python -m deploy.compiled`: build the core, unless a build of these sources is there already.

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
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, Final

from deploy.compiled import FLAGS, LEVEL, LIBRARY, MANIFEST, MODULES, ROOT, digest, files, place, source

PATH_ENTRY: Final = "callgrant_compiled.pth"
FAILED: Final = "failed"
"""Holds the digest of the sources that could not be built: they are not tried again."""
SLOWER: Final = "the core runs interpreted, at half the speed"


def main() -> int:
    """Answer the exit code."""
    folder = place()
    with folder.with_suffix(".lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        return 0 if files(folder) else compiled(folder)


def compiled(folder: Path) -> int:
    """Build into `folder`, whatever it holds."""
    if missing := lacking():
        print(f"Not compiling the core: {missing}; {SLOWER}.")
        return 0
    new = folder.with_name("compiled.new")
    log, failed, sources = new / "log.txt", new / FAILED, digest()
    if failed.is_file() and failed.read_text("utf-8") == sources:
        print(f"The core could not be compiled: see {log}; {SLOWER}.", file=sys.stderr)
        return 0
    print("Compiling the core (a minute, whenever it was changed) …", flush=True)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    entry = Path(sysconfig.get_path("purelib")) / PATH_ENTRY  # it does nothing while there is no build
    entry.write_text("import deploy.compiled; deploy.compiled.prefer()\n", "utf-8")
    with log.open("w", encoding="utf-8") as told:
        again = [sys.executable, "-m", "deploy.compiled", "build", str(new)]
        built = subprocess.run(again, cwd=ROOT, stdout=told, stderr=told, check=False).returncode == 0
    if not built or not loads(new):
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


def build(folder: Path) -> None:
    """Make the libraries in `folder`, then the manifest that makes them a build."""
    from mypyc.build import mypycify
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

    before = digest()
    paths = [str(source(module).relative_to(ROOT)) for module in MODULES]
    extensions = mypycify(
        paths, opt_level=LEVEL, debug_level="0", target_dir=str(folder / "c"), group_name=LIBRARY, multi_file=True
    )
    for extension in extensions:
        extension.extra_compile_args = [*extension.extra_compile_args, *FLAGS]  # they share one list
    command = SideBySide(Distribution({"name": LIBRARY, "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "temp")
    command.ensure_finalized()
    command.run()
    if digest() != before:
        raise SystemExit("The sources were changed meanwhile: build again.")
    made = {extension.name: Path(command.get_ext_filename(extension.name)) for extension in extensions}
    names = {}
    for name, file in made.items():
        names[name] = f"{name}{''.join(file.suffixes)}"
        (folder / "lib" / file).rename(folder / names[name])
    for left in ("c", "lib", "temp"):
        shutil.rmtree(folder / left)
    told = {"digest": before, "abi": sysconfig.get_config_var("SOABI"), "files": names}
    (folder / MANIFEST).write_text(json.dumps(told, indent=1), "utf-8")


def loads(folder: Path) -> bool:
    """Whether Python can use what was built."""
    asked = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path; from deploy import compiled; "
        f"sys.meta_path.insert(0, compiled.Finder(Path({str(folder)!r}))); assert compiled.is_used()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (folder / "log.txt").open("a", encoding="utf-8") as told:
        done = subprocess.run([sys.executable, "-c", asked], env=environment, stdout=told, stderr=told, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        with contextlib.chdir(ROOT):
            build(Path(sys.argv[2]))
    else:
        raise SystemExit(main())

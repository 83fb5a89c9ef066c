"""The jars of the broker: fetched once through jgo, checked against our own record every time they are used.

Owns `jars.txt` and the cache below it. Refuses to run a byte that is not recorded: what the registry answers, and
what an interrupted fetch left behind, are both only believed when the SHA-256 agrees.
"""

import fcntl
import hashlib
import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.broker.troubles import JarsUnavailable

RECORD: Final = Path(__file__).with_name("jars.txt")
ROUNDS: Final = 3
AT_ONCE: Final = 8
ANSWER_WITHIN_S: Final = 30


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the record: where a jar is found and what it must contain."""

    coordinate: str
    sha256: str

    def path(self, cache: Path) -> Path:
        """Where it lies in the cache, which has the layout of a Maven repository."""
        group, artifact, version = self.coordinate.split(":")
        return cache.joinpath(*group.split("."), artifact, version, f"{artifact}-{version}.jar")


Download = Callable[[Jar, Path], None]
"""Brings one jar to its path in the given cache, or raises."""


def recorded(record: Path = RECORD) -> list[Jar]:
    """All jars, in the order of the class path."""
    lines = (line.strip() for line in record.read_text("utf-8").splitlines())
    return [Jar(*line.split()) for line in lines if line and not line.startswith("#")]


def class_path(cache: Path, jars: Sequence[Jar]) -> str:
    return os.pathsep.join(str(jar.path(cache)) for jar in jars)


def fetch(cache: Path, jars: Sequence[Jar], download: Download | None = None) -> int:
    """Make every jar present and right; answers how many had to be fetched. May block for as long as 44 MB take."""
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache):
        wanted = [jar for jar in jars if not _is_right(jar, cache)]
        missing, why = wanted, ""
        for _ in range(ROUNDS):
            if not missing:
                return len(wanted)
            missing, why = _round(missing, cache, download or _from_registry(cache))
    if not missing:
        return len(wanted)
    names = ", ".join(jar.coordinate for jar in missing[:3]) + (" …" if len(missing) > 3 else "")
    raise JarsUnavailable(
        f"{len(missing)} of {len(jars)} jars of the local broker could not be had ({names}): {why}. "
        f"Check the network and run `make setup` again, or set CALLGRANT_KAFKA_BOOTSTRAP to use a cluster of your own."
    )


def _round(missing: Sequence[Jar], cache: Path, download: Download) -> tuple[list[Jar], str]:
    """Try each jar once; answers those still missing and the reason of the first."""

    def attempt(jar: Jar) -> str | None:
        jar.path(cache).unlink(missing_ok=True)  # jgo would take what an interrupted fetch left for the whole file
        try:
            download(jar, cache)
        except Exception as trouble:  # noqa: BLE001 - the registry client raises whatever its layers raise
            jar.path(cache).unlink(missing_ok=True)
            return f"{type(trouble).__name__} while fetching {jar.coordinate}"
        if _is_right(jar, cache):
            return None
        jar.path(cache).unlink(missing_ok=True)
        return f"checksum mismatch: {jar.coordinate} is not the jar that was recorded in {RECORD.name}"

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="jars") as pool:
        reasons = list(pool.map(attempt, missing))
    failed = [(jar, reason) for jar, reason in zip(missing, reasons, strict=True) if reason is not None]
    return [jar for jar, _ in failed], failed[0][1] if failed else ""


def _is_right(jar: Jar, cache: Path) -> bool:
    try:
        with jar.path(cache).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _from_registry(cache: Path) -> Download:
    try:
        from jgo.maven import MavenContext, PythonResolver
    except ModuleNotFoundError:
        raise JarsUnavailable("the local broker needs the package jgo: install callgrant[broker]") from None
    _trust_the_machine()
    maven = MavenContext(repo_cache=cache, resolver=PythonResolver(), timeout=ANSWER_WITHIN_S)

    def download(jar: Jar, _: Path) -> None:
        group, artifact, version = jar.coordinate.split(":")
        maven.project(group, artifact).at_version(version).artifact().resolve()

    return download


def _trust_the_machine() -> None:
    """Believe the certificates this machine believes: behind a company's proxy the bundled list is not enough."""
    machine = ssl.get_default_verify_paths().cafile
    if machine and not os.environ.get("CURL_CA_BUNDLE"):
        os.environ.setdefault("REQUESTS_CA_BUNDLE", machine)


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Two processes that fetch at once wait for each other: the second then finds everything there."""
    with (cache / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

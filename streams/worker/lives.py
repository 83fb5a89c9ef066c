"""How the life before this one ended: a small file in the store folder, so that a death outlives its process.

Owns that file. It says `running` while a worker runs, so a life that ended without a word (killed, out of memory,
power) is told from one that said why. Refuses to fail: a worker that dies must not trip over its last words.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from streams.worker.clock import now_s
from streams.worker.codes import Code

FILE: Final = "last-exit.json"
KILLED: Final = "killed"


@dataclass(frozen=True, slots=True)
class Ended:
    """`reason`: the name of the exit code, or `killed`; `text`: what the log said last. `code` is None when killed."""

    reason: str
    code: int | None
    at: int
    text: str = ""


class Lives:
    """The lives of one folder, this one included."""

    def __init__(self) -> None:
        self._file: Path | None = None

    def begins(self, folder: Path) -> Ended | None:
        """This life begins in `folder`: how the one before ended, None when there was none."""
        before = last_exit(folder)
        self._file = folder / FILE
        self._write({"running": True, "at": now_s()})
        return before

    def ends(self, code: Code | int, text: str = "") -> None:
        """Leave the reason for the next life. Before a life began in a folder this does nothing."""
        known = code in Code.__members__.values()
        reason = Code(code).reason if known else f"code_{int(code)}"
        self._write({"reason": reason, "code": int(code), "at": now_s(), "text": text})

    def _write(self, told: dict[str, Any]) -> None:
        if self._file is None:
            return
        with contextlib.suppress(OSError):  # a full disk may be the very reason
            new = self._file.with_suffix(".new")
            new.write_bytes(orjson.dumps(told))
            new.replace(self._file)


def last_exit(folder: Path) -> Ended | None:
    """What stands in a folder; None when nothing readable does. One that runs now counts as killed: ask its lock."""
    try:
        told = orjson.loads((folder / FILE).read_bytes())
        if told.get("running"):
            return Ended(KILLED, None, int(told["at"]))
        return Ended(str(told["reason"]), int(told["code"]), int(told["at"]), str(told["text"]))
    except (OSError, ValueError, KeyError, AttributeError):
        return None


lives: Final = Lives()
"""Of this process: it has one life."""

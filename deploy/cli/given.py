"""What commands are given: instants, history files, and the file their dead letters go to.

Owns the options and the refusal of what cannot be used, before anything is done. A file of dead letters never is one
that is read in the same run, and it is made even when nothing comes. Refuses to put content into it: a letter says
where and why.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

if TYPE_CHECKING:
    from schemas.codec import Unreadable
    from streams.replay.sources import Line, Sources

    Park = Callable[[Line, Unreadable], None]

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="History files, JSON lines; - reads stdin.")]


def instant(text: str) -> int:
    """The parser of an option that is an instant."""
    from schemas.actions import instant as read

    try:
        return read(text)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None


@contextmanager
def inputs(names: list[str]) -> "Iterator[Sources]":
    """The files, open from their beginning."""
    from streams.replay.sources import STDIN, Sources

    if names.count(STDIN) > 1:
        raise typer.BadParameter("stdin can be read once: give - once", param_hint="FILE")
    try:
        sources = Sources(names)
    except OSError as fault:
        raise typer.BadParameter(f"{fault.filename} cannot be read ({fault.strerror})", param_hint="FILE") from None
    with sources:
        yield sources


@contextmanager
def put_aside(path: Path | None, sources: "Sources", *, otherwise: "Park") -> "Iterator[Park]":
    """What takes the dead letters: the file of `--dead-letters`, `otherwise` where none is given."""
    if path is None:
        yield otherwise
        return
    if path.exists() and any(path.samefile(name) for name in sources.names if Path(name).exists()):
        raise typer.BadParameter(f"{path} is read in this run and would be overwritten", param_hint="--dead-letters")
    try:
        file = path.open("wb")
    except OSError as fault:
        raise typer.BadParameter(f"{path} cannot be written ({fault.strerror})", param_hint="--dead-letters") from None

    def park(line: "Line", fault: "Unreadable") -> None:
        file.write(orjson.dumps(letter(line, fault, named=sources.several)) + b"\n")

    with file:
        yield park


def letter(line: "Line", fault: "Unreadable", *, named: bool) -> dict[str, Any]:
    """A dead letter: where and why, never what. `path`: inside the body or action; of a broken line, inside the
    line. `named`: with the name of its file.
    """
    told = {"line": line.number, "reason": fault.reason, "path": fault.path, "detail": fault.detail}
    return {"file": line.file, **told} if named else told

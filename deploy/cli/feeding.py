"""`feed` and `import`: a history file brought in, through the doors of a running gateway or straight onto its topics.

Owns options, progress, dead letters, the summary and exit codes: 0 all lines brought in, 3 some were refused (the
others were brought in all the same), 1 ended before the end, 2 usage or settings.
"""

import asyncio
import re
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

import typer

from deploy import config as settings
from deploy.cli.given import Files, inputs, put_aside
from deploy.cli.paper import JsonFlag, Progress, print_json, progress

if TYPE_CHECKING:
    from deploy.cli.given import Park
    from deploy.feed_import import Imported
    from deploy.feed_sender import Tally
    from schemas.codec import Unreadable
    from streams.replay.sources import Line, Sources

Result = TypeVar("Result")

DONE, REFUSED = 0, 3
SHOWN_REFUSALS: Final = 10
_ADDRESS: Final = "give http(s)://host[:port]"
_RATE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:/s)?")


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: callgrant feed history.jsonl --rate 500/s --dead-letters refused.jsonl")(feed)
    app.command("import", epilog="Example: callgrant import history.jsonl --dead-letters refused.jsonl")(import_)


def _rate(text: str) -> float:
    found = _RATE.fullmatch(text)
    if found is None or not (rate := float(found[1])):
        raise typer.BadParameter("give lines a second, like 500 or 0.5/s")
    return rate


def _address(text: str) -> str:
    try:
        scheme, netloc, path, query, fragment = urlsplit(text)
        named = bool(urlsplit(text).hostname) and urlsplit(text).port != 0
    except ValueError:
        raise typer.BadParameter(_ADDRESS) from None
    if scheme not in {"http", "https"} or not named or path not in {"", "/"} or query or fragment or "@" in netloc:
        raise typer.BadParameter(_ADDRESS)
    return text


DeadLetters = Annotated[
    Path | None, typer.Option(dir_okay=False, help="Write there what was refused: line, reason, path, detail.")
]
Patience = Annotated[float, typer.Option(min=0.1, help="Seconds without any acceptance after which it ends.")]


def feed(
    files: Files,
    rate: Annotated[
        float | None,
        typer.Option(parser=_rate, metavar="N[/s]", help="Lines a second. Else: as fast as the gateway takes them."),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests under way at once.")] = 8,
    patience: Patience = 60.0,
    gateway: Annotated[
        str | None,
        typer.Option(parser=_address, metavar="URL", help="Another gateway than that of CALLGRANT_GATEWAY_PORT."),
    ] = None,
    dead_letters: DeadLetters = None,
    as_json: JsonFlag = False,
) -> None:
    """Post a history to a running gateway, signed with our own secrets; what comes is received now."""
    from deploy.feed_doors import doors_of
    from deploy.feed_lines import arrivals
    from deploy.feed_sender import Feeding, Pace
    from streams.gateway.settings import MAX_BODY_BYTES

    doors = doors_of(settings.load(), gateway)
    pace = Pace(concurrency=concurrency, rate_per_s=rate, patience_s=patience)
    with _brought(files, dead_letters) as (sources, park, read):
        feeding = Feeding(doors, pace, park, lambda tally: read.say(tally.text()))
        tally = _run(feeding.run(arrivals(sources, read.told, MAX_BODY_BYTES)))
    _end(_counts_of_feed(tally), tally.text(), tally.elapsed_s, dead_letters, as_json)


def import_(
    files: Files,
    patience: Patience = 60.0,
    dead_letters: DeadLetters = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a history to the raw topics with its own receipt times: an operator's backfill, past the gateway."""
    import structlog

    from deploy.clock import now
    from deploy.feed_import import Importing, producer_of
    from deploy.feed_lines import arrivals

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for the summary
    config = settings.load()
    with _brought(files, dead_letters) as (sources, park, read):

        async def run() -> "Imported":
            async with producer_of(config) as producer:
                importing = Importing(
                    producer, config.topics, lambda: now() * 1000, park, lambda done: read.say(done.text()), patience
                )
                return await importing.run(arrivals(sources, read.told))

        done = _run(run())
    _end(_counts_of_import(done), done.text(), done.elapsed_s, dead_letters, as_json)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


class _Read:
    """How far the reader is, beside what became of the lines."""

    def __init__(self, line: Progress) -> None:
        self._line = line
        self._percent = 0

    def told(self, read: int, size: int) -> None:
        self._percent = read * 100 // max(1, size)

    def say(self, text: str) -> None:
        self._line.say(f"{self._percent:3d} % read · {text}")


def _counts_of_feed(tally: "Tally") -> dict[str, Any]:
    return {
        "lines": tally.lines,
        "sent": tally.sent,
        "accepted": tally.accepted,
        "repeated": tally.repeated,
        "refused": dict(sorted(tally.refused.items())),
    }


def _counts_of_import(done: "Imported") -> dict[str, Any]:
    return {
        "lines": done.lines,
        "written": dict(sorted(done.written.items())),
        "repeated": done.repeated,
        "refused": dict(sorted(done.refused.items())),
    }


def _end(counts: dict[str, Any], text: str, elapsed_s: float, dead_letters: Path | None, as_json: bool) -> None:
    refused: dict[str, int] = counts["refused"]
    if as_json:
        print_json({**counts, "elapsed_s": round(elapsed_s, 3)})
    else:
        print(f"{text} in {elapsed_s:.1f} s")
        for reason, count in refused.items():
            print(f"  {reason}: {count}")
    if refused:
        where = f"see {dead_letters}" if dead_letters is not None else "--dead-letters FILE tells which and why"
        typer.echo(f"callgrant: {sum(refused.values())} lines were refused: {where}", err=True)
    raise typer.Exit(REFUSED if refused else DONE)


def _first_told(sources: "Sources") -> "Park":
    """Without a file for them the first refused lines are told on stderr."""
    told = 0

    def tell(line: "Line", fault: "Unreadable") -> None:
        nonlocal told
        if told < SHOWN_REFUSALS:
            told += 1
            where = f"{line.file}:{line.number}" if sources.several else f"line {line.number}"
            typer.echo(f"callgrant: {where}: {fault.reason} at {fault.path}: {fault.detail}", err=True)

    return tell


@contextmanager
def _brought(files: list[str], dead_letters: Path | None) -> "Iterator[tuple[Sources, Park, _Read]]":
    """The lines to bring in, what takes the refused ones, and what tells how far it is."""
    with (
        inputs(files) as sources,
        put_aside(dead_letters, sources, otherwise=_first_told(sources)) as park,
        progress() as line,
    ):
        yield sources, park, _Read(line)

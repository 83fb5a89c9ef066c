"""`replay`, `translate`, `explain`: a history judged in this one process, without broker or network.

Owns options, progress, where results go and exit codes: 0 all judged, 3 some parts were parked (the results are
printed all the same), 2 usage. What is printed goes to stdout; counts, progress and what went wrong to stderr.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final, Literal

import orjson
import typer

from deploy.cli.given import Files, inputs, instant, letter, put_aside

if TYPE_CHECKING:
    from schemas.codec import Unreadable
    from schemas.ids import Pair
    from schemas.policy import Policy
    from streams.replay.explained import Piece
    from streams.replay.fold import Counts
    from streams.replay.sources import Line, Told

JUDGED, USAGE, PARKED = 0, 2, 3
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SHOWN_FAULTS: Final = 100
_NO_INSTANT: Final = "no fact says when to judge: give an instant"
_UNSEEN: Final = re.compile("[\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What JSON may hold as it is and a terminal acts upon."""

Emit = Literal["standings", "changes", "facts", "requests", "grants", "calls"]


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: callgrant replay history.jsonl --as-of 2026-03-02T10:00:00Z --emit requests")(replay)
    app.command(epilog="Example: callgrant translate --provider meta webhook.json")(translate)
    app.command(epilog="Example: callgrant explain history.jsonl --pair 700100200300400/447700900123")(explain)


def _span(text: str) -> int:
    digits, unit = (text, "s") if text.isdigit() else (text[:-1], text[-1:])
    if not (digits.isascii() and digits.isdigit() and unit in _UNITS):
        raise typer.BadParameter("give a span in seconds, or like 36h, 30d, 8w")
    return int(digits) * _UNITS[unit]


def _pair(text: str) -> "Pair":
    from schemas.ids import PHONE_NUMBER_ID, Pair, user_of

    number, _, name = text.partition("/")
    user = user_of(name)
    if user is None or not PHONE_NUMBER_ID.fullmatch(number):
        raise typer.BadParameter("give PHONE_NUMBER_ID/USER; the user as digits with the country code, or a BSUID")
    return Pair(number, user)


AsOf = Annotated[
    int | None,
    typer.Option(
        parser=instant,
        metavar="INSTANT",
        help="Judge at this instant, RFC 3339 or epoch seconds, without what occurred later. Else: at the latest fact.",
    ),
]
Horizon = Annotated[
    int | None,
    typer.Option(
        parser=_span,
        metavar="SPAN",
        help="Settle evidence older than this, as the worker does after 30d. Else: keep everything.",
    ),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(help="Meta's numbers with their dates. Else: CALLGRANT_POLICY_FILE, or the built-in ones."),
]
DeadLetters = Annotated[
    Path | None, typer.Option(dir_okay=False, help="Write there what was parked: line, reason, path, detail.")
]


def replay(
    files: Files,
    as_of: AsOf = None,
    pair: Annotated[
        list[Any] | None,
        typer.Option(parser=_pair, metavar="PNID/USER", help="Only this pair; may be given more than once."),
    ] = None,
    emit: Annotated[Emit, typer.Option(help="What to print, as JSON lines.")] = "standings",
    policy: PolicyFile = None,
    dead_letters: DeadLetters = None,
    horizon: Horizon = None,
    stats: Annotated[bool, typer.Option("--stats", help="Print counts as one JSON object on stderr.")] = False,
) -> None:
    """The whole stream in one process: translate, fold, judge. Any order of the lines gives the same result."""
    from streams.replay.fold import Listener
    from streams.replay.listeners import Announcer, Chronicler, heard_pairs
    from streams.replay.replay import NothingToJudgeAt
    from streams.replay.replay import replay as replayed
    from streams.replay.scout import Scouted
    from streams.replay.spool import Spool

    asked = pair or []
    with (
        inputs(files) as sources,
        put_aside(dead_letters, sources, otherwise=_nobody) as park,
        Spool() as spool,
        _output() as write,
    ):

        def listener(scouted: Scouted) -> Listener:
            match emit:
                case "changes":
                    return Announcer(heard_pairs(asked, scouted), as_of, write)
                case "facts":
                    return Chronicler(heard_pairs(asked, scouted), spool)
                case _:
                    return Listener()

        with _progress("Replaying", hidden=emit == "changes" and sys.stdout.isatty()) as told:
            done = replayed(
                sources,
                _policy(policy),
                park,
                as_of=as_of,
                horizon_s=horizon,
                asked=asked,
                listen=listener,
                told=told,
            )
        match emit:
            case "changes":
                pass
            case "facts":
                for line in spool.lines():
                    write(line)
            case "standings" | "requests" | "grants" | "calls":
                try:
                    with _progress("Judging", hidden=sys.stdout.isatty()) as told:
                        for row in done.judged(emit, asked, told):
                            write(orjson.dumps(row))
                except NothingToJudgeAt:
                    raise typer.BadParameter(_NO_INSTANT, param_hint="--as-of") from None
    _end(done.counts, stats, dead_letters)


def translate(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A body, JSON lines of bodies, or a history; - reads stdin.")
    ],
    provider: Annotated[str, typer.Option(help="Whose bodies these are; history lines say it themselves.")],
    received_at: Annotated[
        int | None,
        typer.Option(
            parser=instant, metavar="INSTANT", help="When bodies came, which dates what has no time. Else: now."
        ),
    ] = None,
    policy: PolicyFile = None,
    dead_letters: DeadLetters = None,
) -> None:
    """The facts that payloads mean, as JSON lines; on stderr what was ignored and what was parked, and why."""
    from deploy.clock import now
    from schemas.codec import Unreadable, encode_fact
    from streams.providers.kinds import IGNORED
    from streams.providers.registry import PROVIDERS
    from streams.replay.fold import Counts
    from streams.replay.translating import translated

    if provider not in PROVIDERS:
        raise typer.BadParameter(f"unknown; known: {', '.join(sorted(PROVIDERS))}", param_hint="--provider")
    counts, faults, unknown = Counts(), list[dict[str, Any]](), Counter[str]()
    with inputs([file]) as sources, put_aside(dead_letters, sources, otherwise=_nobody) as park, _output() as write:
        at = now() if received_at is None else received_at
        for line, done in translated(sources, provider, at, _policy(policy)):
            counts.lines += 1
            parked = (done,) if isinstance(done, Unreadable) else done.parked
            for fault in parked:
                counts.parked += 1
                park(line, fault)
                if len(faults) < _SHOWN_FAULTS:
                    faults.append(letter(line, fault, named=False))
            if not isinstance(done, Unreadable):
                counts.ignored.update(done.ignored)
                counts.facts += len(done.facts)
                unknown.update(done.unknown)
                for fact in done.facts:
                    write(encode_fact(fact))
    summary = {
        "lines": counts.lines,
        "facts": counts.facts,
        "ignored": dict(sorted(counts.ignored.items())),
        "why_ignored": {kind: IGNORED[kind] for kind in sorted(counts.ignored) if kind in IGNORED},
        "unknown": dict(unknown.most_common(_SHOWN_FAULTS)),
        "parked": counts.parked,
        "why_parked": faults,
    }
    typer.echo(orjson.dumps(summary).decode(), err=True)
    raise typer.Exit(PARKED if counts.parked else JUDGED)


def explain(
    files: Files,
    pair: Annotated[Any, typer.Option(parser=_pair, metavar="PNID/USER", help="Whose story; by any name of the user.")],
    as_of: AsOf = None,
    policy: PolicyFile = None,
    dead_letters: DeadLetters = None,
    horizon: Horizon = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """The story of one pair: what happened, which rule decided, why the answer is what it is, what would change it."""
    from streams.replay.explained import explain as explained
    from streams.replay.explained import text_of
    from streams.replay.replay import NothingToJudgeAt

    with inputs(files) as sources, put_aside(dead_letters, sources, otherwise=_nobody) as park:
        try:
            with _progress("Reading") as told:
                done = explained(sources, pair, _policy(policy), park, as_of=as_of, horizon_s=horizon, told=told)
        except NothingToJudgeAt:
            raise typer.BadParameter(_NO_INSTANT, param_hint="--as-of") from None
    with _output() as write:
        if as_json:
            write(orjson.dumps(done.told, option=orjson.OPT_INDENT_2))
        elif sys.stdout.isatty():
            _print_in_colours(text_of(done.told))
        else:
            for line in text_of(done.told):
                write("".join(text for text, _ in line).encode())
    raise typer.Exit(PARKED if done.parked else JUDGED)


def _print_in_colours(lines: "Iterable[list[Piece]]") -> None:
    """On a terminal; nothing is cut."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text.assemble(*line))


def _nobody(_line: "Line", _fault: "Unreadable") -> None:
    """Nobody wants the dead letters; they are counted."""


def _write(file: IO[bytes], line: bytes) -> None:
    file.write(line + b"\n")


@contextmanager
def _output() -> Iterator[Callable[[bytes], None]]:
    """Stdout for lines of JSON. A reader who has enough (`| head`) ends the command without a fault."""
    out = sys.stdout.buffer
    seen = sys.stdout.isatty()
    try:
        yield lambda line: _write(out, _escaped(line) if seen else line)
        out.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left must not fail at exit
        raise typer.Exit(JUDGED) from None


def _escaped(line: bytes) -> bytes:
    """The same JSON, without a character that a terminal acts upon."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()


@contextmanager
def _progress(what: str, *, hidden: bool = False) -> "Iterator[Told | None]":
    """A bar on stderr while there is a terminal to see it."""
    if hidden or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda read, size: bar.update(task, completed=read, total=size)


def _policy(path: Path | None) -> "Policy":
    from deploy import config as settings
    from schemas.policy import PolicyUnusable, read_policy

    if path is None:
        return settings.load().policy()
    try:
        return read_policy(path.read_bytes(), str(path))
    except PolicyUnusable as fault:
        said = str(fault).removeprefix("CALLGRANT_POLICY_FILE: ")
        raise typer.BadParameter(said, param_hint="--policy") from None
    except OSError as fault:
        raise typer.BadParameter(f"{path} cannot be read ({fault.strerror})", param_hint="--policy") from None


def _end(counts: "Counts", stats: bool, dead_letters: Path | None) -> None:
    if stats:
        typer.echo(orjson.dumps(_counts(counts)).decode(), err=True)
    elif counts.parked:
        where = f"see {dead_letters}" if dead_letters is not None else "--dead-letters FILE tells which and why"
        parts = "1 part" if counts.parked == 1 else f"{counts.parked} parts"
        typer.echo(f"callgrant: {parts} of the input could not be judged, parked: {where}", err=True)
    raise typer.Exit(PARKED if counts.parked else JUDGED)


def _counts(counts: "Counts") -> dict[str, Any]:
    said: dict[str, Any] = {name: getattr(counts, name) for name in counts.__dataclass_fields__}
    return said | {name: dict(sorted(said[name].items())) for name in ("ignored", "parked_by_reason")}

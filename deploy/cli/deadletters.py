"""`deadletters list|show|stats|retry|drop`: what was parked on this cluster, why, and what is done about it.

Owns options, tables and exit codes: 0 done, 1 no such letter, 2 usage, 3 some letters stay as they were. Refuses to
print content unasked: keys, unknown headers and bytes appear only with `show --bytes`.
"""

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy import config as settings
from deploy.cli.deadletters_meant import (
    Addresses,
    Done,
    Every,
    Origins,
    Providers,
    Reasons,
    Since,
    Until,
    addressed,
    at_the_desk,
    filters,
    meant,
)
from deploy.cli.paper import JsonFlag, print_json, print_table, progress

if TYPE_CHECKING:
    from deploy.deadletters import Dimension, Ledger
    from deploy.deadletters_desk import Desk
    from deploy.deadletters_retry import Told

STAY = 3

group = typer.Typer(
    help="What was parked because it could not be judged: see it, send it again, mark it as done.",
    epilog="Example: callgrant deadletters stats",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="deadletters")


@group.command("list", epilog="Example: callgrant deadletters list --reason not_json --since 2026-03-02T00:00:00Z")
def list_(
    reason: Reasons = None,
    provider: Providers = None,
    origin: Origins = None,
    since: Since = None,
    until: Until = None,
    done: Done = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """The letters that are open, oldest first, without what they hold."""
    wanted = filters(reason, provider, origin, since, until)
    from deploy.deadletters_shown import line

    async def work(_desk: "Desk", ledger: "Ledger") -> list[dict[str, Any]]:
        return [line(one, ledger) for one in ledger.select(wanted, done=done)]

    rows = at_the_desk(work)
    if as_json:
        _print_lines(rows)
    elif rows:
        print_table("", list(rows[0]), [list(row.values()) for row in rows])
    else:
        print("no letter" if done else "no open letter")


@group.command(epilog="Example: callgrant deadletters show 3:1042 --bytes")
def show(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The letter, as partition:offset.")],
    with_bytes: Annotated[
        bool, typer.Option("--bytes", help="Also its key and bytes, which may hold phone numbers.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """One letter: what was wrong and where, where it came from, what it carried."""

    async def work(desk: "Desk", ledger: "Ledger") -> dict[str, Any]:
        from deploy.deadletters_desk import Gone
        from deploy.deadletters_shown import contents, diagnosis

        (letter,) = addressed(ledger, [address])
        told = diagnosis(letter, ledger)
        if with_bytes:
            async for _, value in desk.bytes_of([letter]):
                told |= {"gone": True} if isinstance(value, Gone) else contents(letter, value)
        return told

    told = at_the_desk(work)
    if with_bytes:
        print("what follows may hold phone numbers and message ids", file=sys.stderr)
    if as_json:
        print(json.dumps(told, indent=2))
        return
    long = {name: told.pop(name) for name in ("at_the_path", "body") if name in told}
    print_table("", ["", ""], [[name, _cell(value)] for name, value in told.items() if name != "body_base64"])
    for name, value in long.items():
        # ASCII alone: whatever a stranger put into a name stays text on a terminal
        print(f"{name}:\n{json.dumps(value, indent=2)}")


@group.command(epilog="Example: callgrant deadletters stats --by reason --by day")
def stats(
    by: Annotated[
        list[str] | None, typer.Option("--by", help="reason, provider, origin or day; repeatable. Else: all four.")
    ] = None,
    reason: Reasons = None,
    provider: Providers = None,
    origin: Origins = None,
    since: Since = None,
    until: Until = None,
    as_json: JsonFlag = False,
) -> None:
    """How many letters there are, by reason, provider, origin and day, and what became of them."""
    wanted = filters(reason, provider, origin, since, until)
    from deploy.deadletters import DIMENSIONS, counted
    from deploy.deadletters_shown import clean

    chosen: list[Dimension] = [one for one in DIMENSIONS if not by or one in by]
    if unknown := sorted(set(by or ()) - set(DIMENSIONS)):
        raise typer.BadParameter(f"{', '.join(unknown)}: give {', '.join(DIMENSIONS)}", param_hint="--by")

    async def work(_desk: "Desk", ledger: "Ledger") -> list[dict[str, Any]]:
        found = counted(ledger, ledger.select(wanted, done=True), chosen)
        return [
            dict(zip(chosen, map(clean, key), strict=True))
            | {one: counts[one] for one in ("open", "retried", "dropped")}
            for key, counts in found.items()
        ]

    rows = at_the_desk(work)
    if as_json:
        print_json(rows)
    elif rows:
        print_table("", list(rows[0]), [list(row.values()) for row in rows])
    else:
        print("no letter")


@group.command(epilog="Example: callgrant deadletters retry --reason unknown_number --dry-run")
def retry(
    addresses: Addresses = None,
    reason: Reasons = None,
    provider: Providers = None,
    origin: Origins = None,
    since: Since = None,
    until: Until = None,
    every: Every = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would become of each.")] = False,
    partly: Annotated[
        bool, typer.Option("--partly", help="Also send what can be read in part; the rest is parked anew.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Look at letters with today's code and send those that can be read back to where they came from.

    Facts have derived ids: a letter sent twice changes nothing. What cannot be read stays; exit 3 then. A letter named
    by its address is sent again even if it was retried or dropped before.
    """
    config = settings.load()
    policy = config.policy()
    wanted = filters(reason, provider, origin, since, until)

    async def work(desk: "Desk", ledger: "Ledger") -> "list[Told]":
        from deploy.deadletters_retry import retry as send_back

        letters = meant(ledger, addresses, wanted, every)
        told = []
        with progress() as line:
            async for one in send_back(desk, ledger, letters, config.topics, policy, send=not dry_run, partly=partly):
                told.append(one)
                line.say(f"{len(told)} looked at")
        return told

    told = at_the_desk(work)
    from deploy.deadletters_shown import clean

    rows = [
        {
            "address": str(one.letter.address),
            "parked_for": clean(one.letter.reason),
            "fate": one.fate.replace("_", " "),
            "says": clean(one.says),
        }
        for one in told
    ]
    if as_json:
        _print_lines(rows)
        raise typer.Exit(STAY if any(one.stays for one in told) else 0)
    if rows:
        print_table("", list(rows[0]), [list(row.values()) for row in rows])
    fates = Counter(one.fate.replace("_", " ") for one in told)
    print(", ".join(f"{count} {fate}" for fate, count in sorted(fates.items())) or "no open letter")
    raise typer.Exit(STAY if any(one.stays for one in told) else 0)


@group.command(epilog="Example: callgrant deadletters drop --reason not_json --until 2026-03-02T00:00:00Z --yes")
def drop(
    addresses: Addresses = None,
    reason: Reasons = None,
    provider: Providers = None,
    origin: Origins = None,
    since: Since = None,
    until: Until = None,
    every: Every = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Mark letters as done. Nothing is deleted: `list --done` shows them until retention takes them."""
    wanted = filters(reason, provider, origin, since, until)

    async def work(desk: "Desk", ledger: "Ledger") -> int:
        letters = meant(ledger, addresses, wanted, every)
        if letters and not yes:
            _ask(len(letters))
        await desk.mark(sorted({copy.address for one in letters for copy in ledger.copies(one)}), "dropped")
        return len(letters)

    print(f"{at_the_desk(work)} dropped")


def _ask(count: int) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is nobody to ask: say --yes", param_hint="--yes")
    typer.confirm(f"Mark {count} letters as done?", abort=True)


def _print_lines(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(json.dumps(row))


def _cell(value: Any) -> Any:
    match value:
        case dict():
            return "\n".join(f"{name}: {text}" for name, text in value.items()) or None
        case list():
            return ", ".join(map(str, value)) or None
        case _:
            return value

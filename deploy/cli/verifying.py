"""`verify`: recompute everything from the log and compare it with what stands.

Owns options, the printed form and exit codes: 0 all the same, 1 something differs, 2 usage or settings, 3 it could not
be judged. Refuses to name a pair unasked: a key holds a phone number.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deploy import config as settings
from deploy.cli.paper import JsonFlag, print_json, print_table, progress

if TYPE_CHECKING:
    from deploy.verify import Verified

DIFFERS: Final = 1


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: callgrant verify --wait-s 120 --ask 0")(verify)


def verify(
    wait_s: Annotated[
        float, typer.Option("--wait-s", min=1.0, max=86_400.0, help="How long its readers may need to catch up.")
    ] = 60.0,
    ask: Annotated[
        int, typer.Option("--ask", min=0, help="About how many pairs the running api is asked; 0: about all.")
    ] = 1_000,
    show_pairs: Annotated[
        bool, typer.Option("--show-pairs", help="Name pairs by their keys, which hold phone numbers.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Recompute everything from the log and compare: tables, stores, announcements, rows, answers.

    Exit code: 0 all the same, 1 something differs, 2 usage or settings, 3 it could not be judged.
    """
    config = settings.load()
    config.policy()
    from deploy import verify as checking

    with progress() as line:
        done = asyncio.run(checking.verify(config, wait_s=wait_s, ask=ask, tell=line.say))
    if as_json:
        print_json(_document(done, show_pairs=show_pairs))
    else:
        _print(done, show_pairs=show_pairs)
    if done.findings.total:
        raise typer.Exit(DIFFERS)


def _document(done: "Verified", *, show_pairs: bool) -> dict[str, Any]:
    from deploy.verify_report import CHECKS

    found = done.findings
    return {
        "facts": done.facts,
        "pairs": done.pairs,
        "facts_per_s": done.facts_per_s,
        "as_of": done.at,
        "left_out_pairs": done.moving,
        "differences": found.total,
        "checks": {
            check: {
                "compared": found.compared[check],
                "differences": found.of(check),
                "first": {kind: found.first(kind, done.partitions, show_pairs=show_pairs) for kind in found.of(check)},
                "skipped": found.skipped.get(check),
                "note": found.words.get(check),
            }
            for check in CHECKS
        },
    }


def _print(done: "Verified", *, show_pairs: bool) -> None:
    from deploy.verify_report import CHECKS, KINDS

    found = done.findings
    rows = [
        [what, None if check in found.skipped else found.compared[check], sum(found.of(check).values())]
        for check, what in CHECKS.items()
    ]
    title = f"{done.facts} facts of {done.pairs} pairs folded again, {done.facts_per_s} a second"
    print_table(title, ["", "compared", "different"], rows)
    for check in CHECKS:
        if check in found.skipped:
            print(f"{check}: not compared: {found.skipped[check]}")
        elif check in found.words:
            print(f"{check}: {found.words[check]}")
    if done.moving:
        print(f"{done.moving} pairs moved meanwhile and were left out")
    for check in CHECKS:
        for kind, count in found.of(check).items():
            print(f"{kind}: {KINDS[kind]}: {count}")
            for one in found.first(kind, done.partitions, show_pairs=show_pairs):
                print(f"  {one['pair']}  {one['detail']}".rstrip())
    print("all the same" if not found.total else f"{found.total} differences")

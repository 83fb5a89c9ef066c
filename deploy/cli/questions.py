"""`funnel`, `revocations`: the analysts' questions in a terminal."""

from typing import Annotated, Any, Final

import typer

from deploy import config as settings
from deploy.cli.paper import JsonFlag, print_json, print_table

BESIDE_EACH_OTHER: Final = (
    "requested",
    "failed",
    "delivered",
    "read",
    "responded",
    "accepted",
    "declined",
    "superseded",
    "open",
    "approval_rate",
)
"""What fits on a line; the rest is in the JSON."""

Number = Annotated[str | None, typer.Option(help="Only this phone_number_id.")]
Since = Annotated[str | None, typer.Option(help="First day, UTC, like 2026-03-02.")]
Until = Annotated[str | None, typer.Option(help="Last day, UTC, inclusive.")]


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: callgrant funnel --by template --since 2026-03-02")(funnel)
    app.command(epilog="Example: callgrant revocations --json")(revocations)


def funnel(
    number: Number = None,
    since: Since = None,
    until: Until = None,
    by: Annotated[str | None, typer.Option(help="One row for each: day, template or number.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Where does the approval funnel leak: requests sent, delivered, answered, approved."""
    found = _asked("funnel", number=number, since=since, until=until, by=by)
    if as_json:
        print_json(found)
    elif not found["rows"]:
        print("Funnel: no request in this span")
    elif by is None:
        row = found["rows"][0]
        shown = [[_spoken(name), _cell(row, name)] for name in row if not name.endswith("_n")]
        print_table("Funnel: requests for permission", ["", ""], shown)
    else:
        shown = [[_cell(row, name) for name in (by, *BESIDE_EACH_OTHER)] for row in found["rows"]]
        columns = [_spoken(name) for name in (by, *BESIDE_EACH_OTHER)]
        print_table(f"Funnel by {by} (all columns with --json)", columns, shown)


def revocations(number: Number = None, since: Since = None, until: Until = None, as_json: JsonFlag = False) -> None:
    """Why permissions ended, and how many of them were taken back."""
    found = _asked("revocations", number=number, since=since, until=until)
    if as_json:
        print_json(found)
    else:
        columns = ["cause", "taken back", "temporary", "permanent", "ended"]
        rows = [
            [_spoken(row["cause"]), bool(row["revocation"]), row["temporary"], row["permanent"], row["ended"]]
            for row in found["rows"]
        ]
        print_table("Permissions that ended, by cause", columns, rows)


def _asked(question: str, **given: str | None) -> dict[str, Any]:
    from deploy.asking import ask

    return ask(settings.load(), question, {name: value for name, value in given.items() if value is not None})


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _cell(row: dict[str, Any], name: str) -> Any:
    """A rate with what it is a rate of."""
    count = row.get(f"{name}_n")
    return row[name] if count is None or row[name] is None else f"{row[name]:.1%} of {count}"

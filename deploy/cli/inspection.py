"""`config`, `doctor`: what is set, and what is wrong."""

import asyncio
from dataclasses import asdict

import typer

from deploy import config as settings
from deploy.cli.paper import JsonFlag, print_json, print_table
from deploy.sources import PREFIX


def add_to(app: typer.Typer) -> None:
    app.command("config", epilog="Example: callgrant config --json")(config)
    app.command(epilog="Example: callgrant doctor")(doctor)


def config(as_json: JsonFlag = False) -> None:
    """Every setting in effect and where it comes from; secrets masked."""
    from deploy.names import Names, shown

    loaded = settings.load()
    rows = [
        {
            "setting": PREFIX + field.upper(),
            "value": shown(loaded.names, field),
            "from": loaded.origins.get(field, "default"),
            "means": about.description,
        }
        for field, about in Names.model_fields.items()
    ]
    if as_json:
        print_json(rows)
    else:
        print_table("", ["setting", "value", "from", "means"], [list(row.values()) for row in rows])


def doctor(as_json: JsonFlag = False) -> None:
    """Look for the common mistakes; exit 1 when something is wrong."""
    from deploy.doctor import examine

    findings = asyncio.run(examine(settings.load()))
    if as_json:
        print_json([asdict(one) for one in findings])
    else:
        marks = {"ok": "✓", "warning": "!", "bad": "✗"}
        print_table(
            "", ["", "check", "found", "mend"], [[marks[f.verdict], f.check, f.found, f.mend] for f in findings]
        )
    raise typer.Exit(1 if any(one.verdict == "bad" for one in findings) else 0)

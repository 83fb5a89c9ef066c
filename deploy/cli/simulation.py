"""`simulate`: a pretend Meta against a running gateway, or into a history file."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from deploy import config as settings
from deploy.cli.paper import JsonFlag, print_json, progress
from deploy.clock import now
from deploy.simulated import week
from deploy.trouble import Trouble

Seed = Annotated[int, typer.Option(help="The same seed, the same world.")]
Pairs = Annotated[int, typer.Option(min=1, help="How many users a business has to do with.")]


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: callgrant simulate --seed 7 --pairs 200 --to-file history.jsonl")(simulate)


def simulate(
    seed: Seed = 1,
    pairs: Pairs = 1_250,
    to_file: Annotated[
        Path | None, typer.Option(help="Write a history file instead of posting to the gateway.", dir_okay=False)
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="Also write the simulator's own books there, as JSON.", dir_okay=False)
    ] = None,
    rate_per_s: Annotated[float | None, typer.Option(min=0.001, help="Posts a second; as fast as it goes.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """A simulated week that ends now: signed webhooks and actions, with duplicates and disorder."""
    from dataclasses import replace

    from streams.simulator import NotAccepted, run
    from streams.simulator import simulate as drawn

    if to_file is not None:
        simulation = drawn(week(now(), seed=seed, pairs=pairs))
        books, complete = simulation.ledger, True
        said = f"{simulation.to_history(to_file)} lines written to {to_file}"
    else:
        world = replace(week(now(), seed=seed, pairs=pairs, config=settings.load()), rate_per_s=rate_per_s)
        try:
            with progress() as line:
                report = asyncio.run(run(world, lambda told: line.say(f"{told.acked} of {told.total} acknowledged")))
        except NotAccepted as fault:
            raise Trouble(str(fault)) from fault
        books, complete, said = report.ledger, report.complete, report.summary()
    if ledger is not None:
        import json

        ledger.write_text(json.dumps(books.to_json(), indent=1), "utf-8")
    if as_json:
        print_json({"complete": complete, "funnel": books.funnel(), "revocations": books.revocations()})
    else:
        print(said)
    raise typer.Exit(0 if complete else 1)

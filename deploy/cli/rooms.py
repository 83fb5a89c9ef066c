"""`gateway`, `worker`, `api`, `projection`, `migrate`: one process of ours in the foreground.

Owns reading the settings and handing them over. Each logs JSON lines to stdout, ends on Ctrl-C or TERM, and expects the
topics to be there (`callgrant topics create`).
"""

from typing import Annotated

import typer

from deploy import config as settings
from deploy.data_folder import made_private
from deploy.trouble import Trouble


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: callgrant gateway")(gateway)
    app.command(epilog="Example: callgrant worker --number 2")(worker)
    app.command(epilog="Example: callgrant api")(api)
    app.command(epilog="Example: callgrant projection")(projection)
    app.command(epilog="Example: callgrant migrate")(migrate)


def gateway() -> None:
    """The door for webhooks and actions: verifies, stores the bytes on Kafka, answers."""
    told = settings.gateway_settings(settings.load())
    from streams.gateway.main import run

    raise typer.Exit(run(told))


def worker(
    number: Annotated[
        int,
        typer.Option(min=1, max=1_000, help="Which worker of this machine: its own local store, the ports count up."),
    ] = 1,
) -> None:
    """Translates, judges, announces: from raw topics to the state of every pair."""
    config = settings.load()
    told = settings.worker_settings(config, number)
    made_private(config.data_dir)
    from streams.worker.main import run

    raise typer.Exit(run(told))


def api() -> None:
    """Answers questions about pairs from a replica of their state."""
    told = settings.api_settings(settings.load())
    from streams.api.main import run

    raise typer.Exit(run(told))


def projection() -> None:
    """Writes rows to ClickHouse; serves the analysts' page and questions."""
    config = settings.load()
    told = settings.projection_settings(config)
    made_private(config.data_dir)
    from projections.main import run

    raise typer.Exit(run(told))


def migrate() -> None:
    """Bring the ClickHouse database up to date. The projection does so itself at its start."""
    config = settings.load()
    told = settings.projection_settings(config)
    made_private(config.data_dir)
    from projections.faults import ProjectionFault
    from projections.migrate import migrate as bring_up_to_date
    from projections.store import Refused, open_embedded, open_server

    try:
        store = (
            open_server(told.clickhouse_url, told.database, readers=0)
            if told.clickhouse_url
            else open_embedded(told.store_folder, told.database, readers=0)
        )
        try:
            applied = bring_up_to_date(store)
        finally:
            store.close()
    except (ProjectionFault, Refused) as fault:
        raise Trouble(f"the database is not up to date: {fault}") from fault
    print("\n".join(f"applied {name}" for name in applied) or "nothing to do: the database is up to date")

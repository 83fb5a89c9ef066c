"""`gateway`, `worker`, `api`, `projection`, `migrate`: one process of ours in the foreground.

Owns reading the settings and handing them over. Each logs JSON lines to stdout, ends on Ctrl-C or TERM, and expects the
topics to be there (`callgrant topics create`).
"""

from typing import Annotated

import typer

from deploy import config as settings
from deploy.data_folder import made_private
from deploy.names import GENERATION_MOST
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
    generation: Annotated[
        int | None,
        typer.Option(
            min=1, max=GENERATION_MOST, help="Which generation to fold; another than the one that is read only folds."
        ),
    ] = None,
) -> None:
    """Translates, judges, announces: from raw topics to the state of every pair.

    Scaling: one process a core, each with a --number of its own on one machine, and as many as there are partitions
    (CALLGRANT_PARTITIONS) at most; more would idle. They share the partitions, and whoever comes or goes changes
    nothing but who does what. One that joins or leaves stops the others for about a second, one that is killed is
    waited for 10 s; with CALLGRANT_WORKER_STATIC=true a restart within 10 s stops nobody else.

    Exit codes: deploy/operating.md, `The worker ended`.

    Rebuilding beside what runs: `callgrant topics create --generation 2`, then `callgrant worker --generation 2
    --number 2` folds the whole log once more, with this program and this policy file, into topics of its own, and
    writes nothing else. `callgrant topics generations` says how far it is. Readers are switched by
    CALLGRANT_GENERATION=2, and so is who translates; `callgrant topics drop-generation 1` removes the old one. Step by
    step: deploy/operating.md.
    """
    config = settings.load()
    told = settings.worker_settings(config, number, generation)
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

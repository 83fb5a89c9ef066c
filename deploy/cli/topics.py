"""`topics create|check|list`: our topics on a cluster."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from deploy import config as settings
from deploy.cli.paper import JsonFlag, print_json, print_table

group = typer.Typer(
    help="Our topics on a cluster: create them, compare a cluster with the registry, list them.",
    epilog="Example: callgrant topics check",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="topics")


@group.command(epilog="Example: callgrant topics create --replication 3")
def create(
    replication: Annotated[
        int | None,
        typer.Option(min=1, max=9, help="Copies of each partition; as many as there are brokers, 3 at most."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Create the topics that are missing. Existing ones are not touched: see `callgrant topics check`."""
    config = settings.load()
    from deploy.cluster import replication_of
    from deploy.topics import create_topics

    async def work() -> list[str]:
        copies = replication or await replication_of(config.bootstrap)
        return await create_topics(config.bootstrap, config.topics, config.names.partitions, copies)

    created = asyncio.run(work())
    if as_json:
        print_json({"bootstrap": config.bootstrap, "created": created})
    else:
        print("\n".join(f"created {name}" for name in created) or "nothing to do: every topic exists")


@group.command(epilog="Example: callgrant topics check --json")
def check(as_json: JsonFlag = False) -> None:
    """Name every difference between the cluster and the registry; exit 1 when there is one."""
    config = settings.load()
    from deploy.topics import check_topics

    differences = asyncio.run(check_topics(config.bootstrap, config.topics, config.names.partitions))
    if as_json:
        print_json({"bootstrap": config.bootstrap, "differences": [asdict(one) for one in differences]})
    else:
        print("\n".join(map(str, differences)) or f"every topic on {config.bootstrap} is as registered")
    raise typer.Exit(1 if differences else 0)


@group.command("list", epilog="Example: callgrant topics list")
def list_(as_json: JsonFlag = False) -> None:
    """Every topic: its name here, its key, who writes and reads it, its settings. Asks no cluster."""
    config = settings.load()
    from deploy.topics import wanted_topics
    from schemas.topics import BY_NAME

    wanted = wanted_topics(config.topics, config.names.partitions)
    if as_json:
        print_json([({} if one.topic == "leader" else asdict(BY_NAME[one.topic])) | asdict(one) for one in wanted])
        return
    rows = [
        [
            one.name,
            one.partitions,
            topic.key if (topic := BY_NAME.get(one.topic)) else "–",
            f"{', '.join(topic.writers)} → {', '.join(topic.readers)}" if topic else "workers elect who ticks",
            _kept(one.settings),
        ]
        for one in wanted
    ]
    print_table("", ["topic", "partitions", "key", "who writes → reads", "kept"], rows)


def _kept(values: dict[str, str]) -> str:
    if values["cleanup.policy"] == "compact":
        return "the newest of each key"
    days = int(values["retention.ms"]) / 86_400_000
    return "for ever" if days < 0 else f"{days:g} d"

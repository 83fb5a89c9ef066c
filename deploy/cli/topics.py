"""`topics create|check|list`: our topics on a cluster; `topics generations|drop-generation`: those of a rebuild.

Owns words, tables and the question before something is removed. Refuses the work itself.
"""

import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from deploy import config as settings
from deploy.cli.paper import JsonFlag, print_json, print_table
from deploy.names import GENERATION_MOST

if TYPE_CHECKING:
    from schemas.topics import TopicNames

group = typer.Typer(
    help="Our topics on a cluster: create them, compare a cluster with the registry, list them, drop a generation's.",
    epilog="Example: callgrant topics check",
    no_args_is_help=True,
    rich_markup_mode=None,
)

GenerationOption = Annotated[
    int | None,
    typer.Option(
        "--generation",
        min=1,
        max=GENERATION_MOST,
        help="As this generation calls them; by default the one that is read.",
    ),
]


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="topics")


@group.command(epilog="Example: callgrant topics create --replication 3")
def create(
    replication: Annotated[
        int | None,
        typer.Option(min=1, max=9, help="Copies of each partition; as many as there are brokers, 3 at most."),
    ] = None,
    generation: GenerationOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Create the topics that are missing. Existing ones are not touched: see `callgrant topics check`."""
    config = settings.load()
    from deploy.cluster import replication_of
    from deploy.topics import create_topics

    async def work() -> list[str]:
        copies = replication or await replication_of(config.bootstrap)
        return await create_topics(config.bootstrap, _topics(config, generation), config.names.partitions, copies)

    created = asyncio.run(work())
    if as_json:
        print_json({"bootstrap": config.bootstrap, "created": created})
    else:
        print("\n".join(f"created {name}" for name in created) or "nothing to do: every topic exists")


@group.command(epilog="Example: callgrant topics check --json")
def check(generation: GenerationOption = None, as_json: JsonFlag = False) -> None:
    """Name every difference between the cluster and the registry; exit 1 when there is one."""
    config = settings.load()
    from deploy.topics import check_topics

    differences = asyncio.run(check_topics(config.bootstrap, _topics(config, generation), config.names.partitions))
    if as_json:
        print_json({"bootstrap": config.bootstrap, "differences": [asdict(one) for one in differences]})
    else:
        print("\n".join(map(str, differences)) or f"every topic on {config.bootstrap} is as registered")
    raise typer.Exit(1 if differences else 0)


@group.command("list", epilog="Example: callgrant topics list")
def list_(generation: GenerationOption = None, as_json: JsonFlag = False) -> None:
    """Every topic: its name here, its key, who writes and reads it, its settings. Asks no cluster."""
    config = settings.load()
    from deploy.topics import wanted_topics
    from schemas.topics import BY_NAME

    wanted = wanted_topics(_topics(config, generation), config.names.partitions)
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


@group.command("generations", epilog="Example: callgrant topics generations --json")
def generations_(as_json: JsonFlag = False) -> None:
    """Which generations of the fold stand on the cluster, which of them is read, and how far each one is."""
    config = settings.load()
    from deploy.generations import generations

    found = asyncio.run(generations(config))
    if as_json:
        print_json({"bootstrap": config.bootstrap, "generations": [asdict(one) for one in found]})
        return
    columns = ["generation", "", "topics", "workers", "facts unread", "projections", "records unstored"]
    rows = [
        [one.number, _role(is_read=one.is_read), one.topics, one.workers, one.unread, one.projections, one.unstored]
        for one in found
    ]
    print_table("", columns, rows)


@group.command("drop-generation", epilog="Example: callgrant topics drop-generation 1 --yes")
def drop_generation(
    number: Annotated[int, typer.Argument(min=1, max=GENERATION_MOST, help="The generation that goes.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove a generation that nobody reads: its derived topics, its groups, its stores here, its database.

    Refused for the one that is read, and while processes of it run. The log of facts stays: it can be built again.
    """
    config = settings.load()
    from deploy.generations import drop

    if number != config.names.generation and not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("there is nobody to ask: say --yes", param_hint="--yes")
        typer.confirm(f"Remove generation {number} from {config.bootstrap} and {config.data_dir}?", abort=True)
    gone = asyncio.run(drop(config, number))
    if as_json:
        print_json({"bootstrap": config.bootstrap, "generation": number, "removed": gone})
    else:
        print(
            "\n".join(f"removed {what}" for what in gone) or f"nothing to do: there is nothing of generation {number}"
        )


def _topics(config: settings.Config, generation: int | None) -> "TopicNames":
    return config.topics_of(generation or config.names.generation)


def _role(*, is_read: bool) -> str:
    return "is read" if is_read else "only folds"


def _kept(values: dict[str, str]) -> str:
    if values["cleanup.policy"] == "compact":
        return "the newest of each key"
    days = int(values["retention.ms"]) / 86_400_000
    return "for ever" if days < 0 else f"{days:g} d"

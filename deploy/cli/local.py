"""`up` and `demo`: the whole house on this machine."""

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from deploy import config as settings
from deploy.cli.paper import print_table, progress

if TYPE_CHECKING:
    from deploy.demo import Comparison
    from deploy.supervisor.house import House

READY_WITHIN_S = 90.0
INTERRUPTED = 130


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: callgrant up --workers 2")(up)
    app.command(epilog="Example: callgrant demo --once --seed 7")(demo)


def up(
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many workers share the partitions.")] = 1,
) -> None:
    """Start a local broker (unless CALLGRANT_KAFKA_BOOTSTRAP names a cluster) and all processes; Ctrl-C ends them.

    A second Ctrl-C ends them at once. Logs are in DATA_DIR/logs.
    """
    from deploy.supervisor.house import House, NotReadyInTime

    config = _with_secrets(settings.load())

    async def work(house: House) -> int:
        for difference in await house.start():
            _say(f"topics: {difference}")
        ready = False
        while not ready:
            try:
                await house.until_ready(READY_WITHIN_S)
                ready = True
            except NotReadyInTime as late:  # a large state takes its time to recover: say so and go on
                _say(str(late))
        _say("\n".join(["", *_addresses(config), "Ctrl-C ends it."]))
        await house.until_ended()
        return 0

    raise typer.Exit(asyncio.run(_stand(House(config, workers=workers, tell=_say), work, when_asked_to_end=0)))


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the comparison, as without a terminal.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed, the same world.")] = 1,
    pairs: Annotated[int, typer.Option(min=1, max=100_000, help="How many users the business has to do with.")] = 1_250,
) -> None:
    """Everything at once: start all, simulate a week, compare the funnel with the simulator's ledger.

    Exit 0 when they agree, 1 when not. It lives in DATA_DIR/demo, emptied at each start, and never touches other data.
    """
    from deploy.clock import now
    from deploy.demo import compare, emptied, settings_of
    from deploy.supervisor.house import House
    from deploy.supervisor.premises import alone_in

    given = _with_secrets(settings.load())
    config = settings_of(given)
    stay = not once and sys.stdin.isatty() and sys.stdout.isatty()

    async def work(house: House) -> int:
        await house.start()
        await house.until_ready(READY_WITHIN_S)
        with progress() as line:
            comparison = await house.during(compare(config, seed=seed, pairs=pairs, end_at=now(), tell=line.say))
        _print_comparison(comparison)
        _say("\n".join([*_addresses(config), *_try_it(config, given, comparison.example)]))
        if stay:
            _say("Ctrl-C ends it.")
            await house.until_ended()
        return 0 if comparison.agrees else 1

    async def all_of_it() -> int:
        with alone_in(given.data_dir):
            emptied(config.data_dir)
            house = House(config, tell=_say, cache_dir=given.data_dir / "cache")
            try:
                return await _stand(house, work, when_asked_to_end=INTERRUPTED)
            finally:
                if house.started:
                    await _leave_cluster(config)

    _say(f"A simulated week of {pairs} pairs, seed {seed}; everything in {config.data_dir}")
    raise typer.Exit(asyncio.run(all_of_it()))


async def _stand(house: "House", work: Callable[["House"], Awaitable[int]], *, when_asked_to_end: int) -> int:
    """Work in the house until it is done or somebody asks for the end; then everything is stopped."""
    from deploy.supervisor.house import EndAsked

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup asked
            loop.add_signal_handler(number, _ask_to_end, house)
    async with house:
        try:
            return await work(house)
        except EndAsked:
            return when_asked_to_end


def _ask_to_end(house: "House") -> None:
    if house.ending:  # asked again by somebody who will not wait
        house.kill()
        os._exit(INTERRUPTED)
    house.end()


async def _leave_cluster(config: settings.Config) -> None:
    """Take the demo's own topics away from a cluster that is not ours."""
    if config.names.kafka_bootstrap:
        from deploy.cluster import ClusterUnusable, delete_topics, existing
        from deploy.topics import wanted_topics

        names = [one.name for one in wanted_topics(config.topics, config.names.partitions)]
        try:
            await delete_topics(config.bootstrap, await existing(config.bootstrap, names))
        except ClusterUnusable as fault:
            _say(f"the demo's topics ({config.topics.prefix}…) stay: {fault}")


def _with_secrets(config: settings.Config) -> settings.Config:
    from deploy.drawn_secrets import secrets_or_drawn

    config.policy()  # a file that cannot be used is told here, once, and not by every process that dies of it
    config, drawn, path = secrets_or_drawn(config)
    if drawn:
        _say(f"drew {', '.join(drawn)} into {path}")
    return config


def _addresses(config: settings.Config) -> list[str]:
    names = config.names
    return [
        f"  page      {config.url(names.analytics_port)}/",
        f"  api       {config.url(names.api_port)}/",
        f"  gateway   {config.url(names.gateway_port)}/webhooks/meta",
        f"  kafka     {config.bootstrap}",
        f"  logs      {config.data_dir / 'logs'}",
    ]


def _try_it(config: settings.Config, given: settings.Config, pair: tuple[str, str]) -> list[str]:
    where = given.origins["api_keys"]
    key = (
        f"KEY=$(sed -n 's/^CALLGRANT_API_KEYS=//p' {shlex.quote(str(given.data_dir / settings.SECRETS_FILE))})"
        if where == settings.SECRETS_FILE
        else f"KEY=…   # one id:secret of CALLGRANT_API_KEYS (from {where})"
    )
    question = f"{config.url(config.names.api_port)}/{pair[0]}/call_permissions?user_wa_id={pair[1]}"
    return [
        "May we call this user? (The same key opens the page: its id is the user, the rest the password.)",
        f"  {key}",
        f'  curl -H "Authorization: Bearer $KEY" "{question}"',
    ]


def _print_comparison(comparison: "Comparison") -> None:
    def rows(title: str) -> list[list[object]]:
        lines = comparison.funnel if title == "funnel" else comparison.revocations
        return [[one.what.replace("_", " "), one.ours, one.ledger, "✓" if one.agrees else "✗ differs"] for one in lines]

    _say(f"\n{comparison.sent}")
    print_table("Funnel: requests for permission", ["", "callgrant", "ledger", ""], rows("funnel"))
    print_table("Permissions that ended, by cause", ["", "callgrant", "ledger", ""], rows("revocations"))
    answers = comparison.answers
    _say(f"{answers.ours} of {answers.ledger} {answers.what}: {'✓' if answers.agrees else '✗'}")
    _say("callgrant and the ledger agree.\n" if comparison.agrees else "callgrant and the ledger DO NOT agree.\n")


def _say(told: object) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more, which is no reason to leave things running
        print(told, flush=True)

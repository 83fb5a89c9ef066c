"""Which letters a `deadletters` command means, and the way to them.

Owns the options they share and reading the topic before a command does its work. Refuses to do it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from deploy import config as settings
from deploy.cli.given import instant
from deploy.cli.paper import progress
from deploy.trouble import Trouble

if TYPE_CHECKING:
    from deploy.deadletters import Filters, Ledger, Letter
    from deploy.deadletters_desk import Desk

T = TypeVar("T")


Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only letters of this reason; repeatable.")]
Providers = Annotated[list[str] | None, typer.Option("--provider", help="Only what this provider sent; repeatable.")]
Origins = Annotated[
    list[str] | None, typer.Option("--origin", help="Only from this topic, e.g. webhooks.raw; repeatable.")
]
Since = Annotated[
    int | None,
    typer.Option(parser=instant, metavar="INSTANT", help="Parked then or later; RFC 3339 or epoch seconds."),
]
Until = Annotated[int | None, typer.Option(parser=instant, metavar="INSTANT", help="Parked before then.")]
Done = Annotated[bool, typer.Option("--done", help="Also letters that were retried or dropped.")]
Addresses = Annotated[list[str] | None, typer.Argument(metavar="[ADDRESS...]", help="Letters, as partition:offset.")]
Every = Annotated[bool, typer.Option("--all", help="Every open letter; needed where nothing else says which.")]


def filters(
    reasons: list[str] | None,
    providers: list[str] | None,
    origins: list[str] | None,
    since_at: int | None,
    until_at: int | None,
) -> "Filters":
    from deploy.deadletters import Filters

    return Filters(
        reasons=tuple(reasons or ()),
        providers=tuple(providers or ()),
        origins=tuple(origins or ()),
        since_at=since_at,
        until_at=until_at,
    )


def at_the_desk(work: "Callable[[Desk, Ledger], Awaitable[T]]") -> T:
    """Read the topic, then do the work."""
    config = settings.load()
    from deploy.deadletters_desk import desk_of

    async def all_of_it() -> T:
        async with desk_of(config.bootstrap, config.topics) as desk:
            with progress() as line:
                ledger = await desk.ledger(lambda percent: line.say(f"{percent:3d} % of the letters read"))
            return await work(desk, ledger)

    return asyncio.run(all_of_it())


def meant(ledger: "Ledger", addresses: list[str] | None, wanted: "Filters", every: bool) -> "list[Letter]":
    """The letters of a command that changes something: named one by one, filtered, or all on purpose."""
    unfiltered = wanted == filters(None, None, None, None, None)
    if addresses:
        if not unfiltered or every:
            raise typer.BadParameter("give addresses or filters, not both")
        return addressed(ledger, addresses)
    if unfiltered and not every:
        raise typer.BadParameter("say which letters: an address, a filter, or --all")
    return ledger.select(wanted)


def addressed(ledger: "Ledger", texts: list[str]) -> "list[Letter]":
    from deploy.deadletters import address_of

    found = []
    for text in texts:
        address = address_of(text)
        if address is None:
            raise typer.BadParameter(f"{text!a} is no address: give partition:offset, as `list` prints it")
        letter = ledger.at(address)
        if letter is None:
            raise Trouble(f"no letter at {address}: it may have gone with retention; see callgrant deadletters list")
        found.append(letter)
    return found

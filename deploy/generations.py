"""Generations of the fold on a cluster: which there are, how far each is, and removing one.

Owns what belongs to a generation (its derived topics, its groups, its stores on this machine, its database) and the
order in which it goes: topics last, so that a removal that was cut short is simply run again. Refuses to remove the one
that is read, one whose processes run, and one whose place in the raw topics nobody has taken over yet.
"""

import asyncio
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.protocol.admin import DeleteGroupsRequest

from deploy.cluster import ClusterUnusable, admin_of, delete_topics, existing, reason
from deploy.config import Config, projection_settings
from deploy.progress import Stage, unread
from deploy.topics import Wanted, wanted_topics
from deploy.trouble import Trouble
from schemas.topics import BY_NAME, READ_BY_ONE, TopicNames

GROUPS: Final = ("worker", "projection")
NO_SUCH_GROUP: Final = 69


class CannotDrop(Trouble):
    """The generation must stay; the text says why, and what to do first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One generation on a cluster. `unread`: facts its workers have not folded; `unstored`: records not in its
    database."""

    number: int
    is_read: bool
    topics: int
    workers: int
    unread: int
    projections: int
    unstored: int


def own_topics(names: TopicNames, partitions: int) -> list[Wanted]:
    """The topics that belong to one generation: the derived ones and the leader topic of its workers."""
    return [
        one
        for one in wanted_topics(names, partitions)
        if one.topic == "leader" or ((topic := BY_NAME.get(one.topic)) is not None and topic.derived)
    ]


async def generations(config: Config) -> list[Generation]:
    """Those that have topics, in order."""
    prefix, read, bootstrap = config.topics.prefix, config.names.generation, config.bootstrap
    async with admin_of(bootstrap) as admin:
        there = {row["topic"] for row in await admin.describe_topics() if row["partitions"]}
    found: list[Generation] = []
    for number in _numbers(there, prefix):
        names = TopicNames(prefix, number)
        topics = [one.name for one in own_topics(names, 1) if one.name in there]
        if not topics:
            continue
        folded = Stage(names.group("worker"), _here(there, names, "permission.events", "business.events"))
        stored = Stage(names.group("projection"), _here(there, names, "permission.records"))
        async with admin_of(bootstrap) as admin:
            workers, projections = [len(await _members(admin, names.group(name))) for name in GROUPS]
        found.append(
            Generation(
                number=number,
                is_read=number == read,
                topics=len(topics),
                workers=workers,
                unread=sum((await unread(bootstrap, folded)).values()),
                projections=projections,
                unstored=sum((await unread(bootstrap, stored)).values()),
            )
        )
    return found


async def drop(config: Config, number: int) -> list[str]:
    """Remove a generation and say what was removed. Raises `CannotDrop` before anything is touched."""
    read, bootstrap, names = config.names.generation, config.bootstrap, config.topics_of(number)
    if number == read:
        raise CannotDrop(
            f"generation {number} is the one that is read (CALLGRANT_GENERATION): switch readers to another one first"
        )
    groups = [names.group(name) for name in GROUPS]
    async with admin_of(bootstrap) as admin:
        for group in groups:
            if members := await _members(admin, group):
                raise CannotDrop(f"generation {number} runs: group {group} has {len(members)} members. Stop them")
        await _check_taken_over(admin, config, names)
    gone = await asyncio.to_thread(_drop_stores, config, number)
    async with admin_of(bootstrap) as admin:
        gone += [f"group {group}" for group in groups if await _drop_group(admin, group)]
    topics = await existing(bootstrap, [one.name for one in own_topics(names, 1)])
    if topics:
        await delete_topics(bootstrap, topics)
    return gone + [f"topic {name}" for name in topics]


async def _check_taken_over(admin: Any, config: Config, names: TopicNames) -> None:
    """The generation that is read must have gone on where this one stood, or the raw topics would be read again."""
    known = await admin.describe_topics()
    wanted = {names.of(name) for name in READ_BY_ONE}
    places = [
        TopicPartition(row["topic"], part["partition"])
        for row in known
        if row["topic"] in wanted
        for part in row["partitions"]
    ]
    if not places:
        return
    stood = await admin.list_consumer_group_offsets(names.group("worker"), partitions=places)
    stands = await admin.list_consumer_group_offsets(config.topics.group("worker"), partitions=places)
    behind = [place for place in places if place in stood and stood[place].offset > _offset(stands, place)]
    if behind:
        raise CannotDrop(
            f"generation {config.names.generation} has not taken over from generation {names.generation} on "
            f"{len(behind)} partitions of the raw topics: start its workers (callgrant worker) and try again"
        )


def _offset(offsets: Any, place: TopicPartition) -> int:
    found: int = offsets[place].offset if place in offsets else -1
    return found


def _drop_stores(config: Config, number: int) -> list[str]:
    from projections.dropping import drop_database
    from projections.faults import ProjectionFault
    from projections.store import Refused

    gone: list[str] = []
    try:
        dropped = drop_database(projection_settings(config, number))
    except (ProjectionFault, Refused) as fault:
        raise CannotDrop(f"the database of generation {number} stays, and everything else: {fault}") from fault
    if dropped is not None:
        gone.append(dropped)
    for folder in worker_folders(config.data_dir, number):
        shutil.rmtree(folder)
        gone.append(str(folder))
    return gone


def worker_folders(data_dir: Path, number: int) -> list[Path]:
    """The stores of a generation's workers on this machine."""
    return sorted((data_dir / "worker").glob(f"*/g{number}"))


async def _members(admin: Any, group: str) -> list[Any]:
    [answer] = await admin.describe_consumer_groups([group])
    [row] = answer.groups
    if row[0] and row[0] != NO_SUCH_GROUP:
        raise ClusterUnusable(f"group {group} cannot be described: {reason(row[0])}")
    return list(row[5])


async def _drop_group(admin: Any, group: str) -> bool:
    node = await admin.find_coordinator(group)
    answer = await admin._send_request(DeleteGroupsRequest([group]), node)  # noqa: SLF001 - it has no method for it
    [(_, code)] = answer.results
    if code and code != NO_SUCH_GROUP:
        raise ClusterUnusable(f"group {group} stays: {reason(code)}")
    return not code


def _numbers(topics: Iterable[str], prefix: str) -> list[int]:
    """The generations the names of topics speak of."""
    plain = TopicNames(prefix).of("permission.state")
    numbers = {1} if plain in topics else set()
    for name in topics:
        text = name.removeprefix(f"{plain}.g")
        if text != name and text.isdecimal():
            numbers.add(int(text))
    return sorted(numbers)


def _here(there: set[str], names: TopicNames, *topics: str) -> tuple[str, ...]:
    return tuple(name for name in map(names.of, topics) if name in there)

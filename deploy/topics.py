"""Our topics on a cluster: created as the registry says, and an existing cluster compared with it.

Owns the comparison and the wording of every difference. Refuses to change a topic that exists: what to run is told
instead.

Longer retention than registered is the operator's choice and no difference; shorter is, down to the 8 days that the raw
topics need at least (Meta repeats a webhook for 7).
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError

from deploy.cluster import SETTLED_WITHIN_S, ClusterUnusable, admin_of, reason, until
from schemas.topics import (
    BY_NAME,
    COMMON_SETTINGS,
    DAY_MS,
    FORMAT_SETTINGS,
    OLDEST_FORMAT,
    REGISTRY,
    Spread,
    Topic,
    TopicNames,
    keeps_headers,
)

EXISTS: Final = TopicAlreadyExistsError.errno
LEAST_RETENTION_MS: Final = {"webhooks.raw": 8 * DAY_MS, "actions.raw": 8 * DAY_MS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One topic as it should be."""

    topic: str
    """The registered name, without prefix; of Faust's own topic `leader`."""
    name: str
    partitions: int
    spread: Spread
    settings: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One way in which a cluster is not as registered. `what`: `missing`, `partitions` or the name of a setting."""

    topic: str
    what: str
    found: str | None
    wanted: str
    mend: str

    def __str__(self) -> str:
        if self.what == "missing":
            return f"{self.topic} is missing; mend: {self.mend}"
        return f"{self.topic}: {self.what} is {self.found}, wanted {self.wanted}; mend: {self.mend}"


def wanted_topics(names: TopicNames, partitions: int, replication: int = 1) -> list[Wanted]:
    """Every topic of a deployment, Faust's leader topic included."""
    in_sync = {"min.insync.replicas": "2" if replication >= 3 else "1"}

    def wanted(topic: Topic) -> Wanted:
        return Wanted(
            topic=topic.name,
            name=names.of(topic.name),
            partitions=1 if topic.spread == "one" else partitions,
            spread=topic.spread,
            settings={**COMMON_SETTINGS, **in_sync, **topic.settings},
        )

    leader = Wanted(
        topic="leader",
        name=leader_topic(names),
        partitions=1,
        spread="one",
        settings={**in_sync, "cleanup.policy": "delete", "retention.ms": str(DAY_MS)},
    )
    return [*(wanted(topic) for topic in REGISTRY), leader]


def leader_topic(names: TopicNames) -> str:
    """The topic by which Faust elects the worker that ticks."""
    return f"{names.group('worker')}-__assignor-__leader"


async def create_topics(bootstrap: str, names: TopicNames, partitions: int, replication: int = 1) -> list[str]:
    """Create what is missing and wait until all of it is served; answers the names created. The others stay."""
    wanted = wanted_topics(names, partitions, replication)
    async with admin_of(bootstrap) as admin:
        answer = await admin.create_topics(
            [NewTopic(one.name, one.partitions, replication, topic_configs=one.settings) for one in wanted]
        )
        said = {row[0]: (row[1], row[2]) for row in answer.topic_errors}
        refused = [f"{name}: {reason(*told)}" for name, told in said.items() if told[0] not in (0, EXISTS)]
        if refused:
            raise ClusterUnusable(f"{bootstrap} did not create {len(refused)} topics. {'; '.join(refused)}")
        await _until_served(admin, bootstrap, [one.name for one in wanted])
    return [name for name, (code, _) in said.items() if code == 0]


async def check_topics(bootstrap: str, names: TopicNames, partitions: int) -> list[Difference]:
    """Every difference between the cluster and the registry, in the registry's order."""
    async with admin_of(bootstrap) as admin:
        known = {row["topic"]: row for row in await admin.describe_topics() if row["partitions"]}
        wanted = wanted_topics(names, partitions)
        there = [one.name for one in wanted if one.name in known]
        settings = await _settings(admin, there)
    differences: list[Difference] = []
    for one in wanted:
        if one.name not in known:
            differences.append(_missing(one))
            continue
        found = known[one.name]["partitions"]
        replication = min((len(partition["replicas"]) for partition in found), default=1)
        differences += _partitions(one, len(found))
        differences += values_differing(bootstrap, _replicated(one, replication), settings[one.name])
    return differences


async def _until_served(admin: AIOKafkaAdminClient, bootstrap: str, topics: list[str]) -> None:
    """Created means known to the controller; a client may write once every partition has a leader."""
    try:
        async with asyncio.timeout(SETTLED_WITHIN_S):
            await until(lambda: _served(admin, topics))
    except TimeoutError:
        raise ClusterUnusable(f"{bootstrap}: the topics have no leaders after {SETTLED_WITHIN_S:g} s") from None


async def _served(admin: AIOKafkaAdminClient, topics: list[str]) -> bool:
    rows = await admin.describe_topics(topics)
    parts = [row["partitions"] for row in rows if row["error_code"] == 0]
    return len(parts) == len(topics) and all(some and all(part["leader"] >= 0 for part in some) for some in parts)


async def _settings(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(resources):
        for code, message, _kind, name, entries in answer.resources:
            if code:
                raise ClusterUnusable(f"the settings of {name} cannot be read: {reason(code, message)}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def _missing(one: Wanted) -> Difference:
    return Difference(
        topic=one.name,
        what="missing",
        found=None,
        wanted=f"{one.partitions} partitions",
        mend="callgrant topics create",
    )


def _partitions(one: Wanted, found: int) -> list[Difference]:
    if found == one.partitions or one.spread == "free":
        return []
    mend = (
        f"set CALLGRANT_PARTITIONS={found} if all permission topics have {found}; else, while it is empty, delete it "
        f"and run callgrant topics create (added partitions would split the pairs)"
        if one.spread == "pairs"
        else "delete it and run callgrant topics create"
    )
    return [Difference(topic=one.name, what="partitions", found=str(found), wanted=str(one.partitions), mend=mend)]


def _replicated(one: Wanted, replication: int) -> Wanted:
    in_sync = {"min.insync.replicas": "2" if replication >= 3 else "1"}
    return Wanted(
        topic=one.topic,
        name=one.name,
        partitions=one.partitions,
        spread=one.spread,
        settings={**one.settings, **in_sync},
    )


def values_differing(bootstrap: str, one: Wanted, found: dict[str, str]) -> list[Difference]:
    """The settings of a topic that are not as wanted, and a form of records that has no headers."""

    def difference(what: str, wanted: str, setting: str) -> Difference:
        return Difference(
            topic=one.name,
            what=what,
            found=found.get(what, "not known to this broker"),
            wanted=wanted,
            mend=f"kafka-configs.sh --bootstrap-server {bootstrap} --entity-type topics --entity-name {one.name} "
            f"--alter --add-config {setting}={wanted}",
        )

    told = [
        difference(key, value, key)
        for key, value in one.settings.items()
        if not _fits(one.topic, key, value, found.get(key))
    ]
    if one.topic in BY_NAME:
        old = [key for key in FORMAT_SETTINGS if key in found and not keeps_headers(found[key])]
        told += [difference(key, OLDEST_FORMAT, FORMAT_SETTINGS[0]) for key in old]  # of a topic it has one name
    return told


def _fits(topic: str, key: str, wanted: str, found: str | None) -> bool:
    if found is None:
        return False
    if key == "retention.ms":
        least = LEAST_RETENTION_MS.get(topic, int(wanted))
        return int(found) == -1 or (int(wanted) != -1 and int(found) >= least)
    return found == wanted

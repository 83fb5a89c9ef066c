import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NodeNotReadyError, RequestTimedOutError, TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition

from deploy.cluster import ClusterAway, ClusterUnusable, admin_of, delete_topics, existing, replication_of
from deploy.progress import Stage, StillBehind, unread, until_caught_up
from deploy.topics import check_topics, create_topics, leader_topic, values_differing, wanted_topics
from schemas.topics import DAY_MS, REGISTRY, TopicNames
from tests.ports import free_port

PARTITIONS = 3


@pytest.fixture
async def names(broker: str, topic_prefix: str) -> AsyncIterator[TopicNames]:
    names = TopicNames(topic_prefix)
    yield names
    ours = await existing(broker, [one.name for one in wanted_topics(names, PARTITIONS)])
    if ours:
        await delete_topics(broker, ours)


def test_every_registered_topic_is_wanted_and_fausts_leader_topic_has_one_partition() -> None:
    names = TopicNames("my.", generation=2)
    wanted = {one.name: one for one in wanted_topics(names, PARTITIONS, replication=3)}
    assert set(wanted) == {names.of(topic.name) for topic in REGISTRY} | {"my.worker.g2-__assignor-__leader"}
    assert wanted[leader_topic(names)].partitions == 1
    assert {one.partitions for name, one in wanted.items() if ".permission." in name} == {PARTITIONS}
    assert {one.settings["min.insync.replicas"] for one in wanted.values()} == {"2"}


@pytest.mark.parametrize("setting", ["message.format.version", "log.message.format.version"])
def test_a_form_of_records_without_headers_is_named_with_what_mends_it(setting: str) -> None:
    wanted = wanted_topics(TopicNames("my."), PARTITIONS)[0]

    [found] = values_differing("there:9092", wanted, {**wanted.settings, setting: "0.10.2-IV0"})
    assert (found.what, found.found, found.wanted) == (setting, "0.10.2-IV0", "0.11.0")
    assert found.mend.endswith("--entity-name my.webhooks.raw --alter --add-config message.format.version=0.11.0")
    assert values_differing("there:9092", wanted, {**wanted.settings, setting: "3.0-IV1"}) == []


async def test_a_cluster_that_does_not_answer_is_told_with_its_setting() -> None:
    with pytest.raises(ClusterAway, match=r"no answer .* CALLGRANT_KAFKA_BOOTSTRAP"):
        await check_topics(f"127.0.0.1:{free_port()}", TopicNames(), PARTITIONS)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> str:
    """A cluster that was reached: what happens then is up to the test."""

    async def done(_: AIOKafkaAdminClient) -> None: ...

    monkeypatch.setattr(AIOKafkaAdminClient, "start", done)
    monkeypatch.setattr(AIOKafkaAdminClient, "close", done)
    return "127.0.0.1:1"


@pytest.mark.parametrize(
    ("fault", "away"), [(NodeNotReadyError, True), (RequestTimedOutError, True), (TopicAuthorizationFailedError, False)]
)
async def test_only_trouble_with_the_connection_is_told_as_no_answer(
    reached: str, fault: type[KafkaError], away: bool
) -> None:
    with pytest.raises(ClusterUnusable, match=fault.__name__) as told:
        async with admin_of(reached):
            raise fault
    assert isinstance(told.value, ClusterAway) is away
    assert ("no answer" in str(told.value)) is away


async def test_what_fails_beside_the_cluster_is_not_told_as_the_clusters(reached: str) -> None:
    with pytest.raises(BrokenPipeError):
        async with admin_of(reached):
            raise BrokenPipeError


@pytest.mark.broker
async def test_created_topics_are_as_registered_and_creating_twice_changes_nothing(
    broker: str, names: TopicNames
) -> None:
    missing = await check_topics(broker, names, PARTITIONS)
    assert {one.what for one in missing} == {"missing"}
    created = await create_topics(broker, names, PARTITIONS)
    assert created == [one.topic for one in missing]
    assert await check_topics(broker, names, PARTITIONS) == []
    assert await create_topics(broker, names, PARTITIONS) == []


@pytest.mark.broker
async def test_every_difference_is_named_with_what_mends_it(broker: str, names: TopicNames) -> None:
    events, state, raw = names.of("permission.events"), names.of("permission.state"), names.of("webhooks.raw")
    other = {
        events: (PARTITIONS + 2, {"retention.ms": str(7 * DAY_MS)}),
        state: (PARTITIONS, {"cleanup.policy": "delete"}),
        raw: (PARTITIONS + 1, {"retention.ms": str(9 * DAY_MS)}),
    }
    async with admin_of(broker) as admin:
        await admin.create_topics(
            [NewTopic(name, count, 1, topic_configs=kept) for name, (count, kept) in other.items()]
        )
    await create_topics(broker, names, PARTITIONS)
    found = {(one.topic, one.what): one for one in await check_topics(broker, names, PARTITIONS)}
    assert found[events, "partitions"].found == str(PARTITIONS + 2)
    assert "CALLGRANT_PARTITIONS=5" in found[events, "partitions"].mend
    assert found[events, "retention.ms"].wanted == "-1"
    assert found[state, "cleanup.policy"].mend.endswith(
        f"--entity-name {state} --alter --add-config cleanup.policy=compact"
    )
    # The raw topics may have any number of partitions, and 9 days are enough for them.
    assert {what for topic, what in found if topic == raw} <= {"max.message.bytes"}
    assert {topic for topic, _ in found} <= set(other)


@pytest.mark.broker
async def test_what_the_cluster_refuses_is_told_with_its_reason(broker: str, names: TopicNames) -> None:
    copies = await replication_of(broker)
    with pytest.raises(ClusterUnusable, match=r"INVALID_REPLICATION_FACTOR|InvalidReplicationFactor"):
        await create_topics(broker, names, PARTITIONS, replication=copies + 6)


@pytest.mark.broker
async def test_a_group_is_behind_until_it_has_committed_the_end(broker: str, names: TopicNames) -> None:
    await create_topics(broker, names, PARTITIONS)
    topic = names.of("actions.raw")
    stage = Stage(names.group("worker"), (topic,))
    await until_caught_up(broker, [stage], within_s=120)
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for partition in (0, 0, 2):
            await producer.send_and_wait(topic, b"{}", partition=partition)
    assert await unread(broker, stage) == {topic: 3}
    with pytest.raises(StillBehind, match=f"3 of {topic}"):
        await until_caught_up(broker, [stage], within_s=1)

    seen: list[int] = []
    waiting = asyncio.create_task(
        until_caught_up(broker, [stage], within_s=120, tell=lambda left: seen.append(left[topic]))
    )
    reader = AIOKafkaConsumer(bootstrap_servers=broker, group_id=stage.group, enable_auto_commit=False)
    reader.assign([TopicPartition(topic, 0), TopicPartition(topic, 2)])
    await reader.start()
    try:
        await reader.commit({TopicPartition(topic, 0): 2})
        assert await unread(broker, stage) == {topic: 1}
        assert not waiting.done()
        await reader.commit({TopicPartition(topic, 2): 1})
        await waiting
    finally:
        await reader.stop()
    assert seen[-1] == 0


@pytest.mark.broker
def test_the_commands_create_and_check_say_what_they_did_and_end_with_its_code(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    def callgrant(*arguments: str) -> tuple[int, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "topics", *arguments, "--json"],
            check=False,
            capture_output=True,
            text=True,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("CALLGRANT_")},
                "CALLGRANT_KAFKA_BOOTSTRAP": broker,
                "CALLGRANT_TOPIC_PREFIX": topic_prefix,
                "CALLGRANT_PARTITIONS": "2",
                "CALLGRANT_DATA_DIR": str(tmp_path),
            },
        )
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    code, before = callgrant("check")
    assert (code, len(before["differences"])) == (1, len(REGISTRY) + 1)
    assert {one["mend"] for one in before["differences"]} == {"callgrant topics create"}
    code, made = callgrant("create")
    assert (code, len(made["created"])) == (0, len(REGISTRY) + 1)
    assert callgrant("check") == (0, {"bootstrap": broker, "differences": []})
    asyncio.run(delete_topics(broker, made["created"]))

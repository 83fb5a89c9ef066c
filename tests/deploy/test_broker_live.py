"""The life of a real broker."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.broker.node import LocalBroker
from deploy.broker.troubles import BrokerDied
from tests.conftest import ROOT
from tests.ports import free_pair

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]


async def make_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        made = await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": "4718592"})])
        assert [error for _, error, *_ in made.topic_errors] == [0]
    finally:
        await admin.close()


async def send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=4_718_592)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_the_largest_webhook_passes_and_no_topic_is_made_by_accident(broker: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}large"
    await make_topic(broker, topic)
    largest = os.urandom(4_500_000)
    await send(broker, topic, [largest])
    assert await read(broker, topic, 1) == [largest]
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([f"{topic_prefix}never-made"])
        assert described["error_code"] == 3  # unknown, also after it was asked for
    finally:
        await admin.close()


def test_a_stopped_broker_leaves_no_process_no_port_and_no_signature(tmp_path: Path, jar_cache: Path) -> None:
    node = LocalBroker(data_dir=tmp_path, port=free_pair(), cache_dir=jar_cache)
    node.start()
    pid = node.pid
    assert pid is not None
    node.wait_ready()
    assert node.alive()
    assert listens(node.port)
    node.stop()
    assert not node.alive()
    assert not psutil.pid_exists(pid)
    assert not listens(node.port)
    assert not listens(node.controller_port)
    assert (tmp_path / "kafka" / "lock").read_bytes() == b""
    assert {entry.name for entry in tmp_path.iterdir()} == {"kafka"}
    node.stop()  # a second time harms nothing


def test_what_was_acknowledged_is_there_after_a_kill_and_on_another_port(tmp_path: Path, jar_cache: Path) -> None:
    told: list[str] = []
    node = LocalBroker(data_dir=tmp_path, port=free_pair(), cache_dir=jar_cache)
    sent = [b"%d" % n for n in range(100)]
    with node:
        cluster = node.folder.cluster_id
        asyncio.run(make_topic(node.bootstrap, "kept"))
        asyncio.run(send(node.bootstrap, "kept", sent))
        node.kill()
        assert not node.alive()
        again = LocalBroker(data_dir=tmp_path, port=free_pair(), cache_dir=jar_cache, tell=told.append)
        with again:
            assert asyncio.run(read(again.bootstrap, "kept", len(sent))) == sent
            assert again.folder.cluster_id == cluster
    assert len(told) == 1
    assert "did not end cleanly" in told[0]


def test_a_broker_that_dies_at_once_shows_its_last_words(tmp_path: Path, jar_cache: Path) -> None:
    node = LocalBroker(data_dir=tmp_path, port=free_pair(), cache_dir=jar_cache)
    node.folder.data.mkdir(parents=True)
    (node.folder.data / "meta.properties").write_text("version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\nnode.id=7\n")
    node.start()
    try:
        with pytest.raises(BrokerDied, match=r"(?s)exit 1.*broker\.log.*node id 7"):
            node.wait_ready()
    finally:
        node.stop()


def test_the_broker_started_by_hand_ends_on_term_with_exit_0(tmp_path: Path, jar_cache: Path) -> None:
    port = free_pair()
    (tmp_path / "cache").symlink_to(jar_cache)
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.broker", "start"],
        cwd=ROOT,
        env=os.environ | {"CALLGRANT_DATA_DIR": str(tmp_path), "CALLGRANT_KAFKA_PORT": str(port)},
        stdout=subprocess.PIPE,
        text=True,
    ) as by_hand:
        assert by_hand.stdout is not None
        assert re.search(rf"ready on 127\.0\.0\.1:{port}", by_hand.stdout.readline())
        by_hand.send_signal(signal.SIGTERM)
        assert by_hand.wait(120) == 0
    assert not listens(port)

"""Recovery on a real broker: from a compacted, a cut, a new state topic; from a damaged store."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete

from deploy.cluster import delete_topics
from deploy.topics import create_topics
from schemas.ids import partition_of
from schemas.state import PairState
from schemas.topics import BY_NAME, COMMON_SETTINGS
from streams.worker.codes import Code
from streams.worker.lives import last_exit
from tests.worker.live import PARTITIONS, PATIENCE_S, Process, Scene, bare, scene
from tests.worker.seeded import raw_past, straight_fold

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

RAWS = raw_past(seed=21, facts=250, users=60)


@pytest.fixture
async def stage(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(broker, topic_prefix, tmp_path) as made:
        yield made


async def folded(stage: Scene, wanted: dict[bytes, PairState]) -> Process:
    """A worker that folded all and was stopped."""
    worker = stage.worker(static=True)
    async with stage.reader("permission.state") as state:
        await stage.send(RAWS)
        await state.until_states_are(wanted)
    assert worker.terminate() == Code.STOPPED
    return worker


@asynccontextmanager
async def admin_of(stage: Scene) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def set_up(admin: AIOKafkaAdminClient, topic: str, **other: str) -> None:
    """Settings of a state topic as registered, but for these: the client can only set all of them."""
    settings = {**COMMON_SETTINGS, **BY_NAME["permission.state"].settings}
    settings |= {name.replace("_", "."): value for name, value in other.items()}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])


async def test_a_compacted_topic_with_tombstones_at_its_end_is_recovered_exactly(stage: Scene) -> None:
    wanted = straight_fold(RAWS)
    worker = await folded(stage, wanted)
    before = worker.stored()
    topic = stage.names.of("permission.state")
    async with admin_of(stage) as admin:
        await set_up(admin, topic, min_cleanable_dirty_ratio="0.01", segment_ms="100", max_compaction_lag_ms="100")
    graves = [f"700100200300400/4477009{at:05d}".encode() for at in range(90_000, 90_200)]
    producer = AIOKafkaProducer(bootstrap_servers=stage.bootstrap)
    await producer.start()
    try:
        buried = await sent(producer, topic, graves)
        began_at = time.monotonic()
        while buried & {(each.partition, each.offset) for each in await stage.all_on("permission.state")}:
            assert time.monotonic() - began_at < PATIENCE_S, "the broker did not compact"
            # The next ones replace them, and roll their segment: one that is still written to is not compacted.
            await sent(producer, topic, graves)
    finally:
        await producer.stop()
    shutil.rmtree(worker.settings.folder)

    worker.start()
    await worker.ready()
    assert worker.terminate() == Code.STOPPED
    assert worker.stored() == before
    assert bare(before) == bare(wanted)


async def sent(producer: AIOKafkaProducer, topic: str, graves: list[bytes]) -> set[tuple[int, int]]:
    """Partition and offset of a tombstone for each key."""
    under_way = [await producer.send(topic, None, key, partition=partition_of(key, PARTITIONS)) for key in graves]
    return {(each.partition, each.offset) for each in await asyncio.gather(*under_way)}


async def test_a_cut_topic_is_survived_with_the_store_and_refused_without(stage: Scene) -> None:
    wanted = straight_fold(RAWS)
    worker = await folded(stage, wanted)
    topic = stage.names.of("permission.state")
    async with stage.reader("permission.state") as reader:
        places = [TopicPartition(topic, each) for each in range(PARTITIONS)]
        ends = await reader.consumer.end_offsets(places)
    async with admin_of(stage) as admin:
        await set_up(admin, topic, cleanup_policy="delete")  # else the broker refuses to cut
        await admin.delete_records({place: RecordsToDelete(before_offset=ends[place]) for place in places})
    worker.start()
    assert await worker.ended() == Code.TOPICS_UNFIT
    assert f"{topic} has cleanup.policy=delete, wanted compact" in worker.log.read_text()
    async with admin_of(stage) as admin:
        await set_up(admin, topic)

    worker.start()
    await worker.ready()
    assert "only the local store still has the rows before" in worker.log.read_text()
    assert worker.terminate() == Code.STOPPED
    assert bare(worker.stored()) == bare(wanted)

    shutil.rmtree(worker.settings.folder)
    worker.start()
    assert await worker.ended() == Code.STATE_LOST
    told = worker.log.read_text()
    assert f"{topic}-" in told
    assert "there is no local store" in told
    assert "callgrant worker --generation" in told


async def test_a_topic_made_anew_is_refused_with_the_store_and_without(stage: Scene) -> None:
    worker = await folded(stage, straight_fold(RAWS))
    await delete_topics(stage.bootstrap, [stage.names.of("permission.state")])
    await create_topics(stage.bootstrap, stage.names, PARTITIONS)

    worker.start()
    assert await worker.ended() == Code.STORE_AHEAD
    assert "remove the worker's store folder" in worker.log.read_text()

    shutil.rmtree(worker.settings.folder)
    worker.start()
    assert await worker.ended() == Code.STATE_LOST
    assert "the topic is empty, but" in worker.log.read_text()
    ended = last_exit(worker.settings.folder)
    assert ended is not None
    assert (ended.reason, ended.code) == ("state_lost", Code.STATE_LOST)


async def test_a_damaged_store_is_made_anew_from_the_topic_and_work_goes_on(stage: Scene) -> None:
    wanted = straight_fold(RAWS)
    worker = await folded(stage, wanted)
    broken = sorted(worker.settings.folder.glob("**/pairs-*.db"))[:2]
    for each in broken:
        (each / "CURRENT").write_bytes(b"nonsense")

    worker.start()
    await worker.ready()
    assert f"callgrant_worker_stores_put_aside {len(broken)}.0" in worker.ask("metrics")[1]
    assert 'callgrant_worker_last_exit{reason="stopped"}' in worker.ask("metrics")[1]
    assert worker.terminate() == Code.STOPPED
    assert bare(worker.stored()) == bare(wanted)

"""A state topic that was made anew and has grown past the local stores is told from the old one by its id."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import orjson
import pytest
import rocksdict
from aiokafka import AIOKafkaProducer
from faust.stores.rocksdb import Store

from deploy.cluster import delete_topics
from deploy.topics import create_topics
from streams.worker import topic_ids
from streams.worker.codes import Code
from streams.worker.settings import WorkerSettings
from streams.worker.startup import Unfit
from streams.worker.topic_ids import FILE, check_ids, ids_of, kept_ids
from tests.worker.live import PARTITIONS, Scene, bare, scene
from tests.worker.seeded import raw_past, straight_fold

PAIRS, NUMBERS = "callgrant.permission.state", "callgrant.business.state"
OLD = {PAIRS: str(UUID(int=1)), NUMBERS: str(UUID(int=2))}
NEW = OLD | {PAIRS: str(UUID(int=3))}
RAWS = raw_past(seed=81, facts=200, users=40)


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    return WorkerSettings(kafka_bootstrap="nobody", data_dir=tmp_path)


def folder_of(settings: WorkerSettings) -> Path:
    return settings.folder / "g1"


def stands(settings: WorkerSettings, name: str, offset: int | None) -> None:
    """A store as a worker leaves it; None: opened, and nothing ever written."""
    path = folder_of(settings) / "v1" / "tables" / f"{name}-0.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    store = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))
    if offset is not None:
        store[Store.offset_key] = str(offset).encode()
    store.close()


def say(monkeypatch: pytest.MonkeyPatch, ids: dict[str, str] | str) -> None:
    async def said(*_: object) -> dict[str, str] | str:
        return ids

    monkeypatch.setattr(topic_ids, "ids_of", said)


async def test_the_ids_are_kept_when_a_worker_starts_and_the_same_ones_pass(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, OLD)
    await check_ids(settings)
    stands(settings, "pairs", 7)
    await check_ids(settings)
    assert kept_ids(folder_of(settings)) == OLD


async def test_a_store_of_a_topic_that_is_gone_is_refused_and_named_every_time(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, OLD)
    await check_ids(settings)
    stands(settings, "pairs", 7)
    say(monkeypatch, NEW)
    for _ in range(2):
        with pytest.raises(Unfit, match=rf"{PAIRS} was made anew: .*remove the worker's store folder") as refused:
            await check_ids(settings)
        assert refused.value.code == Code.STORE_AHEAD


@pytest.mark.parametrize("other", [("pairs", None), ("numbers", 7)])
async def test_stores_that_hold_nothing_of_the_topic_do_not_stand_in_its_way(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, other: tuple[str, int | None]
) -> None:
    say(monkeypatch, OLD)
    await check_ids(settings)
    stands(settings, *other)
    say(monkeypatch, NEW)
    await check_ids(settings)
    assert kept_ids(folder_of(settings)) == NEW


async def test_a_broker_that_tells_no_ids_is_no_reason_to_stand_still(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stands(settings, "pairs", 7)
    say(monkeypatch, "NotImplementedError")
    await check_ids(settings)
    assert "cannot be read (NotImplementedError)" in caplog.text
    assert kept_ids(folder_of(settings)) == {}


async def test_a_file_that_cannot_be_read_is_written_anew(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands(settings, "pairs", 7)
    (folder_of(settings) / FILE).write_bytes(b"[1, 2")
    say(monkeypatch, OLD)
    await check_ids(settings)
    assert orjson.loads((folder_of(settings) / FILE).read_bytes()) == OLD


@pytest.fixture
async def stage(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(broker, topic_prefix, tmp_path) as made:
        yield made


@pytest.mark.broker
async def test_a_topic_made_anew_that_grew_past_the_store_is_refused(stage: Scene) -> None:
    wanted = straight_fold(RAWS)
    worker = stage.worker(static=True)
    async with stage.reader("permission.state") as state:
        await stage.send(RAWS)
        await state.until_states_are(wanted, 60)
        rows = state.records
    assert worker.terminate() == Code.STOPPED
    topic = stage.names.of("permission.state")
    before = await ids_of(stage.bootstrap, [topic, "nobody-made-this"])
    assert isinstance(before, dict)
    assert before.keys() == {topic}
    worker.start()
    await worker.ready()  # the same topic, the same id
    assert worker.terminate() == Code.STOPPED

    await delete_topics(stage.bootstrap, [topic])
    await create_topics(stage.bootstrap, stage.names, PARTITIONS)
    async with AIOKafkaProducer(bootstrap_servers=stage.bootstrap) as producer:
        for row in [*rows, *rows]:  # twice as long as it was, and every row a good one
            await producer.send(topic, row.value, row.key, partition=row.partition, headers=list(row.headers))
        await producer.flush()
    after = await ids_of(stage.bootstrap, [topic])
    assert after != before

    worker.start()
    assert await worker.ended() == Code.STORE_AHEAD
    assert f"{topic} was made anew" in worker.log.read_text()
    assert bare(worker.stored()) == bare(wanted), "nothing of it was touched"

"""A state topic that was made anew and has grown past the local stores is told from the old one by its id."""

import dataclasses
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import orjson
import pytest
import rocksdict
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, RequestTimedOutError
from faust.stores.rocksdb import Store

from deploy.cluster import delete_topics
from deploy.topics import create_topics
from streams.worker import broker_ids, topic_ids
from streams.worker.broker_ids import ids_of
from streams.worker.codes import Code
from streams.worker.settings import WorkerSettings
from streams.worker.startup import Unfit
from streams.worker.stores import FULL, TRANSIENT
from streams.worker.topic_ids import FILE, check_ids, kept_ids
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


class Broker:
    """Stands in for aiokafka's admin client: one answer a request, the last one again and again."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, **_: object) -> "Broker":
        return self

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def _send_request(self, request: Any) -> object:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, dict):  # the versions it knows
            request.prepare(answer)
        return answer


def rows(ids: dict[str, str], **errors: int) -> SimpleNamespace:
    codes = {PAIRS: errors.get("pairs", 0), NUMBERS: errors.get("numbers", 0)}
    return SimpleNamespace(topics=[(codes[name], name, UUID(one), False, [], 0, {}) for name, one in ids.items()])


def answers(monkeypatch: pytest.MonkeyPatch, *given: object) -> Broker:
    stub = Broker(*given)
    monkeypatch.setattr(broker_ids, "AIOKafkaAdminClient", stub)
    monkeypatch.setattr(topic_ids, "TRY_EVERY_S", 0.0)
    return stub


async def keeps_old_stands_and_meets_new(settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, OLD)
    await check_ids(settings)
    stands(settings, "pairs", 7)
    say(monkeypatch, NEW)


@pytest.mark.parametrize(
    ("knows", "why"),
    [
        ({3: (0, 11)}, "NotImplementedError"),
        ({}, "IncompatibleBrokerVersion"),
        (rows(OLD, pairs=35), "UnsupportedVersionError"),
    ],
)
async def test_a_broker_that_tells_no_ids_is_no_reason_to_stand_still(
    settings: WorkerSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    knows: object,
    why: str,
) -> None:
    stands(settings, "pairs", 7)
    stub = answers(monkeypatch, knows)
    await check_ids(settings)
    assert stub.asked == 1
    assert f"cannot be read ({why})" in caplog.text
    assert kept_ids(folder_of(settings)) == {}


PASSING = [
    (NodeNotReadyError(), "NodeNotReadyError"),
    (RequestTimedOutError(), "RequestTimedOutError"),
    (KafkaConnectionError("broken"), "KafkaConnectionError"),
    (ConnectionResetError(), "ConnectionResetError"),
    (rows(OLD, pairs=5), f"LeaderNotAvailableError: error 5 of {PAIRS}"),
    (rows(OLD, numbers=100), f"error 100 of {NUMBERS}"),
]


@pytest.mark.parametrize(("fault", "why"), PASSING)
async def test_a_fault_that_passes_is_asked_again_and_the_topic_made_anew_still_refused(
    settings: WorkerSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: object,
    why: str,
) -> None:
    say(monkeypatch, OLD)
    await check_ids(settings)
    stands(settings, "pairs", 7)
    monkeypatch.setattr(topic_ids, "ids_of", ids_of)
    stub = answers(monkeypatch, fault, fault, rows(NEW))
    with pytest.raises(Unfit, match=f"{PAIRS} was made anew"):
        await check_ids(settings)
    assert stub.asked == 3
    assert caplog.text.count(why) == 1, "said once in a while, not at each try"


@pytest.mark.parametrize(("fault", "why"), PASSING)
async def test_a_fault_that_does_not_pass_ends_the_start_and_names_where_to_look(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, fault: object, why: str
) -> None:
    answers(monkeypatch, fault)
    with pytest.raises(Unfit, match=r"CALLGRANT_KAFKA_BOOTSTRAP.*gave up after") as refused:
        await check_ids(dataclasses.replace(settings, broker_patience_s=0.0))
    assert why in str(refused.value)
    assert refused.value.code == Code.BROKER_UNREACHABLE
    assert not (folder_of(settings) / FILE).exists()


@pytest.mark.parametrize("answer", [rows(OLD, pairs=3), rows(OLD | {PAIRS: str(UUID(int=0))})])
async def test_a_topic_without_an_id_is_told_and_what_was_kept_of_it_stays(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: object
) -> None:
    say(monkeypatch, NEW)
    await check_ids(settings)
    monkeypatch.setattr(topic_ids, "ids_of", ids_of)
    answers(monkeypatch, answer)
    await check_ids(settings)
    assert caplog.text.count(f"tells no id of {PAIRS}") == 1
    assert kept_ids(folder_of(settings)) == NEW


@pytest.mark.parametrize("text", [*TRANSIENT, *FULL])
async def test_a_store_that_cannot_be_opened_just_now_is_not_taken_for_none(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    await keeps_old_stands_and_meets_new(settings, monkeypatch)

    def refuses(path: Path) -> None:
        raise Exception(f"IO error: While opening {path}: {text}")  # noqa: TRY002 - rocksdict raises no other

    with monkeypatch.context() as just_now:
        just_now.setattr(topic_ids, "_opened", refuses)
        with pytest.raises(Unfit, match=rf"pairs-0\.db: .*{text}.*CALLGRANT_DATA_DIR") as refused:
            await check_ids(settings)
    assert refused.value.code == (Code.STORE_FULL if text in FULL else Code.LANE_FAILED)
    assert kept_ids(folder_of(settings)) == OLD, "the old id is still there for the next start"
    with pytest.raises(Unfit, match="was made anew"):
        await check_ids(settings)


@pytest.mark.parametrize(("text", "stays"), [("IO error: Input/output error", True), ("Corruption: bad block", False)])
async def test_a_store_that_opens_and_cannot_be_read_is_none_only_when_it_is_damaged(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, text: str, stays: bool
) -> None:
    await keeps_old_stands_and_meets_new(settings, monkeypatch)

    def refuses(_: bytes) -> None:
        raise Exception(text)  # noqa: TRY002 - rocksdict raises no other

    monkeypatch.setattr(topic_ids, "_opened", lambda _: SimpleNamespace(get=refuses, close=lambda: None))
    if stays:
        with pytest.raises(Unfit, match=text):
            await check_ids(settings)
    else:
        await check_ids(settings)
    assert kept_ids(folder_of(settings)) == (OLD if stays else NEW)


async def test_a_store_that_will_be_put_aside_does_not_stand_in_the_way(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keeps_old_stands_and_meets_new(settings, monkeypatch)
    (folder_of(settings) / "v1" / "tables" / "pairs-0.db" / "CURRENT").unlink()
    await check_ids(settings)
    assert kept_ids(folder_of(settings)) == NEW


async def test_a_store_folder_that_must_not_be_listed_is_not_taken_for_an_empty_one(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keeps_old_stands_and_meets_new(settings, monkeypatch)
    listed = os.scandir

    def forbids(path: str) -> Any:
        if os.fspath(path).endswith("tables"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", forbids)
    with pytest.raises(Unfit, match="Permission denied"):
        await check_ids(settings)
    assert kept_ids(folder_of(settings)) == OLD


async def test_a_file_that_cannot_be_understood_is_told_and_written_anew(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stands(settings, "pairs", 7)
    (folder_of(settings) / FILE).write_bytes(b"[1, 2")
    say(monkeypatch, OLD)
    await check_ids(settings)
    assert f"{FILE} cannot be read (JSONDecodeError)" in caplog.text
    assert orjson.loads((folder_of(settings) / FILE).read_bytes()) == OLD


def test_a_file_that_is_not_there_is_nothing_to_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert kept_ids(tmp_path) == {}
    assert not caplog.records


async def test_a_file_that_cannot_be_read_just_now_is_not_written_over(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keeps_old_stands_and_meets_new(settings, monkeypatch)

    def refuses(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as just_now:
        just_now.setattr(Path, "read_bytes", refuses)
        with pytest.raises(Unfit, match="Permission denied"):
            await check_ids(settings)
    assert kept_ids(folder_of(settings)) == OLD


async def test_the_ids_are_on_the_disk_before_they_take_the_place_of_the_old_ones(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, synced, synchronise = folder_of(settings) / FILE, list[tuple[int, int]](), os.fsync

    def seen(handle: int) -> None:
        assert not file.exists()
        synced.append((os.fstat(handle).st_ino, os.fstat(handle).st_size))
        synchronise(handle)

    monkeypatch.setattr(os, "fsync", seen)
    say(monkeypatch, OLD)
    await check_ids(settings)
    assert synced == [(file.stat().st_ino, file.stat().st_size)]


async def test_ids_for_which_there_is_no_room_end_the_start_and_leave_the_old_ones(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, OLD)
    await check_ids(settings)

    def refuses(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as just_now:
        just_now.setattr(os, "fsync", refuses)
        say(just_now, NEW)
        with pytest.raises(Unfit, match="No space left") as refused:
            await check_ids(settings)
    assert refused.value.code == Code.STORE_FULL
    assert kept_ids(folder_of(settings)) == OLD


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

"""A rebuild with another policy file as an operator does it, by its commands; and what of a generation is dropped."""

import asyncio
import fcntl
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from deploy.cluster import admin_of
from deploy.config import Config, load
from deploy.generations import CannotDrop, Generation, drop, generations, own_topics, worker_folders
from deploy.progress import stages, until_caught_up
from projections.dropping import drop_database
from projections.faults import StoreTaken
from projections.settings import ProjectionSettings
from schemas.policy import DEFAULT_POLICY
from schemas.topics import TopicNames
from tests.integration.house import API_KEY, House
from tests.integration.log import log_of
from tests.ports import free_pair, free_port
from tests.worker.seeded import Raw, raw_past

PARTITIONS = "2"
FOLLOWS = ("--generation", "2", "--number", "2")


def test_the_derived_topics_and_the_leader_topic_belong_to_a_generation() -> None:
    names = {one.name for one in own_topics(TopicNames("my.", 2), 4)}
    assert names == {
        "my.permission.state.g2",
        "my.permission.changes.g2",
        "my.permission.records.g2",
        "my.business.state.g2",
        "my.worker.g2-__assignor-__leader",
    }


async def test_the_generation_that_is_read_is_never_dropped(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    config = load({"CALLGRANT_GENERATION": "2", "CALLGRANT_KAFKA_BOOTSTRAP": nobody}, tmp_path)
    with pytest.raises(CannotDrop, match=r"generation 2 is the one that is read \(CALLGRANT_GENERATION\)"):
        await drop(config, 2)


def test_the_stores_of_one_generation_are_found_and_of_no_other(tmp_path: Path) -> None:
    for folder in ("1/g1", "1/g12", "2/g1", "2/g2"):
        (tmp_path / "worker" / folder).mkdir(parents=True)
    assert worker_folders(tmp_path, 1) == [tmp_path / "worker" / "1" / "g1", tmp_path / "worker" / "2" / "g1"]


@pytest.fixture
def stored(tmp_path: Path) -> ProjectionSettings:
    told = ProjectionSettings(kafka_bootstrap="", topic_prefix="t.", generation=2, data_dir=tmp_path)
    (told.store_folder / "data").mkdir(parents=True)
    (tmp_path / "clickhouse" / "data").mkdir(parents=True)
    return told


def test_an_embedded_database_is_its_folder_and_goes_alone(stored: ProjectionSettings, tmp_path: Path) -> None:
    assert drop_database(stored) == str(tmp_path / "clickhouse.g2")
    assert [path.name for path in tmp_path.iterdir()] == ["clickhouse"]
    assert drop_database(stored) is None


def test_a_database_that_a_process_holds_is_not_dropped(stored: ProjectionSettings) -> None:
    with stored.store_folder.with_name("clickhouse.g2.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreTaken):
            drop_database(stored)
    assert (stored.store_folder / "data").exists()


class Follower(House):
    """A house whose worker folds generation 2 beside the one that is read."""

    def _line(self, *words: str) -> list[str]:
        return super()._line(*words, *(FOLLOWS if words == ("worker",) else ()))


@pytest.fixture
def houses(broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def house(name: str, kind: type[House] = House, **settings: str) -> House:
        (tmp_path / name).mkdir()
        told = {"DATA_DIR": str(tmp_path / "data"), "PARTITIONS": PARTITIONS}
        made.append(kind(tmp_path / name, broker, topic_prefix, **told, **settings))
        return made[-1]

    yield house
    for each in made:
        each.end()


def other_policy(folder: Path) -> str:
    """A business may ask 25 times a day."""
    told = json.loads(DEFAULT_POLICY.model_dump_json(by_alias=True))
    for limit in ("requests_24h", "requests_7d"):
        told["profiles"]["production"][limit][0]["value"] = 25
    path = folder / "policy.json"
    path.write_text(json.dumps(told), "utf-8")
    return str(path)


def config_of(house: House) -> Config:
    """What the commands of a house are told."""
    return load(house._environment, house.folder)


def standing(house: House) -> dict[int, Generation]:
    return {one.number: one for one in asyncio.run(generations(config_of(house)))}


def until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 180
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.2)  # between two looks


async def send(bootstrap: str, names: TopicNames, raws: Iterable[Raw]) -> None:
    """Raw records as the gateway writes them."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await asyncio.gather(*[await producer.send(names.of(r.topic), r.value, headers=r.headers) for r in raws])


async def told_on(bootstrap: str, names: TopicNames) -> dict[str, int]:
    """How often each type was announced."""
    async with log_of(bootstrap) as log:
        types = [json.loads(one.value)["type"] for one in await log.everything_on(names.of("permission.changes"))]
    return {kind: types.count(kind) for kind in set(types)}


@pytest.mark.broker
@pytest.mark.clickhouse
def test_readers_and_translation_are_switched_by_one_setting_and_the_old_generation_is_dropped(
    broker: str, topic_prefix: str, tmp_path: Path, houses: Callable[..., House]
) -> None:
    names, new = TopicNames(topic_prefix), TopicNames(topic_prefix, 2)
    raws = raw_past(seed=41, facts=260, users=20)
    policy = other_policy(tmp_path)
    blue, green = houses("blue"), houses("green", GENERATION="2", POLICY_FILE=policy)
    follower = houses("follower", Follower, POLICY_FILE=policy, WORKER_PORT=str(free_pair()))
    blue.command("topics", "create")
    blue.start("worker")
    asyncio.run(send(broker, names, raws[:200]))
    blue.command("topics", "create", "--generation", "2")
    follower.start("worker")
    asyncio.run(until_caught_up(broker, stages(names)[:2], 180))
    until(lambda: standing(blue)[2].workers == 1 and standing(blue)[2].unread == 0)
    code, said = blue.asked("topics", "generations", "--json")
    assert [(one["number"], one["is_read"], one["topics"]) for one in json.loads(said)["generations"]] == [
        (1, True, 5),
        (2, False, 5),
    ]
    assert asyncio.run(told_on(broker, names)).get("limit_reached", 0) > 0
    assert "limit_reached" not in asyncio.run(told_on(broker, new))

    with pytest.raises(CannotDrop, match=rf"generation 2 runs: group {topic_prefix}worker\.g2 has 1 members"):
        asyncio.run(drop(config_of(blue), 2))
    assert [follower.stop("worker"), blue.stop("worker")] == [0, 0]
    with pytest.raises(CannotDrop, match="generation 2 has not taken over from generation 1"):
        asyncio.run(drop(config_of(green), 1))

    for process in ("worker", "api", "projection"):
        green.start(process)
    asyncio.run(send(broker, names, raws[200:]))
    asyncio.run(until_caught_up(broker, stages(new), 180))
    for process in ("worker", "api", "projection"):
        green.until_ready(process)
    assert asked(green, *asked_user(raws)) == {"PT24H": 25, "P7D": 25}
    assert (tmp_path / "data" / "clickhouse.g2").is_dir()

    code, said = green.asked("topics", "drop-generation", "1", "--yes")
    assert code == 0, said
    assert said.splitlines()[-1] == f"removed topic {topic_prefix}worker-__assignor-__leader"
    assert standing(green).keys() == {2}
    assert asyncio.run(groups(broker)) & {names.group("worker"), names.group("projection")} == set()
    assert [path.name for path in (tmp_path / "data" / "worker").glob("*/g*")] == ["g2", "g2"]
    assert asyncio.run(drop(config_of(green), 1)) == []
    assert [green.stop(process) for process in ("projection", "api", "worker")] == [0, 0, 0]


def asked_user(raws: list[Raw]) -> tuple[str, str]:
    action = next(json.loads(raw.value) for raw in raws if raw.topic == "actions.raw")
    return action["phone_number_id"], action["user"]


def asked(house: House, number: str, user: str) -> dict[str, int]:
    """How often the business may ask, by time period, as the running api says."""
    url = f"{house.url('api')}/{number}/call_permissions?user_wa_id={user}"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {API_KEY}"}, trust_env=False)
    assert answer.status_code == 200, answer.text
    request = next(one for one in answer.json()["actions"] if one["action_name"] == "send_call_permission_request")
    return {limit["time_period"]: limit["max_allowed"] for limit in request["limits"]}


async def groups(bootstrap: str) -> set[str]:
    async with admin_of(bootstrap) as admin:
        return {row[0] for row in await admin.list_consumer_groups()}

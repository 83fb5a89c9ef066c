"""What the doctor finds about workers: the same list over which a worker refuses to start, with what mends each."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.cluster import delete_topics, existing
from deploy.config import Config, load
from deploy.doctor import examine
from deploy.doctor_worker import lives
from deploy.findings import Finding
from deploy.topics import create_topics, wanted_topics
from schemas.topics import BY_NAME, COMMON_SETTINGS
from streams.worker.codes import Code
from streams.worker.lives import Lives
from tests.ports import free_port


def config_in(folder: Path, bootstrap: str = "127.0.0.1:1", **other: str) -> Config:
    told = {"DATA_DIR": str(folder), "KAFKA_BOOTSTRAP": bootstrap, **other}
    return load({f"CALLGRANT_{name}": value for name, value in told.items()}, folder)


def worker_folder(data_dir: Path, number: str) -> Path:
    folder = data_dir / "worker" / number
    folder.mkdir(parents=True)
    return folder


def test_a_worker_that_needs_a_person_is_bad_and_its_last_words_are_shown(tmp_path: Path) -> None:
    for number, code, text in (("1", Code.STATE_LOST, "rows are gone"), ("2", Code.STALLED, "no progress")):
        life = Lives()
        life.begins(worker_folder(tmp_path, number))
        life.ends(code, text)
    stopped = Lives()
    stopped.begins(worker_folder(tmp_path, "3"))
    stopped.ends(Code.STOPPED)
    Lives().begins(worker_folder(tmp_path, "4"))  # runs, or was killed

    found = [(one.verdict, one.found) for one in lives(config_in(tmp_path))]
    assert found == [
        ("bad", "worker 1 ended: rows are gone"),
        ("warning", "worker 2 ended as stalled: no progress"),
        ("ok", "worker 3 was stopped"),
    ]


def test_a_store_that_was_put_aside_is_shown_with_what_to_do_with_it(tmp_path: Path) -> None:
    aside = worker_folder(tmp_path, "1") / "g1" / "v1" / "tables" / "pairs-0.db.damaged"
    aside.mkdir(parents=True)

    [found] = lives(config_in(tmp_path))
    assert (found.verdict, found.mend) == ("warning", f"look at the disk, then rm -r {aside}")


def test_without_a_broker_its_absence_is_the_one_finding_about_it(tmp_path: Path) -> None:
    findings = asyncio.run(examine(config_in(tmp_path, f"127.0.0.1:{free_port()}")))
    assert [one.verdict for one in findings if one.check in {"Kafka", "topics", "state", "clocks"}] == ["bad"]


@pytest.fixture
async def house(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Config]:
    config = config_in(tmp_path, broker, TOPIC_PREFIX=topic_prefix, PARTITIONS="2")
    await create_topics(broker, config.topics, 2)
    yield config
    names = [one.name for one in wanted_topics(config.topics, 2)]
    await delete_topics(broker, await existing(broker, names))


async def of(config: Config, *checks: str) -> list[Finding]:
    return [one for one in await examine(config) if one.check in checks]


@pytest.mark.broker
async def test_topics_are_well_when_created_and_each_fault_is_told_with_its_harm_and_its_command(house: Config) -> None:
    assert {one.verdict for one in await of(house, "Kafka", "topics", "state", "clocks")} == {"ok"}

    state, changes, ticks = (house.topics.of(f"permission.{name}") for name in ("state", "changes", "ticks"))
    settings = {**COMMON_SETTINGS, **BY_NAME["permission.state"].settings, "cleanup.policy": "delete"}
    shorter = {**COMMON_SETTINGS, **BY_NAME["permission.changes"].settings, "retention.ms": "1000"}
    admin = AIOKafkaAdminClient(bootstrap_servers=house.bootstrap)
    await admin.start()
    await admin.alter_configs(
        [
            ConfigResource(ConfigResourceType.TOPIC, state, settings),
            ConfigResource(ConfigResourceType.TOPIC, changes, shorter),
        ]
    )
    await admin.close()
    await delete_topics(house.bootstrap, [ticks])

    findings = await of(house, "topics")
    assert [(one.verdict, one.found) for one in findings] == [
        ("bad", "1 are missing"),
        (
            "bad",
            (
                f"{state}: cleanup.policy is delete, wanted compact; a worker refuses to start: "
                "rows would be deleted by age, and recovery could not know them"
            ),
        ),
        ("warning", f"{changes}: retention.ms is 1000, wanted {30 * 86_400_000}"),
    ]
    assert findings[0].mend == "callgrant topics create"
    assert all("kafka-configs.sh" in one.mend for one in findings[1:])

"""A state topic that lost rows, from the worker that refuses it to the next generation that answers: by the commands of
`deploy/operating.md`, one after the other. The rows lie on a ClickHouse server, which `verify` reads while all runs.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete

from deploy.broker.jars import class_path, recorded
from deploy.broker.java import java
from deploy.cluster import admin_of
from deploy.progress import stages, until_caught_up
from schemas.topics import BY_NAME, COMMON_SETTINGS, TopicNames
from streams.worker.codes import Code
from streams.worker.lives import last_exit
from tests.deploy.test_generations import Follower, send, standing, until
from tests.deploy.verified import PARTITIONS
from tests.integration.house import House
from tests.integration.log import log_of
from tests.ports import free_port
from tests.projections.conftest import ServerProcess
from tests.worker.seeded import raw_past

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse, pytest.mark.timeout(900)]

RAWS = raw_past(seed=61, facts=400, users=40)
JUDGED, MORE = RAWS[:300], RAWS[300:]


@pytest.fixture
def houses(broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Houses over one cluster, one data folder and one ClickHouse."""
    made: list[House] = []
    clickhouse = ServerProcess(tmp_path / "clickhouse-server")
    clickhouse.start()

    def house(name: str, kind: type[House] = House, **settings: str) -> House:
        (tmp_path / name).mkdir()
        told = {"DATA_DIR": str(tmp_path / "data"), "PARTITIONS": str(PARTITIONS), "CLICKHOUSE_URL": clickhouse.url}
        made.append(kind(tmp_path / name, broker, topic_prefix, **told, **settings))
        return made[-1]

    yield house
    for each in made:
        each.end()
    clickhouse.kill()


async def cut(bootstrap: str, topic: str) -> None:
    """Somebody's mistake: a state topic told to delete by age, and its rows so far deleted."""
    settings = {**COMMON_SETTINGS, **BY_NAME["permission.state"].settings, "cleanup.policy": "delete"}
    places = [TopicPartition(topic, each) for each in range(PARTITIONS)]
    async with log_of(bootstrap) as log, admin_of(bootstrap) as admin:
        rows = await log.everything_on(topic)
        ends = {place: 1 + max(row.offset for row in rows if row.partition == place.partition) for place in places}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
        await admin.delete_records({place: RecordsToDelete(before_offset=end) for place, end in ends.items()})


def run_as_printed(line: str, jar_cache: Path) -> None:
    """A command of Kafka's own, as `topics check` printed it."""
    script, *words = shlex.split(line)
    assert script == "kafka-configs.sh"
    jars = class_path(jar_cache / "jars", recorded())
    command = [str(java(os.environ)), "-cp", jars, "kafka.admin.ConfigCommand"]
    done = subprocess.run([*command, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def exit_code(house: House, name: str) -> int:
    """Of a process that ends by itself."""
    return house._running[name].wait(120)


def told(house: House, *words: str) -> tuple[int, Any]:
    code, said = house.asked(*words, "--json")
    return code, json.loads(said)


def test_a_worker_that_lost_its_rows_refuses_and_the_next_generation_takes_over_as_the_book_says(
    broker: str, topic_prefix: str, tmp_path: Path, jar_cache: Path, houses: Callable[..., House]
) -> None:
    names, new = TopicNames(topic_prefix), TopicNames(topic_prefix, 2)
    blue = houses("blue")
    blue.command("topics", "create")
    for name in ("worker", "projection"):
        blue.start(name)
    asyncio.run(send(broker, names, JUDGED))
    asyncio.run(until_caught_up(broker, stages(names), 240))
    assert [blue.stop(name) for name in ("worker", "projection")] == [0, 0]
    announced = asyncio.run(ids(broker, names))

    # The loss: rows deleted, and the store that had them with its machine.
    asyncio.run(cut(broker, names.of("permission.state")))
    shutil.rmtree(tmp_path / "data" / "worker")
    asyncio.run(send(broker, names, MORE))  # what comes in meanwhile waits

    blue.start("worker")
    assert exit_code(blue, "worker") == Code.TOPICS_UNFIT
    code, said = blue.asked("topics", "check")
    assert code == 1
    [printed] = re.findall(r"kafka-configs\.sh .*", said)
    run_as_printed(printed, jar_cache)
    assert blue.asked("topics", "check")[0] == 0

    blue.start("worker")
    assert exit_code(blue, "worker") == Code.STATE_LOST
    last = blue.log("worker")
    assert "the rows before were deleted" in last
    assert "callgrant topics create --generation N; callgrant worker --generation N" in last
    ended = last_exit(tmp_path / "data" / "worker" / "1")
    assert ended is not None
    assert (ended.code, ended.reason) == (Code.STATE_LOST, "state_lost")
    code, found = told(blue, "doctor")
    assert code == 1
    assert {one["check"] for one in found if one["verdict"] == "bad"} == {"workers", "state"}

    # Rebuilding everything beside what runs; here nothing of generation 1 runs.
    blue.command("topics", "create", "--generation", "2")
    follower = houses("follower", Follower, WORKER_PORT=str(free_port()))
    follower.start("worker")
    until(lambda: standing(blue)[2].workers == 1 and standing(blue)[2].unread == standing(blue)[1].unread)
    code, generations = told(blue, "topics", "generations")
    assert [(one["number"], one["is_read"]) for one in generations["generations"]] == [(1, True), (2, False)]
    assert follower.stop("worker") == 0

    # The switch, by the one setting.
    green = houses("green", GENERATION="2")
    for name in ("worker", "api", "projection"):
        green.start(name)
    asyncio.run(until_caught_up(broker, stages(new), 240))
    for name in ("worker", "api", "projection"):
        green.until_ready(name)
    code, verdict = told(green, "verify", "--ask", "0", "--wait-s", "240")
    assert code == 0, verdict
    for check, result in verdict["checks"].items():
        assert result["compared"], check
        assert not result["skipped"], (check, result["skipped"])
    assert announced <= asyncio.run(ids(broker, new)), "the past is announced again under the ids it had"

    code, said = green.asked("topics", "drop-generation", "1", "--yes")
    assert code == 0, said
    assert "removed database callgrant" in said
    assert standing(green).keys() == {2}
    code, said = green.asked("verify", "--wait-s", "240")
    assert code == 0, said
    assert [green.stop(name) for name in ("api", "worker", "projection")] == [0, 0, 0]


async def ids(bootstrap: str, names: TopicNames) -> set[str]:
    """What was announced, but for deadlines: those were announced when they passed, and some facts came later."""
    async with log_of(bootstrap) as log:
        said = [json.loads(one.value) for one in await log.everything_on(names.of("permission.changes"))]
    return {one["change_id"] for one in said if one["type"] != "permission_expired"}

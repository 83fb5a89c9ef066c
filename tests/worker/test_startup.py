import dataclasses
import io
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from schemas.metrics import WORKER
from schemas.topics import BY_NAME
from streams.worker.app import build
from streams.worker.exits import Code
from streams.worker.fitness import worked
from streams.worker.health import Health
from streams.worker.logs import QUIET_S, RateLimit, set_up_logs
from streams.worker.measures import Measures
from streams.worker.settings import WorkerSettings
from streams.worker.startup import FREE, SHARED, Unfit, check_topics, hold, leader_topic, topic_counts
from tests.ports import free_port


def counts(settings: WorkerSettings, **other: int) -> dict[str, int]:
    names = settings.names
    found = {names.of(name): settings.partitions for name in SHARED} | {names.of(name): 3 for name in FREE}
    found[leader_topic(names)] = 1
    return found | {names.of(name.replace("_", ".")): count for name, count in other.items()}


def test_topics_as_they_must_be_are_fit(settings: WorkerSettings) -> None:
    check_topics(counts(settings), settings)


def test_every_topic_a_worker_reads_or_writes_is_looked_for_and_counted_where_pairs_share_the_count() -> None:
    assert {*FREE, *SHARED} == {topic.name for topic in worked()}
    assert {BY_NAME[name].spread for name in SHARED} == {"pairs"}
    assert {BY_NAME[name].spread for name in FREE} == {"free"}


def test_a_missing_topic_is_named_with_the_command_that_makes_it(settings: WorkerSettings) -> None:
    with pytest.raises(Unfit, match=r"t\.permission\.ticks.*callgrant topics create") as told:
        check_topics(counts(settings, permission_ticks=0), settings)
    assert told.value.code == Code.TOPICS_UNFIT


def test_a_topic_given_more_partitions_is_named_with_the_setting(settings: WorkerSettings) -> None:
    with pytest.raises(Unfit, match=r"CALLGRANT_PARTITIONS is 1, but t\.permission\.events has 2 partitions"):
        check_topics(counts(settings, permission_events=2), settings)


def test_raw_topics_may_have_any_number_of_partitions(settings: WorkerSettings) -> None:
    check_topics(counts(settings, webhooks_raw=17), settings)


async def test_a_broker_that_never_answers_is_waited_for_within_bounds(
    settings: WorkerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = dataclasses.replace(settings, kafka_bootstrap=f"127.0.0.1:{free_port()}", broker_patience_s=0.0)

    with pytest.raises(Unfit, match="CALLGRANT_KAFKA_BOOTSTRAP") as told:
        await topic_counts(nobody)
    assert told.value.code == Code.BROKER_UNREACHABLE


def test_a_folder_is_held_by_one_worker_at_a_time(tmp_path: Path) -> None:
    with hold(tmp_path / "1"):
        with pytest.raises(Unfit, match="held by another worker") as told:
            hold(tmp_path / "1")
        hold(tmp_path / "2").close()
    hold(tmp_path / "1").close()
    assert told.value.code == Code.FOLDER_HELD


def test_leader_topic_follows_the_group(settings: WorkerSettings) -> None:
    assert leader_topic(settings.names) == "t.worker-__assignor-__leader"


@pytest.fixture
def served() -> Iterator[tuple[Health, str]]:
    health = Health(Measures())
    server = health.serve("127.0.0.1", 0)
    yield health, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def test_not_ready_until_it_is_and_never_unasked_paths(served: tuple[Health, str]) -> None:
    health, url = served

    assert status(f"{url}/readyz") == 503
    health.ready = lambda: True
    assert status(f"{url}/readyz") == 200
    assert status(f"{url}/table/pairs") == 404


def test_a_halted_worker_says_why_it_is_not_ready(settings: WorkerSettings) -> None:
    worker = build(settings, Measures())
    health = Health(worker.measures)
    health.ready, health.halted = (lambda: True), worker.halted
    assert health.answer("/readyz")[0] == 200
    assert b"callgrant_worker_halted 0.0" in health.answer("/metrics")[2]

    worker.app.halt.begin("t-0: 60 of 100 records of a batch could not be judged (not_json)")

    status_code, _, body = health.answer("/readyz")
    assert (status_code, body) == (
        503,
        b"halted: t-0: 60 of 100 records of a batch could not be judged (not_json)\n",
    )
    assert health.answer("/livez")[0] == 200
    assert b"callgrant_worker_halted 1.0" in health.answer("/metrics")[2]
    assert worker.ready() is False
    assert worker.progress() == (None, None), "the watchdog lets it be"


def test_the_age_of_the_last_commit_is_read_from_the_app(settings: WorkerSettings) -> None:
    worker = build(settings, Measures())
    worker.app.committed_at = time.monotonic() - 50
    worker.measures.batch("fold", 3, time.monotonic())
    page = worker.measures.page().decode()

    [line] = [each for each in page.splitlines() if each.startswith("callgrant_worker_last_commit_age_seconds ")]
    assert 50 <= float(line.split()[1]) < 60


def test_live_means_the_loop_turns(served: tuple[Health, str]) -> None:
    health, url = served

    assert status(f"{url}/livez") == 200
    health.loop_lag_s = lambda: 60.0
    assert status(f"{url}/livez") == 503


def test_every_registered_metric_is_served() -> None:
    measures = Measures()
    measures.batch("fold", 3, 0.0)
    measures.facts(new=2, repeated=1, late=3)
    measures.ignored({"unknown": 1})
    measures.parked({"not_json": 1})
    measures.changes({"permission_granted": 1})
    page = Health(measures).answer("/metrics")[2].decode()

    for metric in WORKER:
        assert f"# TYPE {metric.name.removesuffix('_total')}" in page or f"# TYPE {metric.name} " in page
    for outcome, count in (("new", 2), ("repeated", 1), ("late", 3)):
        assert f'callgrant_worker_facts_total{{outcome="{outcome}"}} {count}.0' in page


def test_a_broker_away_is_told_once_in_a_while() -> None:
    limit = RateLimit()
    line = logging.LogRecord("aiokafka.conn", logging.ERROR, "", 0, "cannot connect to %s", ("a",), None)

    assert [limit.filter(line) for _ in range(3)] == [True, False, False]
    limit._last_at["cannot connect to %s"] -= QUIET_S
    assert limit.filter(line) is True


@pytest.fixture
def logs_as_they_were() -> Iterator[None]:
    root = logging.getLogger()
    names = ("streams", "faust", "mode")
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def test_a_line_is_one_json_object(logs_as_they_were: None) -> None:
    stream = io.StringIO()
    set_up_logs(stream)
    logging.getLogger("streams.worker.main").info("worker %s starts", "1")
    logging.getLogger("streams.worker.table").info("[^BatchTable: pairs]: Starting...")
    logging.getLogger("faust.app").info("chatter")

    [line] = stream.getvalue().splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"]) == ("worker 1 starts", "info")

"""`callgrant verify` on a real cluster: what real processes judged is all the same, each damage is told by its kind."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import pytest
import rocksdict
from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from deploy.cli.main import main
from deploy.cluster import admin_of
from schemas.changes import change_id
from schemas.ids import parse_pair
from schemas.topics import TopicNames
from tests.deploy.verified import (
    PARTITIONS,
    Stood,
    any_of,
    copy,
    everything,
    judge,
    past,
)
from tests.integration.house import ROOT, House
from tests.integration.log import log_of
from tests.ports import free_port

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

SEED = 7
PREFIX = "test-verify-whole."


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.out)
        return told

    @property
    def kinds(self) -> dict[str, int]:
        """All differences by kind."""
        return {kind: n for check in self.told["checks"].values() for kind, n in check["differences"].items()}


class Judged(NamedTuple):
    """A past that real processes have judged, and what stands of it."""

    house: House
    bootstrap: str
    stood: list[Stood]


@pytest.fixture(scope="module")
def judged(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    house = House(tmp_path_factory.mktemp("verified"), broker, PREFIX, PARTITIONS=str(PARTITIONS))
    try:
        names = TopicNames(PREFIX)
        judge(house, broker, names, past(SEED))
        yield Judged(house, broker, asyncio.run(everything(broker, names)))
    finally:
        house.end()


@pytest.fixture
def verify(broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process, with no process of ours around and an empty data folder."""

    def run(prefix: str, *words: str, bootstrap: str = broker) -> Done:
        settings = {
            "KAFKA_BOOTSTRAP": bootstrap,
            "TOPIC_PREFIX": prefix,
            "DATA_DIR": str(tmp_path),
            "API_PORT": str(free_port()),
            "ANALYTICS_PORT": str(free_port()),
        }
        with pytest.MonkeyPatch.context() as patched:
            for name in [name for name in os.environ if name.startswith("CALLGRANT_")]:
                patched.delenv(name)
            for name, value in settings.items():
                patched.setenv(f"CALLGRANT_{name}", value)
            patched.setattr(sys, "argv", ["callgrant", "verify", *words])
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *capsys.readouterr())

    return run


def _dropped_row(stood: list[Stood]) -> list[Stood]:
    row = stood[_a_row(stood, SEED + 1)]
    return [*stood, replace(row, value=None, headers=[])]


def _other_evidence(stood: list[Stood]) -> list[Stood]:
    row = stood[_a_row(stood, SEED, lambda one: len(one.said.get("requests", ())) > 1)]
    said = row.said | {"version": 999, "requests": row.said["requests"][1:]}
    return [*stood, replace(row.saying(said), headers=[])]


def _invented_row(stood: list[Stood]) -> list[Stood]:
    row = stood[_a_row(stood, SEED)]
    said = row.said | {"user": "447700900999"}
    return [*stood, replace(row.saying(said), key=f"{said['phone_number_id']}/447700900999".encode(), headers=[])]


def _a_row(stood: list[Stood], seed: int, fits: Callable[[Stood], bool] = lambda _: True) -> int:
    """Of a pair that no other damage dropped."""
    dropped = {one.key for one in stood if one.topic == "permission.state" and one.value is None}
    return any_of(stood, "permission.state", seed, lambda one: one.key not in dropped and fits(one))


def _invented_change(stood: list[Stood]) -> list[Stood]:
    row = stood[_a_change(stood, SEED)]
    return [*stood, row.saying(_change(row.said, cause="TEST"))]


def _doubled_change(stood: list[Stood]) -> list[Stood]:
    row = stood[_a_change(stood, SEED + 1)]
    return [*stood, row.saying(_change(row.said, version=row.said["version"] + 500))]


def _double_content(stood: list[Stood]) -> list[Stood]:
    row = stood[_a_change(stood, SEED + 2)]
    return [*stood, row.saying(row.said | {"cause": "TEST"})]


def _a_change(stood: list[Stood], seed: int) -> int:
    """One of a fact that no other damage made: the id of a passed deadline says nothing of the rest of it."""

    def fits(one: Stood) -> bool:
        said = one.said
        return said["fact_id"] is not None and said["version"] < 500 and said.get("cause") != "TEST"

    return any_of(stood, "permission.changes", seed, fits)


def _change(said: dict[str, Any], **other: Any) -> dict[str, Any]:
    fields = {name: value for name, value in (said | other).items() if name != "change_id"}
    return {"change_id": change_id(fields), **fields}


def _a_reply(stood: list[Stood]) -> dict[str, Any]:
    """A reply in the log that nobody handed on."""
    handed_on = {one.said["fact_id"] for one in stood if one.topic == "permission.events" and one.said.get("forwarded")}

    def fits(one: Stood) -> bool:
        return one.said["type"] == "permission_replied" and one.said["fact_id"] not in handed_on

    return stood[any_of(stood, "permission.events", SEED, fits)].said


def _told_otherwise(stood: list[Stood], fact_id: str, **other: Any) -> list[Stood]:
    def told(one: Stood) -> Stood:
        mine = one.topic == "permission.events" and one.said["fact_id"] == fact_id
        return one.saying(one.said | other) if mine else one

    return [told(one) for one in stood]


def _shifted_fact(stood: list[Stood]) -> list[Stood]:
    fact = _a_reply(stood)
    return _told_otherwise(stood, fact["fact_id"], occurred_at=fact["occurred_at"] + 3_600)


def _dropped_fact(stood: list[Stood]) -> list[Stood]:
    gone = _a_reply(stood)["fact_id"]
    return [one for one in stood if one.topic != "permission.events" or one.said["fact_id"] != gone]


def _swapped_facts(stood: list[Stood]) -> list[Stood]:
    """Two users' replies change places."""
    one = _a_reply(stood)
    other = next(
        each.said
        for each in stood
        if each.topic == "permission.events"
        and each.said["type"] == "permission_replied"
        and each.said["phone_number_id"] == one["phone_number_id"]
        and each.said["user"] != one["user"]
        and each.said["response"] != one["response"]
    )
    theirs = ("response", "is_permanent", "expires_at", "message_id", "context_id")
    stood = _told_otherwise(stood, one["fact_id"], **{name: other[name] for name in theirs})
    return _told_otherwise(stood, other["fact_id"], **{name: one[name] for name in theirs})


def _lost_forward(stood: list[Stood]) -> list[Stood]:
    place = any_of(stood, "permission.events", SEED, lambda one: bool(one.said.get("forwarded")))
    gone = stood[place]
    return [
        one
        for one in stood
        if (one.topic, one.key) != (gone.topic, gone.key) or one.said["fact_id"] != gone.said["fact_id"]
    ]


def _other_record(stood: list[Stood]) -> list[Stood]:
    place = any_of(stood, "permission.records", SEED, lambda one: bool(one.said["requests"]))
    said = stood[place].said
    row = said["requests"][0] | {"attempt": 77, "version": (1 << 40), "is_deleted": 0}
    return [*stood, stood[place].saying(said | {"requests": [row]})]


def _dropped_number(stood: list[Stood]) -> list[Stood]:
    row = stood[any_of(stood, "business.state", SEED)]
    return [*stood, replace(row, value=None, headers=[])]


DAMAGES: Final[dict[str, Callable[[list[Stood]], list[Stood]]]] = {
    "changes.invented": _invented_change,
    "changes.doubled": _doubled_change,
    "changes.content": _double_content,
    "state.missing": _dropped_row,
    "state.evidence": _other_evidence,
    "state.invented": _invented_row,
    "records.differs": _other_record,
    "numbers.missing": _dropped_number,
}


def _copied(judged: Judged, prefix: str, stood: list[Stood]) -> None:
    asyncio.run(copy(judged.bootstrap, stood, TopicNames(prefix)))


def test_a_copy_of_the_topics_is_all_the_same(judged: Judged, verify: Callable[..., Done], topic_prefix: str) -> None:
    _copied(judged, topic_prefix, judged.stood)
    done = verify(topic_prefix, "--json")
    assert (done.code, done.kinds) == (0, {})
    assert done.told["checks"]["state"]["compared"] > 100
    assert done.told["checks"]["changes"]["compared"] > 100


def test_that_no_tick_came_for_long_is_said_beside_the_announcements(
    judged: Judged, verify: Callable[..., Done], topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _copied(judged, topic_prefix, judged.stood)
    monkeypatch.setattr("deploy.verify.GRACE_S", -86_400)
    done = verify(topic_prefix, "--json")
    assert done.code == 0
    assert "no tick since 20" in done.told["checks"]["changes"]["note"]


def test_each_damage_to_what_was_written_is_told_by_its_kind_and_masked(
    judged: Judged, verify: Callable[..., Done], topic_prefix: str
) -> None:
    """Many at once: they are of different kinds, so that none hides another. What is missing among the changes is told
    by the fold alone (`test_verify_fold.py`)."""
    stood = judged.stood
    for damage in DAMAGES.values():
        damaged = damage(stood)
        assert damaged != stood
        stood = damaged
    _copied(judged, topic_prefix, stood)
    done = verify(topic_prefix, "--json")
    assert done.code == 1
    assert done.kinds == dict.fromkeys(DAMAGES, 1)
    told = verify(topic_prefix)
    assert told.code == 1
    for said in (done.out + done.err, told.out + told.err):
        assert "4477009" not in said
        assert all(kind in said for kind in DAMAGES)


@pytest.mark.parametrize("damage", [_shifted_fact, _dropped_fact, _swapped_facts, _lost_forward])
def test_a_fact_that_is_not_what_was_judged_is_told(
    judged: Judged, verify: Callable[..., Done], topic_prefix: str, damage: Callable[[list[Stood]], list[Stood]]
) -> None:
    _copied(judged, topic_prefix, damage(judged.stood))
    done = verify(topic_prefix, "--json")
    assert done.code == 1
    assert done.kinds["state.evidence"] >= 1
    assert "forwards.lost" in done.kinds or damage is not _lost_forward
    assert "4477009" not in done.out + done.err


def test_what_the_processes_judged_is_all_the_same_and_damaged_stores_and_rows_are_told(judged: Judged) -> None:
    house = judged.house
    done = _asked(house)
    assert done.code == 0, done
    checks = done.told["checks"]
    for check in ("state", "store", "numbers", "changes", "forwards", "records", "answers"):
        assert checks[check]["compared"], check
        assert not checks[check]["skipped"], check
    assert "holds the embedded store" in checks["rows"]["skipped"]

    assert house.stop("projection") == 0
    done = _asked(house)
    assert done.code == 0, done
    assert done.told["checks"]["rows"]["compared"] > 500

    _insert_a_row(house)
    _write_another_row(house)
    house.stop("api")
    done = _asked(house)
    assert done.code == 1, done
    assert done.kinds == {"store.differs": 1, "rows.differs": 1}
    assert "no api runs" in done.told["checks"]["answers"]["skipped"]
    code, said = house.asked("verify", "--show-pairs")
    assert code == 1
    assert "700100200300400/" in said


def _asked(house: House) -> Done:
    return Done(*house.asked("verify", "--json"), "")


def _insert_a_row(house: House) -> None:
    """In a process of its own: the engine opens one folder a process, and keeps it."""
    program = (
        "import sys; from pathlib import Path; from projections.store import open_embedded\n"
        "store = open_embedded(Path(sys.argv[1]), 'callgrant', readers=0)\n"
        'store.insert(\'calls\', b\'{"phone_number_id":"700100200300400","call_id":"TESTCALL","user":"447700900001",'
        '"anchor_at":1772442000,"started_at":1772442000,"version":1}\\n\', \'a token\')\n'
        "store.close()"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(house.data / "clickhouse")], cwd=ROOT, check=True
    )


def _write_another_row(house: House) -> None:
    """A row of the stopped worker's store, without a mark."""
    assert house.stop("worker") == 0
    for path in sorted((house.data / "worker").glob("**/pairs-*.db")):
        store: Any = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))
        try:
            rows = [(key, value) for key, value in store.items() if parse_pair(key) is not None]
            if rows:
                key, value = rows[0]
                store[key] = orjson.dumps(orjson.loads(value) | {"requests": []})
                return
        finally:
            store.close()
    raise AssertionError("the worker left no local store")


def test_readers_that_lag_cannot_be_judged(judged: Judged, verify: Callable[..., Done], topic_prefix: str) -> None:
    asyncio.run(copy(judged.bootstrap, judged.stood, TopicNames(topic_prefix), read=False))
    done = verify(topic_prefix, "--wait-s", "1")
    assert done.code == 3
    assert "has still not read" in done.err
    assert "--wait-s" in done.err


def test_a_cluster_that_does_not_answer_and_topics_that_are_not_there_cannot_be_judged(
    verify: Callable[..., Done], topic_prefix: str
) -> None:
    done = verify(topic_prefix, bootstrap=f"127.0.0.1:{free_port()}")
    assert done.code == 3
    assert "CALLGRANT_KAFKA_BOOTSTRAP" in done.err
    done = verify(topic_prefix)
    assert done.code == 3
    assert "callgrant topics create" in done.err


async def cut(bootstrap: str, names: TopicNames, *topics: str) -> int:
    """The older half of each partition goes, as by retention; how many records that were."""
    parts = [TopicPartition(names.of(topic), each) for topic in topics for each in range(PARTITIONS)]
    async with log_of(bootstrap) as log, admin_of(bootstrap) as admin:
        ends = {part: end for topic in topics for part, end in (await log.ends(names.of(topic))).items()}
        await admin.delete_records({part: RecordsToDelete(before_offset=ends[part] // 2) for part in parts})
    return sum(end // 2 for end in ends.values())


def test_announcements_and_rows_that_retention_deleted_are_no_difference_and_what_is_left_is_compared(
    judged: Judged, verify: Callable[..., Done], topic_prefix: str
) -> None:
    _copied(judged, topic_prefix, judged.stood)
    whole = verify(topic_prefix, "--json")
    assert asyncio.run(cut(judged.bootstrap, TopicNames(topic_prefix), "permission.changes", "permission.records")) > 99
    done = verify(topic_prefix, "--json")
    assert (done.code, done.kinds) == (0, {})
    for check in ("changes", "records"):
        assert 0 < done.told["checks"][check]["compared"] < whole.told["checks"][check]["compared"]
        assert "cut by retention: compared since 20" in done.told["checks"][check]["note"]

    asyncio.run(
        copy(
            judged.bootstrap,
            [_invented_change(judged.stood)[-1], _other_record(judged.stood)[-1]],
            TopicNames(topic_prefix),
        )
    )
    done = verify(topic_prefix, "--json")
    assert done.code == 1
    assert done.kinds == {"changes.invented": 1, "records.differs": 1}


def test_a_log_of_facts_that_retention_cut_cannot_be_judged(
    judged: Judged, verify: Callable[..., Done], topic_prefix: str
) -> None:
    _copied(judged, topic_prefix, judged.stood)
    asyncio.run(cut(judged.bootstrap, TopicNames(topic_prefix), "permission.events"))
    done = verify(topic_prefix)
    assert done.code == 3
    assert "permission.events is cut: partition" in done.err
    assert "retention.ms=-1" in done.err

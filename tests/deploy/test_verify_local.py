"""What `verify` finds in local stores, on real ones: of pairs and of numbers, every one that is up to date."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import pytest
import rocksdict

from deploy import verify_local
from deploy.config import load
from deploy.verify import Verification
from deploy.verify_local import OFFSET_KEY, LocalStores
from deploy.verify_log import Span
from deploy.verify_report import Findings
from streams.worker.business import fold_numbers
from streams.worker.deadlines import Deadline, index_key
from streams.worker.translation import number_row
from tests.permission.story import NUMBER, T0
from tests.permission.test_business import registered, seen
from tests.worker.stand_ins import Record, record

PAIRS: Final = {f"700100200300400/44770090010{last}".encode(): b'{"version":%d}' % last for last in range(3)}
NUMBERS: Final = {b"700100200300400": b'{"version":1}', b"442079460100": b'{"version":2}'}
ROWS: Final[dict[str, dict[bytes, bytes]]] = {"pairs": PAIRS, "numbers": NUMBERS}
END: Final = 9
"""The offset behind the topic's last row."""

Change = Callable[[dict[bytes, bytes]], None]
Table = Literal["pairs", "numbers"]
TABLES: Final = pytest.mark.parametrize("table", ["pairs", "numbers"])


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is behind here stays behind."""
    monkeypatch.setattr(verify_local, "FOLLOW_FOR_S", 0.0)
    monkeypatch.setattr(verify_local, "LOOK_AGAIN_AFTER_S", 0.01)


def store(
    data: Path, table: Table, rows: Mapping[bytes, bytes], *, worker: int = 1, at: int = END - 1, partition: int = 0
) -> None:
    """A store as a worker leaves it."""
    path = data / "worker" / str(worker) / "g1" / "v1" / "tables" / f"{table}-{partition}.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    made: Any = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))
    made[OFFSET_KEY] = str(at).encode()
    if table == "pairs":
        made[index_key(Deadline(1_772_443_800, next(iter(PAIRS))))] = b""
    for key, value in rows.items():
        made[key] = value
    made.close()


def compared(
    data: Path, table: Table, *, end: int = END, rows: Mapping[bytes, bytes] | None = None
) -> tuple[bool, Findings]:
    found, stores = Findings(), LocalStores(data, 1)
    compare = stores.compare if table == "pairs" else stores.compare_numbers
    return compare(0, ROWS[table] if rows is None else rows, end, found), found


@TABLES
def test_a_store_that_holds_the_rows_of_its_topic_is_no_difference(tmp_path: Path, table: Table) -> None:
    store(tmp_path, table, ROWS[table])
    there, found = compared(tmp_path, table)
    assert (there, found.total, found.compared["store"]) == (True, 0, len(ROWS[table]))


@TABLES
def test_a_row_that_is_other_missing_or_invented_is_told_by_its_kind(tmp_path: Path, table: Table) -> None:
    rows = ROWS[table]
    changed, gone, *others = rows
    strange = b"700100200300409/447700900109" if table == "pairs" else b"700100200300409"
    store(tmp_path, table, {changed: b"{}", strange: b"{}", **{key: rows[key] for key in others}})
    there, found = compared(tmp_path, table)
    assert there
    assert found.of("store") == {"store.differs": 1, "store.missing": 1, "store.invented": 1}
    assert [one["pair"] for one in found.first("store.missing", 1, show_pairs=True)] == [gone.decode()]


@TABLES
@pytest.mark.parametrize("damaged", [1, 2])
def test_of_two_stores_at_one_offset_the_damaged_one_is_found_whichever_it_is(
    tmp_path: Path, table: Table, damaged: int
) -> None:
    rows = ROWS[table]
    store(tmp_path, table, rows, worker=3 - damaged)
    store(tmp_path, table, rows | {next(iter(rows)): b"{}"}, worker=damaged)
    there, found = compared(tmp_path, table)
    assert there
    assert found.of("store") == {"store.differs": 1}
    assert found.compared["store"] == 2 * len(rows), "both were looked at"


@TABLES
def test_a_store_that_was_left_behind_is_not_compared(tmp_path: Path, table: Table) -> None:
    store(tmp_path, table, ROWS[table], worker=1)
    store(tmp_path, table, {}, worker=2, at=END - 2)
    there, found = compared(tmp_path, table)
    assert (there, found.total, found.compared["store"]) == (True, 0, len(ROWS[table]))


@TABLES
def test_no_store_that_is_up_to_date_is_said_and_is_no_difference(tmp_path: Path, table: Table) -> None:
    store(tmp_path, table, {}, at=END - 2)
    there, found = compared(tmp_path, table)
    assert (there, found.total, found.compared["store"]) == (False, 0, 0)


@TABLES
def test_a_topic_of_which_nothing_came_needs_no_store(tmp_path: Path, table: Table) -> None:
    there, found = compared(tmp_path, table, end=0, rows={})
    assert (there, found.total) == (True, 0)


def test_stores_of_another_generation_or_put_aside_are_none_of_ours(tmp_path: Path) -> None:
    store(tmp_path, "numbers", {})
    folder = tmp_path / "worker" / "1" / "g1" / "v1" / "tables"
    (folder / "numbers-0.db").rename(folder / "numbers-0.db.damaged")
    assert compared(tmp_path, "numbers")[0] is False
    store(tmp_path, "pairs", {})
    assert LocalStores(tmp_path, 1)
    assert not LocalStores(tmp_path, 2)


class Told:
    """A log of one partition a topic, by the registered names; `later`: what comes once its ends are noted."""

    def __init__(self, records: Mapping[str, list[Record]], later: Mapping[str, list[Record]]) -> None:
        self._records, self._later = {**records}, later

    async def spans(self, topic: str) -> dict[int, Span]:
        return {0: Span(0, len(self._records[topic.removeprefix("callgrant.")]))}

    async def records(self, topic: str, _partition: int, span: Span) -> AsyncIterator[list[Record]]:
        yield self._records[topic.removeprefix("callgrant.")][span.begin : span.end]

    def goes_on(self) -> None:
        for topic, some in self._later.items():
            self._records[topic] = self._records[topic] + some


FACTS: Final = [
    number_row(fact) for fact in (seen("a", T0), registered("b", T0 + 1), seen("c", T0, number="700100200300409"))
]


def events(first: int, end: int) -> list[Record]:
    return [
        record(row.value, key=row.key, headers=row.headers, offset=offset)
        for offset, row in enumerate(FACTS[first:end], start=first)
    ]


def rows_of(facts: list[Record]) -> dict[bytes, Record]:
    rows = fold_numbers(facts, lambda _: None, 1).rows
    return {key: record(row.value, key=key, headers=row.headers) for key, row in rows.items()}


async def numbers_verified(data: Path, later: Mapping[str, list[Record]]) -> Findings:
    facts = events(0, len(FACTS))
    log = Told({"business.events": facts, "business.state": list(rows_of(facts).values())}, later)
    config = load({"CALLGRANT_DATA_DIR": str(data), "CALLGRANT_PARTITIONS": "1"}, data)
    asked: Any = log
    verification = Verification(config, asked, wait_s=1.0, ask=0, tell=lambda _: None)
    await verification._topics.note("business.events", "business.state")
    log.goes_on()
    await verification._know_numbers()
    verification._put_into_words()
    return verification._found


def stored_rows() -> dict[bytes, bytes]:
    return {key: row.value for key, row in rows_of(events(0, len(FACTS))).items() if row.value is not None}


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda rows: rows.update({NUMBER.encode(): b"{}"}), "store.differs"),
        (lambda rows: rows.pop(NUMBER.encode()), "store.missing"),
        (lambda rows: rows.update({b"700100200300400x": b"{}"}), "store.invented"),
    ],
)
async def test_verify_looks_into_stores_of_numbers(tmp_path: Path, damage: Change, kind: str) -> None:
    rows = stored_rows()
    store(tmp_path, "pairs", {})
    store(tmp_path, "numbers", rows, at=len(rows) - 1)
    found = await numbers_verified(tmp_path, {})
    assert (found.total, found.compared["store"], found.compared["numbers"]) == (0, 2, 2)
    damage(rows)
    store(tmp_path / "damaged", "pairs", {})
    store(tmp_path / "damaged", "numbers", rows, at=1)
    found = await numbers_verified(tmp_path / "damaged", {})
    assert found.of("store") == {kind: 1}
    assert found.of("numbers") == {}


async def test_a_number_of_which_something_comes_meanwhile_is_left_out(tmp_path: Path) -> None:
    store(tmp_path, "pairs", {})
    store(tmp_path, "numbers", stored_rows() | {NUMBER.encode(): b'{"version":9}'}, at=len(FACTS))
    assert (await numbers_verified(tmp_path, {})).of("store") == {"store.differs": 1}
    assert (await numbers_verified(tmp_path, {"business.events": events(0, 1)})).total == 0


async def test_numbers_of_which_no_store_is_up_to_date_are_said(tmp_path: Path) -> None:
    store(tmp_path, "pairs", {})
    found = await numbers_verified(tmp_path, {})
    assert found.words["store"] == "no store here is up to date for the numbers of partitions 0"
    assert (found.total, found.compared["store"]) == (0, 0)


def test_what_no_store_is_up_to_date_for_is_said_once_of_pairs_and_of_numbers(tmp_path: Path) -> None:
    store(tmp_path, "pairs", {}, at=0)
    stores, found = LocalStores(tmp_path, 1), Findings()
    assert stores.behind == ""
    for partition in (0, 2):
        assert not stores.compare(partition, PAIRS, END, found)
    assert not stores.compare_numbers(1, NUMBERS, END, found)
    assert stores.behind == (
        "no store here is up to date for partitions 0, 2; no store here is up to date for the numbers of partitions 1"
    )


@pytest.mark.parametrize("topic", ["permission.events", "permission.state", "permission.changes"])
async def test_a_pair_of_which_anything_comes_meanwhile_is_left_out(tmp_path: Path, topic: str) -> None:
    """Of a tick perhaps its rows alone: what it announced may stand before what was noted."""
    moved, still = list(PAIRS)[:2]
    topics = ("permission.events", "permission.state", "permission.changes")
    asked: Any = Told({name: [] for name in topics}, {topic: [record(b"{}", key=moved, offset=0)]})
    config = load({"CALLGRANT_DATA_DIR": str(tmp_path), "CALLGRANT_PARTITIONS": "1"}, tmp_path)
    verification = Verification(config, asked, wait_s=1.0, ask=0, tell=lambda _: None)
    await verification._topics.note(*topics)
    asked.goes_on()
    for key in (moved, still):
        verification._found.differs("store.differs", key)
    assert await verification._look_again(1) == 1
    assert verification._found.of("store") == {"store.differs": 1}

"""The store itself: one process a folder, hard kills, zones, faults told without content."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from projections.batch import token_of
from projections.faults import EngineMissing, StoreBroken, StoreTaken
from projections.migrate import migrate
from projections.questions import QUESTIONS, Asked, ask
from projections.rows import line
from projections.store import Refused, Store, open_embedded, open_server
from schemas.records import encode_record
from tests.ports import free_port
from tests.projections.conftest import ServerProcess
from tests.projections.histories import NUMBERS, fact, record, request_row

ROOT = Path(__file__).parent.parent.parent
ENDLESS = """
import sys
from pathlib import Path
from projections.batch import token_of
from projections.migrate import migrate
from projections.rows import line
from projections.store import open_embedded
from schemas.records import encode_record
from tests.projections.histories import fact, record, request_row

store = open_embedded(Path(sys.argv[1]), "callgrant")
migrate(store)
batch = int(sys.argv[2])
while True:
    rows = [encode_record(record([request_row(f"{batch}-{n}")], fact=fact(f"{batch}-{n}"))) for n in range(50)]
    body = b"".join(line(0, batch * 50 + n, row) for n, row in enumerate(rows))
    store.insert("inbox", body, token_of(body))
    print(batch, flush=True)
    batch += 1
"""


@pytest.mark.clickhouse
def test_what_was_acknowledged_survives_kill_minus_nine_whole(tmp_path: Path) -> None:
    folder, acknowledged = tmp_path / "clickhouse", 0
    for _ in range(3):
        command = [sys.executable, "-c", ENDLESS, str(folder), str(acknowledged)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
            assert child.stdout is not None
            for told in child.stdout:
                acknowledged = int(told) + 1
                if acknowledged % 5 == 4:
                    child.kill()
                    break
            # Lines that were already in the pipe were acknowledged too.
            acknowledged = max([acknowledged, *(int(told) + 1 for told in child.stdout)])
    with contextlib.closing(open_embedded(folder, "callgrant")) as store:
        assert migrate(store) == []
        seen = ask(store, QUESTIONS["funnel"], Asked()).rows[0]["requested"]
        facts = store.ask("SELECT uniqExact(fact_id) FROM facts").rows[0][0]
    assert acknowledged >= 9
    # One batch more may have arrived without its acknowledgement.
    for count in (seen, facts):
        assert acknowledged * 50 <= int(count or 0) <= (acknowledged + 1) * 50


@pytest.mark.clickhouse
def test_the_folder_takes_one_process_and_names_it(embedded: Store, tmp_path: Path) -> None:
    with pytest.raises(
        StoreTaken, match=rf"in use by process {os.getpid()} .*CALLGRANT_DATA_DIR.*CALLGRANT_CLICKHOUSE_URL"
    ):
        open_embedded(tmp_path / "clickhouse", "callgrant")
    assert embedded.ask("SELECT 1").rows[0][0] == 1


@pytest.mark.clickhouse
def test_temporary_files_lie_in_a_private_place_that_is_emptied(tmp_path: Path) -> None:
    scratch = tmp_path / "clickhouse.tmp"
    scratch.mkdir()
    (scratch / "left-by-a-kill.raw").write_bytes(b"447700900123")
    before = os.environ.get("TMPDIR"), os.environ.get("TZ"), time.tzname
    with contextlib.closing(open_embedded(tmp_path / "clickhouse", "callgrant")):
        assert list(scratch.iterdir()) == []
        assert scratch.stat().st_mode & 0o777 == 0o700
        assert os.environ["TMPDIR"] == str(scratch)
    assert not scratch.exists()
    assert (os.environ.get("TMPDIR"), os.environ.get("TZ"), time.tzname) == before


def test_a_missing_engine_is_named_with_both_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chdb", None)
    with pytest.raises(EngineMissing, match=r"extra `embedded`.*CALLGRANT_CLICKHOUSE_URL"):
        open_embedded(tmp_path / "clickhouse", "callgrant")
    monkeypatch.undo()
    assert not (tmp_path / "clickhouse.tmp").exists()


@pytest.mark.parametrize("url", ["localhost:8123", "ftp://localhost", "http://", "http://localhost:8123/mine"])
def test_a_url_that_cannot_work_is_refused_by_the_name_of_its_setting(url: str) -> None:
    with pytest.raises(StoreBroken, match="CALLGRANT_CLICKHOUSE_URL"):
        open_server(url, "callgrant")


def test_a_server_that_does_not_answer_is_a_refusal_and_not_a_crash() -> None:
    with pytest.raises(Refused) as refused:
        open_server(f"http://someone:password@127.0.0.1:{free_port()}", "callgrant")
    assert "password" not in str(refused.value)


@pytest.mark.clickhouse
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_days_do_not_hang_on_the_zone_of_the_machine(tmp_path: Path, zone: str) -> None:
    script = """
import sys
from datetime import date
from pathlib import Path
from projections.migrate import migrate
from projections.questions import QUESTIONS, Asked, ask
from projections.store import open_embedded
from tests.projections.test_views import load
from tests.projections.histories import fact, record, request_row
from schemas.records import encode_record
store = open_embedded(Path(sys.argv[1]), "callgrant")
migrate(store)
midnight = 1_772_409_600
load(store, [encode_record(record([request_row(str(at), anchor_at=at, sent_at=at)], fact=fact(str(at), at)))
             for at in (midnight - 1, midnight)])
print([(row["day"], row["requested"]) for row in ask(store, QUESTIONS["funnel"], Asked(by="day")).rows])
print(store.ask("SELECT arraySort(groupArray(toString(occurred_at))) FROM facts").rows)
store.close()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "clickhouse")]
    out = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "TZ": zone}, check=True, capture_output=True, text=True, timeout=120
    ).stdout
    assert "[('2026-03-01', 1), ('2026-03-02', 1)]" in out
    assert "'2026-03-01 23:59:59', '2026-03-02 00:00:00'" in out


@pytest.mark.clickhouse
@pytest.mark.parametrize(
    "bad",
    [
        b'"attempt":"x(at row 1)"',
        b'"attempt":-1',
        b'"attempt":1.5',
        b'"attempt":{}',
        b'"attempt":1}} {"phone_number_id":"1"',
    ],
)
def test_a_row_at_fault_is_named_by_its_number_and_nothing_of_the_insert_is_stored(store: Store, bad: bytes) -> None:
    good = encode_record(record([request_row("A", campaign="(at row 1)")], fact=fact("A")))
    values = [good, good, good.replace(b'"attempt":1', bad), good]
    body = b"".join(row for n, value in enumerate(values) if isinstance(row := line(0, n, value), bytes))
    with pytest.raises(Refused) as refused:
        store.insert("inbox", body, token_of(body))
    assert refused.value.row == 3
    assert "447700900123" not in str(refused.value)
    assert store.ask("SELECT count() FROM requests").rows[0][0] == 0


@pytest.mark.clickhouse
def test_a_null_among_rows_is_no_row(embedded: Store) -> None:
    value = encode_record({**record(), "requests": [None], "grants": [None], "calls": [None], "changes": [None]})
    body = line(0, 0, value)
    assert isinstance(body, bytes)
    embedded.insert("inbox", body, token_of(body))
    for table in ("requests", "grants", "calls", "changes", "facts"):
        assert embedded.ask(f"SELECT count() FROM {table}").rows[0][0] == 0  # noqa: S608


@pytest.mark.clickhouse
@pytest.mark.parametrize("how", ["reset_before", "reset_after"])
def test_an_answer_lost_on_the_way_stores_nothing_twice(
    server_store: Store, server_process: ServerProcess, how: str
) -> None:
    for number in range(5):
        body = line(0, number, encode_record(record([request_row(str(number))], fact=fact(str(number)))))
        assert isinstance(body, bytes)
        server_process.misbehave(how)
        server_store.insert("inbox", body, token_of(body))
    for table in ("requests", "facts"):
        assert server_store.ask(f"SELECT count() FROM {table}").rows[0][0] == 5  # noqa: S608


@pytest.mark.clickhouse
def test_a_busy_server_is_a_refusal_without_a_row(server_store: Store, server_process: ServerProcess) -> None:
    body = line(0, 0, encode_record(record([request_row("A")])))
    assert isinstance(body, bytes)
    server_process.misbehave("busy")
    with pytest.raises(Refused) as refused:
        server_store.insert("inbox", body, token_of(body))
    assert refused.value.row is None
    server_store.insert("inbox", body, token_of(body))
    assert server_store.ask("SELECT count() FROM requests").rows[0][0] == 1


@pytest.mark.clickhouse
def test_a_parameter_never_becomes_part_of_a_statement(embedded: Store) -> None:
    body = line(0, 0, encode_record(record([request_row("A")])))
    assert isinstance(body, bytes)
    embedded.insert("inbox", body, token_of(body))
    for hostile in ("' OR 1 = 1 --", "\\' OR 1 = 1 --", "{number:String}", "\\", "%", f"{NUMBERS[0]}' OR '1'='1"):
        assert ask(embedded, QUESTIONS["funnel"], Asked(number=hostile)).rows[0]["requested"] == 0

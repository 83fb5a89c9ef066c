import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.config import load
from deploy.demo import Line, funnel_lines, revocation_lines, settings_of
from deploy.supervisor.premises import taken
from streams.simulator import Ledger, SimulatorConfig, simulate
from tests.conftest import ROOT
from tests.ports import free_pair, free_port

END_AT = 1_772_442_000


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return simulate(SimulatorConfig(start_at=END_AT - 9 * 86_400, end_at=END_AT, pairs=60)).ledger


def test_equal_books_agree_line_by_line(ledger: Ledger) -> None:
    assert all(line.agrees for line in funnel_lines([ledger.funnel()], ledger))
    ours = [{"cause": cause, "ended": count} for cause, count in ledger.revocations().items()]
    assert all(line.agrees for line in revocation_lines(ours, ledger))


def test_one_request_more_or_no_row_at_all_disagrees(ledger: Ledger) -> None:
    funnel = ledger.funnel()
    funnel["declined"] += 1
    assert [line.what for line in funnel_lines([funnel], ledger) if not line.agrees] == ["declined"]
    assert not any(line.agrees for line in funnel_lines([], ledger))


def test_a_cause_that_only_we_know_disagrees_unless_it_is_zero(ledger: Ledger) -> None:
    ours = [{"cause": cause, "ended": count} for cause, count in ledger.revocations().items()]
    extra = [{"cause": "number_changed", "ended": 1}, {"cause": "reading", "ended": 0}]
    wrong = [line for line in revocation_lines(ours + extra, ledger) if not line.agrees]
    assert wrong == [Line("number_changed", 1, 0)]


def test_a_demo_keeps_away_from_what_up_keeps(tmp_path: Path) -> None:
    config = load({"CALLGRANT_CLICKHOUSE_URL": "http://ch:8123", "CALLGRANT_KAFKA_BOOTSTRAP": "k:9092"}, tmp_path)
    own = settings_of(config)
    assert own.data_dir == config.data_dir / "demo"
    assert own.names.clickhouse_url is None
    assert re.fullmatch(r"callgrant\.demo-[0-9a-f]{8}\.", own.names.topic_prefix)


def settings(data_dir: Path, jar_cache: Path) -> dict[str, str]:
    (data_dir / "cache").symlink_to(jar_cache)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALLGRANT_")}
    ports = {"KAFKA": free_pair()} | {name: free_port() for name in ("GATEWAY", "API", "ANALYTICS", "WORKER")}
    return (
        kept | {"CALLGRANT_DATA_DIR": str(data_dir)} | {f"CALLGRANT_{name}_PORT": str(p) for name, p in ports.items()}
    )


def nothing_is_left(environment: dict[str, str], pids: set[int]) -> None:
    ports = [
        int(value) for name, value in environment.items() if name.endswith("_PORT") and name.startswith("CALLGRANT_")
    ]
    assert [port for port in ports if taken("127.0.0.1", port)] == []
    assert [
        pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ] == []


def pids_of(output: str) -> set[int]:
    return {int(pid) for pid in re.findall(r"pid (\d+)", output)}


@pytest.mark.broker
@pytest.mark.clickhouse
@pytest.mark.timeout(1300)
def test_the_demo_agrees_with_the_ledger_twice_and_leaves_nothing_running(tmp_path: Path, jar_cache: Path) -> None:
    environment = settings(tmp_path, jar_cache)
    for _ in range(2):  # what an earlier demo left must not count
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "demo", "--pairs", "40"],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "callgrant and the ledger agree." in done.stdout
        assert "40 of 40 answers of the api as expected" in done.stdout
        assert len(pids_of(done.stdout)) == 5
        nothing_is_left(environment, pids_of(done.stdout))


@pytest.mark.broker
@pytest.mark.clickhouse
@pytest.mark.timeout(900)
async def test_up_restarts_what_dies_and_a_term_ends_everything(tmp_path: Path, jar_cache: Path) -> None:
    environment = settings(tmp_path, jar_cache)
    up = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", "up",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert up.stdout is not None
    heard: list[str] = []
    killed: dict[str, int] = {}

    async def until(pattern: str) -> re.Match[str]:
        assert up.stdout is not None
        async with asyncio.timeout(240):
            while line := (await up.stdout.readline()).decode():
                heard.append(line)
                if found := re.match(pattern, line):
                    return found
        raise AssertionError("".join(heard))

    try:
        await until("Ctrl-C ends it")
        for name in ("worker 1", "broker", "gateway"):
            ready = [line for line in heard if re.match(rf"{name} +ready", line)][-1]
            killed[name] = pids_of(ready).pop()
            os.kill(killed[name], signal.SIGKILL)
            await until(rf"{name} +died +pid {killed[name]} ")
            again = await until(rf"{name} +ready +pid (\d+) ")
            assert int(again[1]) != killed[name]
        up.terminate()
        await until(r"broker +stopped")
        assert await asyncio.wait_for(up.wait(), 120) == 0, "".join(heard)
    finally:
        if up.returncode is None:
            up.kill()
            await up.wait()
    stopping = [re.match(r"(.{12}) stopping", line) for line in heard]
    order = [found[1].strip() for found in stopping if found]
    assert order == ["projection", "api", "worker 1", "gateway", "broker"]
    nothing_is_left(environment, pids_of("".join(heard)))

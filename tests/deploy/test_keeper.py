import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from deploy.supervisor.keeper import HOPELESS, Hopeless, Keeper, Told
from deploy.supervisor.program import Program
from tests.ports import free_port

SERVE = """
import http.server, signal, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serving", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""
DIE = "import sys; print('no luck today', flush=True); sys.exit(3)"
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True: time.sleep(60)
"""


class Heard:
    """Everything a keeper tells, and waiting for a line of it."""

    def __init__(self) -> None:
        self.lines: list[Told] = []
        self._more = asyncio.Condition()

    def __call__(self, told: Told) -> None:
        self.lines.append(told)

        async def wake() -> None:
            async with self._more:
                self._more.notify_all()

        self._waking = asyncio.ensure_future(wake())

    async def until(self, state: str, times: int = 1) -> Told:
        async with asyncio.timeout(120), self._more:
            await self._more.wait_for(lambda: len(self.of(state)) >= times)
        return self.of(state)[times - 1]

    def of(self, state: str) -> list[Told]:
        return [line for line in self.lines if line.state == state]


def program(code: str, log: Path, *arguments: str, url: str = "", final: tuple[int, ...] = ()) -> Program:
    command = [sys.executable, "-c", code, *arguments]
    return Program(name="fake", command=command, environment=dict(os.environ), log=log, url=url, final=final)


@asynccontextmanager
async def kept(what: Program, heard: Heard) -> AsyncIterator[Keeper]:
    keeper = Keeper(what, heard)
    keeper.keep()
    try:
        yield keeper
    finally:
        await keeper.stop()


@pytest.fixture
async def heard() -> Heard:
    return Heard()


def serving(tmp_path: Path) -> Program:
    port = free_port()
    return program(SERVE, tmp_path / "fake.log", str(port), url=f"http://127.0.0.1:{port}")


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(120):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


async def test_a_program_is_ready_when_it_says_so_and_gone_when_stopped(tmp_path: Path, heard: Heard) -> None:
    async with kept(serving(tmp_path), heard) as keeper:
        await keeper.until_ready()
        pid = heard.of("ready")[0].pid
        assert pid is not None
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert [line.state for line in heard.lines] == ["starting", "ready", "stopping", "stopped"]
    assert (tmp_path / "fake.log").read_text() == "serving\n"


async def test_a_program_that_is_killed_is_started_again_and_the_line_says_how_it_ended(
    tmp_path: Path, heard: Heard
) -> None:
    async with kept(serving(tmp_path), heard):
        first = (await heard.until("ready")).pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        died = await heard.until("died")
        assert died.pid == first
        assert died.note.startswith("ended by signal SIGKILL")
        assert (await heard.until("ready", 2)).pid != first


async def test_a_program_that_dies_at_every_start_is_given_up_with_the_end_of_its_log(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.supervisor.keeper.RESTART_AFTER_S", (0.01,))
    async with kept(program(DIE, tmp_path / "fake.log", url="http://127.0.0.1:9"), heard) as keeper:
        with pytest.raises(Hopeless) as told:
            await keeper.until_ready()
    assert str(told.value).startswith(f"fake died {HOPELESS} times before it was ready (last: ended with exit code 3)")
    assert str(told.value).endswith("no luck today")
    assert len(heard.of("starting")) == HOPELESS


async def test_a_program_that_says_a_new_start_cannot_help_is_given_up_at_once(tmp_path: Path, heard: Heard) -> None:
    async with kept(program(DIE, tmp_path / "fake.log", url="http://127.0.0.1:9", final=(3,)), heard) as keeper:
        with pytest.raises(Hopeless) as told:
            await keeper.until_ready()
    assert str(told.value).startswith("fake ended with exit code 3, and starting it again would change nothing")
    assert str(told.value).endswith("no luck today")
    assert [line.state for line in heard.lines if line.state in {"starting", "died"}] == ["starting"]


async def test_deaths_after_being_ready_are_never_hopeless(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.supervisor.keeper.RESTART_AFTER_S", (0.01,))
    async with kept(serving(tmp_path), heard) as keeper:
        for times in range(1, HOPELESS + 2):
            pid = (await heard.until("ready", times)).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        await heard.until("ready", HOPELESS + 2)
        await keeper.until_ready()


async def die_when_ready(heard: Heard, times: int) -> list[str]:
    """Kill it each time it is ready; what was told of the pauses."""
    for time in range(1, times + 1):
        pid = (await heard.until("ready", time)).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    await heard.until("died", times)
    return [line.note.partition("again in ")[2] for line in heard.of("died")]


async def test_short_lives_make_the_pauses_grow_even_when_each_of_them_was_ready(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.supervisor.keeper.RESTART_AFTER_S", (0.01, 0.02, 0.03))
    async with kept(serving(tmp_path), heard):
        assert await die_when_ready(heard, 4) == ["0.01 s", "0.02 s", "0.03 s", "0.03 s"]


async def test_after_a_life_that_was_long_enough_the_pauses_begin_anew(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.supervisor.keeper.RESTART_AFTER_S", (0.01, 0.02, 0.03))
    monkeypatch.setattr("deploy.supervisor.keeper.SETTLED_AFTER_S", 0.0)
    async with kept(serving(tmp_path), heard):
        assert await die_when_ready(heard, 3) == ["0.01 s"] * 3


async def test_a_log_that_grows_too_long_is_begun_anew_while_its_process_writes_on(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.supervisor.program.LOG_AT_MOST_BYTES", 1_000)
    monkeypatch.setattr("deploy.supervisor.program.LOOK_AT_LOG_EVERY_S", 0.05)
    log, before = tmp_path / "fake.log", tmp_path / "fake.before.log"
    talk = "import time\nfor n in range(10**9): print(f'line {n}', flush=True); time.sleep(0.001)"
    async with kept(program(talk, log), heard):

        async def begun_anew_and_written_on() -> bool:
            return before.exists() and b"line" in log.read_bytes()

        await until(begun_anew_and_written_on)
        assert len(heard.of("starting")) == 1
    assert before.read_bytes().startswith(b"line ")
    assert b"\0" not in log.read_bytes()


async def test_a_log_that_is_too_long_at_the_start_is_kept_once(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.supervisor.program.LOG_AT_MOST_BYTES", 10)
    log, before = tmp_path / "fake.log", tmp_path / "fake.before.log"
    log.write_text("from an earlier life\n")
    before.write_text("from the one before\n")
    async with kept(program(DEAF, log), heard) as keeper:
        await heard.until("ready")
        keeper.what.kill()
    assert before.read_text() == "from an earlier life\n"


async def test_a_program_that_does_not_hear_a_term_is_killed(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.supervisor.program.STOP_WITHIN_S", 0.05)
    log = tmp_path / "fake.log"
    async with kept(program(DEAF, log), heard):
        await heard.until("ready")

        async def deaf() -> bool:
            return "deaf" in log.read_text()

        await until(deaf)
    pid = heard.of("stopping")[0].pid
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_stop_during_the_pause_before_a_restart_starts_nothing_more(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.supervisor.keeper.RESTART_AFTER_S", (600.0,))
    async with kept(program(DIE, tmp_path / "fake.log", url="http://127.0.0.1:9"), heard):
        await heard.until("died")
    assert len(heard.of("starting")) == 1


async def test_a_program_ends_with_us_even_when_we_are_killed(tmp_path: Path) -> None:
    us = f"""
import asyncio, os, pathlib, sys
from deploy.supervisor.program import Program
async def main():
    log = pathlib.Path({str(tmp_path / "fake.log")!r})
    command = [sys.executable, "-c", {DEAF!r}]
    child = Program(name="fake", command=command, environment=dict(os.environ), log=log, url="")
    await child.start()
    print(child.pid, flush=True)
    await child.until_ended()
asyncio.run(main())
"""
    ours = await asyncio.create_subprocess_exec(sys.executable, "-c", us, stdout=asyncio.subprocess.PIPE)
    assert ours.stdout is not None
    child = int(await ours.stdout.readline())

    async def running() -> bool:
        return (tmp_path / "fake.log").read_text() == "deaf\n"

    await until(running)
    ours.kill()
    await ours.wait()

    async def gone() -> bool:
        try:
            return psutil.Process(child).status() == psutil.STATUS_ZOMBIE  # dead, and waiting for whoever adopted it
        except psutil.NoSuchProcess:
            return True

    await until(gone)

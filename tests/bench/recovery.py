"""How long a worker takes to have its table again when its folder is lost, beside Faust's own recovery of the same
rows; and how large the table is on disk.

The rows are those of a simulated week, told again under further business numbers until there are enough of them. What a
start without any rows costs is taken off. Seconds and ratios are given both as they passed and as CPU time:
`recovery_vs_faust` is of CPU time, which depends least on what else runs on the machine. A pair of the simulator has a
row under each of its names, mostly two; figures are by pair. `BENCH_RECOVERY_PAIRS` says how many pairs instead of
100,000.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import rocksdict

from deploy.topics import create_topics
from schemas.ids import parse_pair
from streams.worker.rows import Row
from tests.bench.measure import tell
from tests.bench.past import PARTITIONS, Fold, batches, by_key, facts, names_of
from tests.bench.stage import LOOK_EVERY_S, ROOT, broker, fill, sending, spent_s
from tests.bench.worker import ours
from tests.worker.live import Process

PAIRS: Final = 5_000
TOLD_AGAIN: Final = 20
FAUST_ROWS: Final = 40_000
FAUST_SHARE: Final = 5
"""Its own recovery is slow: it gets the first of the rows, so many or one of five, whichever is more."""
WITHIN_S: Final = 300.0
ASK_EVERY_S: Final = 0.1
"""What is asked has to answer: asked at every look, that would be a good part of what is measured."""
MILLION: Final = 1_000_000
RECOVERED: Final = "recovered"
"""What the plain agent says when its table is back."""


class Took(NamedTuple):
    """One start, from nothing to ready."""

    wall_s: float
    cpu_s: float


class Recovered(NamedTuple):
    """What was measured. `faust_rows`: how many of the rows Faust's own recovery got."""

    pairs: int
    rows: int
    faust_rows: int
    faust_empty: Took
    faust: Took
    ours_empty: Took
    ours: Took
    ours_again: Took
    on_disk_bytes: int


def shares() -> tuple[int, int]:
    """How many pairs are simulated, and under how many business numbers they are told."""
    wanted = int(os.environ.get("BENCH_RECOVERY_PAIRS") or PAIRS * TOLD_AGAIN)
    return min(wanted, PAIRS), -(-wanted // PAIRS)


def rows(pairs: int, told_again: int) -> list[Row]:
    """State rows as the worker writes them, of so many simulated pairs, told again under so many business numbers."""
    fold = Fold.empty()
    latest: dict[bytes, Row] = {}
    for batch in batches(facts(pairs, numbers=max(pairs // 1_000, 1))):
        latest |= fold.take(batch).rows
    return [
        Row(_under_another_number(key, again), row.value, row.headers)
        for again in range(told_again)
        for key, row in latest.items()
    ]


def _under_another_number(key: bytes, again: int) -> bytes:
    pair = parse_pair(key)
    assert pair is not None
    return f"{pair.phone_number_id}{again:02}/{pair.user}".encode()


async def _start(pid: int, ready: Callable[[], Awaitable[bool]], began_s: float) -> Took:
    give_up_at = time.monotonic() + WITHIN_S
    while not await ready():
        assert time.monotonic() < give_up_at, "the table did not come back"
        await asyncio.sleep(LOOK_EVERY_S)
    return Took(time.monotonic() - began_s, spent_s(pid))


async def _ours(process: Process) -> Took:
    process.start()
    assert process.running is not None
    asked_at = 0.0

    async def ready() -> bool:
        nonlocal asked_at
        process.alive()
        if time.monotonic() - asked_at < ASK_EVERY_S:
            return False
        asked_at = time.monotonic()
        return process.ask("readyz")[0] == 200

    return await _start(process.running.pid, ready, time.monotonic())


@contextmanager
def _plain(bootstrap: str, prefix: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    folder.mkdir()
    log = folder / "faust.log"
    words = ["tests.bench.worker_peers", "faust", bootstrap, prefix, str(folder)]
    with log.open("wb") as out:
        running = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield running, log
    finally:
        running.kill()
        running.wait()


async def _faust(bootstrap: str, prefix: str, folder: Path) -> Took:
    with _plain(bootstrap, prefix, folder) as (running, log):

        async def ready() -> bool:
            assert running.poll() is None, log.read_text()[-2000:]
            return RECOVERED in log.read_text()

        return await _start(running.pid, ready, time.monotonic())


def _bytes_of(folder: Path) -> int:
    """What the stores hold on disk, compacted: without what they will soon delete."""
    total = 0
    for path in sorted(folder.glob("**/pairs-*.db")):
        db = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))
        db.compact_range(None, None)
        db.close()
        total += sum(file.stat().st_size for file in path.rglob("*.sst"))
    return total


async def _measured(bootstrap: str, folder: Path) -> Recovered:
    pairs, told_again = shares()
    told = rows(pairs, told_again)
    for_faust = told[: max(FAUST_ROWS, len(told) // FAUST_SHARE)]
    empty, full = names_of("empty."), names_of("full.")
    for names in (empty, full):
        await create_topics(bootstrap, names, PARTITIONS)
    async with sending(bootstrap) as producer:
        await fill(producer, full.of("permission.state"), by_key(told))
        # Faust makes the topics it keeps for itself when it starts the first time.
        faust_empty = await _faust(bootstrap, full.prefix, folder / "faust-empty")
        await fill(producer, f"{full.group('faust')}-pairs-changelog", by_key(for_faust))
    faust = await _faust(bootstrap, full.prefix, folder / "faust-full")
    with ours(bootstrap, empty.prefix, folder / "empty") as process:
        ours_empty = await _ours(process)
    with ours(bootstrap, full.prefix, folder / "full") as process:
        ours_full = await _ours(process)
        assert process.terminate() == 0
        ours_again = await _ours(process)
        assert process.terminate() == 0
        on_disk_bytes = _bytes_of(process.settings.folder)
        stored = len(process.stored())
        assert stored == len(told), f"{stored} of {len(told)} rows are back"
    return Recovered(
        pairs=pairs * told_again,
        rows=len(told),
        faust_rows=len(for_faust),
        faust_empty=faust_empty,
        faust=faust,
        ours_empty=ours_empty,
        ours=ours_full,
        ours_again=ours_again,
        on_disk_bytes=on_disk_bytes,
    )


def figures(found: Recovered) -> list[tuple[str, float, str]]:
    """By pair; the ratios by row, as Faust gets some of the rows only."""
    millions = found.pairs / MILLION
    cpu_s, wall_s = found.ours.cpu_s - found.ours_empty.cpu_s, found.ours.wall_s - found.ours_empty.wall_s
    a_row_s = cpu_s / found.rows
    faust_row_s = (found.faust.cpu_s - found.faust_empty.cpu_s) / found.faust_rows
    faust_row_wall_s = (found.faust.wall_s - found.faust_empty.wall_s) / found.faust_rows
    return [
        ("recovery_pairs", found.pairs, "pairs"),
        ("recovery_rows", found.rows, "rows"),
        ("recovery_s_per_million_pairs", wall_s / millions, "s"),
        ("recovery_s_per_million", wall_s / millions, "s"),  # the same: a name of before, by which others look for it
        ("recovery_cpu_s_per_million_pairs", cpu_s / millions, "s"),
        ("recovery_faust_cpu_s_per_million_pairs", faust_row_s * found.rows / millions, "s"),
        ("recovery_vs_faust", faust_row_s / a_row_s, "x"),
        ("recovery_as_it_passed_vs_faust", faust_row_wall_s / (wall_s / found.rows), "x"),
        ("restart_with_store_s", found.ours_again.wall_s, "s"),
        ("row_disk_bytes", found.on_disk_bytes / found.rows, "bytes"),
        ("pair_disk_bytes", found.on_disk_bytes / found.pairs, "bytes"),
    ]


def recovery() -> None:
    with broker() as (bootstrap, folder):
        found = asyncio.run(_measured(bootstrap, folder))
    for figure in figures(found):
        tell(*figure)

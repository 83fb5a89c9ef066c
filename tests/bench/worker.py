"""What a fact costs the worker until it is folded, in the state topic and announced, beside other ways to do the same.

Four programs side by side against one broker, each with topics of its own and the same facts of the simulator's world:
ours as it runs in production, a plain Faust agent with a Table, Quix Streams with state, and a loop over aiokafka by
hand. They are given their backlogs in turn, round by round. The cost is the CPU time of the process, from the facts'
arrival until their offsets are committed. Afterwards all must have written the same state, changes and records.
"""

import asyncio
import hashlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deploy.topics import create_topics
from schemas.envelope import header
from schemas.topics import TopicNames
from streams.worker.settings import WorkerSettings
from tests.bench.measure import tell
from tests.bench.past import PARTITIONS, Fold, Placed, batches, by_partition, facts, names_of
from tests.bench.stage import CACHE, LOOK_EVERY_S, ROOT, Sight, broker, fill, seeing, sending, spent_s
from tests.ports import free_port
from tests.worker.live import Process

PAIRS: Final = 2_500
"""Twice as many rows: each user has a business-scoped id too, which forwards."""
ROUNDS: Final = 3
SLICE: Final = 5_000
"""Facts a round; one more round before them is not counted."""
WITHIN_S: Final = 240.0
NO_TICKS_S: Final = 86_400.0
"""The simulated week lies in the past: a tick would announce all that has run out since, to ours alone."""
QUIX: Final = CACHE / "quix" / "bin" / "python"


@dataclass(slots=True)
class Runner:
    """One of the programs."""

    name: str
    running: subprocess.Popen[bytes]
    log: Path
    names: TopicNames
    group: str
    state_topic: str
    us: list[float] = field(default_factory=list)

    async def done(self, sight: Sight, events: int, records: int) -> None:
        """Return when so many facts are committed and so many records written."""
        give_up_at = time.monotonic() + WITHIN_S
        while (
            await sight.length(self.names.of("permission.records"), PARTITIONS) < records
            or await sight.committed(self.group, self.names.of("permission.events")) < events
        ):
            assert self.running.poll() is None, f"{self.name} ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < give_up_at, f"{self.name} takes too long: {self.log.read_text()[-2000:]}"
            await asyncio.sleep(LOOK_EVERY_S)


@contextmanager
def child(python: Path | str, *words: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until it is killed."""
    with log.open("wb") as out:
        running = subprocess.Popen([python, "-m", *words], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield running
        finally:
            running.kill()
            running.wait()


@contextmanager
def ours(bootstrap: str, prefix: str, folder: Path) -> Iterator[Process]:
    """The worker as it runs in production, to be started."""
    settings = WorkerSettings(
        kafka_bootstrap=bootstrap,
        topic_prefix=prefix,
        partitions=PARTITIONS,
        data_dir=folder,
        port=free_port(),
        tick_every_s=NO_TICKS_S,
    )
    folder.mkdir(exist_ok=True)
    process = Process(settings, folder / f"{prefix}log")
    try:
        yield process
    finally:
        if process.running is not None:
            process.kill()


async def started(held: ExitStack, bootstrap: str, folder: Path) -> list[Runner]:
    """All of them, each over topics of its own."""
    runners: list[Runner] = []

    async def topics(name: str) -> TopicNames:
        names = names_of(f"{name}.")
        await create_topics(bootstrap, names, PARTITIONS)
        return names

    def add(name: str, running: subprocess.Popen[bytes], log: Path, names: TopicNames, group: str, state: str) -> None:
        runners.append(Runner(name, running, log, names, names.group(group), state))

    names = await topics("ours")
    worker = held.enter_context(ours(bootstrap, names.prefix, folder))
    worker.start()
    await worker.ready()
    assert worker.running is not None
    add("ours", worker.running, worker.log, names, "worker", names.of("permission.state"))
    for name in ("loop", "faust", "quix"):
        names = await topics(name)
        python, group, log = sys.executable, name, folder / f"{name}.log"
        words = ["tests.bench.worker_peers", name, bootstrap, names.prefix, str(folder / name)]
        state = names.of("permission.state")
        if name == "faust":
            state = f"{names.group(name)}-pairs-changelog"
        elif name == "quix":
            if not QUIX.exists():
                continue
            python = str(QUIX)
            words = ["tests.bench.worker_quix", bootstrap, names.prefix, str(folder / name)]
            state = f"changelog__{names.group(name)}--{names.of('permission.events')}--default"
        add(name, held.enter_context(child(python, *words, log=log)), log, names, group, state)
    return runners


async def measured(runners: list[Runner], bootstrap: str, placed: list[Placed]) -> list[float]:
    """Every round each of them gets the same facts, one after the other. What the fold alone costs, each round."""
    expected, core_us = Fold.empty(), []
    async with sending(bootstrap) as producer, seeing(bootstrap) as sight:
        for turn in range(ROUNDS + 1):
            part = placed[turn * SLICE : (turn + 1) * SLICE]
            began_s = time.process_time()
            for batch in batches(part):
                expected.take(batch)
            core_us.append((time.process_time() - began_s) / len(part) * 1e6)
            for runner in runners:
                before_s = spent_s(runner.running.pid)
                await fill(producer, runner.names.of("permission.events"), by_partition(part))
                await runner.done(sight, (turn + 1) * SLICE, expected.records)
                if turn:
                    runner.us.append((spent_s(runner.running.pid) - before_s) / len(part) * 1e6)
        wanted = _digest(expected.rows.items()), expected.changes, expected.records
        for runner in runners:
            assert await _written(runner, sight) == wanted, f"{runner.name} wrote something else"
    return core_us[1:]


async def _written(runner: Runner, sight: Sight) -> tuple[str, int, int]:
    """The newest rows, how many changes and how many records."""
    rows = {record.key: record.value for record in await sight.read(runner.state_topic, PARTITIONS)}
    changes = {
        header(record.headers, "ce_id")
        for record in await sight.read(runner.names.of("permission.changes"), PARTITIONS)
    }
    records = await sight.length(runner.names.of("permission.records"), PARTITIONS)
    return _digest(rows.items()), len(changes), records


def _digest(rows: Any) -> str:
    digest = hashlib.sha256()
    for value in sorted(value for _, value in rows):
        digest.update(value)
    return digest.hexdigest()


def worker() -> None:
    placed = facts(PAIRS)[: (ROUNDS + 1) * SLICE]
    assert len(placed) == (ROUNDS + 1) * SLICE
    with broker() as (bootstrap, folder), ExitStack() as held:

        async def run() -> tuple[list[Runner], list[float]]:
            runners = await started(held, bootstrap, folder)
            return runners, await measured(runners, bootstrap, placed)

        runners, rounds_us = asyncio.run(run())
    core, found = statistics.median(rounds_us), {runner.name: runner for runner in runners}
    us = {name: statistics.median(runner.us) for name, runner in found.items()}
    tell("worker_us", us["ours"], "us")
    tell("worker_core_us", core, "us")
    tell("worker_core_share", core / us["ours"] * 100, "%")
    tell("worker_aiokafka_loop_us", us["loop"], "us")
    tell("worker_plain_faust_us", us["faust"], "us")
    tell("worker_facts_per_s", 1e6 / us["ours"], "facts/s of one core")
    tell("worker_vs_aiokafka_loop", us["ours"] / us["loop"], "x")
    tell("worker_vs_plain_faust", us["faust"] / us["ours"], "x")
    tell("worker_around_the_core_us", us["ours"] - core, "us")
    tell("worker_around_the_core_vs_plain_faust", (us["faust"] - core) / (us["ours"] - core), "x")
    if "quix" in us:
        tell("worker_quix_us", us["quix"], "us")
        tell("worker_vs_quix", us["quix"] / us["ours"], "x")
    else:
        print("worker_vs_quix is left out: Quix Streams is not installed; `make bench` installs it", flush=True)

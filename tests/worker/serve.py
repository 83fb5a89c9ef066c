"""A worker process for tests: `python -m tests.worker.serve '<settings as JSON>'`.

With `TEST_WORKER_DIES=<step>` it kills itself when it comes to that step of the order of a batch a second time;
with `TEST_WORKER_BLOCKS=1` its first batch blocks the event loop, under a watchdog of five seconds; with
`TEST_WORKER_STALLS=<work|lane|recovery|fetcher|partition>` its batches are never written, or those of one partition,
its fetches give nothing while it recovers, the client's fetcher dies in silence before it brings any source, or one
partition of facts is never asked for; all under watchdogs with the patience below. With `TEST_WORKER_HOLDS=<file>` it
translates nothing until that file is there; with `TEST_WORKER_LOADS=<file>` the heartbeat that finds that file takes it
away and is answered by a coordinator that is loading its groups. Production code knows nothing of any.
"""

import asyncio
import functools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupLoadInProgressError
from aiokafka.protocol.group import HeartbeatRequest, HeartbeatResponse_v0
from faust.types import TP

from streams.worker import main as worker_main
from streams.worker import outputs, undelivered
from streams.worker.agents import Translate
from streams.worker.exits import Watchdog
from streams.worker.fetching import FetchThread
from streams.worker.main import run
from streams.worker.outputs import Outbox
from streams.worker.settings import WorkerSettings
from streams.worker.table import BatchTable
from streams.worker.transport import BatchConsumer
from streams.worker.writing import Writer


class Death:
    """Kills this process when it is asked for the `at`-th time."""

    def __init__(self, at: int = 2) -> None:
        self._asked, self._at = 0, at

    def __call__(self) -> None:
        self._asked += 1
        if self._asked >= self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, die: Callable[[], None], when: Callable[..., bool]) -> None:
    """Die instead of calling a coroutine."""
    stock = getattr(owner, name)

    @functools.wraps(stock)
    async def dying(*args: Any, **options: Any) -> Any:
        if when(*args):
            die()
        return await stock(*args, **options)

    setattr(owner, name, dying)


def after(owner: Any, name: str, die: Callable[[], None], when: Callable[..., bool]) -> None:
    """Die when a coroutine has come to its end."""
    stock = getattr(owner, name)

    @functools.wraps(stock)
    async def dying(*args: Any, **options: Any) -> Any:
        answer = await stock(*args, **options)
        if when(*args):
            die()
        return answer

    setattr(owner, name, dying)


def has_rows(_self: Any, _partition: int, what: Any, *_: Any) -> bool:
    return bool(getattr(what, "rows", what))


def of_pairs(table: BatchTable, partition: int, rows: Any, *_: Any) -> bool:
    return table.name == "pairs" and bool(rows)


def tells_changes(_self: Any, _sender: Any, sent: Any) -> bool:
    return any(name == "permission.changes" and rows for (name, _), rows in sent.items())


def tells_facts(_self: Any, _sender: Any, sent: Any) -> bool:
    return any(name == "permission.events" and rows for (name, _), rows in sent.items())


def is_facts(tp: TP) -> bool:
    return bool(tp.topic.endswith("permission.events"))


def is_work(_self: Any, offsets: Any) -> bool:
    return any(tp.topic.endswith("permission.events") for tp in offsets)


def die_at(step: str) -> None:
    """The steps of design 5, and the places between any two of them."""
    die = Death()
    match step:
        case "folded":
            before(Writer, "write", die, has_rows)
        case "outputs queued":  # sent, the acknowledgement not awaited
            after(outputs, "queue", die, lambda _sender, topic, *_: topic.endswith("permission.records"))
        case "outputs acknowledged":
            after(Outbox, "send", die, tells_changes)
        case "changelog queued":
            after(outputs, "queue", die, lambda _sender, topic, *_: topic.endswith("permission.state"))
            sys.modules["streams.worker.table"].queue = outputs.queue  # type: ignore[attr-defined]
        case "changelog acknowledged":
            after(BatchTable, "_append", die, of_pairs)
        case "stored":
            after(BatchTable, "commit", die, of_pairs)
        case "acknowledged":
            before(BatchConsumer, "_commit", Death(at=1), is_work)  # one commit may be all there is
        case "committed":
            after(BatchConsumer, "_commit", Death(at=1), is_work)
        case "translated":
            after(Outbox, "send", die, tells_facts)
        case _:
            raise ValueError(step)


def block() -> None:
    """The first batch blocks the loop for longer than the watchdog bears."""

    def blocks(*_: Any) -> bool:
        time.sleep(60)
        return False

    before(Writer, "write", lambda: None, blocks)
    setattr(worker_main, "Watchdog", functools.partial(Watchdog, loop_lag_s=5.0))  # noqa: B010 - it is a class


STALL_S: Final = 3.0
REBALANCE_S: Final = 30.0
"""Longer than a worker takes to its first assignment, on a busy machine too."""


def no_writes() -> None:
    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    setattr(Writer, "write", never)  # noqa: B010 - mypy takes an assignment for a mistake; so below


def no_writes_of_one_lane() -> None:
    writes = Writer.write

    async def but_first(self: Writer, partition: int, folded: Any) -> None:
        if partition == 0:
            await asyncio.Event().wait()
        await writes(self, partition, folded)

    setattr(Writer, "write", but_first)  # noqa: B010


def silent_recovery() -> None:
    stock = FetchThread.fetch

    async def silent(self: FetchThread, active: Any, generation: int, timeout_s: float) -> Any:
        if not any(tp.topic.endswith("permission.state") for tp in active):
            return await stock(self, active, generation, timeout_s)
        await asyncio.sleep(timeout_s)
        return {}

    setattr(FetchThread, "fetch", silent)  # noqa: B010


def dead_fetcher() -> None:
    alive = FetchThread._fetch

    async def dead(self: FetchThread, active: Any, generation: int, timeout_s: float) -> Any:
        if any(is_facts(tp) for tp in active):
            fetcher = self._ensure_consumer()._fetcher
            fetcher._fetch_task.cancel()  # it takes that for its end and says nothing
            fetcher._records.clear()
        return await alive(self, active, generation, timeout_s)

    setattr(FetchThread, "_fetch", dead)  # noqa: B010


def partition_left_out() -> None:
    every = BatchConsumer._readable

    def but_one(self: BatchConsumer) -> set[TP]:
        return {tp for tp in every(self) if not (is_facts(tp) and tp.partition == 0)}

    setattr(BatchConsumer, "_readable", but_one)  # noqa: B010


STALLS: Final = {
    "work": no_writes,
    "lane": no_writes_of_one_lane,
    "recovery": silent_recovery,
    "fetcher": dead_fetcher,
    "partition": partition_left_out,
}


def stall(where: str) -> None:
    """Something that is waited for never comes."""
    STALLS[where]()
    setattr(undelivered, "LOOK_EVERY_S", STALL_S / undelivered.LOOKS)  # noqa: B010 - it is final
    patient = functools.partial(Watchdog, stall_s=STALL_S, rebalance_s=REBALANCE_S)
    setattr(worker_main, "Watchdog", patient)  # noqa: B010 - it is a class


def hold_translation(until: Path) -> None:
    work = Translate.work

    async def held(self: Translate, event: Any) -> None:
        while not until.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(0.05)
        await work(self, event)

    setattr(Translate, "work", held)  # noqa: B010


def load_groups_when(asked: Path) -> None:
    stock = GroupCoordinator._send_req

    async def loading(self: GroupCoordinator, request: Any) -> Any:
        if isinstance(request, HeartbeatRequest) and asked.exists():  # noqa: ASYNC240
            asked.unlink()  # noqa: ASYNC240
            return HeartbeatResponse_v0(GroupLoadInProgressError.errno)
        return await stock(self, request)

    setattr(GroupCoordinator, "_send_req", loading)  # noqa: B010


def main(told: str) -> int:
    fields = json.loads(told)
    fields["data_dir"] = Path(fields["data_dir"])
    if step := os.environ.get("TEST_WORKER_DIES"):
        die_at(step)
    if os.environ.get("TEST_WORKER_BLOCKS"):
        block()
    if where := os.environ.get("TEST_WORKER_STALLS"):
        stall(where)
    if file := os.environ.get("TEST_WORKER_HOLDS"):
        hold_translation(Path(file))
    if file := os.environ.get("TEST_WORKER_LOADS"):
        load_groups_when(Path(file))
    return run(WorkerSettings(**fields))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

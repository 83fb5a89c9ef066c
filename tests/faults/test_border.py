"""A storm over the border: signed webhooks of all providers, the gateway and the broker killed over and over.

`BORDER_WEBHOOKS` sets how many are sent instead of 100,000 (`make faults`), `BORDER_SEED` another seed: it draws
what is sent, its order and the schedule of the blows, and is printed.
"""

import asyncio
import gc
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer

from deploy.broker.node import LocalBroker
from schemas.envelope import DELIVERY_ID, PROVIDER, RECEIVED_AT, SECRET_SLOT, received_at_of
from schemas.topics import MAX_RECORD_BYTES, TopicNames
from tests.faults.doors import Sending, Stored, digest_of
from tests.faults.ledger import Ledger, Logged, findings, ledger_of, told
from tests.faults.parcels import sendings
from tests.faults.storm import PREFIX, Blow, Course, blows, house_of, weather
from tests.faults.verdict import (
    newest,
    truth_of,
    wrong_changes,
    wrong_events,
    wrong_letters,
    wrong_numbers,
    wrong_states,
)
from tests.integration.log import Record
from tests.ports import free_pair

pytestmark = pytest.mark.broker

SEED: Final = int(os.environ.get("BORDER_SEED", "20260302"))
FULL: Final = int(os.environ.get("BORDER_WEBHOOKS", "100000"))
SMALL: Final = 3_000
NAMES: Final = TopicNames(PREFIX)


@pytest.mark.faults
@pytest.mark.timeout(1_800)
def test_no_blow_to_gateway_or_broker_loses_doubles_or_makes_up_a_delivery(tmp_path: Path, jar_cache: Path) -> None:
    through_the_storm(tmp_path, jar_cache, webhooks=FULL, gateway=10, broker=3)


@pytest.mark.timeout(240)
def test_one_blow_to_each_loses_doubles_and_makes_up_nothing(tmp_path: Path, jar_cache: Path) -> None:
    through_the_storm(tmp_path, jar_cache, webhooks=SMALL, gateway=2, broker=1)


def through_the_storm(folder: Path, jar_cache: Path, *, webhooks: int, gateway: int, broker: int) -> None:
    now, began_s = int(time.time()), time.monotonic()
    with unwatched():
        sent = sendings(SEED, webhooks, now)
        schedule = blows(SEED, len(sent), gateway, broker)
        print(f"seed {SEED}, now {now}: {len(sent)} requests, {webhooks} of them webhooks; {schedule}")
        print(f"prepared in {time.monotonic() - began_s:.1f} s")
        with LocalBroker(data_dir=folder / "broker", port=free_pair(), cache_dir=jar_cache) as node:
            uvloop.run(judged(node, folder, sent, schedule, now))


@contextmanager
def unwatched() -> Iterator[None]:
    """Millions of objects are made that stay: the collector would look at them over and over, while others want the
    machine."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def judged(node: LocalBroker, folder: Path, sent: Sequence[Sending], schedule: Sequence[Blow], now: int) -> None:
    house = house_of(folder, node.bootstrap)
    try:
        await asyncio.to_thread(house.command, "topics", "create")
        course = await weather(node, house, sent, schedule)
    finally:
        house.end()
    _tell(course, sent)
    assert Counter(blow.whom for blow in schedule) == Counter(whom for whom, _ in course.back_after_s)
    struck = sum(blow.whom != "broker" for blow in schedule)
    assert {code: times for (name, code), times in course.ends.items() if name == "gateway"} == {-9: struck}
    assert course.stopped == {"gateway": 0, "worker": 0}
    deserved = Counter((sending.wanted, status) for sending, status in zip(sent, course.sender.status, strict=True))
    assert {wanted for wanted, status in deserved if wanted != status} == set(), deserved
    ledger = ledger_of(zip(sent, course.sender.status, course.sender.tries, strict=True))
    await _compare(Read(node.bootstrap), ledger, now)


async def _compare(read: "Read", ledger: Ledger, now: int) -> None:
    log = [_logged(name, record) for name in ("webhooks.raw", "actions.raw") for record in await read.all_on(name)]
    found = findings(ledger, log)
    assert not found, told(found)
    truth = truth_of(ledger, log)
    wrong = wrong_letters(truth, await read.all_on("deadletters"))
    assert not wrong, f"dead letters: {told(wrong)}"
    wrong = wrong_numbers(await read.all_on("business.events"))
    assert not wrong, f"numbers: {told(wrong)}"
    events = await read.all_on("permission.events")
    wrong = wrong_events(truth, events)
    assert not wrong, f"facts: {told(wrong)}"
    wrong = wrong_changes(await read.all_on("permission.changes"))
    assert not wrong, f"changes: {told(wrong)}"
    states = newest(await read.all_on("permission.state"))
    began_s = time.monotonic()
    wrong = wrong_states(truth, states, max(each.received_at for each in log) + 1, Random(SEED))
    print(f"{len(log)} records on the log for {len(ledger.acknowledged)} acknowledged; {len(events)} events")
    print(f"{len(states)} pairs judged in {time.monotonic() - began_s:.1f} s")
    assert not wrong, f"states: {told(wrong)}"


def _logged(topic: str, record: Record) -> Logged:
    said = record.headers
    stored = Stored(topic, said[PROVIDER], said[SECRET_SLOT], digest_of(record.value))
    received_at = received_at_of(said[RECEIVED_AT])
    assert received_at is not None
    return Logged(said[DELIVERY_ID], stored, record.partition, record.offset, received_at)


def _tell(course: Course, sent: Sequence[Sending]) -> None:
    sender = course.sender
    print(f"sent in {course.sent_s:.1f} s, read after {course.caught_up_s:.1f} s")
    print(f"{sum(sender.tries) - len(sent)} repeats: {sender.unavailable} of 503, {sender.unanswered} unanswered")
    print(f"ended by: {dict(course.ends)}; back after: {[(whom, round(s, 1)) for whom, s in course.back_after_s]}")


@dataclass(frozen=True, slots=True)
class Read:
    """Whole topics."""

    bootstrap: str

    async def all_on(self, name: str) -> list[Record]:
        async with _consumer(self.bootstrap, NAMES.of(name)) as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            found: list[Record] = []
            while any([await consumer.position(part) < end for part, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500, max_records=10_000)).values():
                    found += map(_record, records)
        return found


@asynccontextmanager
async def _consumer(bootstrap: str, topic: str) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
    )
    await consumer.start()
    try:
        assert consumer.assignment(), "the topic is not there"
        yield consumer
    finally:
        await consumer.stop()


def _record(each: Any) -> Record:
    headers = {name: value.decode("utf-8", "replace") for name, value in each.headers}
    return Record(each.partition, each.offset, each.key, each.value, headers)

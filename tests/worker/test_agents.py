"""The agents through Faust's own test context: real agent, lanes and acknowledgement; table and producer by hand."""

import asyncio
import dataclasses
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from faust.types import TP

from schemas.envelope import header, raw_record
from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.state_row import decode_state
from streams.permission.step import step
from streams.providers.registry import translate
from streams.worker import fold as fold_module
from streams.worker.agents import Fold, Translate
from streams.worker.app import faust_app
from streams.worker.batches import batched_topic
from streams.worker.exits import Code
from streams.worker.halt import Halt
from streams.worker.lanes import lanes
from streams.worker.measures import Measures
from streams.worker.outputs import Outbox
from streams.worker.rows import Arrival
from streams.worker.settings import WorkerSettings
from streams.worker.ticks import tick_row
from streams.worker.writing import Writer
from tests.permission.story import DAY, HOUR, NUMBER, T0, USER, replied, sent
from tests.permission.test_business import registered
from tests.providers.payloads import envelope
from tests.worker.conftest import Deaths
from tests.worker.seeded import RECEIVED_MS, raw_past
from tests.worker.stand_ins import Around, DictTable, HandNumbers, HandSender, OpenGate, Record, fact_record, record

KEY = f"{NUMBER}/{USER}".encode()
EVENTS, TICKS, NUMBERS = "t.permission.events", "t.permission.ticks", "t.business.events"
STATE, CHANGES, RECORDS = "t.permission.state", "t.permission.changes", "t.permission.records"
UNTIL = T0 + HOUR + 7 * DAY
FACTS: list[PairFact] = [sent("r1", T0), replied("m1", T0 + HOUR, to="r1", until=UNTIL)]


class Bench:
    """A fold agent and a translate agent with everything around them by hand."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.sender = HandSender()
        self.gate = OpenGate()
        self.table = DictTable(self.sender, STATE)
        self.measures = Measures()
        self.halt = Halt()
        around, outbox = Around(self.gate, self.sender), Outbox(settings.names)
        self.numbers = HandNumbers()
        self.fold = Fold(
            around,
            self.table,
            Writer(around, self.table, outbox, self.measures),
            self.measures,
            names=settings.names,
            policy=DEFAULT_POLICY,
            partitions=1,
            numbers=self.numbers,
        )
        self.translate = Translate(around, outbox, self.measures, 1, self.numbers)
        self._settings = settings

    @asynccontextmanager
    async def agent(self, work: Callable[[Any], Any], topic: str) -> AsyncIterator[Any]:
        app = faust_app(self._settings)
        app.loop = asyncio.get_running_loop()
        app.finalize()
        app.flow_control.resume()
        agent = app.agent(batched_topic(app, topic), name="under_test")(lanes("under_test", work, self.halt))
        async with agent.test_context() as context:
            yield context
        if app.gate is not None:  # acknowledging made the consumer, which makes the loop of its thread
            app.gate._thread.thread_loop.close()

    def facts(self) -> Any:
        return self.agent(self.fold.work, EVENTS)

    def ticks(self) -> Any:
        return self.agent(self.fold.work, TICKS)

    def told(self) -> list[str]:
        """The types of all announcements."""
        return [orjson.loads(row.value or b"")["type"] for row in self.sender.on(CHANGES)]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for is a field of Faust's message
            await asyncio.sleep(0.001)


async def worked(context: Any, arrivals: list[Record]) -> None:
    """Put one batch and wait until it is acknowledged."""
    event = await context.put(value=arrivals, partition=0)
    await until(lambda: bool(event.message.acked))


@pytest.fixture
def bench(settings: WorkerSettings) -> Bench:
    return Bench(settings)


async def test_a_batch_is_sent_stored_and_acknowledged_in_this_order(bench: Bench) -> None:
    async with bench.facts() as context:
        await worked(context, [fact_record(fact, at) for at, fact in enumerate(FACTS)])

    assert bench.sender.sends == [CHANGES, RECORDS, STATE]
    assert decode_state(bench.table.stored[KEY]).version == 2
    assert bench.gate.leases == 1


@pytest.mark.parametrize("refused", [CHANGES, RECORDS, STATE, "the store"])
async def test_a_failure_at_any_step_ends_the_worker_before_the_next_step(
    bench: Bench, deaths: Deaths, refused: str
) -> None:
    bench.table.refuse = refused == "the store"
    bench.sender.refuse = {refused}
    async with bench.facts() as context:
        event = await context.put(value=[fact_record(fact, at) for at, fact in enumerate(FACTS)], partition=0)
        await until(lambda: bool(deaths.codes))

    assert deaths.codes == [Code.LANE_FAILED]
    assert not event.message.acked
    assert bench.table.stored == {}
    if refused in {CHANGES, RECORDS}:
        assert STATE not in bench.sender.sends


@pytest.mark.parametrize("refused", [CHANGES, RECORDS, STATE, "the store"])
async def test_the_batch_repeated_after_a_failure_comes_to_the_same(
    bench: Bench, settings: WorkerSettings, deaths: Deaths, refused: str
) -> None:
    batch = [fact_record(fact, at) for at, fact in enumerate(FACTS)]
    smooth = Bench(settings)
    async with smooth.facts() as context:
        await worked(context, batch)

    bench.table.refuse = refused == "the store"
    bench.sender.refuse = {refused}
    async with bench.facts() as context:
        await context.put(value=batch, partition=0)
        await until(lambda: bool(deaths.codes))
    again = Bench(settings)
    again.sender.log = bench.sender.log
    async with again.facts() as context:
        await worked(context, batch)

    assert again.table.stored == smooth.table.stored
    for topic in (CHANGES, RECORDS, STATE):
        assert {header(row.headers, "ce_id"): row for row in again.sender.on(topic)} == {
            header(row.headers, "ce_id"): row for row in smooth.sender.on(topic)
        }


async def test_a_bad_record_is_parked_before_the_batch_is_acknowledged(bench: Bench) -> None:
    async with bench.facts() as context:
        await worked(context, [fact_record(FACTS[0]), record(b"{", key=KEY, offset=1)])

    assert bench.sender.sends == ["t.deadletters", CHANGES, RECORDS, STATE]
    assert [row.value for row in bench.sender.on("t.deadletters")] == [b"{"]


async def test_a_refused_dead_letter_keeps_the_offset(bench: Bench, deaths: Deaths) -> None:
    bench.sender.refuse = {"t.deadletters"}
    async with bench.facts() as context:
        event = await context.put(value=[record(b"{", key=KEY)], partition=0)
        await until(lambda: bool(deaths.codes))

    assert deaths.codes == [Code.LANE_FAILED]
    assert not event.message.acked


async def test_a_mostly_bad_batch_halts_the_worker_with_nothing_written(
    bench: Bench, deaths: Deaths, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [record(b"{", key=KEY, offset=at) for at in range(60)]
    good = [fact_record(FACTS[0], 60 + at) for at in range(40)]
    async with bench.facts() as context:
        event = await context.put(value=bad + good, partition=0)
        await until(lambda: bench.halt.settled)

    assert deaths.codes == []
    assert bench.halt.reason == "t.permission.events-0: 60 of 100 records of a batch could not be judged (not_json)"
    assert "start the worker again" in caplog.text
    assert bench.sender.sends == []
    assert not event.message.acked


async def test_of_one_pairs_long_batch_the_loop_keeps_turning(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0
    seen: list[int] = []

    def slow(*args: Any) -> Any:
        seen.append(turns)
        time.sleep(0.02)
        return step(*args)

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(fold_module, "step", slow)
    turning = asyncio.create_task(turn())
    facts = [fact_record(sent(f"r{at}", T0 + at), at) for at in range(20)]
    async with bench.facts() as context:
        await worked(context, facts)
    turning.cancel()

    assert all(later > earlier for earlier, later in zip(seen, seen[4:], strict=False)), "at least every 80 ms"
    assert decode_state(bench.table.stored[KEY]).version == len(facts)


def parked_reasons(bench: Bench) -> list[str | None]:
    return [header(letter.headers, "reason") for letter in bench.sender.on("t.deadletters")]


async def test_facts_of_a_pair_whose_stored_row_is_unreadable_are_parked_and_others_go_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.table.stored[KEY] = b"damaged"
    other = dataclasses.replace(sent("r9", T0), user="447700900199")
    async with bench.facts() as context:
        for first in (0, 150):  # a batch of these alone is no sign of a bad deploy
            await worked(context, [fact_record(sent(f"r{at}", T0), at) for at in range(first, first + 150)])
        await worked(context, [fact_record(other, 300)])

    assert parked_reasons(bench) == ["state_unreadable"] * 300
    assert bench.halt.reason is None
    assert bench.table.stored[KEY] == b"damaged"
    assert f"{NUMBER}/447700900199".encode() in bench.table.stored
    assert caplog.text.count(hashlib.sha256(KEY).hexdigest()[:16]) == 1
    assert USER not in caplog.text


async def test_a_program_that_reads_no_stored_row_at_all_halts(bench: Bench) -> None:
    users = [f"447700900{at:03d}" for at in range(150)]
    for user in users:
        bench.table.stored[f"{NUMBER}/{user}".encode()] = b"of another form"
    async with bench.facts() as context:
        batch = [fact_record(dataclasses.replace(sent("r1", T0), user=user), at) for at, user in enumerate(users)]
        await context.put(value=batch, partition=0)
        await until(lambda: bench.halt.settled)

    assert bench.sender.sends == []


async def test_a_deadline_of_an_unreadable_row_is_dropped_and_the_tick_goes_on(bench: Bench) -> None:
    async with bench.facts() as context:
        await worked(context, [fact_record(fact, at) for at, fact in enumerate(FACTS)])
    bench.table.stored[KEY] = b"damaged"
    bench.gate.ends[TP(EVENTS, 0)] = 2
    async with bench.ticks() as context:
        await worked(context, [record(tick_row(0, UNTIL).value, topic=TICKS)])

    assert bench.table.stored == {KEY: b"damaged"}
    told = [orjson.loads(row.value or b"")["type"] for row in bench.sender.on(CHANGES)]
    assert told.count("permission_expired") == 0
    assert set(told) == {"limit_reached", "permission_granted"}


async def test_commands_are_parked_and_never_stop_the_worker(bench: Bench) -> None:
    topic = "t.permission.commands"
    async with bench.agent(bench.fold.work, topic) as context:
        await worked(context, [record(b"{}", key=KEY, offset=at, topic=topic) for at in range(150)])

    letters = bench.sender.on("t.deadletters")
    assert {header(letter.headers, "reason") for letter in letters} == {"commands_not_supported"}
    assert len(letters) == 150


async def test_a_tick_announces_what_ran_out_on_a_quiet_partition(bench: Bench) -> None:
    async with bench.facts() as context:
        await worked(context, [fact_record(fact, at) for at, fact in enumerate(FACTS)])
    bench.gate.ends[TP(EVENTS, 0)] = 2
    async with bench.ticks() as context:
        await worked(context, [record(tick_row(0, UNTIL).value, topic=TICKS)])
        await worked(context, [record(tick_row(0, UNTIL + 10).value, topic=TICKS)])

    assert bench.told() == ["limit_reached", "permission_granted", "permission_expired"]


async def test_a_tick_announces_nothing_while_a_renewal_may_wait_unread(bench: Bench) -> None:
    async with bench.facts() as context:
        await worked(context, [fact_record(fact, at) for at, fact in enumerate(FACTS)])
    sent_before = list(bench.sender.sends)
    async with bench.ticks() as context:
        for end in (3, None):  # a fact more than was folded; an end not yet known
            bench.gate.ends[TP(EVENTS, 0)] = end
            await worked(context, [record(tick_row(0, UNTIL + DAY).value, topic=TICKS)])

    assert bench.sender.sends == sent_before


async def test_a_tick_announces_nothing_while_a_renewal_waits_that_was_not_even_fetched(bench: Bench) -> None:
    async with bench.facts() as context:
        await worked(context, [fact_record(fact, at) for at, fact in enumerate(FACTS)])
    bench.gate.ends[TP(EVENTS, 0)] = 2
    sent_before = list(bench.sender.sends)
    async with bench.ticks() as context:
        for end in (3, None):  # written since the last fetch; the broker does not say
            bench.gate.present[TP(EVENTS, 0)] = end
            await worked(context, [record(tick_row(0, UNTIL + DAY).value, topic=TICKS)])
    assert bench.sender.sends == sent_before


async def test_a_fact_from_the_future_opens_no_lagging_partition_to_ticks(bench: Bench) -> None:
    ahead = dataclasses.replace(replied("wamid.TESTAHEAD", UNTIL + DAY), user="447700900124", recorded_at=T0 + HOUR)
    async with bench.facts() as context:
        await worked(context, [fact_record(fact, at) for at, fact in enumerate((*FACTS, ahead))])
    bench.gate.ends[TP(EVENTS, 0)] = 9
    async with bench.ticks() as context:
        await worked(context, [record(tick_row(0, UNTIL + 2 * DAY).value, topic=TICKS)])
    assert "permission_expired" not in bench.told()


async def test_facts_committed_by_an_earlier_owner_are_no_lag(bench: Bench) -> None:
    async with bench.facts() as context:
        await worked(context, [fact_record(fact, at) for at, fact in enumerate(FACTS)])
    bench.gate.ends[TP(EVENTS, 0)] = bench.gate.commits[TP(EVENTS, 0)] = 9
    async with bench.ticks() as context:
        await worked(context, [record(tick_row(0, UNTIL).value, topic=TICKS)])

    assert bench.told()[-1] == "permission_expired"


def raws() -> list[Record]:
    return [
        Record("t.webhooks.raw", 0, at, 1_772_443_801_000, None, raw.value, raw.headers)
        for at, raw in enumerate(raw_past(2, 50))
    ]


async def test_translated_facts_are_acknowledged_before_the_batch(bench: Bench) -> None:
    async with bench.agent(bench.translate.work, "t.webhooks.raw") as context:
        await worked(context, raws())

    fact_ids = {
        topic: {
            fact.fact_id
            for raw in raws()
            for fact in translate(header(raw.headers, "provider") or "", raw.value or b"", RECEIVED_MS // 1000).facts
            if isinstance(fact, PairFact) is (topic == EVENTS)
        }
        for topic in (EVENTS, NUMBERS)
    }
    assert {header(row.headers, "ce_id") for row in bench.sender.on(EVENTS)} == fact_ids[EVENTS]
    assert {header(row.headers, "ce_id") for row in bench.sender.on(NUMBERS)} == fact_ids[NUMBERS] != set()


async def test_a_number_registered_without_its_display_form_is_known_by_the_entry(bench: Bench) -> None:
    message = {"from": USER, "id": "wamid.TESTMSG1", "timestamp": str(T0), "text": {"body": "hello"}}
    webhook = envelope({"messages": [message]})
    webhook["entry"][0]["id"] = NUMBER
    headers = raw_record(provider="meta", received_at_ms=T0 * 1_000, delivery_id="d", secret_slot="test")
    bench.numbers.take(registered("a", T0, country="GB"))
    async with bench.agent(bench.translate.work, "t.webhooks.raw") as context:
        await worked(context, [record(orjson.dumps(webhook), headers=headers)])

    assert [row.key for row in bench.sender.on(EVENTS)] == [KEY]


async def test_a_refused_fact_keeps_the_raw_offset(bench: Bench, deaths: Deaths) -> None:
    bench.sender.refuse = {EVENTS}
    async with bench.agent(bench.translate.work, "t.webhooks.raw") as context:
        event = await context.put(value=raws(), partition=0)
        await until(lambda: bool(deaths.codes))

    assert deaths.codes == [Code.LANE_FAILED]
    assert not event.message.acked


async def test_a_provider_whose_every_body_is_bad_halts_the_worker_before_dead_letters_fill_up(bench: Bench) -> None:
    bad: list[Arrival] = [each._replace(value=b"{") for each in raws() * 2]
    async with bench.agent(bench.translate.work, "t.webhooks.raw") as context:
        event = await context.put(value=bad, partition=0)
        await until(lambda: bench.halt.settled)
        assert not event.message.acked

    assert bench.sender.sends == []

"""The agent of business numbers: what a batch comes to, and in which order it is written."""

import dataclasses
from typing import Any

import orjson
import pytest

from schemas.business import BusinessState, decode_business, encode_business
from schemas.codec import encode_fact
from schemas.events import NumberFact
from schemas.ids import partition_of
from streams.worker.business import Business, fold_numbers
from streams.worker.exits import Code
from streams.worker.outputs import Outbox
from streams.worker.parking import KEPT_BYTES
from streams.worker.rows import NumberRows, Row, number_headers, version_told
from streams.worker.settings import WorkerSettings
from streams.worker.translation import number_row
from streams.worker.writing import Writer
from tests.permission.story import DAY, NUMBER, T0, replied
from tests.permission.test_business import DISPLAY, registered, restricted, seen, switched, template
from tests.worker.conftest import Deaths
from tests.worker.stand_ins import Around, DictTable, Record, record
from tests.worker.test_agents import Bench, until, worked

EVENTS, STATE = "t.business.events", "t.business.state"
FACTS: list[NumberFact] = [
    seen("a", T0),
    restricted("b", T0, T0 + DAY, number=None, display=DISPLAY),
    switched("c", T0 + 1, False),
    seen("a", T0),
]


def told(fact: NumberFact, offset: int = 0, partition: int = 0) -> Record:
    row = number_row(fact)
    return record(row.value, key=row.key, offset=offset, headers=row.headers, topic=EVENTS, partition=partition)


def beyond_every_calendar() -> Record:
    fields = orjson.loads(encode_fact(FACTS[2])) | {"recorded_at": 2**62}
    return record(orjson.dumps(fields), key=NUMBER.encode(), topic=EVENTS)


def nothing(_: bytes) -> bytes | None:
    return None


def test_a_batch_comes_to_one_row_a_name_with_its_version_in_a_header() -> None:
    folded = fold_numbers([told(fact) for fact in FACTS], nothing, 1)
    assert set(folded.rows) == {NUMBER.encode(), DISPLAY.encode()}
    assert (folded.new, folded.repeated, folded.flags) == (3, 1, [False] * 4)
    row = folded.rows[NUMBER.encode()]
    assert (
        version_told(dict(row.headers)["version"], row.value or b"") == decode_business(row.value or b"").version == 2
    )


def test_a_batch_repeated_over_its_own_rows_writes_nothing() -> None:
    first = fold_numbers([told(fact) for fact in FACTS], nothing, 1)
    stored = {key: row.value for key, row in first.rows.items()}
    again = fold_numbers([told(fact) for fact in FACTS], stored.get, 1)
    assert (again.rows, again.repeated, again.new) == ({}, 4, 0)


@pytest.mark.parametrize(
    ("arrival", "reason"),
    [
        (record(None, key=b"1"), "no_value"),
        (record(b"{", key=b"1"), "not_json"),
        (record(encode_fact(replied("m1", T0)), key=NUMBER.encode()), "not_of_a_number"),
        (told(FACTS[0])._replace(key=b"700100200300499"), "key_mismatch"),
        (told(dataclasses.replace(template("a", T0), phone_number_id=None)), "key_mismatch"),
        (told(dataclasses.replace(FACTS[2], phone_number_id="1/2")), "key_mismatch"),
        (beyond_every_calendar(), "fold_failed"),
        (told(dataclasses.replace(template("a", T0), name="x" * (KEPT_BYTES + 1))), "state_too_large"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_cannot_be_folded_is_put_aside_and_stops_nothing(arrival: Record, reason: str) -> None:
    folded = fold_numbers([arrival, told(switched("z", T0, True))], nothing, 1)
    assert folded.reasons == {reason: 1}
    assert folded.flags == [True, False]
    assert set(folded.rows) == {NUMBER.encode()}


def test_a_key_on_a_partition_that_is_not_its_own_is_put_aside() -> None:
    right = partition_of(NUMBER.encode(), 8)
    folded = fold_numbers([told(FACTS[0], partition=(right + 1) % 8), told(FACTS[0], partition=right)], nothing, 8)
    assert (dict(folded.reasons), folded.new) == ({"wrong_partition": 1}, 1)


def test_a_stored_row_that_cannot_be_read_is_left_as_it_is() -> None:
    folded = fold_numbers([told(FACTS[0])], lambda _: b'{"schema":9}', 1)
    assert (folded.rows, dict(folded.reasons), len(folded.unreadable)) == ({}, {"state_unreadable": 1}, 1)


def test_a_row_is_written_again_with_its_headers_and_a_damaged_one_as_it_was_found() -> None:
    state = BusinessState(name=NUMBER, version=3)
    key, form = NUMBER.encode(), NumberRows()
    assert form.again(key, encode_business(state)) == Row(key, encode_business(state), number_headers(state))
    damaged = b'{"schema":1,"version":7,"name":5}'
    found = form.again(key, damaged)
    assert (found.value, version_told(dict(found.headers)["version"], damaged)) == (damaged, 7)
    assert form.again(key, None) == Row(key, None, [])
    assert (form.is_key(key), form.is_key(b"700100200300400/447700900123"), form.is_key(b"")) == (True, False, False)


class NumberBench(Bench):
    """The agent of numbers with everything around it by hand."""

    def __init__(self, settings: WorkerSettings) -> None:
        super().__init__(settings)
        self.numbers_table = DictTable(self.sender, STATE)
        around, outbox = Around(self.gate, self.sender), Outbox(settings.names)
        writer = Writer(around, self.numbers_table, outbox, self.measures, of_a="number")
        self.business = Business(self.numbers_table, writer, self.measures, names=settings.names, partitions=1)

    def number_facts(self) -> Any:
        return self.agent(self.business.work, EVENTS)


async def test_rows_are_acknowledged_and_stored_before_the_batch_is(settings: WorkerSettings) -> None:
    bench = NumberBench(settings)
    async with bench.number_facts() as context:
        await worked(context, [told(fact) for fact in FACTS])
    assert bench.sender.sends == [STATE]
    assert bench.gate.leases == 1
    assert decode_business(bench.numbers_table.stored[NUMBER.encode()]).version == 2


async def test_facts_of_numbers_are_not_counted_among_those_whose_fold_is_timed(settings: WorkerSettings) -> None:
    bench = NumberBench(settings)
    async with bench.number_facts() as context:
        await worked(context, [told(fact) for fact in FACTS])
    page = bench.measures.page().decode()
    assert 'callgrant_worker_number_facts_total{outcome="new"} 3.0' in page
    assert 'callgrant_worker_number_facts_total{outcome="repeated"} 1.0' in page
    assert "callgrant_worker_facts_total{" not in page
    assert 'callgrant_worker_records_total{agent="business"} 4.0' in page


@pytest.mark.parametrize("refused", [STATE, "the store"])
async def test_a_failure_ends_the_worker_and_the_batch_repeated_comes_to_the_same(
    settings: WorkerSettings, deaths: Deaths, refused: str
) -> None:
    batch = [told(fact) for fact in FACTS]
    smooth = NumberBench(settings)
    async with smooth.number_facts() as context:
        await worked(context, batch)
    bench = NumberBench(settings)
    bench.sender.refuse, bench.numbers_table.refuse = {refused}, refused == "the store"
    async with bench.number_facts() as context:
        event = await context.put(value=batch, partition=0)
        await until(lambda: bool(deaths.codes))
    assert (deaths.codes, event.message.acked, bench.numbers_table.stored) == ([Code.LANE_FAILED], False, {})
    again = NumberBench(settings)
    async with again.number_facts() as context:
        await worked(context, batch)
    assert again.numbers_table.stored == smooth.numbers_table.stored


async def test_mostly_bad_facts_halt_the_worker_and_write_nothing(settings: WorkerSettings) -> None:
    bench = NumberBench(settings)
    async with bench.number_facts() as context:
        await context.put(value=[record(b"{", key=b"1", topic=EVENTS)] * 120, partition=0)
        await until(lambda: bench.halt.reason is not None)
    assert bench.sender.sends == []


async def test_nothing_is_translated_or_folded_before_numbers_are_known(settings: WorkerSettings) -> None:
    bench = Bench(settings)
    bench.numbers.known.clear()
    fact = replied("m1", T0, permanent=True)
    arrivals = [record(encode_fact(fact), key=f"{NUMBER}/{fact.user}".encode())]
    async with bench.facts() as context:
        event = await context.put(value=arrivals, partition=0)
        await until(lambda: len(bench.halt.at_work) == 1)
        assert (bench.sender.sends, bench.table.stored, event.message.acked) == ([], {}, False)
        bench.numbers.take(registered("a", T0, "sandbox"))
        bench.numbers.known.set()
        await until(lambda: bool(event.message.acked))
    assert orjson.loads(next(iter(bench.table.stored.values())))["version"] == 1

"""The batch table on a real local store, with the changelog by hand: foreign rows come from injection."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.tables.manager import TableManager
from faust.types import TP

from schemas.envelope import header
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import decode_state, encode_state
from streams.permission.step import step
from streams.worker.app import faust_app
from streams.worker.changelog import line_of
from streams.worker.deadlines import Deadline, index_key
from streams.worker.exits import Code
from streams.worker.rows import PairRows, Row, state_headers, version_told
from streams.worker.settings import WorkerSettings
from streams.worker.table import BatchTable, batch_table
from tests.permission.story import DAY, HOUR, NUMBER, PRODUCTION, T0, replied
from tests.worker.conftest import Deaths
from tests.worker.stand_ins import HandSender, OpenGate, Record

CHANGELOG = "t.permission.state"
ROWS = PairRows(DEFAULT_POLICY, lambda _: PRODUCTION)
UNTIL = T0 + HOUR + 7 * DAY


def key(user: int) -> bytes:
    return f"{NUMBER}/4477009{user:05d}".encode()


def state(user: int, version: int = 1, dropped: int = 0) -> PairState:
    return PairState(phone_number_id=NUMBER, user=f"4477009{user:05d}", version=version, judged_at=T0, dropped=dropped)


def row(user: int, version: int = 1, dropped: int = 0) -> Row:
    made = state(user, version, dropped)
    return Row(key(user), encode_state(made), state_headers(made, None))


class Bench:
    """A table, the changelog it writes to, and the gate before it."""

    def __init__(self, settings: WorkerSettings) -> None:
        app = faust_app(settings)
        self.sender, self.gate = HandSender(), OpenGate()
        app.gate = cast(Any, self.gate)
        app.producer = cast(Any, SimpleNamespace(_producer=self.sender))
        self.table: BatchTable = batch_table(app, name="pairs", changelog=CHANGELOG, partitions=1, form=ROWS)

        async def keys_between(partition: int, start: int, end: int) -> set[bytes]:
            return {each.key or b"" for each in self.changelog[start : end + 1]}

        self.ends = cast(TableManager, app.tables).recovery.active_highwaters
        self.ends[TP(CHANGELOG, 0)] = -1  # what recovery says of an empty topic
        self.table._keys_between = keys_between  # type: ignore[method-assign]

    @property
    def changelog(self) -> list[Row]:
        return self.sender.on(CHANGELOG)

    @property
    def offset(self) -> int | None:
        return self.table.persisted_offset(TP(CHANGELOG, 0))

    async def commit(self, *rows: Row, index: dict[bytes, bytes | None] | None = None) -> None:
        await self.table.commit(0, {each.key or b"": each for each in rows}, index or {})

    def recover(self, *records: Record) -> None:
        message = SimpleNamespace(
            partition=0, offset=records[-1].offset, value=list(records), tp=TP(CHANGELOG, 0), topic=CHANGELOG
        )
        self.table.apply_changelog_batch([SimpleNamespace(message=message)])

    def close(self) -> None:
        for db in list(self.table.data._dbs.values()):  # type: ignore[attr-defined]
            db.close()


@pytest.fixture
async def bench(settings: WorkerSettings) -> AsyncIterator[Bench]:
    made = Bench(settings)
    yield made
    made.close()


def intrude(*rows: Row) -> Any:
    """Somebody else's rows, just before the next batch of ours."""
    left = [list(rows)]

    def before_each(sender: HandSender, topic: str, partition: int) -> None:
        if left:
            sender.log.setdefault((topic, partition), []).extend(left.pop())

    return before_each


async def test_rows_are_in_the_changelog_before_they_are_in_the_store(bench: Bench) -> None:
    seen: list[bytes | None] = []
    bench.sender.before_each = lambda *_: seen.append(bench.table.get(0, key(1)))

    await bench.commit(row(1))

    assert seen == [None]
    assert bench.table.get(0, key(1)) == row(1).value
    assert bench.offset == 0
    assert bench.gate.leases == 1


async def test_a_refused_changelog_leaves_the_store_as_it_was(bench: Bench) -> None:
    await bench.commit(row(1))
    bench.sender.refuse = {CHANGELOG}

    with pytest.raises(Exception, match=CHANGELOG):
        await bench.commit(row(1, 2), index={index_key(Deadline(5, key(1))): b""})

    assert (bench.table.get(0, key(1)), bench.offset) == (row(1).value, 0)
    assert bench.table.due(0, 10, 10) == []


async def test_the_time_index_is_written_with_its_row_and_alone(bench: Bench) -> None:
    sooner, later = Deadline(UNTIL, key(1)), Deadline(UNTIL + 1, key(2))
    await bench.commit(row(1), index={index_key(sooner): b""})
    await bench.commit(index={index_key(sooner): None, index_key(later): b""})

    assert bench.table.due(0, UNTIL + 5, 10) == [later]
    assert len(bench.changelog) == 1, "the index is no part of the changelog"


async def test_state_rows_are_stamped_with_the_moment_they_are_written(bench: Bench) -> None:
    await bench.commit(row(1))

    [stamp] = bench.sender.stamps
    assert stamp > 1_700_000_000_000


async def test_a_foreign_row_under_a_known_key_is_overwritten_with_ours(bench: Bench) -> None:
    await bench.commit(row(1), row(2))
    bench.sender.before_each = intrude(row(1, 9, dropped=7))

    await bench.commit(row(3))

    assert [each.key for each in bench.changelog[:4]] == [key(1), key(2), key(1), key(3)]
    assert sorted(bench.changelog[4:]) == [ROWS.again(key(1), row(1).value), row(3)]
    assert bench.offset == len(bench.changelog) - 1
    assert bench.table.get(0, key(1)) == row(1).value


async def test_a_foreign_row_under_an_unknown_key_becomes_a_tombstone(bench: Bench) -> None:
    await bench.commit(row(1))
    bench.sender.before_each = intrude(row(8))

    await bench.commit(row(2))

    [grave] = [each for each in bench.changelog if each.value is None]
    assert (grave.key, grave.headers) == (key(8), [])
    assert bench.table.get(0, key(8)) is None


@pytest.mark.parametrize("before", [0, 3])
async def test_a_foreign_row_before_our_first_one_is_found(bench: Bench, before: int) -> None:
    graves = [Row(key(20 + at), None, []) for at in range(before)]  # read by recovery, which had nothing to store
    if graves:
        bench.sender.log[CHANGELOG, 0] = graves
    bench.ends[TP(CHANGELOG, 0)] = before - 1
    bench.sender.before_each = intrude(row(1, 9, dropped=7), row(8))

    await bench.commit(row(1))

    assert latest(bench) == {key(1): row(1).value}
    assert bench.offset == len(bench.changelog) - 1
    assert bench.gate.leases == 2


async def test_a_first_row_that_joins_an_empty_topic_is_written_once(bench: Bench) -> None:
    await bench.commit(row(1))

    assert len(bench.changelog) == bench.gate.leases == 1


async def test_a_partition_that_was_never_recovered_is_not_written_to_the_store(bench: Bench) -> None:
    bench.ends.clear()

    with pytest.raises(LookupError, match="never recovered"):
        await bench.commit(row(1))
    assert bench.table.get(0, key(1)) is None


async def test_after_a_repair_the_next_batch_joins(bench: Bench) -> None:
    await bench.commit(row(1))
    bench.sender.before_each = intrude(row(8))
    await bench.commit(row(2))
    length = len(bench.changelog)

    await bench.commit(row(3))

    assert len(bench.changelog) == length + 1
    assert bench.gate.leases == 4, "one a write, and one more before the repair"


async def test_an_intruder_between_two_batches_of_one_write_is_found(bench: Bench) -> None:
    await bench.commit(row(1))
    bench.sender.room = 2
    calls = 0

    def before_each(sender: HandSender, topic: str, partition: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            sender.log[topic, partition].append(row(1, 9))

    bench.sender.before_each = before_each
    await bench.commit(row(2), row(3), row(4))

    assert decode_state(latest(bench)[key(1)]).version == 1
    assert bench.offset == len(bench.changelog) - 1


async def test_a_second_intruder_during_the_repair_is_overwritten_too(bench: Bench) -> None:
    await bench.commit(row(1), row(2))
    intruders = [[row(1, 9)], [row(2, 9)]]

    def before_each(sender: HandSender, topic: str, partition: int) -> None:
        if intruders:
            sender.log[topic, partition].extend(intruders.pop(0))

    bench.sender.before_each = before_each
    await bench.commit(row(3))

    assert {each: decode_state(value).version for each, value in latest(bench).items()} == {
        key(1): 1,
        key(2): 1,
        key(3): 1,
    }
    assert bench.offset == len(bench.changelog) - 1


async def test_a_gap_without_readable_rows_is_no_intruder(bench: Bench) -> None:
    await bench.commit(row(1))
    bench.table.data.set_persisted_offset(TP(CHANGELOG, 0), -1)  # as if a control record stood between

    async def nothing(partition: int, start: int, end: int) -> set[bytes]:
        return set()

    bench.table._keys_between = nothing  # type: ignore[method-assign]
    await bench.commit(row(2))

    assert (len(bench.changelog), bench.offset) == (2, 1)


def latest(bench: Bench) -> dict[bytes, bytes]:
    """The changelog as compaction leaves it."""
    kept: dict[bytes, bytes] = {}
    for each in bench.changelog:
        assert each.key is not None
        if each.value is None:
            kept.pop(each.key, None)
        else:
            kept[each.key] = each.value
    return kept


def came_back(made: Row, offset: int) -> Record:
    return Record(CHANGELOG, 0, offset, 0, made.key, made.value, made.headers)


def told_by(record: Record) -> tuple[int, int | None]:
    """Version and deadline of a row that came back."""
    _, _, value, version, due_at = line_of(record)
    assert value is not None
    return version_told(version, value), ROWS.due_on(value, version, due_at)


async def test_recovery_keeps_the_higher_version_and_at_equality_the_later(bench: Bench) -> None:
    bench.recover(came_back(row(1, 5), 0), came_back(row(1, 4), 1), came_back(row(2, 3), 2))
    bench.recover(came_back(row(1, 3), 3), came_back(row(2, 3, dropped=1), 4))

    assert bench.table.get(0, key(1)) == row(1, 5).value
    assert bench.table.get(0, key(2)) == row(2, 3, dropped=1).value
    assert bench.offset == 4


async def test_in_recovery_a_tombstone_always_applies(bench: Bench) -> None:
    bench.recover(came_back(row(1, 5), 0), came_back(row(2, 5), 1))
    bench.recover(came_back(Row(key(1), None, []), 2), came_back(Row(key(2), None, []), 3), came_back(row(2, 1), 4))

    assert bench.table.get(0, key(1)) is None
    assert bench.table.get(0, key(2)) == row(2, 1).value


async def test_recovery_leaves_out_what_is_no_state_row(bench: Bench) -> None:
    bench.recover(came_back(Row(key(1), b"garbage", []), 0), came_back(Row(b"nobody", row(1).value, []), 1))

    assert bench.table.get(0, key(1)) is bench.table.get(0, b"nobody") is None
    assert bench.offset == 1


async def test_recovery_takes_a_row_whose_body_it_cannot_read_and_goes_on(bench: Bench) -> None:
    by_header = Row(key(1), b"damaged", [("version", b"3")])
    by_body = Row(key(2), b'{"schema":1,"version":4,"no":"state"}', [])
    bench.recover(came_back(by_header, 0), came_back(by_body, 1), came_back(row(3), 2))

    assert [bench.table.get(0, key(user)) for user in (1, 2, 3)] == [by_header.value, by_body.value, row(3).value]
    assert bench.table.due(0, 1 << 40, 10) == []


async def test_a_repair_writes_an_unreadable_row_of_ours_as_it_was_found(bench: Bench) -> None:
    bench.recover(came_back(Row(key(1), b"damaged", [("version", b"3")]), 0))
    bench.sender.log[CHANGELOG, 0] = [Row(key(1), b"damaged", [("version", b"3")])]
    bench.sender.before_each = intrude(row(1, 9))

    await bench.commit(row(2))

    assert latest(bench)[key(1)] == b"damaged"
    again_recovered = [came_back(each, at) for at, each in enumerate(bench.changelog) if each.value == b"damaged"]
    assert told_by(again_recovered[-1])[0] >= 0


async def test_recovery_makes_the_time_index_again(bench: Bench) -> None:
    granted = step(state(1), replied("m1", T0 + HOUR, until=UNTIL), DEFAULT_POLICY, PRODUCTION).state
    by_header = Row(key(1), encode_state(granted), state_headers(granted, UNTIL))
    bare = Row(key(2), encode_state(granted).replace(key(1)[-10:], key(2)[-10:]), [])

    bench.recover(came_back(by_header, 0), came_back(bare, 1), came_back(row(3), 2))

    assert bench.table.due(0, UNTIL, 10) == [Deadline(UNTIL, key(1)), Deadline(UNTIL, key(2))]


async def test_a_fault_in_recovery_ends_the_worker(bench: Bench, deaths: Deaths) -> None:
    broken = Record(CHANGELOG, 0, 0, 0, key(1), row(1).value, cast(Any, 5))

    with pytest.raises(deaths.died):
        bench.recover(broken)

    assert deaths.codes == [Code.LANE_FAILED]
    assert bench.offset is None


async def test_a_lost_partitions_store_is_closed_so_that_another_may_open_it(bench: Bench) -> None:
    await bench.commit(row(1))
    held = bench.table.db(0)
    bench.table.app.assignor.assigned_standbys = set  # type: ignore[method-assign]

    await bench.table.on_rebalance(set(), {TP(CHANGELOG, 0)}, set(), 1)
    await asyncio.sleep(0)

    with pytest.raises(Exception, match="clos"):
        held.get(key(1))
    assert bench.table.get(0, key(1)) == row(1).value, "opened anew, the LOCK is free"


def test_headers_say_what_recovery_needs_and_old_rows_are_read() -> None:
    granted = step(state(1), replied("m1", T0 + HOUR, until=UNTIL), DEFAULT_POLICY, PRODUCTION).state
    with_headers = came_back(ROWS.again(key(1), encode_state(granted)), 0)
    without = with_headers._replace(headers=())

    assert told_by(with_headers) == (2, UNTIL)
    assert told_by(without) == (2, UNTIL)
    assert header(with_headers.headers, "ce_type") == "callgrant.pair_state.v1"

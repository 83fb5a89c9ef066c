import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError
from structlog.testing import capture_logs

from schemas.topics import MAX_RECORD_BYTES
from streams.kafka.outcomes import Acknowledged, NotAcknowledged
from streams.kafka.producer import BatchProducer, ProducerLimits
from streams.kafka.session import KafkaSession, Record
from tests.kafka.sessions import Cluster

QUICK = ProducerLimits(flush_after_ms=1.0, acknowledge_within_s=0.1, probe_every_s=0.01, renew_after_s=60.0)

PATIENT = dataclasses.replace(QUICK, acknowledge_within_s=5.0)


def record(value: bytes) -> Record:
    return Record(None, value, [("provider", b"meta")], 1_772_443_800_000)


@asynccontextmanager
async def running(cluster: Cluster, limits: ProducerLimits = QUICK) -> AsyncIterator[BatchProducer]:
    producer = BatchProducer(limits, cluster.session)
    await producer.start()
    try:
        yield producer
    finally:
        cluster.answers.set()
        await producer.stop(1.0)


async def until(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while True:
            if holds():
                return
            await asyncio.sleep(0.001)


async def until_ready(producer: BatchProducer) -> None:
    await until(producer.ready)


async def test_records_of_one_flush_travel_in_one_batch_and_share_its_outcome() -> None:
    cluster = Cluster()
    async with running(cluster) as producer:
        await until_ready(producer)
        outcomes = await asyncio.gather(*(producer.append("t", record(b"%d" % n)) for n in range(10)))
    assert [len(records) for _, _, records in cluster.log] == [10]
    assert len(set(outcomes)) == 1
    assert isinstance(outcomes[0], Acknowledged)
    assert producer.pending_bytes == 0


@pytest.mark.parametrize(("stay_bytes", "places"), [(0, [0, 1, 2, 0, 1, 2]), (2_100, [0, 0, 0, 1, 1, 1])])
async def test_batches_go_round_the_partitions_each_staying_for_a_while_and_a_given_partition_is_kept(
    stay_bytes: int, places: list[int]
) -> None:
    cluster = Cluster(partitions=3)
    async with running(cluster, dataclasses.replace(QUICK, stay_bytes=stay_bytes)) as producer:
        for n in range(6):
            await producer.append("free", record(b"%d" % n))
            await producer.append("keyed", record(b"%d" % n), partition=2)
    assert [p for topic, p, _ in cluster.log if topic == "free"] == places
    assert {p for topic, p, _ in cluster.log if topic == "keyed"} == {2}


async def test_a_large_record_travels_alone() -> None:
    cluster = Cluster()
    async with running(cluster) as producer:
        large = b"x" * (QUICK.flush_bytes + 1)
        await asyncio.gather(*(producer.append("t", record(value)) for value in (b"a", large, b"b")))
    assert [[record.value for record in records] for _, _, records in cluster.log] == [[b"a"], [large], [b"b"]]


async def test_a_record_beyond_the_broker_s_limit_is_told_before_it_is_sent() -> None:
    cluster = Cluster()
    async with running(cluster) as producer:
        assert await producer.append("t", record(b"x" * MAX_RECORD_BYTES)) == NotAcknowledged("too_large")
    assert cluster.log == []


async def test_a_waiter_that_leaves_does_not_fail_its_batch() -> None:
    cluster = Cluster()
    async with running(cluster) as producer:
        leaving, staying = (producer.append("t", record(value)) for value in (b"a", b"b"))
        leaving.cancel()
        assert isinstance(await staying, Acknowledged)
    assert cluster.values == [b"a", b"b"]


async def test_a_refused_batch_fails_its_own_waiters_only_and_the_session_is_replaced() -> None:
    cluster = Cluster(partitions=1)
    cluster.refuse[b"bad"] = MessageSizeTooLargeError()
    async with running(cluster, PATIENT) as producer:
        await until_ready(producer)
        cluster.answers.clear()
        bad = producer.append("t", record(b"bad"), partition=0)
        await until(lambda: cluster.sending == 1)
        after = [producer.append("t", record(b"%d" % n), partition=0) for n in range(3)]
        await until(lambda: cluster.sending == 2)
        cluster.answers.set()
        assert await bad == NotAcknowledged("refused")
        assert [type(await waiter) for waiter in after] == [Acknowledged] * 3
        assert isinstance(await producer.append("t", record(b"later"), partition=0), Acknowledged)
    assert cluster.values == [b"0", b"1", b"2", b"later"]
    assert len(cluster.sessions) == 2
    assert all(session.closed is not None for session in cluster.sessions)


async def test_batches_torn_down_by_a_refusal_before_them_are_sent_again_once_each() -> None:
    cluster = Cluster(partitions=1)
    cluster.refuse[b"bad"] = InvalidTimestampError()
    limits = ProducerLimits(flush_after_ms=0.0, flush_bytes=1, acknowledge_within_s=2.0, probe_every_s=0.01)
    async with running(cluster, limits) as producer:
        await until_ready(producer)
        waiters = [producer.append("t", record(value)) for value in (b"bad", b"1", b"2", b"3")]
        outcomes = await asyncio.gather(*waiters)
    assert outcomes[0] == NotAcknowledged("refused")
    assert all(isinstance(outcome, Acknowledged) for outcome in outcomes[1:])
    assert sorted(filter(None, cluster.values)) == [b"1", b"2", b"3"]


async def test_without_an_acknowledgement_in_time_everyone_is_told_late_and_the_next_at_once() -> None:
    cluster = Cluster()
    async with running(cluster) as producer:
        await until_ready(producer)
        cluster.answers.clear()
        assert await producer.append("t", record(b"a")) == NotAcknowledged("late")
        assert not producer.ready()
        at_once = producer.append("t", record(b"b"))
        assert at_once.done()
        assert await at_once == NotAcknowledged("away")
        cluster.answers.set()
        await until_ready(producer)
        assert isinstance(await producer.append("t", record(b"c")), Acknowledged)
    assert cluster.values == [b"a", b"c"]


async def test_what_waits_is_bounded() -> None:
    cluster = Cluster()
    limits = ProducerLimits(acknowledge_within_s=5.0, max_pending_bytes=10_000)
    async with running(cluster, limits) as producer:
        cluster.answers.clear()
        waiters = [producer.append("t", record(b"x" * 1_000)) for _ in range(10)]
        assert [waiter.result() for waiter in waiters if waiter.done()] == [NotAcknowledged("full")] * 6
        assert producer.pending_bytes <= 10_000


async def test_a_cluster_that_is_not_there_at_start_is_found_when_it_comes() -> None:
    cluster = Cluster()
    cluster.there.clear()
    async with running(cluster) as producer:
        assert await producer.append("t", record(b"a")) == NotAcknowledged("away")
        assert not producer.ready()
        cluster.there.set()
        await until_ready(producer)
        assert isinstance(await producer.append("t", record(b"b")), Acknowledged)
    assert cluster.values == [b"b"]


async def test_a_session_that_is_not_heard_any_more_is_replaced() -> None:
    cluster = Cluster()
    limits = ProducerLimits(acknowledge_within_s=0.05, probe_every_s=0.01, renew_after_s=0.1, heard_within_s=0.05)
    async with running(cluster, limits) as producer:
        await until_ready(producer)
        cluster.answers.clear()
        cluster.there.clear()
        stuck = producer.append("t", record(b"stuck"))
        assert await stuck == NotAcknowledged("late")
        await until(lambda: cluster.sessions[0].closed is not None)
        cluster.answers.set()
        cluster.there.set()
        await until_ready(producer)
        assert isinstance(await producer.append("t", record(b"b")), Acknowledged)
    assert cluster.sessions[0].closed == {"abandon": True}


async def test_a_stop_flushes_what_is_open_and_says_so() -> None:
    cluster = Cluster()
    producer = BatchProducer(ProducerLimits(flush_after_ms=60_000.0), cluster.session)
    await producer.start()
    waiter = producer.append("t", record(b"a"))
    assert await producer.stop(5.0)
    assert isinstance(waiter.result(), Acknowledged)
    assert await producer.append("t", record(b"b")) == NotAcknowledged("closed")
    assert cluster.values == [b"a"]


async def test_a_stop_that_cannot_flush_says_so_and_acknowledges_nothing() -> None:
    cluster = Cluster()
    producer = BatchProducer(QUICK, cluster.session)
    await producer.start()
    await until_ready(producer)
    cluster.answers.clear()
    waiter = producer.append("t", record(b"a"))
    assert not await producer.stop(0.02)
    assert waiter.result() == NotAcknowledged("closed")
    assert cluster.values == []
    assert cluster.sessions[0].closed == {"abandon": True}


async def test_a_topic_without_a_leader_is_told_as_away_and_does_not_end_the_session() -> None:
    cluster = Cluster()
    async with running(cluster) as producer:
        await until_ready(producer)
        cluster.partition_ids = ()
        assert await producer.append("t", record(b"a")) == NotAcknowledged("away")
        cluster.partition_ids = (1,)
        assert await producer.append("t", record(b"b"), partition=0) == NotAcknowledged("away")
        assert isinstance(await producer.append("t", record(b"c")), Acknowledged)
    assert len(cluster.sessions) == 1


@pytest.mark.parametrize(
    "error", [ConnectionResetError("447700900123"), TimeoutError(), ValueError("447700900123")], ids=repr
)
async def test_a_session_that_breaks_while_it_sends_is_replaced_and_its_batch_is_told_away(error: Exception) -> None:
    cluster = Cluster()
    with capture_logs() as said:
        async with running(cluster, PATIENT) as producer:
            await until_ready(producer)
            cluster.breaks["send"] = error
            assert await producer.append("t", record(b"a")) == NotAcknowledged("away")
            assert producer.pending_bytes == 0
            assert isinstance(await producer.append("t", record(b"b")), Acknowledged)
    assert len(cluster.sessions) == 2
    assert [line["error"] for line in said if line["event"] == "session_broke"] == [type(error).__name__]
    assert "447700900123" not in str(said)


@pytest.mark.parametrize("step", ["new", "open", "confirm"])
async def test_a_session_that_breaks_at_its_begin_is_tried_anew(step: Literal["new", "open", "confirm"]) -> None:
    cluster = Cluster()
    cluster.breaks |= {step: ValueError("447700900123"), "close": ValueError("447700900123")}
    with capture_logs() as said:
        async with running(cluster, PATIENT) as producer:
            await until_ready(producer)
            assert isinstance(await producer.append("t", record(b"a")), Acknowledged)
    assert [line["why"] for line in said if line["event"] == "cluster_away"] == ["ValueError"]
    assert "447700900123" not in str(said)


async def test_a_session_whose_probe_breaks_is_replaced_even_when_it_cannot_be_closed() -> None:
    cluster = Cluster()
    async with running(cluster, PATIENT) as producer:
        await until_ready(producer)
        cluster.breaks |= {"confirm": ValueError("a defect"), "close": ValueError("a defect")}
        await until(lambda: len(cluster.sessions) == 2)
        await until_ready(producer)
        assert isinstance(await producer.append("t", record(b"a")), Acknowledged)


def test_a_batch_larger_than_a_session_takes_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="flush_bytes"):
        ProducerLimits(flush_bytes=MAX_RECORD_BYTES + 1)


async def test_records_that_do_not_fit_into_one_batch_are_an_error_and_never_left_out() -> None:
    session = KafkaSession("127.0.0.1:1", ["t"], "test")
    try:
        async with asyncio.timeout(5):
            with pytest.raises(MessageSizeTooLargeError):
                await session.send("t", 0, [record(b"x" * (MAX_RECORD_BYTES // 2))] * 3)
    finally:
        await session.close(abandon=True)

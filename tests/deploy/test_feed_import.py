"""`callgrant import` over a cluster that a test commands."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from deploy import feed_import
from deploy.feed_import import ImportEnded, Importing
from schemas.codec import Unreadable
from schemas.envelope import header
from schemas.topics import MAX_RECORD_BYTES, TopicNames
from streams.kafka.producer import BatchProducer, ProducerLimits
from streams.replay.lines import Arrival
from streams.replay.sources import Line
from tests.gateway.process import until
from tests.kafka.sessions import Cluster
from tests.kafka.test_producer import until_ready

NOW_AT = 1_772_445_600
Lines = Iterator[tuple[Line, Arrival | Unreadable]]
LIMITS = ProducerLimits(flush_after_ms=1.0, acknowledge_within_s=0.2, probe_every_s=0.01)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def producer(cluster: Cluster) -> AsyncIterator[BatchProducer]:
    found = BatchProducer(LIMITS, cluster.session)
    await found.start()
    await until_ready(found)
    yield found
    cluster.answers.set()
    await found.stop(1.0)


def line(number: int) -> Line:
    return Line("", number, b"")


def arrived(*bodies: bytes, provider: str = "meta", received_at: int = NOW_AT) -> Lines:
    return ((line(place), Arrival(provider, received_at, body)) for place, body in enumerate(bodies, start=1))


def importing(producer: BatchProducer, patience_s: float = 5.0) -> tuple[Importing, list[tuple[int, str]]]:
    parked: list[tuple[int, str]] = []
    run = Importing(
        producer,
        TopicNames("t."),
        lambda: NOW_AT * 1000,
        lambda one, fault: parked.append((one.number, fault.reason)),
        patience_s=patience_s,
    )
    return run, parked


async def test_a_record_is_dated_now_and_says_when_its_line_came(producer: BatchProducer, cluster: Cluster) -> None:
    run, _ = importing(producer)
    await run.run(arrived(b"{}", received_at=NOW_AT - 86_400))
    [(topic, _, [record])] = cluster.log
    assert (topic, record.key, record.value, record.timestamp_ms) == ("t.webhooks.raw", None, b"{}", NOW_AT * 1000)
    assert header(record.headers, "received_at") == "2026-03-01T10:00:00.000Z"
    assert header(record.headers, "secret_slot") == "import"


async def test_more_lines_than_a_window_all_arrive_in_the_end(
    producer: BatchProducer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_import, "WINDOW_LINES", 7)
    waiting = 0

    def lines() -> Lines:
        nonlocal waiting
        for number in range(1, 101):
            waiting = max(waiting, number - 1 - len(cluster.values))
            yield line(number), Arrival("meta", NOW_AT, b"%d" % number)

    run, parked = importing(producer)
    done = await run.run(lines())
    assert (done.lines, done.written.total(), done.repeated, parked) == (100, 100, 0, [])
    assert sorted(int(value or b"") for value in cluster.values) == list(range(1, 101))
    assert waiting == 6  # the next window is not read before the cluster has this one


async def test_what_was_late_is_written_again_until_the_cluster_has_it(
    producer: BatchProducer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_import, "PAUSE_S", 0.05)
    run, _ = importing(producer)
    cluster.answers.clear()
    work = asyncio.ensure_future(run.run(arrived(b"1", b"2")))
    await until(lambda: run.done.repeated > 0)
    cluster.answers.set()
    done = await work
    assert done.written.total() == 2
    assert {*cluster.values} == {b"1", b"2"}


async def test_a_silent_cluster_ends_it_with_the_setting_and_the_line(
    producer: BatchProducer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_import, "PAUSE_S", 0.05)
    run, _ = importing(producer, patience_s=0.3)
    cluster.answers.clear()
    with pytest.raises(ImportEnded, match=r"CALLGRANT_KAFKA_BOOTSTRAP.*0 of 1 lines written.*from line 1 on"):
        await run.run(arrived(b"1"))


async def test_a_batch_that_the_cluster_refuses_ends_it(producer: BatchProducer, cluster: Cluster) -> None:
    cluster.refuse[b"2"] = MessageSizeTooLargeError()
    run, _ = importing(producer)
    with pytest.raises(ImportEnded, match=r"refuses what t\.webhooks\.raw is given"):
        await run.run(arrived(b"2"))


async def test_what_no_log_takes_is_refused_and_the_rest_is_written(producer: BatchProducer, cluster: Cluster) -> None:
    run, parked = importing(producer)
    future = Arrival("actions", NOW_AT + 3_601, b"{}")
    broken = Unreadable(reason="not_json", path="$", detail="the line is not JSON")
    lines: Lines = iter(
        [
            (line(1), Arrival("meta", NOW_AT, b"x" * MAX_RECORD_BYTES)),
            (line(2), future),
            (line(3), broken),
            (line(4), Arrival("actions", NOW_AT + 3_600, b"{}")),
        ]
    )
    done = await run.run(lines)
    assert sorted(parked) == [(1, "too_large"), (2, "time_in_future"), (3, "not_json")]
    assert (dict(done.written), cluster.values) == ({"t.actions.raw": 1}, [b"{}"])

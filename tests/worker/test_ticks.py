from collections import Counter

import orjson
import pytest
from aiokafka.errors import (
    KafkaTimeoutError,
    NotLeaderForPartitionError,
    OutOfOrderSequenceNumber,
    TopicAuthorizationFailedError,
)

from schemas.topics import TopicNames
from streams.worker.exits import Code
from streams.worker.fold import Folded, newest_tick
from streams.worker.outputs import Outbox
from streams.worker.ticks import counts_to, tick_row, write_ticks
from tests.worker.conftest import Deaths
from tests.worker.stand_ins import HandSender, record


def test_a_tick_counts_in_full_when_nothing_waits() -> None:
    assert counts_to(1_000, behind=False, folded_to=0) == 1_000


def test_a_tick_on_a_lagging_partition_counts_up_to_the_event_time_folded() -> None:
    assert counts_to(1_000, behind=True, folded_to=900) == 900
    assert counts_to(1_000, behind=True, folded_to=2_000) == 1_000
    assert counts_to(1_000, behind=True, folded_to=0) == 0


def test_of_several_ticks_the_latest_counts() -> None:
    ticks = [record(tick_row(3, at).value, topic="permission.ticks") for at in (10, 30, 20)]
    read = Folded()

    assert newest_tick(ticks, read) == 30
    assert read.flags == [False, False, False]


def test_a_tick_that_is_none_is_parked_and_the_others_count() -> None:
    odd = [b"{", b"[]", b'{"at": "soon"}', b'{"at": true}', None]
    read = Folded()

    assert newest_tick([record(value, topic="permission.ticks") for value in (*odd, b'{"at": 7}')], read) == 7
    assert read.reasons == Counter({"unreadable_tick": len(odd)})


def test_a_tick_says_its_instant_and_is_the_same_whoever_writes_it() -> None:
    row = tick_row(3, 1_772_443_800)

    assert row.key == b"3"
    assert orjson.loads(row.value or b"") == {"at": 1_772_443_800}
    assert row == tick_row(3, 1_772_443_800)


OUTBOX = Outbox(TopicNames("t.", 1))


async def test_each_partition_gets_its_tick() -> None:
    sender = HandSender()
    await write_ticks(sender, OUTBOX, 3, 7)

    assert sender.log == {("t.permission.ticks", each): [tick_row(each, 7)] for each in range(3)}


@pytest.mark.parametrize("refusal", [OutOfOrderSequenceNumber, TopicAuthorizationFailedError])
async def test_a_tick_refused_for_good_ends_the_worker(deaths: Deaths, refusal: type[Exception]) -> None:
    with pytest.raises(deaths.died):
        await write_ticks(HandSender(refuse={"t.permission.ticks"}, refusal=refusal), OUTBOX, 1, 7)

    assert deaths.codes == [Code.SEND_FAILED]


@pytest.mark.parametrize("refusal", [NotLeaderForPartitionError, KafkaTimeoutError, OSError])
async def test_a_broker_that_is_away_costs_a_tick_and_not_the_worker(
    deaths: Deaths, refusal: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    await write_ticks(HandSender(refuse={"t.permission.ticks"}, refusal=refusal), OUTBOX, 1, 7)

    assert deaths.codes == []
    assert "could not be written this time" in caplog.text

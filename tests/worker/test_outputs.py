from collections.abc import Awaitable
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from schemas.topics import MAX_RECORD_BYTES, TopicNames
from streams.worker.outputs import Batch, Outbox, RecordTooLarge, queue
from streams.worker.rows import Row
from tests.worker.stand_ins import HandSender, Refused

NAMES = TopicNames("t.", 1)


def rows(count: int) -> list[Row]:
    return [Row(str(at).encode(), b"{}", [("ce_id", b"x")]) for at in range(count)]


async def test_what_does_not_fit_one_batch_goes_in_several_in_order() -> None:
    sender = HandSender(room=4)
    sent = await queue(sender, "t", 0, rows(10), 5)

    assert [each.records for each in sent] == [4, 4, 2]
    assert [(await each.acknowledged).offset for each in sent] == [0, 4, 8]
    assert sender.on("t") == rows(10)
    assert set(sender.stamps) == {5}


async def test_a_record_no_broker_would_take_is_refused_here_and_not_quoted() -> None:
    with pytest.raises(RecordTooLarge) as told:
        await queue(HandSender(), "t", 0, [Row(b"k", b"447700900123" * (MAX_RECORD_BYTES // 12 + 1), [])], 5)

    assert "447700900123" not in str(told.value)


async def test_sending_ends_only_when_every_batch_is_acknowledged() -> None:
    sender = HandSender(room=3)
    outbox = Outbox(NAMES)
    await outbox.send(sender, {("permission.changes", 1): rows(7), ("permission.records", 1): rows(2)})

    assert sender.acknowledged == len(sender.sends) == 4
    assert sorted(sender.log) == [("t.permission.changes", 1), ("t.permission.records", 1)]


class Hasty(HandSender):
    """A client whose time-out is over some times before its time."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Awaitable[Any]:
        self.times -= 1
        if self.times >= 0:
            raise KafkaTimeoutError
        return await super().send_batch(batch, topic, partition=partition)


async def test_a_place_in_the_queue_that_is_given_up_too_early_is_asked_for_again() -> None:
    sender = Hasty(times=3)
    [sent] = await queue(sender, "t", 0, rows(2), 5)

    await sent.acknowledged
    assert (sent.records, sender.on("t")) == (2, rows(2))


async def test_a_place_in_the_queue_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.worker.outputs.QUEUED_WITHIN_S", 0.0)

    with pytest.raises(KafkaTimeoutError):
        await queue(Hasty(times=3), "t", 0, rows(2), 5)


async def test_one_refused_batch_fails_the_sending() -> None:
    sender = HandSender(refuse={"t.permission.records"})

    with pytest.raises(Refused):
        await Outbox(NAMES).send(sender, {("permission.changes", 0): rows(1), ("permission.records", 0): rows(1)})


async def test_dead_letters_spread_over_however_many_partitions_their_topic_has() -> None:
    sender = HandSender()
    await Outbox(NAMES).park(sender, {1: rows(1), 7: rows(2)})

    assert {place: len(kept) for place, kept in sender.log.items()} == {("t.deadletters", 1): 3}


async def test_nothing_to_send_sends_nothing() -> None:
    sender = HandSender()
    await Outbox(NAMES).send(sender, {("permission.changes", 0): []})
    await Outbox(NAMES).park(sender, {})

    assert sender.sends == []

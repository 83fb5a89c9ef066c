"""The order of a retry, by hand: sent, then marked; never the other way round, whatever fails between."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import cast

import pytest

from deploy.deadletters import Address, Filters, Ledger, Letter
from deploy.deadletters_desk import Desk, Gone
from deploy.deadletters_outlook import Return
from deploy.deadletters_retry import AT_ONCE, Told, retry
from schemas.envelope import Outcome
from schemas.policy import DEFAULT_POLICY
from schemas.topics import TopicNames
from tests.deploy.letters import REPLY, Record, ledger_of, marked, parked, webhook

NAMES = TopicNames("t.")


class HandDesk:
    """A desk that writes down what it is told, and may fail at a mark."""

    def __init__(self, *records: Record, fails: bool = False) -> None:
        self.records = list(records)
        self.steps: list[tuple[str, int]] = []
        self.asked_numbers = 0
        self._fails = fails

    async def bytes_of(self, letters: Iterable[Letter]) -> AsyncIterator[tuple[Letter, bytes | Gone | None]]:
        values = {Address(one.partition, one.offset): one.value for one in self.records}
        for letter in letters:
            yield letter, values[letter.address]

    async def facts_about_numbers(self, topic: str) -> list[bytes]:
        assert topic == "t.business.events"
        self.asked_numbers += 1
        return [b"{"]

    async def send_back(self, returns: Sequence[Return]) -> None:
        self.steps.append(("sent", len(returns)))

    async def mark(self, addresses: Iterable[Address], outcome: Outcome) -> None:
        if self._fails:
            raise OSError("the broker is gone")
        for each in addresses:
            self.records.append(marked(each, (each.partition, 100_000 + len(self.records)), outcome))
        self.steps.append(("marked", len(list(addresses))))


async def retried(desk: HandDesk, *, send: bool = True) -> tuple[list[Told], Ledger]:
    ledger = ledger_of(*desk.records)
    letters = ledger.select(Filters())
    told = [
        each async for each in retry(cast(Desk, desk), ledger, letters, NAMES, DEFAULT_POLICY, send=send, partly=False)
    ]
    return told, ledger_of(*desk.records)


def many(count: int) -> list[Record]:
    body = webhook(REPLY)
    return [parked((0, at), body, reason="unknown_provider", origin=("t.webhooks.raw", 0, at)) for at in range(count)]


async def test_many_letters_go_in_lots_each_sent_before_it_is_marked() -> None:
    desk = HandDesk(*many(AT_ONCE + 3))

    told, after = await retried(desk)

    assert desk.steps == [("sent", AT_ONCE), ("marked", AT_ONCE), ("sent", 3), ("marked", 3)]
    assert {one.fate for one in told} == {"sent"}
    assert after.select(Filters()) == []


async def test_what_was_sent_and_not_marked_is_sent_once_more() -> None:
    desk = HandDesk(*many(2), fails=True)
    with pytest.raises(OSError, match="gone"):
        await retried(desk)
    assert desk.steps == [("sent", 2)]

    again = HandDesk(*desk.records)
    told, _ = await retried(again)

    assert [one.fate for one in told] == ["sent", "sent"]


async def test_a_look_sends_and_marks_nothing() -> None:
    desk = HandDesk(*many(2))

    told, after = await retried(desk, send=False)

    assert [one.fate for one in told] == ["would_be_sent"] * 2
    assert not any(one.stays for one in told)
    assert desk.steps == []
    assert len(after.select(Filters())) == 2


async def test_what_is_known_of_numbers_is_read_only_for_letters_that_lack_one() -> None:
    desk = HandDesk(*many(2))
    await retried(desk)
    assert desk.asked_numbers == 0

    desk = HandDesk(*many(1), parked((1, 0), webhook(REPLY), reason="unknown_number"))
    await retried(desk)
    assert desk.asked_numbers == 1

"""What payloads repeat is sent once a process, and never forgotten before the broker has it."""

from typing import Any

import orjson
import pytest

from schemas.codec import decode_fact
from schemas.envelope import header, raw_record
from schemas.events import UsersLinked
from schemas.ids import derived_id
from streams.worker.settings import WorkerSettings
from streams.worker.shown import Shown
from streams.worker.translation import Translated, translate_batch
from tests.providers.payloads import CONTACT, NUMBER, SCOPED, USER, body, envelope, status, value
from tests.worker.conftest import Deaths
from tests.worker.stand_ins import Record, record
from tests.worker.test_agents import EVENTS, NUMBERS, Bench, until, worked

AT = 1_772_442_005
LINK = derived_id("users_linked", NUMBER, SCOPED, USER)
RAW = "t.webhooks.raw"


def webhook(message_id: str, at: int = AT, **more: Any) -> Record:
    """A status whose payload shows both names of the user and both forms of the number."""
    payload = envelope(value(contacts=[CONTACT], statuses=[status(message_id, "delivered", str(at), **more)]))
    headers = raw_record(provider="meta", received_at_ms=(at + 1) * 1000, delivery_id="d", secret_slot="test")
    return record(body(payload), topic=RAW, headers=headers)


def types(done: Translated) -> list[str]:
    return sorted(orjson.loads(row.value or b"")["type"] for rows in done.facts.values() for row in rows)


def link_instants(done: Translated) -> list[int]:
    facts = [decode_fact(row.value or b"") for rows in done.facts.values() for row in rows]
    return [fact.occurred_at for fact in facts if isinstance(fact, UsersLinked)]


def test_a_batch_sends_what_its_payloads_repeat_once() -> None:
    done = translate_batch([webhook(f"wamid.TEST{each}", AT + each) for each in range(5)], 8)

    assert types(done) == ["business_seen", *["message_status"] * 5, "users_linked"]
    assert done.shown == {LINK: AT, derived_id("business_seen", NUMBER, "442079460123"): AT}


def test_a_repeat_that_happened_earlier_still_goes_out() -> None:
    shown = Shown()
    first = translate_batch([webhook("wamid.TEST1", AT), webhook("wamid.TEST2", AT - 60)], 8, shown)
    shown.acknowledged(first.shown)

    assert sorted(link_instants(first)) == [AT - 60, AT]
    assert link_instants(translate_batch([webhook("wamid.TEST3", AT - 60)], 8, shown)) == []
    assert link_instants(translate_batch([webhook("wamid.TEST4", AT - 61)], 8, shown)) == [AT - 61]


def test_what_was_not_acknowledged_is_sent_again() -> None:
    shown = Shown()
    for _ in range(2):  # the first send was refused
        assert link_instants(translate_batch([webhook("wamid.TEST1")], 8, shown)) == [AT]


def test_the_memory_is_bounded_and_forgets_what_was_met_longest_ago() -> None:
    shown = Shown(most=3)
    shown.acknowledged({"a": 1, "b": 1, "c": 1})
    assert shown.knows("a", 1)
    shown.acknowledged({"d": 1})

    assert len(shown) == 3
    assert [name for name in "abcd" if shown.knows(name, 1)] == ["a", "c", "d"]


async def test_the_second_webhook_of_a_user_sends_neither_link_nor_number(settings: WorkerSettings) -> None:
    bench = Bench(settings)
    async with bench.agent(bench.translate.work, RAW) as context:
        await worked(context, [webhook("wamid.TEST1")])
        await worked(context, [webhook("wamid.TEST2", AT + 1)])

    kinds = [header(row.headers, "ce_type") for row in bench.sender.on(EVENTS)]
    assert kinds == ["callgrant.message_status.v1", "callgrant.users_linked.v1", "callgrant.message_status.v1"]
    assert len(bench.sender.on(NUMBERS)) == 1


@pytest.mark.parametrize("refused", [EVENTS, NUMBERS])
async def test_a_refused_send_leaves_nothing_remembered(settings: WorkerSettings, deaths: Deaths, refused: str) -> None:
    bench = Bench(settings)
    bench.sender.refuse = {refused}
    async with bench.agent(bench.translate.work, RAW) as context:
        event = await context.put(value=[webhook("wamid.TEST1")], partition=0)
        await until(lambda: bool(deaths.codes))

    assert not event.message.acked
    assert len(bench.translate._shown) == 0

"""Committed offsets that a coordinator refuses to tell are not taken for none."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError, GroupLoadInProgressError, KafkaError
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from aiokafka.structs import TopicPartition

from projections.refusals import heed_refusals as heed_refusals_of_records
from streams.kafka.refusals import heed_refusals, heed_refusals_told

PLACE = TopicPartition("TEST", 0)


def answering(code: int, offset: int = -1) -> Any:
    """Both clients' own reading of such an answer. `said`: what they did besides."""

    async def ask(*_: Any) -> Any:
        return OffsetFetchResponse_v3(0, [("TEST", [(0, offset, "", 0)])], code)

    said: list[str] = []
    client: Any = SimpleNamespace(group_id="TEST", _send_req=ask, _send_request=ask, said=said)
    client.coordinator_dead = lambda: said.append("dead")
    client.fetch = lambda: GroupCoordinator._do_fetch_commit_offsets(client, [PLACE])
    client.told = lambda: AIOKafkaAdminClient.list_consumer_group_offsets(client, "TEST", 0, [PLACE])
    return client


both = pytest.mark.parametrize("heed", [heed_refusals, heed_refusals_of_records])


async def test_the_clients_take_a_refusal_for_a_group_that_never_committed() -> None:
    assert await answering(14).fetch() == {}, "mended upstream: take these modules out"
    assert (await answering(14).told())[PLACE].offset == -1, "likewise"


@both
@pytest.mark.parametrize(("code", "is_dead"), [(14, False), (15, True), (16, True)])
async def test_a_refusal_is_asked_again(heed: Any, code: int, *, is_dead: bool) -> None:
    refusing = answering(code)
    heed(refusing)
    with pytest.raises(KafkaError) as refused:
        await refusing.fetch()
    assert refused.value.retriable
    assert bool(refusing.said) is is_dead, "then another broker is looked for"


@both
async def test_a_refusal_for_good_is_told(heed: Any) -> None:
    refusing = answering(30)
    heed(refusing)
    with pytest.raises(GroupAuthorizationFailedError):
        await refusing.fetch()


async def test_whoever_asks_after_a_group_hears_that_its_coordinator_refused() -> None:
    refusing = answering(14)
    heed_refusals_told(refusing)
    with pytest.raises(GroupLoadInProgressError):
        await refusing.told()


@both
async def test_an_answer_is_read_as_ever(heed: Any) -> None:
    for offset, told in ((7, [7]), (-1, [])):
        client = answering(0, offset)
        heed(client)
        heed_refusals_told(client)
        assert [each.offset for each in (await client.fetch()).values()] == told
        assert (await client.told())[PLACE].offset == offset

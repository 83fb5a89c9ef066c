"""Committed offsets that a coordinator refuses to tell are not taken for none."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from aiokafka.structs import TopicPartition

from projections.refusals import heed_refusals as heed_refusals_of_records
from streams.kafka.refusals import heed_refusals

PLACE = TopicPartition("TEST", 0)


def coordinator(code: int, offset: int = -1) -> Any:
    """The client's own reading of such an answer."""

    async def send(_: Any) -> Any:
        return OffsetFetchResponse_v3(0, [("TEST", [(0, offset, "", 0)])], code)

    said: list[str] = []
    made: Any = SimpleNamespace(
        group_id="TEST", _send_req=send, coordinator_dead=lambda: said.append("dead"), said=said
    )
    made.fetch = lambda: GroupCoordinator._do_fetch_commit_offsets(made, [PLACE])
    return made


both = pytest.mark.parametrize("heed", [heed_refusals, heed_refusals_of_records])


async def test_the_client_takes_a_refusal_for_a_group_that_never_committed() -> None:
    assert await coordinator(14).fetch() == {}, "mended upstream: take both modules out"


@both
@pytest.mark.parametrize(("code", "is_dead"), [(14, False), (15, True), (16, True)])
async def test_a_refusal_is_asked_again(heed: Any, code: int, *, is_dead: bool) -> None:
    refusing = coordinator(code)
    heed(refusing)
    with pytest.raises(KafkaError) as refused:
        await refusing.fetch()
    assert refused.value.retriable
    assert bool(refusing.said) is is_dead, "then another broker is looked for"


@both
async def test_a_refusal_for_good_is_told(heed: Any) -> None:
    refusing = coordinator(30)
    heed(refusing)
    with pytest.raises(GroupAuthorizationFailedError):
        await refusing.fetch()


@both
async def test_an_answer_is_read_as_ever(heed: Any) -> None:
    for offset, told in ((7, [7]), (-1, [])):
        answering = coordinator(0, offset)
        heed(answering)
        assert [each.offset for each in (await answering.fetch()).values()] == told

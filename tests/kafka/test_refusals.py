"""Committed offsets that a coordinator refuses to tell are not taken for none; what else it answers ends no group."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError, GroupLoadInProgressError, KafkaError
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from aiokafka.structs import TopicPartition

from projections.refusals import heed_refusals as heed_refusals_of_records
from streams.kafka import refusals
from streams.kafka.refusals import go_on_after_errors, heed_refusals, heed_refusals_told

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


class Coordinating(GroupCoordinator):
    """The client's own routine over a broker that answers as it is told: faults in turn, then the end of the client."""

    def __init__(self, *faults: KafkaError) -> None:
        self.group_id, self.rejoins = "TEST", 0
        self._closing = asyncio.get_running_loop().create_future()
        self._coordinator_dead_fut = asyncio.get_running_loop().create_future()
        self._rejoin_needed_fut = asyncio.get_running_loop().create_future()
        self._heartbeat_task: Any = None
        self._commit_refresh_task = self._error_consumed_fut = None
        self._pending_exception: Any = None
        subscription = SimpleNamespace(active=True, assignment=SimpleNamespace(active=True))
        subscription.unsubscribe_future = asyncio.get_running_loop().create_future()
        self._subscription: Any = SimpleNamespace(
            subscription=subscription, partitions_auto_assigned=lambda: True, abort_waiters=lambda _: None
        )
        self._faults = list(faults)

    async def ensure_coordinator_known(self) -> None:
        if self._faults:
            raise self._faults.pop(0)

    def need_rejoin(self, _: Any) -> bool:
        return False

    def request_rejoin(self) -> None:
        self.rejoins += 1

    async def _maybe_do_autocommit(self, _: Any) -> None:
        if not self._heartbeat_task and not self.rejoins:
            self._heartbeat_task = asyncio.create_task(self._beats())
        elif self.rejoins:
            self._heartbeat_task = None
            self._closing.set_result(None)

    async def _maybe_do_last_autocommit(self, _: Any) -> None:
        """Nothing is left to commit."""

    async def _beats(self) -> None:
        raise KafkaError("Unexpected exception in heartbeat task: GroupLoadInProgressError()")


FAULTS = pytest.mark.parametrize("faults", [[], [KafkaError("TEST")]], ids=["a heartbeat's", "the coordinator's"])


@FAULTS
async def test_the_client_keeps_an_error_for_a_user_that_never_comes(faults: list[KafkaError]) -> None:
    coordinating = Coordinating(*faults)
    routine = asyncio.create_task(coordinating._coordination_routine())
    ended, _ = await asyncio.wait([routine], timeout=0.05)
    assert not ended, "mended upstream: take it out"
    assert coordinating._pending_exception is not None
    coordinating._closing.set_result(None)
    await routine


@FAULTS
async def test_whatever_a_coordinator_answers_the_group_is_joined_again(
    faults: list[KafkaError], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(refusals, "AGAIN_AFTER_S", 0.0)
    coordinating = Coordinating(*faults)
    go_on_after_errors(coordinating)

    await asyncio.wait_for(coordinating._coordination_routine(), 5)
    assert coordinating.rejoins == 1
    assert "group TEST: KafkaError: " in caplog.text
    assert "it is joined again" in caplog.text


async def test_a_client_that_closes_does_not_wait_to_join_again() -> None:
    coordinating = Coordinating()
    go_on_after_errors(coordinating)
    coordinating._closing.set_result(None)

    await asyncio.wait_for(coordinating._push_error_to_user(KafkaError("TEST")), 0.5)

"""Refusals of a coordinator: a group whose offsets cannot be told yet is no group that never committed.

Owns what the pinned aiokafka leaves out: from version 2 of the answer on, a coordinator that is still loading, or that
is another broker by now, says so once for the whole answer, beside partitions without an offset. The clients look at
the partitions alone and take them for never read: a consumer begins at the start of the topic.
"""
# ruff: noqa: SLF001 - about the private parts of an exactly pinned library; `test_refusals.py` checks them

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import GroupCoordinatorNotAvailableError, NoError, NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

Ask = Callable[..., Awaitable[Any]]


def heed_refusals(coordinator: Any) -> None:
    """From here on an answer about committed offsets that is refused as a whole raises; the client asks again where
    that can help. `coordinator`: that of a started consumer with a group.
    """
    coordinator._send_req = _heeding(coordinator._send_req, coordinator.coordinator_dead)


def heed_refusals_told(admin: Any) -> None:
    """The same for an admin client, which asks nothing again: whoever asked hears the `KafkaError`."""
    admin._send_request = _heeding(admin._send_request, lambda: None)


def _heeding(ask: Ask, moved: Callable[[], None]) -> Ask:
    async def heeded(request: Any, *more: Any) -> Any:
        answer = await ask(request, *more)
        if isinstance(request, OffsetFetchRequest):
            refused = for_code(getattr(answer, "error_code", 0))
            if refused in (NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError):
                moved()
            if refused is not NoError:
                raise refused
        return answer

    return heeded

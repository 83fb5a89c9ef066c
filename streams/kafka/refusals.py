"""Refusals of a coordinator: a group whose offsets cannot be told yet is no group that never committed.

Owns what the pinned aiokafka leaves out: from version 2 of the answer on, a coordinator that is still loading, or that
is another broker by now, says so once for the whole answer, beside partitions without an offset. The clients look at
the partitions alone and take them for never read: a consumer begins at the start of the topic. And what it does not
expect of a coordinator, a heartbeat answered by one that is loading say, it keeps for whoever asks for records next,
sends no heartbeat meanwhile, and waits for ever for one who asks otherwise than by its own `getmany`.
"""
# ruff: noqa: SLF001 - about the private parts of an exactly pinned library; `test_refusals.py` checks them

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaError,
    NoError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest

log = logging.getLogger(__name__)

Ask = Callable[..., Awaitable[Any]]
AGAIN_AFTER_S: Final = 1.0


def heed_refusals(coordinator: Any) -> None:
    """From here on an answer about committed offsets that is refused as a whole raises; the client asks again where
    that can help. `coordinator`: that of a started consumer with a group.
    """
    coordinator._send_req = _heeding(coordinator._send_req, coordinator.coordinator_dead)


def go_on_after_errors(coordinator: Any) -> None:
    """From here on an error that the client keeps for its user is told to the log, and the group is joined again after
    a while: a heartbeat that ended over it would not begin again by itself. Whoever gets nowhere so must watch for that
    himself. `coordinator`: that of a started consumer with a group whose records are not asked for by `getmany`.
    """

    async def go_on(fault: BaseException) -> None:
        what = fault if isinstance(fault, KafkaError) else type(fault).__name__
        log.error("group %s: %s; it is joined again", coordinator.group_id, what)
        coordinator.request_rejoin()
        await asyncio.wait([coordinator._closing], timeout=AGAIN_AFTER_S)

    coordinator._push_error_to_user = go_on


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

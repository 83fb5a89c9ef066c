"""Refusals of a coordinator: a group whose offsets cannot be told yet is no group that never committed.

Owns what the pinned aiokafka leaves out: from version 2 of the answer on, a coordinator that is still loading, or that
is another broker by now, says so once for the whole answer, beside partitions without an offset. The client looks at
the partitions alone, takes them for never read and begins at the start of the topic. (The streams have the same for
themselves: the two sides share nothing that runs.)
"""

from typing import Any

from aiokafka.errors import GroupCoordinatorNotAvailableError, NoError, NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest


def heed_refusals(coordinator: Any) -> None:
    """From here on an answer about committed offsets that is refused as a whole raises; the client asks again where
    that can help. `coordinator`: that of a started consumer with a group.
    """
    send = coordinator._send_req  # noqa: SLF001 - of an exactly pinned library; `test_refusals.py` checks it

    async def heeded(request: Any) -> Any:
        answer = await send(request)
        if isinstance(request, OffsetFetchRequest):
            refused = for_code(getattr(answer, "error_code", 0))
            if refused in (NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError):
                coordinator.coordinator_dead()
            if refused is not NoError:
                raise refused
        return answer

    coordinator._send_req = heeded  # noqa: SLF001 - likewise

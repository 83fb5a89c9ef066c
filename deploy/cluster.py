"""A Kafka cluster's admin side: reaching it, and the errors it answers.

Owns the admin client's life and the one text for a cluster that does not answer. Refuses to know which topics are ours.
aiokafka's admin answers errors instead of raising them; every answer is read here or in `deploy.topics`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
    for_code,
)

from deploy.trouble import Trouble
from streams.kafka.refusals import heed_refusals_told

SETTLED_WITHIN_S: Final = 30.0
LOOK_AGAIN_AFTER_S: Final = 0.1
AWAY: Final = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError)
"""With these aiokafka says that nobody answered; with every other error somebody did."""


class ClusterUnusable(Trouble):
    """The cluster cannot be asked, or refuses what was asked; the text names the setting and the reason."""


class ClusterAway(ClusterUnusable):
    """Nobody answers at its address."""

    def __init__(self, bootstrap: str, fault: Exception) -> None:
        super().__init__(
            f"no answer from the Kafka cluster at {bootstrap} ({type(fault).__name__}): start it (`callgrant up` "
            f"starts one of its own), or set CALLGRANT_KAFKA_BOOTSTRAP to the right address"
        )


@asynccontextmanager
async def admin_of(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, closed again. Raises `ClusterAway`, and `ClusterUnusable` naming any other error of Kafka's.

    An `OSError` of what is done meanwhile is not the cluster's: the client wraps its own.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=15_000)
    heed_refusals_told(admin)
    try:
        try:
            await admin.start()
        except OSError as fault:
            raise ClusterAway(bootstrap, fault) from fault
        yield admin
    except AWAY as fault:
        raise ClusterAway(bootstrap, fault) from fault
    except KafkaError as fault:
        raise ClusterUnusable(f"the Kafka cluster at {bootstrap} answered with {type(fault).__name__}") from fault
    finally:
        await admin.close()


async def replication_of(bootstrap: str) -> int:
    """How many copies a cluster can keep, three at most."""
    async with admin_of(bootstrap) as admin:
        return min(3, len((await admin.describe_cluster())["brokers"]))


async def existing(bootstrap: str, topics: Iterable[str]) -> list[str]:
    """Those of the names that the cluster has."""
    async with admin_of(bootstrap) as admin:
        known = {row["topic"] for row in await admin.describe_topics()}
    return [name for name in topics if name in known]


async def delete_topics(bootstrap: str, topics: Iterable[str]) -> None:
    """Delete topics that were made for a while, and wait until they are gone. Raises when the cluster refuses."""
    gone = list(topics)
    try:
        async with asyncio.timeout(SETTLED_WITHIN_S), admin_of(bootstrap) as admin:
            answer = await admin.delete_topics(gone)
            refused = [f"{name}: {reason(code)}" for name, code in answer.topic_error_codes if code]
            if refused:
                raise ClusterUnusable(f"{bootstrap} did not delete {len(refused)} topics. {'; '.join(refused)}")
            await until(lambda: _gone(admin, gone))
    except TimeoutError:
        raise ClusterUnusable(f"{bootstrap}: deleted topics are still there after {SETTLED_WITHIN_S:g} s") from None


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await holds():
            return
        await asyncio.sleep(LOOK_AGAIN_AFTER_S)


async def _gone(admin: AIOKafkaAdminClient, topics: list[str]) -> bool:
    return set(topics).isdisjoint(row["topic"] for row in await admin.describe_topics())


def reason(code: int, message: Any = None) -> str:
    kind = for_code(code)
    name: str = getattr(kind, "message", "") or kind.__name__
    return f"{name} ({message})" if message else name

"""When the broker may be used: its admin answers, and a topic it just made has a leader.

Owns that question and nothing else. Refuses to read logs: a line says what a process meant to do, not that it can.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

PROBE: Final = "__callgrant_ready"
"""One partition, never written; it stays, so that the next start asks whether its leader is back."""
ASK_AGAIN_AFTER_S: Final = 0.1


async def until_ready(host: str, port: int, within_s: float, check_alive: Callable[[], None]) -> None:
    """Return when ready. Raises TimeoutError after `within_s`, and whatever `check_alive` raises."""
    async with asyncio.timeout(within_s):
        while not (await _listens(host, port) and await _answers(f"{host}:{port}")):
            check_alive()
            await asyncio.sleep(ASK_AGAIN_AFTER_S)


async def _listens(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


async def _answers(bootstrap: str) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        await admin.start()
        # Never raises for a topic; that it exists already is as good as having made it.
        await admin.create_topics([NewTopic(PROBE, num_partitions=1, replication_factor=1)])
        partitions = (await admin.describe_topics([PROBE]))[0]["partitions"]
    except (KafkaError, OSError) as unready:
        logging.getLogger(__name__).debug("not ready yet: %s", type(unready).__name__)
        return False
    else:
        return bool(partitions) and all(partition["leader"] >= 0 for partition in partitions)
    finally:
        await admin.close()

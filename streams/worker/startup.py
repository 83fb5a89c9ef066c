"""Before the first record: is the broker there, are the topics as they must be, is the store folder ours?

Owns the messages a person reads when a worker does not start; each names the command or setting that mends it. Refuses
to create a topic: `callgrant topics create` does.
"""

import asyncio
import fcntl
import logging
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.topics import TopicNames
from streams.worker.codes import Code
from streams.worker.settings import WorkerSettings

log = logging.getLogger(__name__)

FREE: Final = ("webhooks.raw", "actions.raw", "deadletters")
SHARED: Final = (
    "permission.events",
    "permission.commands",
    "permission.outcomes",
    "permission.ticks",
    "permission.state",
    "permission.changes",
    "permission.records",
    "business.events",
    "business.state",
)
TRY_EVERY_S: Final = 1.0
SAY_EVERY_S: Final = 10.0


class Unfit(Exception):
    """The worker cannot start. `code`: what it ends with."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def leader_topic(names: TopicNames) -> str:
    """Faust's own topic, by which it elects the leader that writes ticks."""
    return f"{names.group('worker')}-__assignor-__leader"


async def topic_counts(settings: WorkerSettings) -> dict[str, int]:
    """The partitions of each topic we need, waiting for the broker within bounds; 0 for a topic that is not there."""
    names = settings.names
    wanted = [*(names.of(name) for name in (*FREE, *SHARED)), leader_topic(names)]
    began_at, said_at = time.monotonic(), 0.0
    while True:
        fault = await _ask(settings.kafka_bootstrap, wanted)
        if not isinstance(fault, Exception):
            return fault
        waited_s = time.monotonic() - began_at
        where = f"no broker answers at {settings.kafka_bootstrap} (CALLGRANT_KAFKA_BOOTSTRAP): {type(fault).__name__}"
        if waited_s > settings.broker_patience_s:
            raise Unfit(Code.BROKER_UNREACHABLE, f"{where}; gave up after {waited_s:.0f} s")
        if not said_at or time.monotonic() - said_at > SAY_EVERY_S:
            said_at = time.monotonic()
            log.warning("%s; trying for %.0f s more", where, settings.broker_patience_s - waited_s)
        await asyncio.sleep(TRY_EVERY_S)


async def _ask(bootstrap: str, wanted: list[str]) -> dict[str, int] | Exception:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        found = await admin.describe_topics(wanted)
        return {topic["topic"]: 0 if topic["error_code"] else len(topic["partitions"]) for topic in found}
    except (KafkaError, OSError) as fault:
        return fault
    finally:
        await admin.close()


def check_topics(counts: Mapping[str, int], settings: WorkerSettings) -> None:
    """Raise `Unfit` naming every topic that is missing or has not the number of partitions all pair topics share."""
    names = settings.names
    missing = sorted(topic for topic, count in counts.items() if not count)
    if missing:
        of = f" --generation {settings.generation}" if settings.only_folds else ""
        raise Unfit(
            Code.TOPICS_UNFIT,
            f"topics are missing: {', '.join(missing)}. Create them with: callgrant topics create{of}",
        )
    odd = [
        f"{topic} has {counts[topic]}"
        for topic in (names.of(name) for name in SHARED)
        if counts[topic] != settings.partitions
    ]
    if odd:
        raise Unfit(
            Code.TOPICS_UNFIT,
            f"CALLGRANT_PARTITIONS is {settings.partitions}, but {', '.join(odd)} partitions. Keys would be split: set "
            "CALLGRANT_PARTITIONS to what the topics were made with, or make new topics with: callgrant topics create",
        )


def hold(folder: Path) -> IO[str]:
    """Take the store folder for this process, as long as the file stays open. Raises `Unfit` when it is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "held").open("w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise Unfit(
            Code.FOLDER_HELD,
            f"the store folder {folder} is held by another worker. Each worker of a machine needs its own: stop that "
            "one, or give this one another number or CALLGRANT_DATA_DIR",
        ) from None
    return lock


def member_of(settings: WorkerSettings) -> str:
    """The name by which a static member is known to the group. To be asked while the folder is held.

    Drawn once and kept with the store: as long as the folder lives its partitions come back to it, and workers of two
    machines may have one number.
    """
    file = settings.folder / "member"
    try:
        known = file.read_text("ascii").strip()
    except FileNotFoundError:
        known = ""
    if not known:
        known = f"{settings.instance}-{secrets.token_hex(8)}"
        file.write_text(known, "ascii")
    return known

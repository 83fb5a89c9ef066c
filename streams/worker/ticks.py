"""Ticks: how time reaches a quiet partition. The leader writes one to each partition of `permission.ticks`, of the
instant up to which all that was received is folded (`watermark`).

Owns up to which instant a tick counts. Timers announce, they never decide (design 6): a late or doubled tick, or two
leaders at once, change no answer and announce under the same ids.
"""

import logging
from collections.abc import Callable
from typing import Final

import orjson
from aiokafka.errors import KafkaError, KafkaTimeoutError

from schemas.envelope import cloud_event
from schemas.ids import derived_id
from streams.worker.batches import BatchApp
from streams.worker.exits import Code, die, told
from streams.worker.outputs import Outbox, Sender
from streams.worker.rows import Row
from streams.worker.watermark import Watermark

log = logging.getLogger(__name__)

DUE_AT_ONCE: Final = 500
"""Deadlines announced in one go; more wait for the next write of the same tick, so that other lanes have their turn."""


def counts_to(tick_at: int, *, behind: bool, folded_to: int) -> int:
    """The instant up to which a tick counts: while facts wait unread, only up to the event time already folded.

    Else a backlog would expire grants whose renewal stands in it.
    """
    return min(tick_at, folded_to) if behind else tick_at


def tick_row(partition: int, at: int) -> Row:
    """One tick."""
    headers = cloud_event(id=derived_id("tick", partition, at), kind="tick", source="worker", at=at)
    return Row(str(partition).encode(), orjson.dumps({"at": at}), headers)


async def write_ticks(sender: Sender, outbox: Outbox, partitions: int, at: int) -> None:
    """One tick to each partition. A broker that is away is logged and tried again: a raise would end the worker.

    What was refused for good does end it: from then on the idempotent producer is refused everything on that partition.
    """
    try:
        await outbox.send(sender, {("permission.ticks", each): [tick_row(each, at)] for each in range(partitions)})
    except Exception as fault:  # noqa: BLE001 - see above
        if isinstance(fault, KafkaError) and not (fault.retriable or isinstance(fault, KafkaTimeoutError)):
            die(Code.SEND_FAILED, "ticks were refused: %s", told(fault))
        log.warning("ticks could not be written this time: %s", told(fault))


def install_ticks(
    app: BatchApp,
    sender: Callable[[], Sender | None],
    outbox: Outbox,
    partitions: int,
    every_s: float,
    watermark: Watermark,
) -> None:
    """Make the leader write ticks."""

    @app.timer(every_s, on_leader=True, name="ticks")
    async def ticks() -> None:
        producer, gate = sender(), app.gate
        if producer is None or gate is None:
            return
        try:
            at = await watermark.reach(gate.positions)
        except (KafkaError, TimeoutError) as fault:
            log.warning("no tick this time, the broker does not tell how far all is folded: %s", type(fault).__name__)
            return
        if at is not None:
            await write_ticks(producer, outbox, partitions, at)

"""Lanes: one task a partition, so that partitions wait side by side for the broker and each stays strictly in order.

Owns how many batches are in work and what becomes of an exception: the process ends, because a stock agent would
acknowledge the batch that raised; where most was bad, every lane halts. Refuses to acknowledge anything itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from streams.worker.at_work import Lane
from streams.worker.exits import Code, die, told
from streams.worker.halt import Halt, MostlyBad

SLOTS: Final = 32

Work = Callable[[Any], Awaitable[None]]
"""What is done with one event; its last step is `event.ack()`."""


def lanes(name: str, work: Work, halt: Halt, slots: int = SLOTS) -> Callable[[Any], Awaitable[None]]:
    """The body of the agent `name`, which hands each event to the lane of its partition. At most `slots` batches are in
    work.
    """
    queues: dict[int, asyncio.Queue[Any]] = {}
    tasks: list[asyncio.Task[None]] = []  # the loop itself keeps only weak references
    free = asyncio.Semaphore(slots)

    async def follow(lane: Lane, queue: asyncio.Queue[Any]) -> None:
        while True:
            event = await queue.get()
            if halt.reason is not None:
                return
            try:
                with halt.at_work.on(lane):
                    await work(event)
            except MostlyBad as fault:
                halt.begin(str(fault))
                return
            except Exception as fault:  # noqa: BLE001 - whatever it was, the batch must not be acknowledged
                message = event.message
                place = f"{message.topic}-{message.partition} up to {message.offset}"
                die(Code.LANE_FAILED, "the batch of %s failed: %s", place, told(fault))
            free.release()

    async def agent(stream: Any) -> None:
        events: AsyncIterator[Any] = stream.noack().events()
        async for event in events:
            partition = event.message.partition
            queue = queues.get(partition)
            if queue is None:
                queue = queues[partition] = asyncio.Queue()
                lane = Lane(name, partition)
                tasks.append(asyncio.create_task(follow(lane, queue), name=str(lane)))
            await free.acquire()
            queue.put_nowait(event)

    return agent

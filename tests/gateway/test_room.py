import asyncio

import pytest

from streams.gateway.room import Room


async def waits(room: Room, count_bytes: int) -> "asyncio.Task[None]":
    taking = asyncio.create_task(room.take(count_bytes))
    await asyncio.sleep(0)
    assert not taking.done()
    return taking


async def test_who_fits_has_room_at_once_and_who_does_not_waits_until_it_is_given_back() -> None:
    room = Room(10)
    await room.take(6)
    await room.take(4)
    late = await waits(room, 5)
    room.give_back(4)
    await asyncio.sleep(0)
    assert not late.done()
    room.give_back(6)
    await late
    await room.take(5)


async def test_a_large_one_is_not_passed_by_smaller_ones_that_came_later() -> None:
    room = Room(10)
    await room.take(6)
    large, small = await waits(room, 8), await waits(room, 1)
    room.give_back(6)
    await asyncio.wait({large, small})
    await room.take(1)


@pytest.mark.parametrize("its_turn_had_come", [False, True])
async def test_who_is_cancelled_has_taken_nothing_and_lets_the_next_one_in(its_turn_had_come: bool) -> None:
    room = Room(10)
    await room.take(6)
    first, second = await waits(room, 10), await waits(room, 4)
    if its_turn_had_come:
        room.give_back(6)
    first.cancel()
    await asyncio.wait({first})
    assert first.cancelled()
    await second
    if not its_turn_had_come:
        room.give_back(6)
    await room.take(6)
    (await waits(room, 1)).cancel()

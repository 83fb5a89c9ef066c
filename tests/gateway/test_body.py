import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from streams.gateway.body import BodyReader

KIB = 1_024


def reader(
    *, within_s: float = 5.0, large_room_bytes: int = 128 * KIB, max_arriving_bytes: int = 1_024 * KIB
) -> BodyReader:
    return BodyReader(
        max_bytes=64 * KIB,
        within_s=within_s,
        large_bytes=8 * KIB,
        large_room_bytes=large_room_bytes,
        max_arriving_bytes=max_arriving_bytes,
    )


class Sender:
    """Sends parts, and counts how many were taken. `then`: what comes when they are used up."""

    def __init__(self, *parts: bytes, then: Callable[[], Awaitable[dict[str, Any]]] | None = None) -> None:
        self._parts = list(parts)
        self._then = then
        self.taken = 0

    async def __call__(self) -> dict[str, Any]:
        if self.taken < len(self._parts):
            self.taken += 1
            last = self.taken == len(self._parts) and self._then is None
            return {"type": "http.request", "body": self._parts[self.taken - 1], "more_body": not last}
        assert self._then is not None
        return await self._then()


async def nothing_more() -> dict[str, Any]:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("a silent sender never says anything")


def z_after(event: asyncio.Event) -> Callable[[], Awaitable[dict[str, Any]]]:
    """The last byte of a body, once somebody lets it come."""

    async def the_rest() -> dict[str, Any]:
        await event.wait()
        return {"type": "http.request", "body": b"z", "more_body": False}

    return the_rest


async def gone() -> dict[str, Any]:
    return {"type": "http.disconnect"}


@pytest.mark.parametrize("parts", [[b""], [b"whole"], [b"", b"in ", b"parts"], [b"x" * 30 * KIB, b"y" * 34 * KIB]])
async def test_a_body_within_the_limits_is_read_whole(parts: list[bytes]) -> None:
    assert await reader().read(Sender(*parts)) == b"".join(parts)


async def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    sender = Sender(b"x")
    assert await reader().read(sender, 64 * KIB + 1) == "too_large"
    assert sender.taken == 0


async def test_an_undeclared_body_is_refused_at_the_part_that_passes_the_limit() -> None:
    sender = Sender(*[b"x" * 16 * KIB] * 1_000)
    assert await reader().read(sender) == "too_large"
    assert sender.taken == 5


async def test_a_length_that_lies_does_not_help() -> None:
    sender = Sender(*[b"x" * 16 * KIB] * 1_000)
    assert await reader().read(sender, 10) == "too_large"
    assert sender.taken == 5


async def test_the_exact_limit_is_taken_and_one_byte_more_is_not() -> None:
    assert await reader().read(Sender(b"x" * 64 * KIB)) == b"x" * 64 * KIB
    assert await reader().read(Sender(b"x" * 64 * KIB, b"y")) == "too_large"
    assert await reader().read(Sender(b"x" * (64 * KIB + 1))) == "too_large"


@pytest.mark.parametrize("parts", [[], [b"a"], [b"x" * 9 * KIB]])
async def test_a_body_that_stops_coming_is_given_up(parts: list[bytes]) -> None:
    assert await reader(within_s=0.05).read(Sender(*parts, then=nothing_more)) == "slow"


async def test_a_sender_that_leaves_gets_no_answer() -> None:
    assert await reader().read(Sender(b"a", then=gone)) == "gone"


async def test_only_so_many_large_bodies_are_read_at_once_and_small_ones_pass_them() -> None:
    bodies = reader(large_room_bytes=64 * KIB)
    go_on, large = asyncio.Event(), b"x" * 9 * KIB
    first = asyncio.create_task(bodies.read(Sender(large, then=z_after(go_on))))
    await asyncio.sleep(0)
    sender = Sender(large, b"y")
    second = asyncio.create_task(bodies.read(sender))
    await asyncio.sleep(0)
    assert await bodies.read(Sender(b"small ", b"body")) == b"small body"
    assert sender.taken == 1
    go_on.set()
    assert (await first, await second) == (large + b"z", large + b"y")


async def test_a_large_body_takes_its_declared_length_of_the_room_and_no_more() -> None:
    bodies = reader(large_room_bytes=64 * KIB)
    go_on, large = asyncio.Event(), b"x" * 9 * KIB
    waiting = [asyncio.create_task(bodies.read(Sender(large, then=z_after(go_on)), len(large) + 1)) for _ in range(6)]
    await asyncio.sleep(0)
    assert await bodies.read(Sender(large, b"y"), len(large) + 1) == large + b"y"
    late = asyncio.create_task(bodies.read(Sender(large, b"y")))  # undeclared: it may become as large as any
    await asyncio.sleep(0)
    assert not late.done()
    go_on.set()
    assert await asyncio.gather(*waiting, late) == [large + b"z"] * 6 + [large + b"y"]


async def test_a_large_body_without_room_in_time_is_told_to_come_again() -> None:
    bodies = reader(within_s=0.1, large_room_bytes=0)
    assert await bodies.read(Sender(b"x" * 9 * KIB, b"y")) == "busy"
    assert await bodies.read(Sender(b"x", b"y"), 9 * KIB) == "busy"


async def test_bodies_that_are_still_arriving_hold_no_more_than_their_bound_and_whole_ones_pass() -> None:
    bodies = reader(max_arriving_bytes=10 * KIB)
    slow = [asyncio.create_task(bodies.read(Sender(b"x" * 5 * KIB, then=nothing_more))) for _ in range(2)]
    await asyncio.sleep(0)
    assert await bodies.read(Sender(b"y", b"z")) == "busy"
    assert await bodies.read(Sender(b"y" * 64 * KIB)) == b"y" * 64 * KIB
    slow[0].cancel()
    await asyncio.wait([slow[0]])
    assert await bodies.read(Sender(b"y", b"z")) == b"yz"
    slow[1].cancel()
    await asyncio.wait([slow[1]])


async def test_a_large_body_in_its_place_leaves_the_room_of_the_others() -> None:
    bodies = reader(max_arriving_bytes=10 * KIB)
    large = asyncio.create_task(bodies.read(Sender(b"x" * 9 * KIB, b"x" * 20 * KIB, then=nothing_more)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert await bodies.read(Sender(b"y" * 7 * KIB, b"z")) == b"y" * 7 * KIB + b"z"
    large.cancel()
    await asyncio.wait([large])


async def test_a_reader_that_is_cancelled_from_outside_stays_cancelled() -> None:
    reading = asyncio.create_task(reader().read(Sender(then=nothing_more)))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

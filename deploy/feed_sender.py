"""Posts the lines of a history to a running gateway until each is accepted or refused for good.

Owns pace, repetition, the tally and when to stop. Refuses to lose a line in silence: it is accepted, or parked with its
reason, or the run ends and says from which line on nothing is certain.

Decisions bound here
- Several lanes take lines from one reader, in its order; a lane has one request under way and one connection. Memory is
  bounded by the lanes, whatever the length of the file.
- No answer, a broken connection, 408, 425, 429 and every 5xx are repeated, after the `Retry-After` of the answer or a
  pause that grows. When nothing at all was accepted for `patience_s`, the run ends.
- 401 and 403 end the run, for every later line of that door would get the same; so does 404, which is not our gateway.
- Any other answer refuses the line: it is parked with the answer's own reason, and the next is sent.
- Neither proxies of the environment nor redirects are followed: the gateway named is the gateway meant.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from deploy.feed_doors import Doors, Post, setting_of
from deploy.feed_wire import Wire
from deploy.trouble import Trouble
from schemas.codec import Unreadable
from streams.replay.lines import Arrival
from streams.replay.sources import Line

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
ONE: Final = httpx.Limits(max_connections=1, max_keepalive_connections=1)
"""A connection a lane: one pool for all spends more time on choosing connections than on posting."""
AGAIN: Final = frozenset({408, 425, 429})
MEND: Final = (
    "start it (`callgrant gateway`, or `callgrant up`), or correct CALLGRANT_BIND and CALLGRANT_GATEWAY_PORT, or name "
    "it with --gateway"
)

Park = Callable[[Line, Unreadable], None]


class FeedEnded(Trouble):
    """The feeding ended before the end of the file; the text says why, how far it came and what to change."""


@dataclass(slots=True)
class Tally:
    """What became of the lines. `sent`: those that were posted; `repeated`: attempts beyond the first of each line."""

    lines: int = 0
    sent: int = 0
    accepted: int = 0
    repeated: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    elapsed_s: float = 0.0

    def text(self) -> str:
        return (
            f"{self.accepted} of {self.lines} lines accepted, {self.refused.total()} refused, {self.repeated} repeated"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast, how many at once, and how long without any acceptance."""

    concurrency: int = 8
    rate_per_s: float | None = None
    patience_s: float = 60.0


class Feeding:
    """One run over one reader. `transport`: for a gateway that is not behind a socket."""

    def __init__(
        self,
        doors: Doors,
        pace: Pace,
        park: Park,
        told: Callable[[Tally], None] = lambda _: None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._doors = doors
        self._pace = pace
        self._park = park
        self._told = told
        self._transport = transport
        self._under_way: dict[int, Line] = {}
        self.tally = Tally()

    async def run(self, lines: Iterator[tuple[Line, Arrival | Unreadable]]) -> Tally:
        """Feed all of them. Raises `FeedEnded`."""
        self._clock = asyncio.get_running_loop().time
        self._trusted = ssl.create_default_context()  # made once: it reads every certificate of the system
        await self._greet()
        self._began_s = self._accepted_s = self._clock()
        lanes = [asyncio.ensure_future(self._lane(lane, lines)) for lane in range(self._pace.concurrency)]
        try:
            await asyncio.gather(*lanes)
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            self.tally.elapsed_s = self._clock() - self._began_s
        return self.tally

    async def _greet(self) -> None:
        async with self._wire() as wire:
            try:
                answer = await wire.ask("GET", "/livez")
            except httpx.TransportError as fault:
                raise FeedEnded(
                    f"no answer from the gateway at {self._doors.url} ({type(fault).__name__}): {MEND}"
                ) from fault
        if answer.status_code != 200:
            raise FeedEnded(f"{self._doors.url} is no gateway of Callgrant ({answer.status_code} at /livez): {MEND}")

    def _wire(self) -> Wire:
        return Wire(self._doors.url, self._transport or httpx.AsyncHTTPTransport(verify=self._trusted, limits=ONE))

    async def _lane(self, lane: int, lines: Iterator[tuple[Line, Arrival | Unreadable]]) -> None:
        async with self._wire() as wire:
            for line, arrival in lines:
                place, self.tally.lines = self.tally.lines, self.tally.lines + 1
                post = arrival if isinstance(arrival, Unreadable) else self._doors.post(arrival)
                if isinstance(post, Unreadable):
                    self._refuse(line, post)
                    await asyncio.sleep(0)  # a file of broken lines lets the others work too
                    continue
                if self._pace.rate_per_s is not None:
                    await asyncio.sleep(self._began_s + place / self._pace.rate_per_s - self._clock())
                self._under_way[lane] = line
                self.tally.sent += 1
                await self._deliver(wire, lane, line, post)
                del self._under_way[lane]
                self._told(self.tally)

    async def _deliver(self, wire: Wire, lane: int, line: Line, post: Post) -> None:
        attempts, last, began_s = 0, "no answer", self._clock()
        while True:
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempts) * (1 + lane / self._pace.concurrency) / 2
            attempts += 1
            self.tally.repeated += attempts > 1
            try:
                answer = await wire.ask("POST", post.path, post.headers, post.body)
            except httpx.TransportError as fault:
                last = type(fault).__name__
            else:
                if answer.is_success:
                    self.tally.accepted += 1
                    self._accepted_s = self._clock()
                    return
                last = str(answer.status_code)
                if answer.status_code not in AGAIN and answer.status_code < 500:
                    self._judge(line, post, answer)
                    return
                pause_s = _retry_after_s(answer) or pause_s
            if self._clock() + pause_s > max(self._accepted_s, began_s) + self._pace.patience_s:
                raise self._ended(
                    f"the gateway at {self._doors.url} accepted nothing for {self._pace.patience_s:g} s "
                    f"(last: {last}): see its /readyz and its log; {MEND}"
                )
            await asyncio.sleep(pause_s)

    def _judge(self, line: Line, post: Post, answer: httpx.Response) -> None:
        """An answer that repeating cannot mend."""
        status = answer.status_code
        if status in {401, 403}:
            raise self._ended(
                f"{status} to a line of {post.provider}: {setting_of(post.provider)} here and at the gateway "
                f"must have a secret in common"
            )
        if status in {404, 405}:
            raise self._ended(f"{status} from {self._doors.url}: it has no door for {post.provider}; {MEND}")
        self._refuse(line, _reason_of(answer))

    def _refuse(self, line: Line, fault: Unreadable) -> None:
        self.tally.refused[fault.reason] += 1
        self._park(line, fault)

    def _ended(self, why: str) -> FeedEnded:
        first = min(line.number for line in self._under_way.values())
        return FeedEnded(
            f"{why}. {self.tally.text()}; from line {first} on nothing is certain: mend it and feed again, what comes "
            f"twice counts once"
        )


def _retry_after_s(answer: httpx.Response) -> float | None:
    """Seconds only: a date would need a clock that agrees with the gateway's."""
    told = answer.headers.get("Retry-After", "")
    return min(float(told), LONGEST_PAUSE_S) if told.isascii() and told.isdigit() else None


def _reason_of(answer: httpx.Response) -> Unreadable:
    """What the gateway says is wrong: its first fault, which quotes nothing."""
    reason = f"refused_{answer.status_code}"
    try:
        told: Any = answer.json()
    except ValueError:
        told = {}
    faults = told.get("faults") if isinstance(told, dict) else None
    if isinstance(faults, list) and faults and isinstance(faults[0], dict):
        return Unreadable(reason=reason, path=str(faults[0].get("path")), detail=str(faults[0].get("message")))
    detail = told.get("detail") if isinstance(told, dict) else None
    return Unreadable(reason=reason, path="$", detail=str(detail or "the gateway does not say why"))

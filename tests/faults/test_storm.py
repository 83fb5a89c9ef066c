"""A storm over the workers: killed, frozen beyond their session, joined and left by another, their broker killed, over
and over, under load. Nothing lost, doubled, invented: so say `callgrant verify` and the tests' judge.

`STORM_FACTS` and `STORM_KILLS` set how many facts are told instead of 50,000, how many kills there are instead of ten
(the other blows grow with them); `STORM_SEED` another seed: it draws what is told, its order and the schedule;
`STORM_NOW` the instant (epoch seconds) at which the lives that are told end, instead of the present. Both are printed:
given back, they tell the same again.
"""

import asyncio
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import pytest
import uvloop

from deploy.broker.node import LocalBroker
from deploy.progress import Stage, stages, until_caught_up
from schemas.policy import DEFAULT_POLICY
from schemas.topics import TopicNames
from tests.faults.doors import SETTINGS
from tests.faults.storm_worker_blows import Gust, gusts
from tests.faults.storm_worker_course import Storm, Workers
from tests.faults.storm_worker_past import Past
from tests.faults.storm_worker_sender import sender_to
from tests.faults.storm_worker_shelves import Shelves
from tests.faults.storm_worker_verdict import put_away, told_everywhere, wrong_on_shelves
from tests.faults.telling_meta import DISPLAYS
from tests.faults.test_border import unwatched
from tests.integration.log import log_of
from tests.ports import free_pair

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse]

SEED: Final = int(os.environ.get("STORM_SEED", "20260302"))
NOW: Final = int(os.environ.get("STORM_NOW", "0"))
"""0: the present."""
FACTS: Final = int(os.environ.get("STORM_FACTS", "50000"))
KILLS: Final = int(os.environ.get("STORM_KILLS", "10"))
SMALL: Final = 2_000
PARTITIONS: Final = 4
CAUGHT_UP_WITHIN_S: Final = 600.0 + FACTS / 100
WITHIN_S: Final = 3_600 + KILLS * 90 + FACTS // 40
"""Several times what it takes on two busy cores: it grows with what is told and with the blows."""
TICKED_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a storm rages. `node`: the broker, when it is to be struck too."""

    folder: Path
    bootstrap: str
    prefix: str
    node: LocalBroker | None = None

    @property
    def names(self) -> TopicNames:
        return TopicNames(self.prefix)

    def house(self) -> Workers:
        policy = DEFAULT_POLICY.model_copy(update={"numbers": {}}).model_dump(mode="json", by_alias=True)
        policy["numbers"] = {number: {"display_phone_number": display} for number, display in DISPLAYS.items()}
        file = self.folder / "policy.json"
        file.write_bytes(orjson.dumps(policy))
        told = SETTINGS | {"POLICY_FILE": str(file), "PARTITIONS": str(PARTITIONS)}
        return Workers(self.folder, self.bootstrap, self.prefix, **told)


@pytest.mark.faults
@pytest.mark.timeout(WITHIN_S)
def test_no_blow_to_workers_or_broker_loses_doubles_or_invents_a_fact(tmp_path: Path, jar_cache: Path) -> None:
    others = max(5, KILLS // 4)
    schedule = gusts(SEED, kills=KILLS, pauses=others, rebalances=others, brokers=max(2, KILLS // 10))
    with LocalBroker(data_dir=tmp_path / "broker", port=free_pair(), cache_dir=jar_cache) as node:
        through_the_storm(Place(tmp_path, node.bootstrap, "storm.", node), schedule, FACTS)


@pytest.mark.timeout(180)
def test_two_kills_and_a_pause_lose_double_and_invent_nothing(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    schedule = gusts(SEED, kills=2, pauses=1, rebalances=0, brokers=0)
    through_the_storm(Place(tmp_path, broker, topic_prefix), schedule, SMALL)


def through_the_storm(place: Place, schedule: Sequence[Gust], facts: int) -> None:
    now, began_s = NOW or int(time.time()), time.monotonic()
    shelves = Shelves(place.folder / "shelves", facts)
    with unwatched():
        past = Past(place.folder / "past", SEED, facts, now)
        print(f"seed {SEED}, now {now}: {past.facts} facts of {past.pairs} names in {len(past)} records")
        print("\n".join(f"gust {at}: {', '.join(map(str, gust))}" for at, gust in enumerate(schedule, start=1)))
        uvloop.run(_judged(place, schedule, past, shelves))
    print(f"all of it in {time.monotonic() - began_s:.1f} s, {_peak_mb()} MB at most in this process")
    past.remove()
    shelves.remove()


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def _judged(place: Place, schedule: Sequence[Gust], past: Past, shelves: Shelves) -> None:
    house = place.house()
    try:
        await asyncio.to_thread(house.command, "topics", "create")
        async with sender_to(place.bootstrap, place.names, PARTITIONS) as sender:
            storm = Storm(house, sender, place.node)
            course = storm.course
            await storm.begin()
            announced_until, code, said = await storm.kept(_weather(storm, house, place, schedule, past))
            await storm.stop()
            print(f"ended and started again: {dict(course.ends)}; stopped: {course.stopped}")
            print(f"{sender.repeats} records sent again for want of an acknowledgement")
    finally:
        house.end()
    began_s = time.monotonic()
    shelves.know(past.links)
    for item in past.each():
        shelves.tell(item.kept)
    left = await put_away(place.bootstrap, place.names, PARTITIONS, shelves)
    wrong = wrong_on_shelves(shelves, sender.ledger, announced_until, SEED)
    print(f"judged on {shelves.count} shelves in {time.monotonic() - began_s:.1f} s: {dict(left)}")
    print("\n".join(told_everywhere(wrong)) or "0 lost, 0 double, 0 invented by the ledger and the judge")
    assert code == 0, said
    assert "not compared" not in said, "everything is looked at"
    assert "cut by retention" not in said
    assert "no store here" not in said
    assert not wrong
    assert course.struck == Counter(blow.what for gust in schedule for blow in gust)
    assert course.ends[-signal.SIGKILL] == course.struck["kill"]
    assert set(course.stopped) - {-signal.SIGTERM} == {0}, "or ended while it was only just being loaded"


async def _weather(
    storm: Storm, house: Workers, place: Place, schedule: Sequence[Gust], past: Past
) -> tuple[int, int, str]:
    """The storm, and what `callgrant verify` says when all is read: until when everything is announced, its exit code,
    its words."""
    await storm.rage(schedule, past)
    print(f"storm of {storm.course.storm_s:.1f} s: {dict(storm.course.struck)}")
    began_s = time.monotonic()
    for name in ("projection", "api"):
        house.start(name)
    announced_until = await _worked_off(place)
    print(f"worked off, the last tick too, {time.monotonic() - began_s:.1f} s later")
    return announced_until, *await _verified(house, place)


async def _worked_off(place: Place) -> int:
    """Return when everything is read, and a tick that came after it: the instant up to which all is announced."""
    reading = stages(place.names)[:2]
    await until_caught_up(place.bootstrap, reading, CAUGHT_UP_WITHIN_S)
    moment = int(time.time())
    ticks = place.names.of("permission.ticks")
    async with asyncio.timeout(TICKED_WITHIN_S), log_of(place.bootstrap) as log:
        told: dict[int, int] = {}
        while len(told) < PARTITIONS or min(told.values()) < moment:
            told = {tick.partition: orjson.loads(tick.value)["at"] for tick in await log.everything_on(ticks)}
            await asyncio.sleep(0.3)  # between two looks
    await until_caught_up(place.bootstrap, [Stage(reading[0].group, (ticks,)), *reading], CAUGHT_UP_WITHIN_S)
    return moment


async def _verified(house: Workers, place: Place) -> tuple[int, str]:
    """`callgrant verify` beside the running workers, with all rows stored and an api to ask about every pair: its exit
    code, and all it said."""
    began_s = time.monotonic()
    for name in ("projection", "api"):
        await asyncio.to_thread(house.until_ready, name)
    await until_caught_up(place.bootstrap, stages(place.names), CAUGHT_UP_WITHIN_S)
    # The embedded store has one owner at a time: that its rows can be compared, the projection lets it go.
    assert await asyncio.to_thread(house.stop, "projection") == 0
    print(f"all rows stored {time.monotonic() - began_s:.1f} s later")
    began_s = time.monotonic()
    code, said = await asyncio.to_thread(house.asked, "verify", "--wait-s", "120", "--ask", "0")
    print(f"verify took {time.monotonic() - began_s:.1f} s\n{said}")
    return code, said

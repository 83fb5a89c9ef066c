"""Everything that is put on the raw topics during a storm over the workers, in order: told through every door, some of
it twice, some late, some bytes again, a few that are no JSON.

Owns the grouping into records, their order, and when each came in. Refuses HTTP, which the storm over the border is
for, and to know the words of a dialect (`telling.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson

from schemas.envelope import Headers, raw_record
from tests.faults.doors import Kept, Parcel, sealed
from tests.faults.lives import AT_RECEIPT, DAY_S, HOUR_S, Life
from tests.faults.parcels import USERS
from tests.faults.storm_worker_shelves import FACTS_A_SHELF, Files
from tests.faults.telling import Link, Told, tell
from tests.faults.telling_meta import DISPLAYS, NUMBERS

FACTS_OF_A_PAIR: Final = 10
RETOLD_SHARE: Final = 0.1
"""Of what happens: told a second time, through whatever door comes."""
AGAIN_SHARE: Final = 0.1
"""Of the records: the same bytes come again."""
NO_JSON_SHARE: Final = 0.002
SIZES: Final = (1, 1, 1, 2, 3, 8)
"""How many items go together into one record."""


@dataclass(frozen=True, slots=True)
class Item:
    """One record of a raw topic, and what it must come to."""

    value: bytes
    kept: Kept
    received_at: int

    @property
    def topic(self) -> str:
        return self.kept.stored.topic

    @property
    def headers(self) -> Headers:
        stored = self.kept.stored
        return raw_record(
            provider=stored.provider,
            received_at_ms=self.received_at * 1000,
            delivery_id=self.kept.delivery_id,
            secret_slot=stored.slot,
        )


def past(seed: int, facts: int, now: int) -> list[Item]:
    """At least so many facts, a tenth as many pairs as long as there are users. All at once: for a short one."""
    (items,) = blocks(seed, facts, now, facts)
    return items


def blocks(seed: int, facts: int, now: int, facts_a_block: int = FACTS_A_SHELF) -> Iterator[list[Item]]:
    """The same, some at a time, each of all pairs and of all days; what is late, told twice or repeated is so within
    its block."""
    pairs = [(number, user) for number in NUMBERS for user in USERS]
    Random(seed).shuffle(pairs)
    del pairs[max(50, facts // FACTS_OF_A_PAIR) :]
    count = -(-facts // facts_a_block)
    serial = 0
    for block in range(count):
        dice = Random(seed + block * 1_000_003)
        told, serial = _told(facts // count + (block < facts % count), pairs, serial, now, dice)
        parcels = list(_parcels(told, now, dice))
        parcels += _broken(max(2, int(len(parcels) * NO_JSON_SHARE)), block, now, dice)
        turns = [(parcel.turn, parcel) for parcel in parcels]
        again = dice.sample(parcels, int(len(parcels) * AGAIN_SHARE))
        turns += [(dice.uniform(parcel.turn, now), parcel) for parcel in again]
        turns.sort(key=lambda each: each[0])
        # They came in during the last ten minutes, in this order.
        began_s = now - 600 + 600 * block // count
        yield [
            _item(parcel, began_s + 600 * place // (count * len(turns)), dice)
            for place, (_, parcel) in enumerate(turns)
        ]


class Past:
    """A past on the disk, of any length: what is to be sent, in order, and what must become of it."""

    def __init__(self, folder: Path, seed: int, facts: int, now: int, facts_a_block: int = FACTS_A_SHELF) -> None:
        self._files = Files(folder)
        self._ends: list[int] = []
        self._block: tuple[int, list[Item]] = (-1, [])
        self.facts = 0
        self.links: set[Link] = set()
        names: set[tuple[str, str]] = set()
        for block, items in enumerate(blocks(seed, facts, now, facts_a_block)):
            for item in items:
                self._files.put(block, "items", item)
                self.links |= item.kept.links
                names.update((fact.phone_number_id, fact.user) for fact in item.kept.facts)
            self.facts += facts_in(items)
            self._ends.append(len(self) + len(items))
        self.pairs = len(names)
        self._files.close()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def between(self, first: int, end: int) -> list[Item]:
        """Those from `first` up to but without `end`."""
        found: list[Item] = []
        for block, block_end in enumerate(self._ends):
            begin = self._ends[block - 1] if block else 0
            if begin < end and first < block_end:
                found += self._items(block)[max(0, first - begin) : end - begin]
        return found

    def each(self) -> Iterator[Item]:
        """All of them, in order."""
        for block in range(len(self._ends)):
            yield from self._items(block)

    def remove(self) -> None:
        self._files.remove()

    def _items(self, block: int) -> list[Item]:
        if self._block[0] != block:
            self._block = (block, self._files.take(block, "items"))
        return self._block[1]


def facts_in(items: Sequence[Item]) -> int:
    """How many different facts are told."""
    return len({fact.fact_id for item in items for fact in item.kept.facts})


def _told(facts: int, pairs: Sequence[tuple[str, str]], serial: int, now: int, dice: Random) -> tuple[list[Told], int]:
    """So many facts, and the serial that comes after."""
    told: list[Told] = []
    known: set[str] = set()
    while len(known) < facts:
        number, user = pairs[serial % len(pairs)]
        for happening in Life(number, user, serial, now, dice).happenings():
            known.update(fact.fact_id for fact in happening.facts)
            times = 2 if dice.random() < RETOLD_SHARE else 1
            told += [tell(happening, dice) for _ in range(times)]
        serial += 1
    return told, serial


def _broken(count: int, block: int, now: int, dice: Random) -> Iterator[Parcel]:
    first = now - 20 * DAY_S
    for n in range(count):
        broken = b'{"entry": [%d' % (n + block * 1_000_000) + b"[" * dice.randint(1, 9)
        yield Parcel(dice.uniform(first, now), "meta", broken, parks=("not_json",))


def _parcels(told: Sequence[Told], now: int, dice: Random) -> Iterator[Parcel]:
    """One record each; some items of one door together where it has batches."""
    by_door: dict[str, list[tuple[float, Told]]] = {}
    for one in told:
        by_door.setdefault(one.door, []).append((_turn(one, now, dice), one))
    for waiting in by_door.values():
        waiting.sort(key=lambda each: -each[0])
        while waiting:
            turn, first = waiting.pop()
            some = [first]
            if first.field or first.door == "infobip":
                size = min(dice.choice(SIZES) - 1, len(waiting))
                some += [waiting.pop()[1] for _ in range(size)]
            body = orjson.dumps(_body(some))
            parts = (body,) if first.door in ("actions", "meta-sendlog") else ()
            yield Parcel(turn, first.door, body, tuple(some), parts)


def _turn(one: Told, now: int, dice: Random) -> float:
    """When it is told: most soon after it happened, every tenth any time later."""
    at = now - DAY_S if one.at == AT_RECEIPT else one.at
    return at + abs(dice.gauss(0, 6 * HOUR_S)) if dice.random() < 0.9 else dice.uniform(at, now)


def _body(some: Sequence[Told]) -> dict[str, Any]:
    if some[0].door == "infobip":
        return {"results": [one.said for one in some], "messageCount": len(some)}
    if not some[0].field:
        return some[0].said
    changes = [{"field": one.field, "value": {**_about(one.number), one.list_name: [one.said]}} for one in some]
    envelope = {"object": "whatsapp_business_account", "entry": [{"id": "900100200300400", "changes": changes}]}
    return {"gs_app_id": "TESTAPP", **envelope} if some[0].door == "gupshup" else envelope


def _about(number: str) -> dict[str, Any]:
    metadata = {"display_phone_number": DISPLAYS[number], "phone_number_id": number}
    return {"messaging_product": "whatsapp", "metadata": metadata}


def _item(parcel: Parcel, received_at: int, dice: Random) -> Item:
    (kept,) = sealed(parcel, dice).kept
    return Item(parcel.body, kept, received_at)

"""Everything that is put on the raw topics during a storm over the workers, in order: told through every door, some of
it twice, some late, some bytes again, a few that are no JSON.

Owns the grouping into records, their order, and when each came in. Refuses HTTP, which the storm over the border is
for, and to know the words of a dialect (`telling.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import orjson

from schemas.envelope import Headers, raw_record
from schemas.ids import is_wa_id
from tests.faults.doors import Kept, Parcel, sealed
from tests.faults.lives import AT_RECEIPT, DAY_S, HOUR_S, Happening, Life
from tests.faults.parcels import USERS
from tests.faults.telling import Told, tell
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
    """At least so many facts, a tenth as many pairs as long as there are users."""
    dice = Random(seed)
    parcels = list(_parcels(_told(facts, now, dice), now, dice))
    first = now - 20 * DAY_S
    for n in range(max(2, int(len(parcels) * NO_JSON_SHARE))):
        broken = b'{"entry": [%d' % n + b"[" * dice.randint(1, 9)
        parcels.append(Parcel(dice.uniform(first, now), "meta", broken, parks=("not_json",)))
    turns = [(parcel.turn, parcel) for parcel in parcels]
    again = dice.sample(parcels, int(len(parcels) * AGAIN_SHARE))
    turns += [(dice.uniform(parcel.turn, now), parcel) for parcel in again]
    turns.sort(key=lambda each: each[0])
    # They came in during the last ten minutes, in this order.
    return [_item(parcel, now - 600 + 600 * place // len(turns), dice) for place, (_, parcel) in enumerate(turns)]


def facts_in(items: Sequence[Item]) -> int:
    """How many different facts are told."""
    return len({fact.fact_id for item in items for fact in item.kept.facts})


def pairs_in(items: Sequence[Item]) -> int:
    """How many names of users of a number these facts carry."""
    return len({(fact.phone_number_id, fact.user) for item in items for fact in item.kept.facts})


def _told(facts: int, now: int, dice: Random) -> list[Told]:
    pairs = [(number, user) for number in NUMBERS for user in USERS]
    dice.shuffle(pairs)
    del pairs[max(50, facts // FACTS_OF_A_PAIR) :]
    told: list[Told] = []
    known: set[str] = set()
    alone: dict[tuple[str, str], Happening] = {}
    serial = 0
    while len(known) < facts:
        number, user = pairs[serial % len(pairs)]
        for happening in Life(number, user, serial, now, dice).happenings():
            known.update(fact.fact_id for fact in happening.facts)
            for _ in range(2 if dice.random() < RETOLD_SHARE else 1):
                one = tell(happening, dice)
                told.append(one)
                alone.setdefault((one.number, one.facts[0].user), happening)
        serial += 1
    linked = {(number, scoped) for one in told for number, scoped, _ in one.links}
    told += [
        _shown_both(happening, dice)
        for (number, name), happening in alone.items()
        if not is_wa_id(name) and (number, name) not in linked
    ]
    return told


def _shown_both(happening: Happening, dice: Random) -> Told:
    """Told once more, with both names of the user: of one whose names are never shown together nobody can know that
    they are one user, so rows of the same request may lie under each."""
    while not (one := tell(happening, dice)).links:
        pass
    return one


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

"""Everything the sender has to send, in order: batched, told twice, repeated, out of order, odd ones between.

Owns the grouping and the order. Refuses to know a secret (`doors.py`) and the words of a dialect (`telling.py`).
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from random import Random
from typing import Any, Final

import orjson

from tests.faults.doors import Parcel, Sending, refused, sealed
from tests.faults.lives import AT_RECEIPT, DAY_S, HOUR_S, Door, Happening, Life
from tests.faults.telling import Told, tell
from tests.faults.telling_meta import DISPLAYS, NUMBERS

USERS: Final = (
    *(f"447700900{last:03d}" for last in range(1_000)),
    *(f"442079460{last:03d}" for last in range(800)),
)
BUSY_USERS: Final = USERS[::36]
"""To whom a thousand messages go at once; some twenty each, and a pair keeps 64 that belong to no request."""
UNKNOWN_DISPLAY: Final = "442079460999"
SIZES: Final = ((1, 1),) * 24 + ((2, 4),) * 4 + ((5, 15), (16, 50))
"""How many items go together: mostly one, sometimes fifty."""
NEW_SHARE: Final = 0.85
"""Of the webhooks; the rest are repetitions of the same bytes."""
RETOLD_SHARE: Final = 0.1
A_THOUSAND: Final = 1_000
SMALLEST_STORM: Final = 3_000
"""From so many webhooks on, and then as often, a batch of a thousand is among them."""
REPORTS: Final = ("actions", "meta-sendlog")


def sendings(seed: int, webhooks: int, now: int) -> list[Sending]:
    """Exactly so many authentic webhooks; beside them what the business reports, and what must be refused."""
    dice = Random(seed)
    told = _told(webhooks, now, dice)
    odd = list(_cannot_be_judged(webhooks, now, dice))
    new = [*odd, *dice.sample(list(_webhooks(told, now, dice)), int(webhooks * NEW_SHARE) - len(odd))]
    turns = [(parcel.turn, sealed(parcel, dice)) for parcel in new]
    first = now - 20 * DAY_S
    turns += [(dice.uniform(turn, now), sending) for turn, sending in dice.choices(turns, k=webhooks - len(new))]
    turns += [(parcel.turn, sealed(parcel, dice)) for parcel in _reported(told, now, dice)]
    turns += [(dice.uniform(first, now), bad) for bad in refused(max(2, webhooks // 1_000), now - DAY_S, dice)]
    return [sending for _, sending in sorted(turns, key=lambda each: each[0])]


def _told(webhooks: int, now: int, dice: Random) -> list[Told]:
    """Enough to fill so many webhooks; a part of it told twice, through whatever door comes."""
    told: list[Told] = []
    filled, serial = 0.0, 0
    pairs = [(number, user) for number in NUMBERS for user in USERS]
    dice.shuffle(pairs)
    while filled < webhooks * 0.95 + 50:
        number, user = pairs[serial % len(pairs)]
        for happening in Life(number, user, serial, now, dice).happenings():
            for _ in range(2 if dice.random() < RETOLD_SHARE else 1):
                one = tell(happening, dice)
                told.append(one)
                filled += 0 if one.door in REPORTS else 0.3 if one.field or one.door == "infobip" else 1
        serial += 1
    return told


def _turn(one: Told, now: int, dice: Random) -> float:
    """When it is told: most soon after it happened, every tenth any time later."""
    at = now - DAY_S if one.at == AT_RECEIPT else one.at
    return at + abs(dice.gauss(0, 6 * HOUR_S)) if dice.random() < 0.9 else dice.uniform(at, now)


def _batched(told: Sequence[Told], now: int, dice: Random) -> Iterator[tuple[float, tuple[Told, ...]]]:
    """Some at a time, in the order in which they are told, with the turn of the first."""
    waiting = sorted(((_turn(one, now, dice), one) for one in told), key=lambda each: -each[0])
    while waiting:
        size = dice.randint(*dice.choice(SIZES))
        some = [waiting.pop() for _ in range(min(size, len(waiting)))]
        yield some[0][0], tuple(one for _, one in some)


def _webhooks(told: Sequence[Told], now: int, dice: Random) -> Iterator[Parcel]:
    by_door: dict[Door, list[Told]] = {}
    for one in told:
        by_door.setdefault(one.door, []).append(one)
    envelopes: tuple[Door, ...] = ("meta", "360dialog", "gupshup")
    for door in envelopes:
        for turn, some in _batched(by_door[door], now, dice):
            yield Parcel(turn, door, _written(_envelope(door, some, dice), dice), some)
    for turn, some in _batched(by_door["infobip"], now, dice):
        results = [one.said | ({"a_field_of_tomorrow": [1]} if dice.random() < 0.1 else {}) for one in some]
        yield Parcel(turn, "infobip", _written({"results": results, "messageCount": len(some)}, dice), some)
    singles: tuple[Door, ...] = ("ycloud", "zernio", "gupshup-sip")
    for door in singles:
        for one in by_door[door]:
            yield Parcel(_turn(one, now, dice), door, _written(one.said, dice), (one,))


def _envelope(door: Door, some: Sequence[Told], dice: Random) -> dict[str, Any]:
    """Meta's batch on three levels; now and then with fields that nobody documented."""
    changes: list[dict[str, Any]] = []
    for (number, name), group in groupby(sorted(some, key=_place), key=_place):
        value: dict[str, Any] = {"messaging_product": "whatsapp"}
        value["metadata"] = {"display_phone_number": DISPLAYS[number], "phone_number_id": number}
        for one in group:
            value.setdefault(one.list_name, []).append(one.said)
        if dice.random() < 0.05:
            value["a_field_of_tomorrow"] = {"deep": [{"er": None}]}
        changes.append({"field": name, "value": value})
    if dice.random() < 0.05:
        changes.append({"field": "a_field_of_tomorrow", "value": {"more": [1, 2.5, "x" * dice.randrange(99)]}})
    if dice.random() < 0.5:
        entries = [{"id": "900100200300400", "changes": changes}]
    else:
        entries = [{"id": "900100200300400", "changes": [change]} for change in changes]
    envelope: dict[str, Any] = {"object": "whatsapp_business_account", "entry": entries}
    return {"gs_app_id": "TESTAPP", **envelope} if door == "gupshup" else envelope


def _place(one: Told) -> tuple[str, str]:
    return one.number, one.field


def _written(value: dict[str, Any], dice: Random) -> bytes:
    """Compact or with spaces; now and then beside it a lone surrogate, which a wire may carry."""
    body = orjson.dumps(value, option=orjson.OPT_INDENT_2 if dice.random() < 0.1 else 0)
    return body[:-1] + b',"note":"\\ud83d"}' if dice.random() < 0.01 else body


def _reported(told: Sequence[Told], now: int, dice: Random) -> Iterator[Parcel]:
    """Alone, in arrays and by the line."""
    doors: tuple[Door, ...] = ("actions", "meta-sendlog")
    for door in doors:
        for turn, some in _batched([one for one in told if one.door == door], now, dice):
            parts = tuple(orjson.dumps(one.said) for one in some)
            if len(parts) == 1 and dice.random() < 0.5:
                yield Parcel(turn, door, parts[0], some, parts)
            elif dice.random() < 0.5:
                yield Parcel(turn, door, b"[" + b",".join(parts) + b"]", some, parts)
            else:
                yield Parcel(turn, door, b"\n".join(parts), some, parts, kind="application/x-ndjson")


def _cannot_be_judged(webhooks: int, now: int, dice: Random) -> Iterator[Parcel]:
    """Authentic, and not or not wholly to be judged: kept and put aside."""
    first = now - 20 * DAY_S
    doors: tuple[Door, ...] = ("meta", "zernio", "infobip")
    for n in range(max(3, webhooks // 500)):
        broken = b'{"object": "whatsapp_business_account", "entry": [%d' % n + b"[" * dice.randint(1, 9)
        yield Parcel(dice.uniform(first, now), dice.choice(doors), broken, parks=("not_json",))
    for n in range(max(3, webhooks // 1_000)):
        about = {"messageId": f"TESTNOBODY{n}", "from": USERS[0], "to": UNKNOWN_DISPLAY, "message": {"type": "TEXT"}}
        yield Parcel(dice.uniform(first, now), "infobip", orjson.dumps({"results": [about]}), parks=("unknown_number",))
    for n in range(min(10, webhooks // SMALLEST_STORM)):
        yield _one_bad_among_a_thousand(n, now, dice)


def _one_bad_among_a_thousand(n: int, now: int, dice: Random) -> Parcel:
    many = []
    for m in range(A_THOUSAND - 1):
        life = Life(dice.choice(NUMBERS), dice.choice(BUSY_USERS), n * A_THOUSAND + m, now, dice)
        happening = life.delivered(f"wamid.TESTMANY{n:03d}{m:03d}")
        many.append(tell(Happening(happening.facts, ("meta",)), dice))
    bad = Told("meta", now, NUMBERS[0], (), many[0].said | {"timestamp": "soon"}, frozenset(), "messages", "statuses")
    place = dice.randrange(A_THOUSAND)
    envelope = _envelope("meta", [*many[:place], bad, *many[place:]], dice)
    parks = ("unreadable_time",)
    return Parcel(dice.uniform(now - 20 * DAY_S, now), "meta", orjson.dumps(envelope), tuple(many), parks=parks)

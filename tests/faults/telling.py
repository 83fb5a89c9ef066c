"""What happened, told through a door: the JSON that goes there, and the facts that are to be known of it.

Owns which names of a user are shown. Refuses to import a translation; the words of the dialects stand in
`telling_meta.py`, `telling_flat.py` and `telling_reports.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from schemas.events import PairFact
from tests.faults.lives import Door, Happening
from tests.faults.telling_flat import guide_for_sip, infobip, ycloud, zernio
from tests.faults.telling_meta import User, item, scoped_id
from tests.faults.telling_reports import action, exchange

Link = tuple[str, str, str]
"""Number, business-scoped id, digits: a payload showed both names of one user."""


@dataclass(frozen=True, slots=True)
class Told:
    """A happening as one door tells it. `field` and `list_name`: where it stands in Meta's envelope, else empty."""

    door: Door
    at: int
    number: str
    facts: tuple[PairFact, ...]
    said: dict[str, Any]
    links: frozenset[Link] = frozenset()
    field: str = ""
    list_name: str = ""


def tell(happening: Happening, dice: Random) -> Told:
    """The happening, told through one of its doors."""
    door = dice.choice(happening.doors)
    first = happening.facts[0]
    digits, scoped = first.user, scoped_id(first.user)
    user, links = User(digits, None), frozenset[Link]()
    if door in ("meta", "360dialog", "gupshup", "ycloud") and int(digits) % 5 == 0:
        match dice.choice(("digits", "digits", "both", "both", "scoped")):
            case "both":
                user, links = User(digits, scoped), frozenset({(first.phone_number_id, scoped, digits)})
            case "scoped":
                user = User(None, scoped)
            case _:
                pass
    name = user.digits or scoped
    facts = tuple(replace(fact, provider=_provider(door), user=name) for fact in happening.facts)
    number = first.phone_number_id
    if door in ("meta", "360dialog", "gupshup"):
        field, list_name, said = item(happening.facts, user, dice)
        return Told(door, happening.at, number, facts, said, links, field, list_name)
    wording: dict[Door, Callable[[tuple[PairFact, ...], User], dict[str, Any]]] = {
        "gupshup-sip": guide_for_sip,
        "infobip": infobip,
        "ycloud": ycloud,
        "zernio": zernio,
        "actions": action,
        "meta-sendlog": exchange,
    }
    return Told(door, happening.at, number, facts, wording[door](happening.facts, user), links)


def _provider(door: Door) -> str:
    return "gupshup" if door == "gupshup-sip" else door

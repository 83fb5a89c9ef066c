"""Flattened dialects: one event that renames what Meta sends (domain 4.1: Infobip, YCloud, Zernio).

Owns the renaming into an item of Meta's, so that there is one reading of replies, messages, statuses and calls, and
the way back: a fault names the place in the payload as it was sent. Owns also which business number such an event is
about (domain 4.3 rule 5). What an event means stays with the `meta_*` readers, which names a dialect uses with its own
file.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from streams.providers.fields import display_digits, mapping, number_id, word
from streams.providers.known import Known
from streams.providers.meta_parties import Change
from streams.providers.translation import Notes, Refused

ItemReader = Callable[[Change, dict[str, Any], str], None]
Names = Mapping[str, tuple[str, ...]]
"""Per key of Meta's item, the dotted places where the dialect may say it; the first that is said counts. A place that
begins with `$.` is one of the whole payload, `.` is the event itself.
"""
NUMBER: Final = "phone_number_id"
CODE: Final = "error_code"
"""The key for an error that a dialect writes as a bare code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One flattened object, where it stands, and the whole payload."""

    notes: Notes
    numbers: Known
    payload: Mapping[str, Any]
    said: Mapping[str, Any]
    path: str

    def first(self, places: Iterable[str]) -> tuple[str, Any]:
        """The first of the places that is said, as a path, with its value; else the last place and None."""
        path = self.path
        for place in places:
            if place == ".":
                return self.path, self.said
            whole = place.startswith("$.")
            path = place if whole else f"{self.path}.{place}"
            value: Any = self.payload if whole else self.said
            for step in place.removeprefix("$.").split("."):
                value = value.get(step) if isinstance(value, dict) else None
            if value is not None and value != "":
                return path, value
        return path, None

    def says(self, place: str) -> Any:
        """What stands at one place."""
        return self.first((place,))[1]


def event_at(notes: Notes, numbers: Known, payload: Mapping[str, Any], name: str) -> Event:
    """The event that a payload holds under `name`. Raises `Refused` when it is no object."""
    said = mapping(payload.get(name), f"$.{name}")
    return Event(notes=notes, numbers=numbers, payload=payload, said=said, path=f"$.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """Where an event names its business number. `ids` and `displays` are dotted places.

    `inferable`: the event may name none at all; it is then about the only number there is, and says that this was
    inferred. An event that names a number nobody knows is never about another one. `teaches`: the display form beside
    the id is certainly this number's.
    """

    ids: tuple[str, ...] = ()
    displays: tuple[str, ...] = ()
    inferable: bool = False
    teaches: bool = True


def read_flat(
    event: Event,
    *,
    read: ItemReader,
    names: Names,
    number: Number,
    fixed: Mapping[str, Any] | None = None,
    permanence: bool = True,
) -> None:
    """Reads an event as one of Meta's items. `fixed`: what the kind of event says beside it. Raises `Refused`."""
    item: dict[str, Any] = dict(fixed or {})
    places: dict[str, str] = {}
    for name, candidates in names.items():
        places[name], value = event.first(candidates)
        if value is not None:
            _put(item, name, value)
    if (code := item.pop(CODE, None)) is not None:
        item["errors"] = [{"code": code}]
    try:
        read(_change(event, number, permanence=permanence), item, event.path)
    except Refused as refused:
        fault = refused.fault
        raise Refused(fault.reason, _as_sent(fault.path, event.path, places), fault.detail) from None


def _put(item: dict[str, Any], name: str, value: Any) -> None:
    *holders, last = name.split(".")
    for step in holders:
        item = item.setdefault(step, {})
    item[last] = value


def _change(event: Event, number: Number, *, permanence: bool) -> Change:
    """The business number of an event, as what all items of a change of Meta's share.

    Only a display form that stands beside the id is a new pair of forms; one that was looked up teaches nothing.
    """
    path, value = event.first(number.ids)
    found = number_id(value, path) if value is not None else None
    shown = (display_digits(event.says(place)) for place in number.displays)
    displays = [digits for digits in shown if digits is not None]
    inferred: tuple[str, ...] = ()
    display = displays[0] if found is not None and displays and number.teaches else None
    if found is None:
        by_display = event.numbers.by_display
        found = next((by_display[digits] for digits in displays if digits in by_display), None)
    if found is None and not displays and number.inferable:
        found = event.numbers.only
        inferred = (NUMBER,) if found is not None else ()
    named = tuple(displays) if found is None else ()
    return Change(event.notes, event.numbers, found, display, (), {}, permanence, inferred, named)


def our_side(direction: Any) -> tuple[str, ...]:
    """Where a call names the business number by its display form; nowhere for sure while nobody says who called."""
    match word(direction):
        case "USER_INITIATED":
            return ("to",)
        case "BUSINESS_INITIATED":
            return ("from",)
        case _:
            return ()


def _as_sent(at: str, path: str, places: Mapping[str, str]) -> str:
    """The path of a fault in the payload as it was sent: the longest known name, put back."""
    rest = at.removeprefix(f"{path}.")
    for name in sorted(places, key=len, reverse=True):
        if rest == name or rest.startswith((f"{name}.", f"{name}[")):
            return places[name] + rest[len(name) :]
    return at

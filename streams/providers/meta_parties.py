"""Who an item of Meta's webhooks is about: the business number and the user, by all the names shown (domain 3.11).

Owns which contact belongs to which item, the canonical name (design 7), and what a payload shows beside its items:
the two names of a user, the two forms of a number. An unreadable name costs nothing while another one can be read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from schemas.ids import is_wa_id
from streams.providers.fields import display_digits, instant, number_id, user_name
from streams.providers.known import Known
from streams.providers.translation import Notes, Refused

Keys = tuple[str, ...]
FROM: Final[Keys] = ("from", "from_user_id", "from_parent_user_id")
TO: Final[Keys] = ("to", "to_user_id", "to_parent_user_id")
RECIPIENT: Final[Keys] = ("recipient_id", "recipient_user_id", "recipient_parent_user_id")
CONTACT: Final[Keys] = ("wa_id", "user_id", "parent_user_id")


class Names(NamedTuple):
    """What one user is called: digits, business-scoped id, parent's scoped id."""

    wa_id: str | None = None
    scoped: str | None = None
    parent: str | None = None

    @property
    def user(self) -> str | None:
        """The canonical name, else the best one there is."""
        return self.wa_id or self.scoped or self.parent

    @property
    def aliases(self) -> tuple[str, ...]:
        """All names but the one in use."""
        user = self.user
        others = [name for name in self if name is not None and name != user]
        return tuple(sorted(others)) if len(others) > 1 else tuple(others)

    def filled(self, other: "Names") -> "Names":
        """These names, and the other's where one is missing."""
        return Names(self.wa_id or other.wa_id, self.scoped or other.scoped, self.parent or other.parent)

    def contradicts(self, other: "Names") -> bool:
        """Whether both have a name of one sort and it differs."""
        return any(mine is not None and its is not None and mine != its for mine, its in zip(self, other, strict=True))


@dataclass(frozen=True, slots=True)
class Change:
    """What all items of one change share. `display`: the digits of the number's display form.

    `permanence`: whether the dialect says of a permission that it is permanent. `inferred`: what of the fields of
    every fact was inferred. `named`: the display numbers by which a number was looked for in vain.
    """

    notes: Notes
    numbers: Known
    number: str | None
    display: str | None
    contacts: tuple[Names, ...]
    by_name: Mapping[str, Names]
    permanence: bool = True
    inferred: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def about(self, item: Mapping[str, Any], path: str, keys: Keys, display: str | None = None) -> dict[str, Any]:
        """The fields that every fact of a pair has. `display`: the business side as a call names it."""
        number = self.number or (self.numbers.by_display.get(display) if display is not None else None)
        if number is None:
            raise self.of_no_number(path, display)
        names = self._user(item, path, keys)
        return self.fields(number, names, self.at(item, path))

    def of_no_number(self, path: str, *displays: str | None) -> Refused:
        """The refusal of an item whose number nobody knows. `displays`: further display numbers that it names."""
        why = self.numbers.why_unknown((self.display, *self.named, *displays))
        return Refused("unknown_number", path, why)

    def at(self, item: Mapping[str, Any], path: str) -> int:
        """When the item happened; receipt time when it does not say."""
        place = f"{path}.timestamp"
        at = instant(item.get("timestamp"), place)
        return self.notes.received_at if at is None else self.notes.happened(at, place)

    def fields(self, number: str, names: Names, at: int) -> dict[str, Any]:
        """The same fields from what is already read; keeps what the payload shows beside the item."""
        if names.wa_id is not None and not self.inferred:  # what is inferred is not passed on as shown
            for other in (names.scoped, names.parent):
                if other is not None:
                    self.notes.link(number, other, names.wa_id, at)
        if self.display is not None:
            self.notes.see(number, self.display, at)
        fields: dict[str, Any] = {
            "phone_number_id": number,
            "user": names.user,
            "aliases": names.aliases,
            "occurred_at": at,
            "recorded_at": self.notes.received_at,
            "provider": self.notes.provider,
        }
        if self.inferred:
            fields["inferred"] = self.inferred
        return fields

    def _user(self, item: Mapping[str, Any], path: str, keys: Keys) -> Names:
        faults: list[Refused] = []
        names = names_of(item, path, keys, faults)
        if len(self.contacts) == 1:
            contact = self.contacts[0]
            if names != contact and not names.contradicts(contact):
                names = names.filled(contact)
        elif self.contacts:
            known = (self.by_name.get(name) for name in names if name is not None)
            names = names.filled(next((contact for contact in known if contact is not None), Names()))
        if keys is not FROM:
            names = self._reached(names)
        if names.user is None:
            raise faults[0] if faults else Refused("unknown_user", path, "the payload names no user")
        for _ in faults:
            self.notes.ignore("user_name_unreadable")
        return names

    def _reached(self, names: Names) -> Names:
        """The names of whom the business addressed, by the digits of WhatsApp: those that were typed can differ, and
        a contact of the same scoped id tells (domain 3.1).
        """
        if names.wa_id is None or names.scoped is None or names.wa_id in self.by_name:
            return names
        contact = self.by_name.get(names.scoped)
        return names if contact is None or contact.wa_id is None else names._replace(wa_id=contact.wa_id)


def names_of(item: Mapping[str, Any], path: str, keys: Keys, faults: list[Refused]) -> Names:
    """The readable names of a user, each by its own form: a scoped id may stand where digits are expected."""
    shown = tuple(map(item.get, keys))
    if all(one is None or type(one) is str for one in shown) and (known := _all_readable(shown)) is not None:
        return known
    readable = []
    for key, value in zip(keys, shown, strict=True):
        try:
            readable.append(user_name(value, f"{path}.{key}"))
        except Refused as refused:
            faults.append(refused)
    return _sorted(readable)


@lru_cache(maxsize=16_384)  # an item and its contact show the same names, and a busy user comes again soon
def _all_readable(shown: tuple[str | None, ...]) -> Names | None:
    """The names, where every one of them can be read."""
    try:
        return _sorted([user_name(one, "") for one in shown])
    except Refused:
        return None


def _sorted(names: Iterable[str | None]) -> Names:
    wa_id = scoped = parent = None
    for name in names:
        if name is None:
            continue
        if is_wa_id(name):
            wa_id = wa_id or name
        elif name[3:7] == "ENT.":
            parent = parent or name
        else:
            scoped = scoped or name
    return Names(wa_id, scoped, parent)


def change_of(notes: Notes, numbers: Known, value: Mapping[str, Any], path: str, entry_number: str | None) -> Change:
    """What the items of a change share. `entry_number`: the number where a dialect names it by the entry."""
    metadata = value.get("metadata")
    if metadata is None:
        metadata = {}
    elif not isinstance(metadata, dict):
        raise Refused("unreadable", f"{path}.metadata", "an object is expected here")
    number = number_id(metadata.get("phone_number_id"), f"{path}.metadata.phone_number_id") or entry_number
    shown = metadata.get("display_phone_number")
    display = display_digits(shown)
    if display is None and shown is not None:
        notes.ignore("display_number_unreadable")
    if number is None and display is not None:
        number = numbers.by_display.get(display)
    contacts = _contacts(notes, value.get("contacts"), path)
    by_name = {name: contact for contact in contacts for name in contact if name is not None}
    return Change(notes, numbers, number, display, contacts, by_name)


def _contacts(notes: Notes, value: Any, path: str) -> tuple[Names, ...]:
    """The contacts of a change. They add names to items, so what of them cannot be read costs no item."""
    if value is None:
        return ()
    faults: list[Refused] = []
    found = []
    for contact in value if isinstance(value, list) else [None]:
        names = names_of(contact, path, CONTACT, faults) if isinstance(contact, dict) else Names()
        if names.user is None or faults:
            notes.ignore("contacts_unreadable")
            faults.clear()
        if names.user is not None:
            found.append(names)
    return tuple(found)

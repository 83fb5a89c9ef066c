"""The first look at a history: what is known of numbers must be known before any pair is judged (design 5).

Owns which lines can tell something of a number, so that the others cost a look and no translation: account webhooks,
registrations, metadata that shows a number's two forms for the first time, and every line of a dialect whose envelope
is not Meta's. Also finds under which canonical name the users are kept that were asked for by another name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import orjson

from schemas.codec import Unreadable
from schemas.events import NumberFact, UsersLinked
from schemas.ids import Pair, is_wa_id
from schemas.policy import Policy
from streams.countries import country_of
from streams.permission.directory import Directory
from streams.providers.fields import display_digits
from streams.providers.known import NONE_KNOWN, Known
from streams.providers.translation import Translation
from streams.replay.meaning import meaning
from streams.replay.sources import Line

_MARKS: Final = (b"account_update", b"account_settings_update", b"business_registered")
_DISPLAY: Final = b'"display_phone_number"'
_KNOWN_FORM: Final = re.compile(
    rb'"action"[ \t]*:|"webhook"[ \t]*:[ \t]*"(?:meta|360dialog|gupshup)"[ \t]*,[ \t]*"body"[ \t]*:'
)
_MAX_FORMS: Final = 65_536


@dataclass(slots=True)
class Scouted:
    """What the first look found. `links`: per asked name the earliest link of it, as (instant, wa_id)."""

    numbers: Directory
    links: dict[Pair, tuple[int, str]] = field(default_factory=dict)

    def known(self) -> Known:
        """What a translation of the second look may take a payload to be about."""
        return Known.of(self.numbers)

    def canonical(self, pair: Pair) -> Pair:
        """The pair under which this one's evidence is kept."""
        return Pair(pair.phone_number_id, self.links[pair][1]) if pair in self.links else pair


def scout(lines: Iterable[Line], policy: Policy, asked: Iterable[Pair] = ()) -> Scouted:
    """Look through all lines once."""
    found = Scouted(Directory(policy, country_of))
    other_names = {pair for pair in asked if not is_wa_id(pair.user)}
    names = [pair.user.encode() for pair in other_names]
    forms: set[bytes] = set()
    for line in lines:
        raw = line.raw
        shown = _new_forms(raw, forms, found.numbers)
        if not (
            shown
            or any(mark in raw for mark in _MARKS)
            or _KNOWN_FORM.search(raw) is None
            or any(name in raw for name in names)
        ):
            continue
        done = meaning(line, NONE_KNOWN)
        if isinstance(done, Unreadable):
            continue
        _take(done, found, other_names)
        if len(forms) < _MAX_FORMS:
            forms.update(form for form in shown if _is_known(form, found.numbers))
    return found


def _take(done: Translation, found: Scouted, asked: set[Pair]) -> None:
    for fact in done.facts:
        if isinstance(fact, NumberFact):
            found.numbers.take(fact)
        elif isinstance(fact, UsersLinked) and (pair := Pair(fact.phone_number_id, fact.user)) in asked:
            link = (fact.occurred_at, fact.wa_id)
            found.links[pair] = min(found.links.get(pair, link), link)


def _new_forms(raw: bytes, forms: set[bytes], numbers: Directory) -> list[bytes]:
    """The smallest objects around a display number that were not met yet and tell something new."""
    found = []
    at = raw.find(_DISPLAY)
    while at >= 0:
        end = raw.find(b"}", at)
        form = raw[raw.rfind(b"{", 0, at) : end + 1]
        if form not in forms:
            if _is_known(form, numbers):
                forms.add(form)
            else:
                found.append(form)
        at = raw.find(_DISPLAY, end) if end >= 0 else -1
    return found


def _is_known(form: bytes, numbers: Directory) -> bool:
    try:
        said = orjson.loads(form)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(said, dict):
        return False
    number, display = said.get("phone_number_id"), display_digits(said.get("display_phone_number"))
    return isinstance(number, str) and display is not None and numbers.knows(number, display)

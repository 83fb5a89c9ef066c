"""What is known of all business numbers: who is who, and each number as the rules need it (design 5, 7).

Owns the join of what is keyed by an id with what is keyed by the display form. What a number *is* (its profile,
country, forms) is timeless, as in every answer; its settings and restrictions are dated, and judged at the instant
asked. A display number that leads to two ids is resolved only by the operator, in the policy file or by the latest
registration; guessed never. What is told of a display number concerns every id that shows it.

The one directory of worker, api and replay: whoever holds one hands it the rows of `business.state` as they come, or
the facts. Refuses to know how a country is read from a display number: `country_of` is handed in.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from schemas.business import BusinessState, BusinessUnreadable, decode_business, name_of
from schemas.events import NumberFact
from schemas.ids import user_of
from schemas.policy import Policy
from streams.permission.business import evolve_business
from streams.permission.number import Number, number_in


class Directory:
    """The numbers of a policy file and of all that was told. `unreadable`: names whose row could not be read."""

    def __init__(self, policy: Policy, country_of: Callable[[str], str | None]) -> None:
        self.unreadable: set[str] = set()
        self._policy, self._country_of = policy, country_of
        self._states: dict[str, BusinessState] = {}
        self._ids: dict[str, set[str]] = defaultdict(set)  # by display number
        self._displays: dict[str, set[str]] = defaultdict(set)  # by id
        self._judged: dict[str, Number] = {}
        self._by_display: dict[str, str] | None = None
        self._contested: frozenset[str] = frozenset()
        self._all: frozenset[str] | None = None
        self._named: dict[str, set[str]] = defaultdict(set)  # ids the policy file names, by display number
        for number, entry in policy.numbers.items():
            display = user_of(entry.display_phone_number or "")
            if display is not None:
                self._named[display].add(number)
                self._ids[display].add(number)
                self._displays[number].add(display)

    def hear(self, key: bytes, value: bytes | None) -> None:
        """A row of `business.state` as it now is; None: there is none any more."""
        name = key.decode("utf-8", "replace")
        self.unreadable.discard(name)
        try:
            state = decode_business(value) if value is not None else None
        except BusinessUnreadable:
            self.unreadable.add(name)
            return
        self.put(name, state)

    def put(self, name: str, state: BusinessState | None) -> None:
        """The evidence under a name as it now is."""
        self._judged.clear()
        self._by_display = self._all = None
        before = self._states.pop(name, None)
        shown = {form.display_phone_number for form in state.forms} if state is not None else set()
        gone = {form.display_phone_number for form in before.forms} - shown if before is not None else set()
        for display in gone:
            if name not in self._named.get(display, ()):
                self._ids[display].discard(name)
                self._displays[name].discard(display)
        for display in shown:
            self._ids[display].add(name)
            self._displays[name].add(display)
        if state is not None:
            self._states[name] = state

    def take(self, fact: NumberFact) -> None:
        """One more fact about a number. Facts may come in any order and twice."""
        name = name_of(fact)
        state = self._states.get(name) or BusinessState(name=name)
        if (new := evolve_business(state, fact)) is not state:
            self.put(name, new)

    def told(self, name: str) -> list[BusinessState]:
        """The evidence of a number, under its id and under each of its display numbers."""
        names = (name, *sorted(self._displays.get(name, ())))
        return [state for each in names if (state := self._states.get(each)) is not None]

    def displays(self, number: str) -> list[str]:
        """The display numbers shown together with an id."""
        return sorted(self._displays.get(number, ()))

    def is_readable(self, number: str) -> bool:
        """Whether every row about the number could be read."""
        return self.unreadable.isdisjoint((number, *self._displays.get(number, ())))

    def of(self, number: str) -> Number:
        """What is known of a number."""
        known = self._judged.get(number)
        if known is None:
            known = self._judged[number] = number_in(self._policy, number, self.told(number), self._shown_in(number))
        return known

    def knows(self, number: str, display: str) -> bool:
        """Whether both forms were already shown together."""
        return number in self._ids.get(display, ())

    def by_display(self) -> Mapping[str, str]:
        """The id of each display number that has exactly one, or one the operator names."""
        if self._by_display is None:
            found = {display: min(ids) for display, ids in self._ids.items() if len(ids) == 1}
            found |= self._registered()
            found |= {display: min(ids) for display, ids in self._named.items() if len(ids) == 1}
            self._by_display = found
            self._contested = frozenset(display for display, ids in self._ids.items() if ids and display not in found)
        return self._by_display

    def contested(self) -> AbstractSet[str]:
        """Each display number that has several ids, while the operator names none."""
        self.by_display()
        return self._contested

    def ids(self) -> AbstractSet[str]:
        """Every id that is known: by the policy file, a registration, or a display number shown with it. Not one whose
        display numbers all belong to another id by now.
        """
        if self._all is None:
            owners = self.by_display()
            found = set(self._policy.numbers)
            for name, displays in self._displays.items():
                if any(owners.get(display, name) == name for display in displays):
                    found.add(name)
            for name, state in self._states.items():
                if not self._displays.get(name) and any(
                    one.display_phone_number != name for one in state.registrations
                ):
                    found.add(name)  # a fact that names a number by its display form alone names no id
            self._all = frozenset(found)
        return self._all

    def _registered(self) -> dict[str, str]:
        latest: dict[str, tuple[int, str]] = {}
        for name, state in self._states.items():
            for one in state.registrations:
                if one.display_phone_number is not None and one.display_phone_number != name:
                    told = (one.at, name)
                    latest[one.display_phone_number] = max(latest.get(one.display_phone_number, told), told)
        return {display: number for display, (_, number) in latest.items()}

    def _shown_in(self, number: str) -> str | None:
        found = (self._country_of(display) for display in self.displays(number))
        return next((country for country in found if country is not None), None)

"""What is known of business numbers by the whole log, and what was known earlier.

Owns the rows that `business.state` should hold, and the earlier knowledge of each number: announcements say what a
worker knew when it made them (design 5), and a registration may come after the facts it would have changed.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from schemas.business import BusinessState, name_of
from schemas.codec import Unreadable, decode_fact
from schemas.events import NumberFact
from schemas.ids import partition_of
from schemas.policy import Policy
from streams.permission.business import evolve_business
from streams.permission.directory import Directory
from streams.permission.number import Number

EARLIER_AT_MOST: Final = 8


class NumbersFold:
    """All business numbers. Facts come in order of writing; order does not matter but for what was known earlier."""

    def __init__(self, policy: Policy, country_of: Callable[[str], str | None]) -> None:
        self.states: dict[str, BusinessState] = {}
        self._directory = Directory(policy, country_of)
        self._once: dict[str, list[Number]] = defaultdict(list)
        self._shown_as: dict[str, set[str]] = defaultdict(set)  # ids by display number

    def take(self, key: bytes | None, value: bytes | None, partition: int, partitions: int) -> None:
        """The next record of `business.events`. What a worker puts aside is left out."""
        fact = decode_fact(value) if value is not None else None
        if fact is None or isinstance(fact, Unreadable) or not isinstance(fact, NumberFact):
            return
        name = name_of(fact)
        if key is None or key != name.encode() or b"/" in key or partition_of(key, partitions) != partition:
            return
        state = self.states.get(name) or BusinessState(name=name)
        new = evolve_business(state, fact)
        if new is state:
            return
        if fact.phone_number_id is not None and fact.display_phone_number is not None:
            self._shown_as[fact.display_phone_number].add(fact.phone_number_id)
        touched = {name, *self._shown_as.get(name, ())}
        before = {one: self._directory.of(one) for one in touched}
        self.states[name] = new
        self._directory.put(name, new)
        for one, number in before.items():
            if self._directory.of(one) != number:
                self._once[one] = [number, *(known for known in self._once[one] if known != number)][:EARLIER_AT_MOST]

    def of(self, name: str) -> Number:
        """By all that was told."""
        return self._directory.of(name)

    def once(self, name: str) -> Sequence[Number]:
        """By what had been told earlier, the latest first."""
        return self._once.get(name, ())

"""What a whole history tells of business numbers: evidence of each, and which display number belongs to which id.

Owns the join of what is keyed by an id with what is keyed by the display form (design 5). What a number *is* (its
profile, country, forms) is timeless, as in every answer; its settings and restrictions are dated and judged by the
core at the instant asked. A display number that leads to two ids is resolved only by the operator, in the policy file
or by a registration; guessed never.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from phonenumbers import NumberParseException, parse, region_code_for_number

from schemas.events import BusinessRegistered, BusinessSeen, NumberFact
from schemas.policy import Policy
from streams.permission.number import Number, evolve_number, number_in
from streams.providers.fields import display_digits


class Numbers:
    """The numbers of a policy file and of a history. Facts may come in any order and twice."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._facts: dict[str, dict[str, NumberFact]] = defaultdict(dict)
        self._seen: dict[str, set[str]] = defaultdict(set)
        self._registered: dict[str, tuple[int, str]] = {}
        self._judged: dict[str, Number] = {}
        named: dict[str, set[str]] = defaultdict(set)
        for number, entry in policy.numbers.items():
            if (display := display_digits(entry.display_phone_number)) is not None:
                named[display].add(number)
                self._seen[display].add(number)
        self._named = {display: min(ids) for display, ids in named.items() if len(ids) == 1}

    def take(self, fact: NumberFact) -> None:
        """One more fact about a number."""
        self._judged.clear()
        number, display = fact.phone_number_id, fact.display_phone_number
        if number is not None and display is not None:
            self._seen[display].add(number)
            if isinstance(fact, BusinessRegistered):
                self._registered[display] = max(self._registered.get(display, (0, "")), (fact.occurred_at, number))
        key = number or display
        if key is None or isinstance(fact, BusinessSeen):
            return
        held = self._facts[key].get(fact.fact_id)
        if held is None or fact.occurred_at < held.occurred_at:
            self._facts[key][fact.fact_id] = fact

    def knows(self, number: str, display: str) -> bool:
        """Whether both forms were already shown together."""
        return number in self._seen.get(display, ())

    def by_display(self) -> Mapping[str, str]:
        """The id of each display number that has exactly one, or one the operator names."""
        found = {display: min(ids) for display, ids in self._seen.items() if len(ids) == 1}
        found.update({display: number for display, (_, number) in self._registered.items()})
        return found | self._named

    def of(self, number: str) -> Number:
        """What is known of a number."""
        known = self._judged.get(number)
        if known is None:
            known = self._judged[number] = self._judge(number)
        return known

    def _judge(self, number: str) -> Number:
        known = number_in(self._policy, number)
        displays = sorted(display for display, ids in self._seen.items() if number in ids)
        facts = {fact_id: fact for key in (number, *displays) for fact_id, fact in self._facts.get(key, {}).items()}
        for fact in sorted(facts.values(), key=lambda one: (one.occurred_at, one.fact_id)):
            known = evolve_number(known, fact)
        if known.country is None and displays:
            known = replace(known, country=country_of(displays[0]))
        return known


def country_of(display: str) -> str | None:
    """The country a display number belongs to, two letters; None when it is no number anybody has (design 15)."""
    try:
        return region_code_for_number(parse(f"+{display}"))
    except NumberParseException:
        return None

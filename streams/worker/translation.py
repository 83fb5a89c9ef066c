"""The translation of one batch: raw records in, facts by partition and dead letters out. Pure, like the fold.

Owns how a raw record's headers become a provider and a receipt time, and which log a fact belongs to. Refuses any
knowledge of a provider's format: that is `streams.providers`.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeGuard, cast, get_args

from schemas.business import name_of
from schemas.codec import Unreadable, encode_fact
from schemas.envelope import PROVIDER, RECEIVED_AT, Headers, cloud_event, header, received_at_of
from schemas.events import FACT_VERSIONS, Fact, NumberFact, PairFact
from schemas.ids import pair_text, partition_of
from schemas.mark_lists import filled
from streams.providers.known import NONE_KNOWN, Known
from streams.providers.registry import translate
from streams.providers.translation import Translation
from streams.worker.parking import one_each, parked
from streams.worker.rows import Arrival, Row
from streams.worker.shown import Shown, is_shown

_OF_A_PAIR: Final = frozenset(get_args(PairFact))


@dataclass(slots=True)
class Translated:
    """What one batch comes to. `flags`: per record, whether it gave nothing but dead letters."""

    facts: dict[tuple[str, int], list[Row]] = field(default_factory=lambda: defaultdict(list))
    """By registered topic name and partition."""
    parked: list[Row] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    """What payloads call what nobody documented, as `kind:name`."""
    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Facts by provider and type, repeats included."""
    flags: list[bool] = field(default_factory=list)
    shown: dict[str, int] = field(default_factory=dict)
    """Of `facts` what payloads repeat: fact ids with their earliest instant, to be remembered once acknowledged."""

    def repeats(self, fact: Fact) -> bool:
        """Whether the batch shows as much already; else it does from now on."""
        earliest = self.shown.get(fact.fact_id)
        if earliest is not None and earliest <= fact.occurred_at:
            return True
        self.shown[fact.fact_id] = fact.occurred_at
        return False


def translate_batch(
    arrivals: Sequence[Arrival],
    partitions: int,
    shown: Shown | None = None,
    numbers: Known = NONE_KNOWN,
) -> Translated:
    """Translate a batch of `webhooks.raw` or `actions.raw`. `shown`: what was acknowledged before is left out.

    `numbers`: those that are known, for what does not name its number by `phone_number_id`.
    """
    done, shown = Translated(), Shown() if shown is None else shown
    for arrival in arrivals:
        one = _translate(arrival, numbers)
        if one.ignored:
            done.ignored.update(one.ignored)
        if one.unknown:
            done.unknown.update(one.unknown)
        for fact in one.facts:
            done.made[fact.provider, fact.type] += 1
            if is_shown(fact) and (shown.knows(fact.fact_id, fact.occurred_at) or done.repeats(fact)):
                continue
            topic, row = routed(fact)
            done.facts[topic, partition_of(row.key or b"", partitions)].append(row)
        for why in one_each(one.parked):
            done.parked.append(parked(arrival, why))
            done.reasons[why.reason] += 1
        done.flags.append(bool(one.parked) and not one.facts)
    return done


def is_of_a_pair(fact: Fact) -> TypeGuard[PairFact]:
    """Whether the log of pairs has it. An `isinstance` asks the members of a union one by one."""
    return type(fact) in _OF_A_PAIR


def routed(fact: Fact) -> tuple[str, Row]:
    """Where a fact belongs: facts of pairs and facts about numbers have a log each."""
    if is_of_a_pair(fact):
        return "permission.events", fact_row(fact)
    return "business.events", number_row(cast(NumberFact, fact))


def number_row(fact: NumberFact) -> Row:
    """A fact as a record of `business.events`, keyed by what names the number; a template's by the account, if need
    be.
    """
    return Row(name_of(fact).encode(), encode_fact(fact), _headers(fact))


def fact_row(fact: PairFact) -> Row:
    """A fact as a record of `permission.events`."""
    return filled(Row, (pair_text(fact.phone_number_id, fact.user).encode(), encode_fact(fact), _headers(fact)))


def _headers(fact: Fact) -> Headers:
    return cloud_event(
        id=fact.fact_id, kind=fact.type, source="worker", at=fact.occurred_at, version=FACT_VERSIONS[fact.type]
    )


def _translate(arrival: Arrival, numbers: Known) -> Translation:
    if arrival.value is None:
        why = Unreadable(reason="no_value", path="$", detail="a raw record is never a tombstone")
        return Translation(facts=(), ignored={}, parked=(why,))
    received_at = received_at_of(header(arrival.headers, RECEIVED_AT) or "")
    if received_at is None:
        received_at = arrival.timestamp // 1000
    return translate(header(arrival.headers, PROVIDER) or "", arrival.value, received_at, numbers)

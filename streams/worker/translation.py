"""The translation of one batch: raw records in, facts by partition and dead letters out. Pure, like the fold.

Owns how a raw record's headers become a provider and a receipt time. Refuses any knowledge of a provider's format:
that is `streams.providers`.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.codec import Unreadable, encode_fact
from schemas.envelope import PROVIDER, RECEIVED_AT, cloud_event, header, received_at_of
from schemas.events import FACT_VERSIONS, Fact
from schemas.ids import Pair, partition_of
from streams.providers.registry import translate
from streams.providers.translation import Translation
from streams.worker.parking import one_each, parked
from streams.worker.rows import Arrival, Row


@dataclass(slots=True)
class Translated:
    """What one batch comes to. `flags`: per record, whether it gave nothing but dead letters."""

    facts: dict[int, list[Row]] = field(default_factory=lambda: defaultdict(list))
    parked: list[Row] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    flags: list[bool] = field(default_factory=list)


def translate_batch(arrivals: Sequence[Arrival], partitions: int) -> Translated:
    """Translate a batch of `webhooks.raw` or `actions.raw`."""
    done = Translated()
    for arrival in arrivals:
        one = _translate(arrival)
        done.ignored.update(one.ignored)
        for fact in one.facts:
            row = fact_row(fact)
            done.facts[partition_of(row.key or b"", partitions)].append(row)
        for why in one_each(one.parked):
            done.parked.append(parked(arrival, why))
            done.reasons[why.reason] += 1
        done.flags.append(bool(one.parked) and not one.facts)
    return done


def fact_row(fact: Fact) -> Row:
    """A fact as a record of `permission.events`."""
    headers = cloud_event(
        id=fact.fact_id, kind=fact.type, source="worker", at=fact.occurred_at, version=FACT_VERSIONS[fact.type]
    )
    return Row(Pair(fact.phone_number_id, fact.user).key, encode_fact(fact), headers)


def _translate(arrival: Arrival) -> Translation:
    if arrival.value is None:
        why = Unreadable(reason="no_value", path="$", detail="a raw record is never a tombstone")
        return Translation(facts=(), ignored={}, parked=(why,))
    received_at = received_at_of(header(arrival.headers, RECEIVED_AT) or "")
    if received_at is None:
        received_at = arrival.timestamp // 1000
    return translate(header(arrival.headers, PROVIDER) or "", arrival.value, received_at)

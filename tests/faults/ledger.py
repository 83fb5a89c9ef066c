"""What was acknowledged, what was refused, and whether the log agrees: nothing lost, altered or made up.

Owns the comparison of a sender's ledger with the raw topics. Refuses to read them and to know what a body means. A
finding names a delivery by its id, which is a digest, never by its content.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.doors import Kept, Sending, Stored


@dataclass(frozen=True, slots=True)
class Ledger:
    """By delivery id: what each record must be, which were acknowledged, how often each was tried. `never`: digests of
    what was refused."""

    kept: Mapping[str, Kept]
    acknowledged: frozenset[str]
    tried: Mapping[str, int]
    never: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of a raw topic as it was read."""

    delivery_id: str
    stored: Stored
    partition: int
    offset: int
    received_at: int


def ledger_of(sent: Iterable[tuple[Sending, int, int]]) -> Ledger:
    """Of what was sent: each request with its last status (0: none) and how often it was tried."""
    kept: dict[str, Kept] = {}
    tried: Counter[str] = Counter()
    acknowledged: set[str] = set()
    never: set[bytes] = set()
    for sending, status, tries in sent:
        never.update(sending.never)
        for one in sending.kept:
            assert kept.setdefault(one.delivery_id, one).stored == one.stored, "one delivery id for two deliveries"
            tried[one.delivery_id] += tries
            if status in (200, 202):
                acknowledged.add(one.delivery_id)
    return Ledger(kept, frozenset(acknowledged), tried, frozenset(never))


def findings(ledger: Ledger, log: Sequence[Logged]) -> dict[str, list[str]]:
    """By kind, the delivery ids of what is wrong with the log; empty when it is as the ledger says."""
    found: dict[str, list[str]] = defaultdict(list)
    right: Counter[str] = Counter()
    wrong: list[Logged] = []
    for record in log:
        kept = ledger.kept.get(record.delivery_id)
        if record.stored.digest in ledger.never:
            found["refused and stored"].append(record.delivery_id)
        elif kept is None:
            found["made up"].append(record.delivery_id)
        elif kept.stored == record.stored:
            right[record.delivery_id] += 1
        else:
            wrong.append(record)
    for record in wrong:
        same_body = ledger.kept[record.delivery_id].stored.digest == record.stored.digest
        beside = "doubled with another body" if right[record.delivery_id] else "altered"
        found["under another name" if same_body else beside].append(record.delivery_id)
    found["lost"] += [delivery for delivery in ledger.acknowledged if not right[delivery]]
    found["more often than tried"] += [delivery for delivery, times in right.items() if times > ledger.tried[delivery]]
    return {kind: deliveries for kind, deliveries in found.items() if deliveries}


def told(found: Mapping[str, Sequence[object]]) -> str:
    """How many of each kind, and the first five."""
    return "; ".join(f"{kind}: {len(each)}, like {list(each[:5])}" for kind, each in found.items()) or "as it should be"

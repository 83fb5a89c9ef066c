"""What the sender of the storm tells in each dialect is read as the facts that its ledger names."""

from collections import Counter
from dataclasses import replace
from typing import Final

import orjson

from schemas.events import BusinessSeen, Fact, UsersLinked
from streams.providers.known import Known
from streams.providers.registry import translate
from tests.faults.doors import Kept, digest_of
from tests.faults.lives import AT_RECEIPT
from tests.faults.parcels import sendings
from tests.faults.telling_meta import DISPLAYS

NOW: Final = 1_772_445_600
KNOWN: Final = Known({display: number for number, display in DISPLAYS.items()}, frozenset(DISPLAYS))


def bodies(wire: bytes) -> dict[bytes, bytes]:
    """What the gateway makes records of: the body of a webhook, the elements of a report."""
    body = wire.partition(b"\r\n\r\n")[2]
    found = [body, *body.splitlines()]
    if body.startswith(b"["):
        found += map(orjson.dumps, orjson.loads(body))
    return {digest_of(one): one for one in found}


def said(fact: Fact) -> tuple[object, ...]:
    """A fact without the user's further names."""
    return tuple(getattr(fact, name) for name in fact.__dataclass_fields__ if name not in ("aliases", "recorded_at"))


def expected(kept: Kept) -> set[tuple[object, ...]]:
    return {said(replace(fact, occurred_at=NOW) if fact.occurred_at == AT_RECEIPT else fact) for fact in kept.facts}


def test_every_dialect_is_read_as_the_facts_that_were_to_be_told() -> None:
    read: Counter[str] = Counter()
    for sending in sendings(11, 600, NOW):
        by_digest = bodies(sending.wire)
        for kept in sending.kept:
            body = by_digest[kept.stored.digest]
            done = translate(kept.stored.provider, body, NOW, KNOWN)
            items = [fact for fact in done.facts if not isinstance(fact, UsersLinked | BusinessSeen)]
            links = [fact for fact in done.facts if isinstance(fact, UsersLinked)]
            assert {said(fact) for fact in items} == expected(kept)
            assert {(link.phone_number_id, link.user, link.wa_id) for link in links} == set(kept.links)
            assert tuple(fault.reason for fault in done.parked) == kept.parks
            read[kept.stored.provider] += 1
    doors = {"meta", "360dialog", "gupshup", "infobip", "ycloud", "zernio", "actions", "meta-sendlog"}
    assert set(read) == doors
    assert min(read.values()) > 10

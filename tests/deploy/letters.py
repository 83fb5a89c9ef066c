"""Dead letters by hand: records of the topic `deadletters` as workers and operators write them."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from deploy.deadletters import Address, Ledger
from schemas.envelope import Headers, dead_letter, mark, raw_record

AT_MS = 1_772_443_801_000
DAY_S = 86_400
USER = "447700900123"
NUMBER = "700100200300400"
REPLY = {
    "from": USER,
    "id": "wamid.TESTREPLY1",
    "timestamp": "1772443800",
    "type": "interactive",
    "interactive": {"type": "call_permission_reply", "call_permission_reply": {"response": "reject"}},
}
METADATA = {"display_phone_number": "442079460123", "phone_number_id": NUMBER}


class Record(NamedTuple):
    """A record of `deadletters` as the client gives it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def parked(
    at: tuple[int, int],
    value: bytes | None = b"{",
    *,
    reason: str = "not_json",
    path: str = "$",
    origin: tuple[str, int, int] = ("t.webhooks.raw", 0, 5),
    provider: str = "meta",
    key: bytes | None = None,
    arrived: Headers | None = None,
    later_s: int = 0,
) -> Record:
    topic, partition, offset = origin
    headers = raw_record(provider=provider, received_at_ms=AT_MS - 500, delivery_id="d1", secret_slot="test/1")
    own = dead_letter(
        reason=reason,
        path=path,
        detail="the body is not JSON",
        topic=topic,
        partition=partition,
        offset=offset,
        at_ms=AT_MS,
    )
    return Record(*at, AT_MS + later_s * 1000, key, value, [*own, *(headers if arrived is None else arrived)])


def marked(address: Address, at: tuple[int, int], outcome: Any = "dropped", later_s: int = 60) -> Record:
    headers = mark(partition=address.partition, offset=address.offset, outcome=outcome)
    return Record(*at, AT_MS + later_s * 1000, None, b"", headers)


def ledger_of(*records: Record) -> Ledger:
    ledger = Ledger()
    for each in records:
        ledger.take(each)
    return ledger


def webhook(*messages: dict[str, Any]) -> bytes:
    value = {"messaging_product": "whatsapp", "metadata": METADATA, "messages": list(messages)}
    change = {"field": "messages", "value": value}
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "9", "changes": [change]}]}).encode()

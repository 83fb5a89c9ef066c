"""A seeded past: raw records of many pairs, with repeats and disorder, and their straight fold with the core alone."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import orjson

from schemas.envelope import Headers, raw_record
from schemas.ids import Pair, derived_id
from schemas.policy import DEFAULT_POLICY, NumberEntry
from schemas.state import PairState
from streams.permission.step import step
from streams.providers.registry import translate

NUMBERS = ("700100200300400", "700100200300401")
T0 = 1_772_442_000
HOUR, DAY = 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Raw:
    """One record of a raw topic."""

    topic: str
    value: bytes

    @property
    def headers(self) -> Headers:
        provider = "actions" if self.topic == "actions.raw" else "meta"
        delivery = derived_id("delivery", len(self.value), self.value.decode())
        return raw_record(provider=provider, received_at_ms=RECEIVED_MS, delivery_id=delivery, secret_slot="test")


RECEIVED_MS = (T0 + 20 * DAY) * 1000


def raw_past(seed: int, facts: int, users: int = 200) -> list[Raw]:
    """About `facts` raw records: requests, what became of them, replies; a tenth comes twice, all a bit mixed."""
    draw = random.Random(seed)
    made: list[Raw] = []
    serial = 0
    while len(made) < facts:
        serial += 1
        number, user = draw.choice(NUMBERS), f"447700900{draw.randrange(users):03d}"
        at = T0 + draw.randrange(18 * DAY)
        request = f"wamid.TESTREQ{serial:06d}"
        made.append(_sent(number, user, request, at))
        made += [_status(number, user, request, name, at + 2 + late) for late, name in enumerate(("sent", "delivered"))]
        match draw.randrange(4):
            case 0:
                made.append(_reply(number, user, f"{request}A", request, at + HOUR, accept=True, until=at + 7 * DAY))
            case 1:
                made.append(_reply(number, user, f"{request}A", request, at + HOUR, accept=True, until=None))
            case 2:
                made.append(_reply(number, user, f"{request}A", request, at + HOUR, accept=False, until=None))
            case _:
                pass
    made += draw.sample(made, len(made) // 10)
    return [raw for _, raw in sorted(enumerate(made), key=lambda each: each[0] + draw.uniform(0, 300))]


def straight_fold(raws: Iterable[Raw]) -> dict[bytes, PairState]:
    """The states after all facts, one by one, with nothing but the core."""
    states: dict[bytes, PairState] = {}
    for raw in raws:
        provider = "actions" if raw.topic == "actions.raw" else "meta"
        for fact in translate(provider, raw.value, RECEIVED_MS // 1000).facts:
            pair = Pair(fact.phone_number_id, fact.user)
            state = states.get(pair.key) or PairState(phone_number_id=pair.phone_number_id, user=pair.user)
            states[pair.key] = step(state, fact, DEFAULT_POLICY, NumberEntry()).state
    return states


def evidence(state: PairState) -> PairState:
    """The state without its bookkeeping, which depends on the order of arrival."""
    return replace(state, version=0, judged_at=0)


def _sent(number: str, user: str, message_id: str, at: int) -> Raw:
    action = {
        "type": "request_sent",
        "phone_number_id": number,
        "user": user,
        "message_id": message_id,
        "occurred_at": at,
        "kind": "template",
        "template": {"name": "test_cpr_template", "language": "en", "category": "UTILITY"},
        "campaign": "camp-42",
        "origin": "broadcast",
    }
    return Raw("actions.raw", orjson.dumps(action))


def _status(number: str, user: str, message_id: str, name: str, at: int) -> Raw:
    status = {"id": message_id, "status": name, "timestamp": str(at), "recipient_id": user}
    return _webhook(number, statuses=[status])


def _reply(number: str, user: str, message_id: str, request: str, at: int, *, accept: bool, until: int | None) -> Raw:
    said: dict[str, object] = {"response": "accept" if accept else "reject", "response_source": "user_action"}
    if accept and until is None:
        said["is_permanent"] = True
    elif until is not None:
        said["expiration_timestamp"] = str(until)
    message = {
        "from": user,
        "id": message_id,
        "timestamp": str(at),
        "context": {"from": "442079460123", "id": request},
        "type": "interactive",
        "interactive": {"type": "call_permission_reply", "call_permission_reply": said},
    }
    return _webhook(number, messages=[message])


def _webhook(number: str, **parts: Sequence[object]) -> Raw:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "442079460123", "phone_number_id": number},
        **parts,
    }
    entry = [{"id": "900100200300400", "changes": [{"field": "messages", "value": value}]}]
    return Raw("webhooks.raw", orjson.dumps({"object": "whatsapp_business_account", "entry": entry}))

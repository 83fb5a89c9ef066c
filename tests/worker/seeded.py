"""A seeded past: raw records of many pairs, with repeats and disorder, and their straight fold with the core alone.

Every fourth user is `shy`: webhooks name them by their business-scoped id alone, but for some that show both names.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from schemas.envelope import Headers, raw_record
from schemas.events import PairFact
from schemas.ids import Pair, derived_id
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from streams.permission.number import Number
from streams.permission.step import step
from streams.providers.registry import translate

NUMBERS = ("700100200300400", "700100200300401")
PRODUCTION = Number()
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
    said = Wording(random.Random(seed + 1))
    made: list[Raw] = []
    serial = 0
    while len(made) < facts:
        serial += 1
        number, user = draw.choice(NUMBERS), f"447700900{draw.randrange(users):03d}"
        at = T0 + draw.randrange(18 * DAY)
        request = f"wamid.TESTREQ{serial:06d}"
        made.append(_sent(number, user, request, at))
        made += [
            said.status(number, user, request, name, at + 2 + late) for late, name in enumerate(("sent", "delivered"))
        ]
        answer = f"{request}A"
        match draw.randrange(4):
            case 0:
                made.append(said.reply(number, user, answer, request, at + HOUR, accept=True, until=at + 7 * DAY))
            case 1:
                made.append(said.reply(number, user, answer, request, at + HOUR, accept=True, until=None))
            case 2:
                made.append(said.reply(number, user, answer, request, at + HOUR, accept=False, until=None))
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
            if isinstance(fact, PairFact):
                _deliver(states, fact)
    return states


def _deliver(states: dict[bytes, PairState], fact: PairFact) -> None:
    pair = Pair(fact.phone_number_id, fact.user)
    state = states.get(pair.key) or PairState(phone_number_id=pair.phone_number_id, user=pair.user)
    done = step(state, fact, DEFAULT_POLICY, PRODUCTION)
    states[pair.key] = done.state
    for handed_on in done.forwards:
        _deliver(states, handed_on)


def evidence(state: PairState) -> PairState:
    """The state without its bookkeeping, which depends on the order of arrival."""
    return state._replace(version=0, judged_at=0, due_at=None, recorded_at=0, late=0, walked=None)


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


def scoped_id(user: str) -> str:
    """The business-scoped id of a user of this past."""
    return f"GB.1000000000000{user[-7:]}"


@dataclass(frozen=True, slots=True)
class Wording:
    """How webhooks name a user."""

    draw: random.Random

    def _names(self, user: str, digits: str, scoped: str) -> tuple[dict[str, str], list[dict[str, str]]]:
        """The names in an item, and the contacts beside it."""
        if int(user) % 4:
            return {digits: user}, []
        contacts = [{"wa_id": user, "user_id": scoped_id(user)}] if self.draw.random() < 0.2 else []
        return {scoped: scoped_id(user)}, contacts

    def status(self, number: str, user: str, message_id: str, name: str, at: int) -> Raw:
        names, contacts = self._names(user, "recipient_id", "recipient_user_id")
        status = {"id": message_id, "status": name, "timestamp": str(at), **names}
        return _webhook(number, statuses=[status], contacts=contacts)

    def reply(
        self, number: str, user: str, message_id: str, request: str, at: int, *, accept: bool, until: int | None
    ) -> Raw:
        said: dict[str, object] = {"response": "accept" if accept else "reject", "response_source": "user_action"}
        if accept and until is None:
            said["is_permanent"] = True
        elif until is not None:
            said["expiration_timestamp"] = str(until)
        names, contacts = self._names(user, "from", "from_user_id")
        message = {
            **names,
            "id": message_id,
            "timestamp": str(at),
            "context": {"from": "442079460123", "id": request},
            "type": "interactive",
            "interactive": {"type": "call_permission_reply", "call_permission_reply": said},
        }
        return _webhook(number, messages=[message], contacts=contacts)


def _webhook(number: str, **parts: Sequence[object]) -> Raw:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "442079460123", "phone_number_id": number},
        **parts,
    }
    entry = [{"id": "900100200300400", "changes": [{"field": "messages", "value": value}]}]
    return Raw("webhooks.raw", orjson.dumps({"object": "whatsapp_business_account", "entry": entry}))

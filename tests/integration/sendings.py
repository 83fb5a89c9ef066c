"""How the happenings of the end-to-end test are told: badly.

Owns the telling: batched, repeated, out of order, with odd ones between. Refuses to judge: it knows no rule of
permissions.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal

from tests.integration.happenings import DAY_S, NUMBERS, USERS, Calendar, Told, happenings, head

DELIVERIES: Final = 2_000

Kind = Literal["authentic", "not_json", "unsigned", "forged", "action", "bad_action", "keyless_action"]


@dataclass(frozen=True)
class Sending:
    """One HTTP request. `parts`: what the log should hold of it once it is acknowledged."""

    kind: Kind
    body: bytes
    parts: tuple[bytes, ...]
    content_type: str = "application/json"


def actions_and_webhooks(seed: int, now: int) -> list[Sending]:
    """Everything to send, in order: actions and exactly `DELIVERIES` webhooks, and what must be refused."""
    draw = Random(seed)
    told = list(happenings(draw, Calendar(now)))
    actions = [one.value for one in told if one.field == "action"]
    changes = sorted((one for one in told if one.field != "action"), key=lambda one: one.at)
    webhooks = [*_batched(changes, draw), *_passed_over(now)]
    repeated = [draw.choice(webhooks) for _ in range(DELIVERIES - len(webhooks))]
    assert len(repeated) > DELIVERIES // 5, "too few repetitions to prove anything"
    sendings = [*map(_webhook, _out_of_order([*webhooks, *repeated], draw)), *_reported(actions, draw)]
    for odd in _odd(now):
        sendings.insert(draw.randrange(len(sendings)), odd)
    return _mixed(sendings, draw)


def _batched(told: list[Told], draw: Random) -> list[bytes]:
    """One to four changes a body, in one entry or in several."""
    bodies = []
    while told:
        some = [told.pop(0) for _ in range(min(len(told), draw.choice([1, 1, 2, 3, 4])))]
        changes = [{"field": one.field, "value": one.value} for one in some]
        if draw.random() < 0.5:
            entries = [{"id": "900100200300400", "changes": changes}]
        else:
            entries = [{"id": "900100200300400", "changes": [change]} for change in changes]
        bodies.append(_json({"object": "whatsapp_business_account", "entry": entries}))
    return bodies


def _passed_over(now: int) -> Iterator[bytes]:
    """Authentic, and nothing a rule could use: fields and kinds of another day."""
    for field, value in (
        ("account_update", {"event": "SOMETHING_NEW"}),
        ("messages", {**head(NUMBERS[0]), "messages": [_text(now, "TESTTEXT1")]}),
        ("messages", {**head(NUMBERS[0]), "statuses": [_odd_status(now)]}),
        ("a_field_of_tomorrow", {"deep": [{"er": None}]}),
    ):
        change = {"field": field, "value": value, "unheard_of": 1}
        yield _json({"object": "whatsapp_business_account", "entry": [{"id": "900100200300400", "changes": [change]}]})


def _text(now: int, name: str) -> dict[str, Any]:
    return {
        "from": USERS[0],
        "id": f"wamid.{name}",
        "timestamp": str(now - DAY_S // 2),
        "type": "text",
        "text": {"body": "?"},
    }


def _odd_status(now: int) -> dict[str, Any]:
    return {"id": "wamid.TESTODD", "status": "warped", "timestamp": str(now - DAY_S // 2), "recipient_id": USERS[0]}


def _out_of_order(bodies: list[bytes], draw: Random) -> list[bytes]:
    """Most near their place, every tenth anywhere."""
    places = [
        (draw.uniform(0, len(bodies)) if draw.random() < 0.1 else n + draw.gauss(0, 40)) for n in range(len(bodies))
    ]
    return [body for _, body in sorted(zip(places, bodies, strict=True), key=lambda each: each[0])]


def _webhook(body: bytes) -> Sending:
    return Sending("authentic", body, (body,))


def _reported(actions: list[dict[str, Any]], draw: Random) -> list[Sending]:
    """Actions alone, in arrays and by the line, some of them reported twice."""
    waiting = [*actions, *draw.sample(actions, len(actions) // 10)]
    draw.shuffle(waiting)
    found = []
    while waiting:
        form = draw.choice(["one", "array", "lines"])
        some = [_json(waiting.pop()) for _ in range(min(len(waiting), 1 if form == "one" else 8))]
        if form == "lines":
            found.append(Sending("action", b"\n".join(some) + b"\n", tuple(some), "application/x-ndjson"))
        else:
            found.append(Sending("action", some[0] if form == "one" else b"[" + b",".join(some) + b"]", tuple(some)))
    return found


def _odd(now: int) -> Iterator[Sending]:
    """What must be refused, and what must be kept and put aside."""
    reply = {**head(NUMBERS[0]), "messages": [_text(now, "TESTFORGED")]}
    change = {"field": "messages", "value": reply}
    body = _json({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]})
    for n in range(5):
        yield Sending("unsigned", body + b" " * n, ())
        yield Sending("forged", body + b" " * (n + 10), ())
        broken = b'{"object": "whatsapp_business_account", "entry": [' + b"[" * n
        yield Sending("not_json", broken, (broken,))
    action = {"type": "request_sent", "phone_number_id": NUMBERS[0], "user": USERS[0], "message_id": "wamid.TESTBAD"}
    good = _json({**action, "occurred_at": now - DAY_S // 2, "kind": "free_form"})
    yield Sending("bad_action", b"[" + good + b"," + _json(action) + b"]", ())
    yield Sending("bad_action", _json({**action, "type": "no_such_type"}), ())
    yield Sending("keyless_action", good, ())


def _mixed(sendings: list[Sending], draw: Random) -> list[Sending]:
    """Actions between the webhooks, each stream in its own order."""
    webhooks = [sending for sending in sendings if "action" not in sending.kind]
    for sending in sendings:
        if "action" in sending.kind:
            webhooks.insert(draw.randrange(len(webhooks)), sending)
    return webhooks


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

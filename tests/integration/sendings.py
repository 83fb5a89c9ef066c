"""What the end-to-end test sends: a seeded, crowded three weeks of two business numbers, told badly.

Owns the happenings and how they are told: batched, repeated, out of order, with odd ones between. Refuses to judge:
it knows no rule of permissions. Nothing it makes happen turns while the test runs (`Calendar`), so that an answer does
not depend on how long the machine took.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, Literal

NUMBERS: Final = ("700100200300400", "700100200300401")
USERS: Final = tuple(f"447700900{last:03d}" for last in range(110))
DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
DELIVERIES: Final = 2_000

Kind = Literal["authentic", "not_json", "unsigned", "forged", "action", "bad_action", "keyless_action"]


@dataclass(frozen=True)
class Sending:
    """One HTTP request. `parts`: what the log should hold of it once it is acknowledged."""

    kind: Kind
    body: bytes
    parts: tuple[bytes, ...]
    content_type: str = "application/json"


class Calendar:
    """Instants in the past, none of which turns anything between five minutes ago and in half an hour."""

    def __init__(self, now: int) -> None:
        self.now = now

    def clear(self, at: int) -> int:
        """The instant, or some hours before it."""
        while any(self.now - 300 <= at + span <= self.now + 1_800 for span in (0, DAY_S, WEEK_S, 2 * WEEK_S)):
            at -= 3_600
        return at

    def between(self, first: int, last: int, draw: Random) -> int:
        return self.clear(draw.randint(first, last))


def actions_and_webhooks(seed: int, now: int) -> list[Sending]:
    """Everything to send, in order: actions and exactly `DELIVERIES` webhooks, and what must be refused."""
    draw = Random(seed)
    told = list(_happenings(draw, Calendar(now)))
    actions = [value for _, value in told if "type" in value]
    values = sorted(((at, value) for at, value in told if "type" not in value), key=lambda each: each[0])
    webhooks = [*_batched([value for _, value in values], draw), *_passed_over(now)]
    repeated = [draw.choice(webhooks) for _ in range(DELIVERIES - len(webhooks))]
    assert len(repeated) > DELIVERIES // 5, "too few repetitions to prove anything"
    sendings = [*map(_webhook, _out_of_order([*webhooks, *repeated], draw)), *_reported(actions, draw)]
    for odd in _odd(now):
        sendings.insert(draw.randrange(len(sendings)), odd)
    return _mixed(sendings, draw)


def _happenings(draw: Random, calendar: Calendar) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each status and reply as (instant, value of a change), each request as (instant, action)."""
    for number in NUMBERS:
        for user in USERS:
            yield from _life(number, user, draw, calendar)


def _life(number: str, user: str, draw: Random, calendar: Calendar) -> Iterator[tuple[int, dict[str, Any]]]:
    now, name = calendar.now, f"{number[-1]}{user[-3:]}"
    asked = [f"wamid.TESTREQ{name}{n}" for n in range(draw.choice([0, 1, 1, 2, 2, 3]))]
    started: list[int] = []
    for message_id in asked:
        at = calendar.between(now - 20 * DAY_S, now - 7_200, draw)
        started.append(at)
        if draw.random() < 0.95:  # some requests nobody reports to us
            yield at, _action(number, user, message_id, at, draw)
        words = draw.choice([["sent"], ["sent", "failed"], ["delivered"], ["sent", "delivered", "read"], ["read"]])
        for word in words:
            at = calendar.clear(min(at + draw.choice([1, 5, 900, DAY_S]), now - 600))
            yield at, _status(number, user, message_id, word, at)
    seconds = [calendar.between(min([*started, now - 15 * DAY_S]), now - 600, draw) for _ in range(3)]
    for n in range(draw.choice([0, 1, 2, 3, 5])):
        at = draw.choice(seconds)
        yield at, _reply(number, user, f"wamid.TESTREPLY{name}{n}", at, asked, draw, calendar)


def _action(number: str, user: str, message_id: str, at: int, draw: Random) -> dict[str, Any]:
    action: dict[str, Any] = {"type": "request_sent", "phone_number_id": number, "user": user, "message_id": message_id}
    action |= {
        "occurred_at": draw.choice([at, _utc(at)]),
        "kind": "free_form",
        "campaign": draw.choice(["camp-42", None]),
    }
    if draw.random() < 0.6:
        template = {"name": draw.choice(["test_cpr_a", "test_cpr_b"]), "language": "en", "category": "UTILITY"}
        action |= {"kind": "template", "template": template, "origin": "broadcast", "a_field_of_tomorrow": True}
    return action


def _utc(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _status(number: str, user: str, message_id: str, word: str, at: int) -> dict[str, Any]:
    status: dict[str, Any] = {"id": message_id, "status": word, "timestamp": str(at), "recipient_id": user}
    if word == "failed":
        status["errors"] = [{"code": 131026, "title": "Message undeliverable"}]
    return {**_head(number), "statuses": [status]}


def _reply(
    number: str, user: str, message_id: str, at: int, asked: list[str], draw: Random, calendar: Calendar
) -> dict[str, Any]:
    said: dict[str, Any] = {"response": draw.choice(["accept", "accept", "reject"])}
    context = draw.choice([*asked, *asked, None, "wacid.TESTUIC0001", message_id.replace("REPLY", "UNSEEN")])
    if said["response"] == "accept":
        said["is_permanent"] = draw.random() < 0.25
        if not said["is_permanent"] and draw.random() < 0.9:
            ends_at = calendar.clear(at + draw.choice([3_600, DAY_S, WEEK_S, WEEK_S, 16 * DAY_S]))
            said["expiration_timestamp"] = draw.choice([str(ends_at), ends_at])
    source = draw.choice(["user_action", "user_action", "user_action", "automatic", None])
    if source is not None:
        said["response_source"] = source
    message: dict[str, Any] = {"from": user, "id": message_id, "timestamp": str(at), "type": "interactive"}
    if context is not None:
        message["context"] = {"from": "442079460123", "id": context}
    message["interactive"] = {"type": "call_permission_reply", "call_permission_reply": said}
    return {**_head(number), "contacts": [{"profile": {"name": "Test User"}, "wa_id": user}], "messages": [message]}


def _head(number: str) -> dict[str, Any]:
    metadata = {"display_phone_number": f"4420794601{number[-1]}3", "phone_number_id": number}
    return {"messaging_product": "whatsapp", "metadata": metadata}


def _batched(values: list[dict[str, Any]], draw: Random) -> list[bytes]:
    """One to three changes a body, in one entry or in several."""
    bodies = []
    while values:
        some = [values.pop(0) for _ in range(min(len(values), draw.choice([1, 1, 1, 2, 3])))]
        changes = [{"field": "messages", "value": value} for value in some]
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
        ("messages", {**_head(NUMBERS[0]), "messages": [_text(now, "TESTTEXT1")]}),
        ("messages", {**_head(NUMBERS[0]), "statuses": [_odd_status(now)]}),
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
    reply = {**_head(NUMBERS[0]), "messages": [_text(now, "TESTFORGED")]}
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

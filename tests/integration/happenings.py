"""What happens in the end-to-end test: a seeded, crowded three weeks of two business numbers and their users.

Owns the happenings, each as the provider or the business would tell it. Refuses to judge: it knows no rule of
permissions. Nothing it makes happen turns while the test runs (`Calendar`), so that an answer does not depend on how
long the machine took.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, Literal

NUMBERS: Final = ("700100200300400", "700100200300401")
USERS: Final = tuple(f"447700900{last:03d}" for last in range(110))
DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S

Names = Literal["digits", "scoped", "both"]
FROM: Final = ("from", "from_user_id")
TO: Final = ("to", "to_user_id")
RECIPIENT: Final = ("recipient_id", "recipient_user_id")
SHOWN: Final[tuple[tuple[Names, ...], ...]] = (
    ("digits",),
    ("digits",),
    ("digits",),
    ("digits", "both"),
    ("digits", "scoped", "scoped", "both"),  # linked somewhere on the way
    ("digits", "scoped", "scoped", "both"),
    ("scoped",),  # never linked: the scoped id is all that is known
)


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


@dataclass(frozen=True)
class Told:
    """Something that happened, as it will be told: an action, or the value of a change of a webhook's field."""

    at: int
    field: Literal["action", "messages", "calls"]
    value: dict[str, Any]


@dataclass(frozen=True)
class Person:
    """A user of one number, by the names that payloads show: digits, the scoped id, or both (domain 3.11)."""

    number: str
    digits: str
    scoped: str
    shown: tuple[Names, ...]

    def named(self, item: dict[str, Any], keys: tuple[str, str], draw: Random) -> dict[str, Any]:
        """The item with the user's names under its two keys."""
        shown = draw.choice(self.shown)
        names = {keys[0]: self.digits} if shown != "scoped" else {}
        return {**item, **names, **({keys[1]: self.scoped} if shown != "digits" else {})}

    def as_reported(self, draw: Random) -> str:
        """How the business itself calls the user in an action."""
        return self.scoped if draw.choice(self.shown) == "scoped" else self.digits


def scoped_id(number: str, digits: str) -> str:
    """The user's business-scoped id."""
    return f"GB.TEST{number[-1]}{digits[-3:]}"


def happenings(draw: Random, calendar: Calendar) -> Iterator[Told]:
    """Everything that happens, in no order."""
    for number in NUMBERS:
        for digits in USERS:
            person = Person(number, digits, scoped_id(number, digits), draw.choice(SHOWN))
            if len(set(person.shown)) > 1:
                yield _introduced(person, draw, calendar)
            yield from _life(person, draw, calendar)
            yield from _calls(person, draw, calendar)
            yield from _asked_elsewhere(person, draw, calendar)


def _introduced(person: Person, draw: Random, calendar: Calendar) -> Told:
    """The user writes, and the payload shows both names: whoever is told of under two names is linked somewhere."""
    at = calendar.between(calendar.now - 18 * DAY_S, calendar.now - 7_200, draw)
    name = f"{person.number[-1]}{person.digits[-3:]}"
    message = {"id": f"wamid.TESTTEXT{name}", "timestamp": str(at), "type": "text", "text": {"body": "?"}}
    both = Person(person.number, person.digits, person.scoped, ("both",))
    return Told(at, "messages", {**head(person.number), "messages": [both.named(message, FROM, draw)]})


def _life(person: Person, draw: Random, calendar: Calendar) -> Iterator[Told]:
    number, now, name = person.number, calendar.now, f"{person.number[-1]}{person.digits[-3:]}"
    asked = [f"wamid.TESTREQ{name}{n}" for n in range(draw.choice([0, 1, 1, 2, 2, 3]))]
    started: list[int] = []
    for message_id in asked:
        at = calendar.between(now - 20 * DAY_S, now - 7_200, draw)
        started.append(at)
        if draw.random() < 0.95:  # some requests nobody reports to us
            yield Told(at, "action", _action(number, person.as_reported(draw), message_id, at, draw))
        words = draw.choice([["sent"], ["sent", "failed"], ["delivered"], ["sent", "delivered", "read"], ["read"]])
        for word in words:
            at = calendar.clear(min(at + draw.choice([1, 5, 900, DAY_S]), now - 600))
            yield Told(at, "messages", _status(person, message_id, word, at, draw))
    seconds = [calendar.between(min([*started, now - 15 * DAY_S]), now - 600, draw) for _ in range(3)]
    for n in range(draw.choice([0, 1, 2, 3, 5])):
        at = draw.choice(seconds)
        yield Told(at, "messages", _reply(person, f"wamid.TESTREPLY{name}{n}", at, asked, draw, calendar))


def _calls(person: Person, draw: Random, calendar: Calendar) -> Iterator[Told]:
    """Calls of either side; now and then so many in a row that nobody takes that a permission ends by it."""
    now, name = calendar.now, f"{person.number[-1]}{person.digits[-3:]}"
    row = draw.random() < 0.15
    first = calendar.between(now - 14 * DAY_S, now - 7_200, draw)
    for n in range(5 if row else draw.choice([0, 0, 1, 2, 3])):
        at = calendar.clear(first + 60 * n) if row else calendar.between(now - 18 * DAY_S, now - 7_200, draw)
        end = "missed" if row else draw.choice(["answered", "answered", "missed", "missed", "rejected", "failed"])
        yield from _call(person, f"wacid.TEST{name}{n}", at, end, draw, by_user=not row and draw.random() < 0.3)


def _call(person: Person, call_id: str, at: int, end: str, draw: Random, *, by_user: bool) -> Iterator[Told]:
    """Everything that is told of a call; the business reports half of its own."""
    ours, theirs = ("to", FROM) if by_user else ("from", TO)
    display, over_at = _display(person.number), at + 20

    def event(kind: str, when: int, **more: Any) -> Told:
        call = {"id": call_id, "event": kind, "timestamp": str(when), ours: display, **more}
        call["direction"] = "USER_INITIATED" if by_user else "BUSINESS_INITIATED"
        return Told(when, "calls", {**head(person.number), "calls": [person.named(call, theirs, draw)]})

    def status(word: str, when: int) -> Told:
        one = {"id": call_id, "type": "call", "status": word, "timestamp": str(when)}
        return Told(when, "calls", {**head(person.number), "statuses": [person.named(one, RECIPIENT, draw)]})

    if not by_user and draw.random() < 0.5:
        yield Told(at, "action", _reported_call(person, call_id, at, draw))
    yield event("connect", at)
    if not by_user:
        yield status("RINGING", at + 2)
        if end != "missed":
            yield status("REJECTED" if end == "rejected" else "ACCEPTED", at + 5)
    if end in ("answered", "failed"):
        start = {"start_time": str(at + 4), "end_time": over_at, "duration": 16}
        more = {"errors": [{"code": 138021, "title": "No media"}]} if end == "failed" else {}
        yield event("terminate", over_at, status="FAILED" if end == "failed" else "COMPLETED", **start, **more)
    else:
        yield event("terminate", over_at, status="COMPLETED")
    if end == "answered" and draw.random() < 0.3:
        noted = {"type": "disposition_recorded", "call_id": call_id, "outcome": draw.choice(["Resolved", "Sold"])}
        yield Told(over_at + 60, "action", {**_common(person, over_at + 60, draw), **noted})


def _reported_call(person: Person, call_id: str, at: int, draw: Random) -> dict[str, Any]:
    campaign = {"campaign": "camp-43", "origin": "call_dialog"} if draw.random() < 0.5 else {}
    return {**_common(person, at - 1, draw), "type": "call_started", "call_id": call_id, **campaign}


def _asked_elsewhere(person: Person, draw: Random, calendar: Calendar) -> Iterator[Told]:
    """What the business was told when it asked the provider: readings, and requests and calls that were refused."""
    now, name = calendar.now, f"{person.number[-1]}{person.digits[-3:]}"
    for _ in range(draw.choice([0, 0, 0, 1, 2])):
        at = calendar.between(now - 16 * DAY_S, now - 7_200, draw)
        yield Told(at, "action", {**_common(person, at, draw), "type": "reading_taken", **_read(at, draw, calendar)})
    for n in range(draw.choice([0, 0, 0, 1, 2])):
        at = calendar.between(now - 16 * DAY_S, now - 7_200, draw)
        door = draw.choice(["request", "call"])
        code = draw.choice([138006, 138012, 138012, 138000] if door == "call" else [138009, 138017, 131047, 138013])
        told: dict[str, Any] = {"type": f"{door}_refused", "action_id": f"TESTACTION{name}{n}", "error_code": code}
        if code in (138009, 138012):
            told["retry_at"] = calendar.clear(at + draw.choice([3_600, DAY_S]))
        yield Told(at, "action", {**_common(person, at, draw), **told})


def _read(at: int, draw: Random, calendar: Calendar) -> dict[str, Any]:
    """Meta's answer about the pair."""
    permission: dict[str, Any] = {"status": draw.choice(["no_permission", "temporary", "temporary", "permanent"])}
    if permission["status"] == "temporary":
        permission["expiration_time"] = calendar.clear(at + draw.choice([DAY_S, WEEK_S]))
    actions = [
        {"action_name": "send_call_permission_request", "can_perform_action": draw.random() < 0.5},
        {"action_name": "start_call", "can_perform_action": permission["status"] != "no_permission"},
    ]
    return {"response": {"messaging_product": "whatsapp", "permission": permission, "actions": actions}}


def _common(person: Person, at: int, draw: Random) -> dict[str, Any]:
    return {"phone_number_id": person.number, "user": person.as_reported(draw), "occurred_at": at}


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


def _status(person: Person, message_id: str, word: str, at: int, draw: Random) -> dict[str, Any]:
    status: dict[str, Any] = {"id": message_id, "status": word, "timestamp": str(at)}
    if word == "failed":
        status["errors"] = [{"code": 131026, "title": "Message undeliverable"}]
    return {**head(person.number), "statuses": [person.named(status, RECIPIENT, draw)]}


def _reply(
    person: Person, message_id: str, at: int, asked: list[str], draw: Random, calendar: Calendar
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
    message: dict[str, Any] = {"id": message_id, "timestamp": str(at), "type": "interactive"}
    if context is not None:
        message["context"] = {"from": "442079460123", "id": context}
    message["interactive"] = {"type": "call_permission_reply", "call_permission_reply": said}
    message = person.named(message, FROM, draw)
    contact = {"profile": {"name": "Test User"}}
    contact |= {name: message[key] for name, key in (("wa_id", "from"), ("user_id", "from_user_id")) if key in message}
    return {**head(person.number), "contacts": [contact], "messages": [message]}


def head(number: str) -> dict[str, Any]:
    """What every value of a change begins with."""
    metadata = {"display_phone_number": _display(number), "phone_number_id": number}
    return {"messaging_product": "whatsapp", "metadata": metadata}


def _display(number: str) -> str:
    return f"4420794601{number[-1]}3"

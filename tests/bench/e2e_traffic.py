"""What a business and its users send in a while, as requests to the gateway's doors: drawn beforehand, each due at an
instant.

`mixed` is the traffic of a provider, in the proportions in which the core is measured (`core.MIX`): requests are
reported, their statuses come a second later, three in five are answered, users write and calls ring. `replies`
is the worst there can be: nothing but users who say yes and no in turn, each of whom turns a standing.
"""

import json
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tests.bench.core import MIX
from tests.bench.http_load import Due
from tests.gateway.asgi import signature
from tests.integration.house import API_KEY, APP_SECRET
from tests.providers.payloads import DISPLAY, body, call, calls, envelope, status, value

USERS: Final = 1_000
"""To a business number: what the range reserved for drama holds."""
SECONDS_APART: Final = 10
"""Of one user's replies. Raw records keep no order among themselves: a no that overtakes its yes would have nothing to
announce."""
STATUS_AFTER_S, REPLY_AFTER_S = 1.0, 3.0
WEEK_S: Final = 7 * 86_400


class Sending(NamedTuple):
    """One request. `turns`: which announcement it brings, by pair and second; None: none that is waited for."""

    due: Due
    turns: str | None


@dataclass(slots=True)
class _Asked:
    """What is still to come of the requests that went out, in order."""

    statuses: deque[tuple[float, int, str]] = field(default_factory=deque)
    replies: deque[tuple[float, int]] = field(default_factory=deque)
    pairs: int = 0


def number_and_user(run: int, place: int) -> tuple[str, str]:
    return f"70010020{run:02}{place // USERS:05}", f"447700900{place % USERS:03}"


def replies(rate: int, seconds: int, run: int, begins_at: float) -> Iterator[Sending]:
    """Users who say yes and no in turn."""
    dice = random.Random(20260302)
    at_s, pairs = begins_at, rate * SECONDS_APART
    for n in range(rate * seconds):
        at_s += dice.expovariate(rate)
        yield _reply(dice, run, n % pairs, at_s, says_yes=n // pairs % 2 == 0)


def mixed(rate: int, seconds: int, run: int, begins_at: float) -> Iterator[Sending]:
    """What a provider passes on, and what the business reports."""
    dice = random.Random(20260302)
    at_s, asked, kinds = begins_at, _Asked(), list[str]()
    for n in range(rate * seconds):
        if not kinds:
            kinds = [kind for kind, times in MIX.items() for _ in range(times)]
            dice.shuffle(kinds)
        at_s += dice.expovariate(rate)
        yield _next(dice, run, n, at_s, kinds.pop(), asked)


def _next(dice: random.Random, run: int, n: int, at_s: float, kind: str, asked: _Asked) -> Sending:
    if kind == "request" or not asked.pairs:
        place, asked.pairs = asked.pairs, asked.pairs + 1
        asked.statuses += [(at_s + STATUS_AFTER_S, place, name) for name in ("sent", "delivered", "read")]
        asked.replies.append((at_s + REPLY_AFTER_S, place))
        return _request(run, place, at_s)
    if kind == "reply" and asked.replies and asked.replies[0][0] <= at_s:
        place = asked.replies.popleft()[1]
        return _reply(dice, run, place, at_s, says_yes=place % 3 != 0, to=_request_id(run, place))
    if kind == "status":
        if asked.statuses and asked.statuses[0][0] <= at_s:
            _, place, name = asked.statuses.popleft()
            return _status(run, place, _request_id(run, place), name, at_s)
        return _status(run, dice.randrange(asked.pairs), f"wamid.TESTOTHER{run}-{n}", "delivered", at_s)
    if kind == "call":
        return _call(run, n, dice.randrange(asked.pairs), at_s)
    return _message(run, n, dice.randrange(asked.pairs), at_s)


def _request_id(run: int, place: int) -> str:
    return f"wamid.TESTREQ{run}-{place}"


def _request(run: int, place: int, at_s: float) -> Sending:
    number, user = number_and_user(run, place)
    action = {
        "type": "request_sent",
        "phone_number_id": number,
        "user": user,
        "message_id": _request_id(run, place),
        "occurred_at": int(at_s),
        "kind": "template",
        "template": {"name": "test_cpr_template", "language": "en", "category": "UTILITY"},
        "campaign": "camp-42",
    }
    return Sending(_posted(at_s, "/v1/actions", json.dumps(action).encode(), f"Authorization: Bearer {API_KEY}"), None)


def _status(run: int, place: int, message_id: str, name: str, at_s: float) -> Sending:
    number, user = number_and_user(run, place)
    return _webhook(at_s, number, statuses=[status(message_id, name, str(int(at_s)), recipient_id=user)])


def _message(run: int, n: int, place: int, at_s: float) -> Sending:
    number, user = number_and_user(run, place)
    message = {"from": user, "id": f"wamid.TESTMESSAGE{run}-{n}", "timestamp": str(int(at_s)), "type": "text"}
    return _webhook(at_s, number, messages=[message | {"text": {"body": "Test"}}])


def _call(run: int, n: int, place: int, at_s: float) -> Sending:
    number, user = number_and_user(run, place)
    ended = call("terminate", id=f"wacid.TESTCALL{run}-{n}", to=user, timestamp=str(int(at_s)), status="COMPLETED")
    told = calls(ended, metadata={"display_phone_number": DISPLAY, "phone_number_id": number})
    return Sending(_signed(at_s, body(told)), None)


def _reply(dice: random.Random, run: int, place: int, at_s: float, *, says_yes: bool, to: str | None = None) -> Sending:
    number, user = number_and_user(run, place)
    at = int(at_s)
    said: dict[str, Any] = {"response": "reject", "response_source": "user_action"}
    if says_yes:
        said = {"response": "accept", "expiration_timestamp": str(at + WEEK_S), "response_source": "user_action"}
    message: dict[str, Any] = {
        "from": user,
        "id": f"wamid.TEST{dice.randbytes(20).hex()}",
        "timestamp": str(at),
        "type": "interactive",
        "interactive": {"type": "call_permission_reply", "call_permission_reply": said},
    }
    if to is not None:
        message["context"] = {"from": DISPLAY, "id": to}
    contacts = [{"profile": {"name": "Test User"}, "wa_id": user}]
    sending = _webhook(at_s, number, contacts=contacts, messages=[message])
    return sending._replace(turns=f"{number}/{user}@{at}")


def _webhook(at_s: float, number: str, **parts: Any) -> Sending:
    told = value(**parts)
    told["metadata"] = {"display_phone_number": DISPLAY, "phone_number_id": number}
    return Sending(_signed(at_s, body(envelope(told))), None)


def _signed(at_s: float, content: bytes) -> Due:
    return _posted(at_s, "/webhooks/meta", content, f"X-Hub-Signature-256: {signature(content, APP_SECRET)}")


def _posted(at_s: float, path: str, content: bytes, proof: str) -> Due:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: facebookexternalua\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\n{proof}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return Due(at_s, head.encode() + content)

"""The doors of the gateway as a sender knows them: their secrets, their requests, what the log must hold of each.

Owns the signing of requests, `Kept`, and the requests that must be refused. Refuses to send, and to know what a body
means.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Final, NamedTuple

from schemas.events import PairFact
from tests.faults.lives import Door
from tests.faults.telling import Link, Told
from tests.faults.telling_meta import NUMBERS

APP_SECRETS: Final = {
    "sales/current": "TEST-sales-new",
    "sales/previous": "TEST-sales-old",
    "care/current": "TEST-care",
}
TOKENS: Final = {
    provider: {"current": f"TEST-{provider}-new", "previous": f"TEST-{provider}-old"}
    for provider in ("gupshup", "infobip", "360dialog", "ycloud", "zernio")
}
API_KEY: Final = "test:TEST-api-secret"
KEY: Final = f"Authorization: Bearer {API_KEY}"
SETTINGS: Final = {
    "META_APP_SECRETS": ",".join(f"{slot.split('/')[0]}:{secret}" for slot, secret in APP_SECRETS.items()),
    "GUPSHUP_TOKENS": ",".join(TOKENS["gupshup"].values()),
    "INFOBIP_TOKENS": ",".join(TOKENS["infobip"].values()),
    "D360_TOKENS": ",".join(TOKENS["360dialog"].values()),
    "YCLOUD_TOKENS": ",".join(TOKENS["ycloud"].values()),
    "ZERNIO_TOKENS": ",".join(TOKENS["zernio"].values()),
    "API_KEYS": API_KEY,
}
"""The same secrets as the gateway is told of them, current before previous."""


class Stored(NamedTuple):
    """What a record of a raw topic is: where it stands, what its headers say, and a digest of its bytes."""

    topic: str
    provider: str
    slot: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """One record that must stand on a raw topic. `facts` and `links`: what is to be known of it. `parks`: for each of
    these reasons it is put aside."""

    delivery_id: str
    stored: Stored
    facts: tuple[PairFact, ...] = ()
    links: frozenset[Link] = frozenset()
    parks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sending:
    """One HTTP request and the status it deserves. `never`: digests of what no topic may hold."""

    wire: bytes
    wanted: int
    kept: tuple[Kept, ...] = ()
    never: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Parcel:
    """What goes into one request, when it is its turn, and what is told by it. `parts`: the elements of a report, one
    record each."""

    turn: float
    door: Door
    body: bytes
    told: tuple[Told, ...] = ()
    parts: tuple[bytes, ...] = ()
    parks: tuple[str, ...] = ()
    kind: str = "application/json"


def digest_of(value: bytes) -> bytes:
    return sha256(value).digest()[:16]


def sealed(parcel: Parcel, dice: Random) -> Sending:
    """The request of a parcel, with one of the secrets that open its door: the same for the same bytes."""
    if parcel.parts:
        return _report(parcel)
    body, door, digest = parcel.body, parcel.door, digest_of(parcel.body)
    if door == "meta":
        slot = tuple(APP_SECRETS)[digest[0] % len(APP_SECRETS)]
        signed = signature(body, APP_SECRETS[slot])
        wire, delivery = _signed(body, signed), sha256(signed.encode()).hexdigest()[:32]
    else:
        door = "gupshup" if door == "gupshup-sip" else door
        slot = "previous" if digest[0] % 3 == 0 else "current"
        wire, delivery = _with_token(door, TOKENS[door][slot], body, dice), sha256(body).hexdigest()[:32]
    kept = Kept(
        delivery,
        Stored("webhooks.raw", door, slot, digest),
        tuple(fact for one in parcel.told for fact in one.facts),
        frozenset(link for one in parcel.told for link in one.links),
        parcel.parks,
    )
    return Sending(wire, 200, (kept,))


def signature(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def _request(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _signed(body: bytes, signed: str) -> bytes:
    return _request("/webhooks/meta", body, f"X-Hub-Signature-256: {signed}")


def _with_token(door: str, token: str, body: bytes, dice: Random) -> bytes:
    if dice.random() < 0.2:
        return _request(f"/webhooks/{door}?token={token}", body)
    return _request(f"/webhooks/{door}", body, f"X-Callgrant-Token: {token}")


def _report(parcel: Parcel) -> Sending:
    path, topic = "/v1/actions", "actions.raw"
    if parcel.door == "meta-sendlog":
        path, topic = "/v1/actions/meta", "webhooks.raw"
    delivery = sha256(parcel.body).hexdigest()[:32]
    kept = tuple(
        Kept(f"{delivery}/{place}", Stored(topic, parcel.door, "test/current", digest_of(part)), one.facts, one.links)
        for place, (part, one) in enumerate(zip(parcel.parts, parcel.told, strict=True))
    )
    return Sending(_request(path, parcel.body, KEY, f"Content-Type: {parcel.kind}"), 202, kept)


def refused(count: int, at: int, dice: Random) -> Iterator[Sending]:
    """What no door may let in: of each kind as many. Every one would be a permission that nobody gave."""
    for n in range(count):
        body = _forged(n, "meta", at)
        yield Sending(_signed(body, signature(body, "TEST-somebody-else")), 401, never=(digest_of(body),))
        body = _forged(n, "unsigned", at)
        yield Sending(_request("/webhooks/meta", body), 401, never=(digest_of(body),))
        door = dice.choice(tuple(TOKENS))
        body = _forged(n, door, at)
        yield Sending(_with_token(door, "TEST-wrong", body, dice), 401, never=(digest_of(body),))
        action = b'{"type": "request_sent", "phone_number_id": "%s", "user": "447700900000", ' % NUMBERS[0].encode()
        action += b'"message_id": "wamid.TESTFORGED%d", "kind": "free_form", "occurred_at": %d}' % (n, at)
        yield Sending(
            _request("/v1/actions", action, "Content-Type: application/json"), 401, never=(digest_of(action),)
        )
        both = b"[" + action + b"," + action.replace(b"wamid", b"") + b"]"
        faulty = _request("/v1/actions", both.replace(b'"user"', b'"who"', 1), KEY, "Content-Type: application/json")
        yield Sending(faulty, 422, never=(digest_of(action.replace(b"wamid", b"")),))


def _forged(n: int, door: str, at: int) -> bytes:
    value = b'{"metadata": {"phone_number_id": "%s"}, "messages": [{"from": "447700900000", ' % NUMBERS[0].encode()
    value += b'"id": "wamid.TESTFORGED%s%d", "timestamp": "%d", "type": "interactive", ' % (door.encode(), n, at)
    value += b'"interactive": {"call_permission_reply": {"response": "accept", "is_permanent": true}}}]}'
    return b'{"entry": [{"id": "1", "changes": [{"field": "messages", "value": %s}]}]}' % value

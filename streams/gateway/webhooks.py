"""The doors of the providers: authentic, then stored, then acknowledged, then answered. The order is the guarantee.

Owns what each provider must present. Refuses to understand a webhook: between a valid secret and the acknowledgement
nothing can fail on content. A request without any chance to be authentic (no secret configured, none presented, or two)
is refused before its body is read, and its connection closed.
"""

from hashlib import sha256
from typing import Final

from streams.gateway import answers
from streams.gateway.admission import Admission
from streams.gateway.answers import Answer, Entry, Receive, Scope
from streams.gateway.body import NOT_DECLARED, OF_FAULT, BodyReader, packed
from streams.gateway.counters import BY_TOKEN, META
from streams.gateway.storing import Store
from streams.gateway.tokens import presented
from streams.gateway.verification import challenge_of

SIGNATURE: Final = b"x-hub-signature-256"
LENGTH: Final = b"content-length"
BLANK: Final = b" \t"
"""Not part of a header's value (RFC 9110 5.5), but the parser leaves what is behind it."""


class Webhooks:
    """What the doors have in common: who may come in, how bodies are read, where they are kept."""

    def __init__(self, admission: Admission, bodies: BodyReader, store: Store) -> None:
        self._admission = admission
        self._bodies = bodies
        self._store = store

    async def verify(self, scope: Scope, _receive: Receive) -> Answer:
        challenge = challenge_of(scope["query_string"], self._admission.verify_tokens)
        return answers.NOT_VERIFIED if challenge is None else answers.text(200, challenge)

    async def meta(self, scope: Scope, receive: Receive) -> Answer | None:
        given: bytes | None = None
        declared_bytes = NOT_DECLARED
        for name, value in scope["headers"]:
            if name == SIGNATURE:
                if given is not None:
                    return answers.SEVERAL_SECRETS
                given = value.strip(BLANK)
            elif name == LENGTH:
                declared_bytes = int(value)
        if not self._admission.signatures:
            return answers.CLOSED_DOOR
        if given is None:
            return answers.NO_SECRET
        if packed(scope["headers"]):
            return answers.PACKED
        body = await self._bodies.read(receive, declared_bytes)
        if isinstance(body, str):
            return OF_FAULT[body]
        signed = self._admission.signatures.check(body, given)
        if signed is None:
            return answers.WRONG_SIGNATURE
        refusal = await self._store.one(
            META, "webhooks.raw", body, provider="meta", delivery_id=signed.delivery_id, slot=signed.slot
        )
        return refusal or answers.STORED

    def by_token(self, provider: str) -> Entry:
        """The door of a provider without a signature that we know: a shared secret instead."""
        door = BY_TOKEN[provider]

        async def enter(scope: Scope, receive: Receive) -> Answer | None:
            tokens = self._admission.tokens[provider]
            if not tokens:
                return answers.CLOSED_DOOR
            headers = scope["headers"]
            given = presented(headers, scope["query_string"])
            if len(given) != 1:
                return answers.SEVERAL_SECRETS if given else answers.NO_SECRET
            slot = tokens.check(given[0])
            if slot is None:
                return answers.WRONG_TOKEN
            if packed(headers):
                return answers.PACKED
            declared_bytes = next((int(value) for name, value in headers if name == LENGTH), NOT_DECLARED)
            body = await self._bodies.read(receive, declared_bytes)
            if isinstance(body, str):
                return OF_FAULT[body]
            delivery_id = sha256(body).hexdigest()[:32]
            refusal = await self._store.one(
                door, "webhooks.raw", body, provider=provider, delivery_id=delivery_id, slot=slot
            )
            return refusal or answers.STORED

        return enter

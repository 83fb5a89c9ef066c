"""Whether a caller holds an API key: `Authorization: Bearer <id>:<secret>`.

Owns the comparison: SHA-256 digests of the whole key, in constant time, against every configured one, so that an
unknown id, a wrong secret and a malformed value cost the same. Refuses to keep a secret in clear.
"""

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from streams.gateway.signature import slot_names

SCHEME: Final = b"bearer"


class ApiKeys:
    """All configured keys, `(id, secret)`. Without any, nobody is let in."""

    def __init__(self, keys: Iterable[tuple[str, str]]) -> None:
        pairs = list(keys)
        self.slots = slot_names(owner for owner, _ in pairs)
        digests = [sha256(f"{owner}:{secret}".encode()).digest() for owner, secret in pairs]
        self._digests = list(zip(self.slots, digests, strict=True))

    def check(self, authorization: bytes) -> str | None:
        """The slot of the key in an `Authorization` header."""
        scheme, _, credentials = authorization.partition(b" ")
        presented = sha256(credentials.strip()).digest()
        found: str | None = None
        for slot, digest in self._digests:
            if compare_digest(digest, presented):
                found = slot
        return found if scheme.lower() == SCHEME else None

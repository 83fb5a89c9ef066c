"""Who may ask: the API keys, as Bearer or as HTTP Basic.

Owns the comparison. Keys are compared as digests in constant time, every configured one is tried, and a key that is
unknown, empty or malformed costs the same. Without a configured key the door is closed.
"""

import base64
import binascii
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest

CHALLENGE = 'Basic realm="Callgrant analytics", charset="UTF-8"'


class Keys:
    """The configured keys."""

    def __init__(self, keys: Iterable[tuple[str, str]]) -> None:
        self.take(keys)

    def take(self, keys: Iterable[tuple[str, str]]) -> None:
        """Only these from now on."""
        self._digests = [_digest(f"{name}:{secret}".encode()) for name, secret in keys if name and secret]

    def fit(self, authorization: str | None) -> bool:
        """Whether an `Authorization` header carries one of the keys."""
        given = _digest(_presented(authorization or ""))
        found = False
        for digest in self._digests:
            found |= compare_digest(given, digest)
        return found


def _presented(authorization: str) -> bytes:
    scheme, _, rest = authorization.strip().partition(" ")
    rest = rest.strip()
    match scheme.lower():
        case "bearer":
            return rest.encode("utf-8", "surrogateescape")
        case "basic":
            try:
                return base64.b64decode(rest.encode("latin-1", "replace"), validate=True)
            except binascii.Error:
                return b""
        case _:
            return b""


def _digest(key: bytes) -> bytes:
    return sha256(key).digest()

"""Who may ask: `Authorization: Bearer <id>:<secret>` (reliability 7).

Owns the comparison. Keys are kept and compared as SHA-256 digests, every configured one each time, so that a wrong, an
unknown and a malformed key cost the same. No key configured: nobody may ask.
"""

from hashlib import sha256
from hmac import compare_digest


class Keys:
    """The configured keys, as digests. The same id may stand twice: the present secret and the previous one."""

    def __init__(self, keys: tuple[tuple[str, str], ...]) -> None:
        self.take(keys)

    def take(self, keys: tuple[tuple[str, str], ...]) -> None:
        """Only these from now on."""
        self._digests = tuple(sha256(f"{name}:{secret}".encode()).digest() for name, secret in keys if name and secret)

    def __repr__(self) -> str:
        return f"Keys({len(self._digests)})"

    def admit(self, authorization: bytes | None) -> bool:
        """Whether the header's value carries one of the keys."""
        scheme, _, token = (authorization or b"").partition(b" ")
        digest = sha256(token.strip()).digest()
        found = False
        for known in self._digests:
            found |= compare_digest(known, digest)
        return found and scheme.lower() == b"bearer"

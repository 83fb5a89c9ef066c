"""Whether Meta signed these bytes: `X-Hub-Signature-256: sha256=<HMAC-SHA256 of the raw body with the app secret>`.

Owns the comparison. Refuses to read the body, to stop at the first secret that matches, and to know HTTP.

Decisions bound here
- Meta writes lower-case hex; that one text form is accepted and no other. The header is compared as it came, in
  constant time, so there is nothing to parse: a cut, longer, upper-case, non-hex or `sha1=` value is simply another
  text.
- Both halves of the HMAC key schedule are hashed once per secret and copied per body, which saves two of four blocks.
- A delivery has no id of Meta's. Ours is a digest of the signature: the same bytes again get the same id, and the
  stored id does not help anyone to send those bytes again.
"""

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from _hashlib import HASH

BLOCK_BYTES: Final = 64
SLOTS: Final = ("current", "previous")


class Signed(NamedTuple):
    """Authentic. `slot` says which of the configured secrets it was, in words."""

    slot: str
    delivery_id: str


class Signatures:
    """All configured secrets, `(app or "", secret)`. Without any, nothing is authentic."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        pairs = list(secrets)
        self.slots = slot_names(app for app, _ in pairs)
        self._keys = [(slot, *_states(secret)) for slot, (_, secret) in zip(self.slots, pairs, strict=True)]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def check(self, body: bytes, given: bytes) -> Signed | None:
        """The slot whose secret signed `body`, if `given` is its signature. Same work whichever matches, or none."""
        found: Signed | None = None
        for slot, inner, outer in self._keys:
            over_body = inner.copy()
            over_body.update(body)
            over_digest = outer.copy()
            over_digest.update(over_body.digest())
            expected = b"sha256=" + over_digest.hexdigest().encode()
            if compare_digest(expected, given):
                found = Signed(slot, sha256(expected).hexdigest()[:32])
        return found


def slot_names(owners: Iterable[str]) -> tuple[str, ...]:
    """A name per secret: `current`, `previous`, `older-1`, …; with its owner's name before it if it has one."""
    seen: Counter[str] = Counter()
    names = []
    for owner in owners:
        turn = seen[owner]
        seen[owner] += 1
        slot = SLOTS[turn] if turn < len(SLOTS) else f"older-{turn - 1}"
        names.append(f"{owner}/{slot}" if owner else slot)
    return tuple(names)


def _states(secret: str) -> tuple["HASH", "HASH"]:
    key = secret.encode()
    if len(key) > BLOCK_BYTES:
        key = sha256(key).digest()
    key = key.ljust(BLOCK_BYTES, b"\0")
    return sha256(bytes(byte ^ 0x36 for byte in key)), sha256(bytes(byte ^ 0x5C for byte in key))

"""The time index: which pair's grant runs out when, as rows of the partition's own local store.

Owns the form of an index row and how due ones are found. Derived knowledge: an index row only says when to look, the
state row decides; a stale one is dropped when its time comes. Not in the changelog: recovery makes it from the rows.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

PREFIX: Final = b"\0x"
"""No pair's key and not Faust's own offset row starts like this."""

_AT: Final = slice(len(PREFIX), len(PREFIX) + 8)


class Deadline(NamedTuple):
    """At `at` (epoch seconds) the grant of the pair with this key may run out."""

    at: int
    key: bytes


def index_key(deadline: Deadline) -> bytes:
    """The key of its index row: big-endian, so that the store's order is the order of time."""
    return PREFIX + deadline.at.to_bytes(8, "big") + deadline.key


def due(rows: Iterable[tuple[bytes, bytes]], until: int, limit: int) -> list[Deadline]:
    """The earliest deadlines up to `until`, at most `limit`. `rows`: the store's from `PREFIX` on."""
    found: list[Deadline] = []
    for key, _ in rows:
        if not key.startswith(PREFIX) or len(found) >= limit:
            break
        at = int.from_bytes(key[_AT], "big")
        if at > until:
            break
        found.append(Deadline(at, key[_AT.stop :]))
    return found

"""Who and which: the pair, its one text form, derived ids, and the partition of a key.

Owns the only place where a pair's key is made, masked and hashed. Refuses to draw ids: Meta repeats a webhook for
days, so an id is derived from what the provider said and is the same whenever and wherever it is derived again.
"""

import re
from functools import lru_cache
from hashlib import sha1
from struct import unpack
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from mypy_extensions import i64

NAMESPACE: Final = UUID("6f1d3b0a-5c7e-5a52-9a3e-0c9f4c6d2b11")
"""UUIDv5 namespace of every id this product derives. Never changes: ids would no longer match those of old facts."""

_BEGUN: Final = sha1(NAMESPACE.bytes, usedforsecurity=False)
"""Every id's digest begins with the namespace. Copied, as finding the algorithm costs more than the digest."""
_VARIANT: Final = {hexdigit: "89ab"[int(hexdigit, 16) & 3] for hexdigit in "0123456789abcdef"}
_SEPARATOR: Final = "\x1f"  # cannot stand in an id or a phone number, so ("ab", "c") and ("a", "bc") differ

PHONE_NUMBER_ID: Final = re.compile(r"[0-9]{3,32}")
WA_ID: Final = re.compile(r"[0-9]{5,20}")
BUSINESS_SCOPED_ID: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


class Pair(NamedTuple):
    """One business number and one user: the key of everything (design 11). Its `repr` masks the user."""

    phone_number_id: str
    user: str

    @property
    def text(self) -> str:
        """The one text form, `<phone_number_id>/<user>`: the key of every `permission.*` topic."""
        return pair_text(self.phone_number_id, self.user)

    @property
    def key(self) -> bytes:
        """`text` as UTF-8 bytes."""
        return self.text.encode()

    def __repr__(self) -> str:
        return f"Pair({self.phone_number_id}/{masked(self.user)})"


def pair_text(phone_number_id: str, user: str) -> str:
    """`Pair.text` of a pair that need not be made for it."""
    return f"{phone_number_id}/{user}"


def parse_pair(text: str | bytes) -> Pair | None:
    """The pair of a key or of a `--pair` argument; None when it is not of the form `<phone_number_id>/<user>`."""
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError:
            return None
    number, slash, user = text.partition("/")
    if slash and PHONE_NUMBER_ID.fullmatch(number) and is_user(user):
        return Pair(number, user)
    return None


def is_user(text: str) -> bool:
    """Whether `text` can name a user: wa_id digits or a business-scoped id (domain 3.11)."""
    return bool(WA_ID.fullmatch(text) or BUSINESS_SCOPED_ID.fullmatch(text))


def is_wa_id(user: str) -> bool:
    """Whether the user is named by the canonical name, wa_id digits (design 7)."""
    return user.isascii() and user.isdigit()


def user_of(text: str) -> str | None:
    """The user's name in its one form: digits without `+`, spaces or dashes, or the business-scoped id as it is.

    Never guesses a missing country code (domain 4.3 rule 6). None when the text can be neither.
    """
    if 5 <= len(text) <= 20 and text.isascii() and text.isdigit():  # nearly every one, without a pattern
        return text
    if BUSINESS_SCOPED_ID.fullmatch(text):
        return text
    if "(0" in text:  # a trunk prefix beside a country code: with or without it, somebody else might be meant
        return None
    digits = re.sub(r"[\s+().-]", "", text)
    return digits if WA_ID.fullmatch(digits) else None


def masked(user: str) -> str:
    """What of a user may stand in a log line: nothing that leads back to the number."""
    return f"…{len(user)}" if is_wa_id(user) else f"{user[:2]}.…"


def derived_id(kind: str, *parts: str | int) -> str:
    """The UUIDv5 of a kind and its natural key, as text. Same parts, same id, on any machine at any time."""
    text = kind
    for part in parts:
        text = f"{text}{_SEPARATOR}{part}"
    return _uuid5(text.encode("utf-8", "surrogatepass"))


def derived_from(kind: str, said: bytes) -> str:
    """`derived_id` of one part that is UTF-8 already."""
    return _uuid5(f"{kind}{_SEPARATOR}".encode() + said)


def _uuid5(name: bytes) -> str:
    digest = _BEGUN.copy()
    digest.update(name)
    text = digest.hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


@lru_cache(maxsize=65_536)  # hashing costs ten times a look-up, and a busy pair comes again soon
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: Java's default partitioner, so that every Kafka client finds the same one."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 of `data`, unsigned (seed 0x9747b28c). `i64`: every product stays below 2**63, so the
    compiled core may use the machine's integers.
    """
    words = unpack(f"<{len(data) // 4}I", data[: len(data) & ~3])
    rest: i64 = int.from_bytes(data[len(words) * 4 :], "little")
    mix: i64 = 0x5BD1E995
    hashed: i64 = 0x9747B28C ^ len(data)
    for each in words:
        word: i64 = each
        word = (word * mix) & 0xFFFFFFFF
        word = ((word ^ (word >> 24)) * mix) & 0xFFFFFFFF
        hashed = ((hashed * mix) & 0xFFFFFFFF) ^ word
    if len(data) & 3:
        hashed = ((hashed ^ rest) * mix) & 0xFFFFFFFF
    hashed = ((hashed ^ (hashed >> 13)) * mix) & 0xFFFFFFFF
    return int(hashed ^ (hashed >> 15))

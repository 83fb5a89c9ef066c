"""Whether a provider without a signature of its own presented one of the secrets we share with it.

Owns the comparison, as with API keys: SHA-256 digests in constant time against every configured one. Refuses more than
one presented value, wherever it stands, and to keep a secret in clear. Such a secret is weaker than a signature: it is
bound to no body, and whoever sees it may send anything. The header is better than the query, which ends up in the logs
of proxies; ours holds neither.
"""

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import Final
from urllib.parse import parse_qs

from streams.gateway.signature import slot_names

HEADER: Final = b"x-callgrant-token"
PARAMETER: Final = "token"
MAX_QUERY_BYTES: Final = 4_096
MAX_PARAMETERS: Final = 32


class Tokens:
    """All shared secrets of one provider. Without any, nobody is let in."""

    def __init__(self, tokens: Iterable[str]) -> None:
        given = list(tokens)
        self.slots = slot_names("" for _ in given)
        digests = [sha256(token.encode()).digest() for token in given]
        self._digests = list(zip(self.slots, digests, strict=True))

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, presented: bytes) -> str | None:
        """The slot of a token. Same work whichever matches, or none."""
        found: str | None = None
        given = sha256(presented).digest()
        for slot, digest in self._digests:
            if compare_digest(digest, given):
                found = slot
        return found


def presented(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> list[bytes]:
    """Every token of a request, in its header and its query."""
    given = [value.strip(b" \t") for name, value in headers if name == HEADER]
    return given + _in_query(query) if query else given


def _in_query(query: bytes) -> list[bytes]:
    if len(query) > MAX_QUERY_BYTES:
        return []
    try:
        fields = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:  # not ASCII, or too many fields
        return []
    return [value.encode() for value in fields.get(PARAMETER, [])]

"""Meta's verification of the webhook address: the challenge comes back when the token is one of ours.

Owns the answer to `GET /webhooks/meta`. Refuses to send back anything a browser could take for a page: only printable
ASCII without markup, of bounded length, and always as plain text (`app` sets the type).
"""

import re
from collections.abc import Sequence
from hmac import compare_digest
from typing import Final
from urllib.parse import parse_qs

MAX_QUERY_BYTES: Final = 4_096
CHALLENGE: Final = re.compile(r"[!-~]{1,512}")
MARKUP: Final = frozenset("<>&\"'")


def challenge_of(query: bytes, tokens: Sequence[str]) -> str | None:
    """What to send back; None when the request is not a verification with a token of ours, each parameter given
    once."""
    if len(query) > MAX_QUERY_BYTES:
        return None
    try:
        fields = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=16, errors="strict")
    except ValueError:  # not ASCII, not UTF-8 when unquoted, or too many fields
        return None
    mode, token, challenge = (_only(fields.get(f"hub.{name}")) for name in ("mode", "verify_token", "challenge"))
    presented = (token or "").encode()
    ours = False
    for known in tokens:
        ours |= compare_digest(known.encode(), presented)
    if not ours or mode != "subscribe" or challenge is None:
        return None
    return challenge if CHALLENGE.fullmatch(challenge) and MARKUP.isdisjoint(challenge) else None


def _only(values: list[str] | None) -> str | None:
    return values[0] if values is not None and len(values) == 1 else None

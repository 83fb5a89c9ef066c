"""What the gateway must be told, and its limits with the values that suit one machine.

Owns the refusal of secrets that would open a door to everyone. Refuses to read the environment (`deploy.config` does)
and to show a secret.
"""

from dataclasses import dataclass, field
from typing import Final

EMPTY: Final = "an empty {what} would let everyone in: correct {setting}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """`port` 0: any free one, told in the log. Without secrets a door is closed, never open."""

    kafka_bootstrap: str
    topic_prefix: str
    bind: str
    port: int
    meta_app_secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """(app or "", secret); of one app the current before the previous."""
    meta_verify_tokens: tuple[str, ...] = field(default=(), repr=False)
    api_keys: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """(id, secret); of one id the current before the previous."""
    max_body_bytes: int = 4 * 1024 * 1024
    """Meta sends up to 3 MB."""
    read_within_s: float = 5.0
    """From the head of a request to the end of its body; and for the head, from its first byte."""
    acknowledge_within_s: float = 4.0
    """From the end of a body to the broker's word, or the answer is 503: it is out within 5 s."""
    flush_after_ms: float = 3.0
    max_pending_bytes: int = 32 * 1024 * 1024
    """What may wait for the broker; more is answered 503 at once."""
    large_body_bytes: int = 64 * 1024
    large_bodies_at_once: int = 4
    """Bodies beyond `large_body_bytes` that may be read side by side: bounds what unauthenticated senders can
    occupy."""
    stop_within_s: float = 10.0

    def __post_init__(self) -> None:
        if not all(secret for _, secret in self.meta_app_secrets):
            raise ValueError(EMPTY.format(what="app secret", setting="CALLGRANT_META_APP_SECRETS"))
        if not all(self.meta_verify_tokens):
            raise ValueError(EMPTY.format(what="verify token", setting="CALLGRANT_META_VERIFY_TOKENS"))
        if not all(owner and secret for owner, secret in self.api_keys):
            raise ValueError(EMPTY.format(what="API key", setting="CALLGRANT_API_KEYS"))

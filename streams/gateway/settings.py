"""What the gateway must be told, and its limits with the values that suit one machine.

Owns the refusal of secrets that would open a door to everyone. Refuses to read the environment or to know how a
secret is written (`deploy.config` does both), and to show a secret.
"""

from dataclasses import dataclass, field
from typing import Final

from streams.rotation import EVERY_S, SecretFile

EMPTY: Final = "an empty {what} would let everyone in: correct {setting}"
TOKENS_SETTING: Final = {
    "gupshup": "CALLGRANT_GUPSHUP_TOKENS",
    "infobip": "CALLGRANT_INFOBIP_TOKENS",
    "360dialog": "CALLGRANT_D360_TOKENS",
    "ycloud": "CALLGRANT_YCLOUD_TOKENS",
    "zernio": "CALLGRANT_ZERNIO_TOKENS",
}
"""By provider: where the shared secrets of its door are set. These are all doors of that kind."""


MAX_BODY_BYTES: Final = 4 * 1024 * 1024


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
    provider_tokens: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """(provider, shared secret); of one provider the current before the previous."""
    secret_files: "tuple[SecretFile[GatewaySettings], ...]" = ()
    """Read again while we run: who changes one of them changes the secrets above."""
    secrets_again_every_s: float = EVERY_S
    max_body_bytes: int = MAX_BODY_BYTES
    """Meta sends up to 3 MB; a record of the topic takes 4.5 MiB with its headers."""
    read_within_s: float = 5.0
    """From the head of a request to the end of its body; and for the head, from its first byte. No server closes slow
    senders by itself."""
    acknowledge_within_s: float = 4.0
    """From the end of a body to the broker's word, or the answer is 503: it is out within 5 s."""
    flush_after_ms: float = 10.0
    """How long a webhook waits for company: a batch of a hundred costs the broker little more than one of one."""
    max_pending_bytes: int = 32 * 1024 * 1024
    """What may wait for the broker, 1 KiB a record at least, so it bounds waiting requests too; more is answered 503 at
    once. Four seconds of 1,000 webhooks a second are a quarter of it."""
    large_body_bytes: int = 64 * 1024
    """Beyond this a body that is still arriving needs room among the large ones."""
    large_room_bytes: int = 6 * 1024 * 1024
    """What these hold together, which is what senders nobody has authenticated yet can occupy; `max_body_bytes` at
    least. Two of the largest that Meta sends, or six of 1 MiB; they follow each other within milliseconds."""
    max_arriving_bytes: int = 4 * 1024 * 1024
    """What all other bodies that are still arriving may hold together; more is answered 503. A body that arrives in one
    piece never counts."""
    max_connections: int = 8_000
    """Beyond it a new connection is told 503 and closed. An idle one costs some 8 kB here, and a descriptor."""
    stop_within_s: float = 10.0
    """From TERM to the end: a body may still arrive and be acknowledged, what is left is flushed."""

    def __post_init__(self) -> None:
        if not all(secret for _, secret in self.meta_app_secrets):
            raise ValueError(EMPTY.format(what="app secret", setting="CALLGRANT_META_APP_SECRETS"))
        if not all(self.meta_verify_tokens):
            raise ValueError(EMPTY.format(what="verify token", setting="CALLGRANT_META_VERIFY_TOKENS"))
        if not all(owner and secret for owner, secret in self.api_keys):
            raise ValueError(EMPTY.format(what="API key", setting="CALLGRANT_API_KEYS"))
        for provider, token in self.provider_tokens:
            if provider not in TOKENS_SETTING:
                raise ValueError(f"no door takes tokens of {provider}: there are {', '.join(TOKENS_SETTING)}")
            if not token:
                raise ValueError(EMPTY.format(what="token", setting=TOKENS_SETTING[provider]))

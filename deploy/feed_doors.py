"""Which door of a gateway takes a body, and what it must see to believe the sender.

Owns the address and the proof of each provider's door, made from our own settings. Refuses to send without a secret:
the door would be closed, and the line is told which setting is missing.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from deploy.config import Config
from deploy.feed_lines import ACTIONS, SEND_LOG
from deploy.secret_files import PROVIDER_OF
from schemas.codec import Unreadable
from streams.replay.lines import Arrival

META: Final = "meta"
REPORTS: Final = {ACTIONS: "/v1/actions", SEND_LOG: "/v1/actions/meta"}
TOKENS: Final = {provider: setting for setting, provider in PROVIDER_OF.items()}


@dataclass(frozen=True, slots=True)
class Post:
    """One request: whose body, where to, with which headers. The proof and the body stay out of the repr."""

    provider: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The doors of one gateway. A provider without a secret has none here."""

    url: str
    app_secret: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    def post(self, arrival: Arrival) -> Post | Unreadable:
        """How to deliver a body; `Unreadable` when our settings have no secret for its door."""
        provider = arrival.provider
        body, kind = arrival.body, {"Content-Type": "application/json"}
        if provider in REPORTS and self.api_key is not None:
            return Post(provider, REPORTS[provider], {"Authorization": f"Bearer {self.api_key}", **kind}, body)
        if provider == META and self.app_secret is not None:
            signature = hmac.digest(self.app_secret.encode(), body, "sha256").hex()
            return Post(provider, "/webhooks/meta", {"X-Hub-Signature-256": f"sha256={signature}", **kind}, body)
        if provider in self.tokens:
            token = self.tokens[provider]
            return Post(provider, f"/webhooks/{provider}", {"X-Callgrant-Token": token, **kind}, body)
        detail = f"set {setting_of(provider)}, and the same at the gateway; without it this door is closed"
        return Unreadable(reason="no_secret", path="$", detail=detail)


def doors_of(config: Config, url: str | None = None) -> Doors:
    """The doors of the gateway that the settings name, or of the one at `url`, with the first secret of each."""
    names = config.names
    tokens = {provider: getattr(names, name) for provider, name in TOKENS.items()}
    return Doors(
        url=(url or config.url(names.gateway_port)).rstrip("/"),
        app_secret=names.meta_app_secrets[0].secret.get_secret_value() if names.meta_app_secrets else None,
        api_key=config.api_key,
        tokens={provider: given[0].get_secret_value() for provider, given in tokens.items() if given},
    )


def setting_of(provider: str) -> str:
    """The setting that holds the secrets of a provider's door."""
    if provider in REPORTS:
        return "CALLGRANT_API_KEYS"
    return f"CALLGRANT_{TOKENS.get(provider, 'meta_app_secrets').upper()}"

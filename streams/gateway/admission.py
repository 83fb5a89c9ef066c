"""Who may come in, as the secrets stand now: one object that every door asks and a rotation replaces.

Owns how secrets become what doors ask. Refuses to know where a secret came from, and to change half of itself: a door
sees the old secrets or the new ones.
"""

from collections.abc import Iterator

from streams.gateway.counters import SLOTTED, Door
from streams.gateway.keys import ApiKeys
from streams.gateway.settings import TOKENS_SETTING, GatewaySettings
from streams.gateway.signature import Signatures
from streams.gateway.tokens import Tokens


class Admission:
    """`take` puts it on new secrets; what a door took from it before stays as it was."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.take(settings)

    def take(self, settings: GatewaySettings) -> None:
        self.signatures = Signatures(settings.meta_app_secrets)
        self.verify_tokens = settings.meta_verify_tokens
        self.keys = ApiKeys(settings.api_keys)
        self.tokens = {
            provider: Tokens(token for owner, token in settings.provider_tokens if owner == provider)
            for provider in TOKENS_SETTING
        }

    def slots(self) -> Iterator[tuple[Door, tuple[str, ...]]]:
        """The names of all configured secrets, by the doors they open."""
        for door in SLOTTED:
            if door.kind != "webhook":
                yield door, self.keys.slots
            elif door.provider == "meta":
                yield door, self.signatures.slots
            else:
                yield door, self.tokens[door.provider].slots

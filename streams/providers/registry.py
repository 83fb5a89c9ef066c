"""Which translation reads which provider. The one registry: a provider is added here and nowhere else."""

from collections.abc import Callable
from typing import Final

from schemas.codec import Unreadable
from streams.providers import actions, meta
from streams.providers.translation import Translation

PROVIDERS: Final[dict[str, Callable[[bytes, int], Translation]]] = {
    "meta": meta.translate,
    "actions": actions.translate,
}


def translate(provider: str, body: bytes, received_at: int) -> Translation:
    """What a raw record means. Never raises; a provider nobody knows is parked, to be retried once somebody does."""
    read = PROVIDERS.get(provider)
    if read is None:
        fault = Unreadable(reason="unknown_provider", path="$", detail="no translation is registered for this provider")
        return Translation(parked=(fault,))
    return read(body, received_at)

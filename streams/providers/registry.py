"""Which translation reads which provider. The one registry: a provider is added here and nowhere else.

Owns one more rule that no provider may skip: what claims to have happened long after we received it is parked. The
readers park it with its place (`Notes.happened`); what one of them forgot to look at is caught here.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from schemas.codec import Unreadable
from streams.providers import actions, gupshup, infobip, meta, sendlog, ycloud, zernio
from streams.providers.known import NONE_KNOWN, Known
from streams.providers.translation import AHEAD_S, Translation

PROVIDERS: Final[dict[str, Callable[[bytes, int, Known], Translation]]] = {
    "meta": meta.translate,
    "360dialog": partial(meta.translate, provider="360dialog"),
    "gupshup": gupshup.translate,
    "infobip": infobip.translate,
    "ycloud": ycloud.translate,
    "zernio": zernio.translate,
    "actions": actions.translate,
    "meta-sendlog": sendlog.translate,
}

FUTURE: Final = Unreadable(
    reason="time_in_future", path="$", detail="an instant lies more than seven days after the receipt"
)


def translate(provider: str, body: bytes, received_at: int, numbers: Known = NONE_KNOWN) -> Translation:
    """What a raw record means. Never raises; a provider nobody knows is parked, to be retried once somebody does.

    `numbers`: those that are known, for payloads that name theirs by the display form, the entry's id, or not at all.
    """
    read = PROVIDERS.get(provider)
    if read is None:
        fault = Unreadable(reason="unknown_provider", path="$", detail="no translation is registered for this provider")
        return Translation(parked=(fault,))
    done = read(body, received_at, numbers)
    latest = received_at + AHEAD_S
    for fact in done.facts:
        if fact.occurred_at > latest:
            break
    else:
        return done
    facts = tuple(fact for fact in done.facts if fact.occurred_at <= latest)
    return done._replace(facts=facts, parked=(*done.parked, FUTURE))

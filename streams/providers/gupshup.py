"""Gupshup: Meta's envelope with additions, in two dialects (domain 4.1, 4.2).

Owns the one difference that matters: its guide for SIP sends no metadata and names the number by the entry's id. What
it adds (`gs_id`, `billing-event`, the status `enqueued` on a clock of milliseconds) carries nothing for us.
"""

from collections.abc import Mapping

from streams.providers import meta
from streams.providers.translation import Translation


def translate(body: bytes, received_at: int, numbers: Mapping[str, str] = meta.NO_NUMBERS) -> Translation:
    """The facts of one webhook body. `received_at`: our clock, epoch seconds."""
    return meta.translate(body, received_at, numbers, provider="gupshup", entry_is_number=True)

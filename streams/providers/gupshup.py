"""Gupshup: Meta's envelope with additions, in two dialects (domain 4.1, 4.2).

Owns how they are told apart. What it passes on (version 3) carries `gs_app_id` at the top and is Meta's, metadata and
all. Its guide for SIP shows no metadata and names the number by the entry's id. A passed-on payload without metadata,
its statuses `enqueued`, names the account there, which must never be taken for a number. What it adds (`gs_id`,
`billing-event`, the status `enqueued` on a clock of milliseconds) carries nothing for us.
"""

from typing import Any, Final

from streams.providers import meta
from streams.providers.fields import mapping
from streams.providers.known import NONE_KNOWN, Known
from streams.providers.translation import Notes, Translation, translated

PROVIDER: Final = "gupshup"


def translate(body: bytes, received_at: int, numbers: Known = NONE_KNOWN) -> Translation:
    """The facts of one webhook body. `received_at`: our clock, epoch seconds."""

    def read(notes: Notes, value: Any) -> None:
        payload = mapping(value, "$")
        meta.walk(notes, payload, numbers, entry_is_number="gs_app_id" not in payload)

    return translated(PROVIDER, body, received_at, read)

"""The customer service window: 24 hours from the user's last own sign, inside which free-form requests may be sent
(domain 2.3).

Owns what opens it: a message of the user, voicemail too; a call by the user, at its start; picking up a call of the
business; the user's own reply. What WhatsApp decides for the user does not (A41; design 15, instants).
"""

from collections.abc import Iterable

from streams.permission.windows import DAY_S


def open_until(signs: Iterable[int], at: int) -> int | None:
    """Until when the window is open at `at`; None when it is closed. `signs`: instants of the user's own signs."""
    last: int | None = None
    for sign in signs:
        if sign <= at and (last is None or sign > last):
            last = sign
    return last + DAY_S if last is not None and at < last + DAY_S else None

"""The customer service window: 24 hours from the user's last own sign, inside which free-form requests may be sent
(domain 2.3).

Owns what opens it. A user's reply does; what WhatsApp decides for the user does not (domain A41; design 15, instants).
"""

from collections.abc import Sequence

from schemas.state import Decision
from streams.permission.windows import DAY_S


def open_until(own_replies: Sequence[Decision], at: int) -> int | None:
    """Until when the window is open at `at`; None when it is closed. `own_replies`: those of the user himself, by
    time.
    """
    if not own_replies:
        return None
    until = own_replies[-1].at + DAY_S
    return until if at < until else None

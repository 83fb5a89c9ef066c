"""Whole numbers and instants as strangers write them (domain 4.3 rule 2), before anybody says which are allowed.

Owns the forms that are read. Refuses to judge: whether milliseconds, or an instant of another century, will do is said
where it came in (`schemas.actions` for what is reported to us, `streams.providers.fields` for webhooks).
"""

from datetime import datetime
from typing import Any, Final

_EXACT: Final = 2.0**53
"""Up to here a float is one integer."""

NO_ZONE: Final = "no zone"


def whole(value: Any) -> Any:
    """A float with a whole value as that integer, since some writers of JSON have no other number; else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value


def read_instant(value: Any) -> int:
    """What stands there in whole seconds (or milliseconds): a whole number, its digits, or RFC 3339 with a zone.

    Raises ValueError, which says `NO_ZONE` where that is all that is missing.
    """
    if isinstance(value, str):
        if value.isascii() and value.isdigit() and len(value) <= 16:
            return int(value)
        moment = datetime.fromisoformat(value.upper())
        if moment.tzinfo is None:
            raise ValueError(NO_ZONE)
        return int(moment.timestamp())
    value = whole(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("no instant")
    return value

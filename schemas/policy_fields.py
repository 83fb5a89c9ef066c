"""What single values of a policy file may be: instants, countries, spans, switches, numbers.

Owns that strictness: a policy file is written by hand and seldom, so nothing is read as something it may not be meant
to be.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from schemas.countries import COUNTRIES
from schemas.events import EARLIEST_AT, LATEST_AT
from schemas.ids import PHONE_NUMBER_ID, WA_ID

MOST_SECONDS: Final = 10 * 365 * 86_400


def _utc(value: object) -> datetime:
    """An instant in UTC. Meta's days begin nowhere else, and an offset in such a file is a slip."""
    allowed = "give an instant in UTC between 2015 and 2100, like 2025-07-01T00:00:00Z"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(allowed) from None
    if isinstance(value, int) and not isinstance(value, bool) and EARLIEST_AT <= value < LATEST_AT:
        return datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime) or value.utcoffset() != timedelta(0):
        raise ValueError(allowed)
    if not EARLIEST_AT <= value.timestamp() < LATEST_AT:
        raise ValueError(allowed)
    return value.astimezone(UTC)


def _country(code: str) -> str:
    if code not in COUNTRIES:
        raise ValueError("no country; give an ISO 3166-1 alpha-2 code in capitals, like GB")
    return code


def display_number(number: str) -> str:
    """A display number, as it stands."""
    if not WA_ID.fullmatch(re.sub(r"[\s+().-]", "", number)):
        raise ValueError("give the business number as it is dialled, with the country code")
    return number


def number_id(number: str) -> str:
    """A phone_number_id."""
    if not PHONE_NUMBER_ID.fullmatch(number):
        raise ValueError("give the phone_number_id: digits only, the id and not the display number")
    return number


def once(values: tuple[str, ...]) -> tuple[str, ...]:
    """Values of which none stands twice."""
    if len(set(values)) < len(values):
        raise ValueError("one of them stands here twice")
    return values


Instant = Annotated[
    datetime,
    BeforeValidator(_utc),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": "(Z|[+]00:00)$"}),
]
Country = Annotated[str, AfterValidator(_country), Field(pattern="^[A-Z]{2}$")]
Seconds = Annotated[int, Field(gt=0, le=MOST_SECONDS, strict=True)]
Switch = Annotated[bool, Field(strict=True)]

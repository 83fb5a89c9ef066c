"""Meta's numbers with the dates from which they hold: the policy file's model (domain 2.2).

Owns the figures and their dates. A rule asks for the value in force at an instant and never writes a number of its own.
Unknown keys and overlapping dates are errors that name the place.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Final, Literal

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from schemas.codec import path_of

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Dated(_Strict):
    """A value and the instant from which it holds."""

    since: AwareDatetime = Field(alias="from")
    value: int = Field(ge=0)


class DatedCountries(_Strict):
    """The blocked countries and the instant from which the list holds."""

    since: AwareDatetime = Field(alias="from")
    countries: tuple[str, ...]


def _in_order(entries: tuple[Dated, ...]) -> tuple[Dated, ...]:
    dates = [entry.since for entry in entries]
    if not dates or any(later <= earlier for earlier, later in pairwise(dates)):
        raise ValueError("give at least one entry; every `from` must be later than the one before")
    return entries


def _countries_in_order(entries: tuple[DatedCountries, ...]) -> tuple[DatedCountries, ...]:
    dates = [entry.since for entry in entries]
    if any(later <= earlier for earlier, later in pairwise(dates)):
        raise ValueError("every `from` must be later than the one before")
    return entries


Series = Annotated[tuple[Dated, ...], AfterValidator(_in_order)]


class Profile(_Strict):
    """The limits of production numbers, or of sandbox and public test numbers."""

    requests_24h: Series
    requests_7d: Series
    connected_calls_24h: Series
    unanswered_nudge: Series
    unanswered_revoke: Series
    state_endpoint_rps: Series | None = None

    @cached_property
    def _steps(self) -> dict[str, tuple[list[float], list[int]]]:
        return {
            name: ([entry.since.timestamp() for entry in series], [entry.value for entry in series])
            for name in type(self).model_fields
            if (series := getattr(self, name)) is not None
        }

    def at(self, name: str, instant: int) -> int:
        """The value in force at `instant` (epoch seconds); before the first date the first value holds (design 15)."""
        dates, values = self._steps[name]
        return values[max(bisect_right(dates, instant) - 1, 0)]


class Defaults(_Strict):
    """Switches and spans that have no date."""

    temporary_seconds: int = Field(default=604_800, gt=0)
    request_open_seconds: int = Field(default=604_800, gt=0)
    count_failed_requests: bool = False
    streak_reset_directions: tuple[Literal["BUSINESS_INITIATED", "USER_INITIATED"], ...] = (
        "BUSINESS_INITIATED",
        "USER_INITIATED",
    )
    count_failed_calls_in_streak: bool = False
    count_business_cancelled_in_streak: bool = True
    expiring_soon_seconds: int = Field(default=86_400, gt=0)


class NumberEntry(_Strict):
    """What the operator knows of one business number (design 15)."""

    profile: Literal["production", "sandbox"] = "production"
    country: str | None = None
    display_phone_number: str | None = None


class Policy(_Strict):
    """The whole policy file."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    defaults: Defaults = Defaults()
    profiles: dict[Literal["production", "sandbox"], Profile]
    bic_blocked_business_countries: Annotated[tuple[DatedCountries, ...], AfterValidator(_countries_in_order)] = ()
    numbers: dict[str, NumberEntry] = {}

    def blocked_countries(self, at: int) -> Sequence[str]:
        """The business countries from which no call may be started at `at` (domain 2.4)."""
        held = [entry for entry in self.bic_blocked_business_countries if entry.since.timestamp() <= at]
        if held:
            return held[-1].countries
        return self.bic_blocked_business_countries[0].countries if self.bic_blocked_business_countries else ()


class PolicyUnusable(Exception):
    """The policy file cannot be used; the text names the file, the place and what is allowed."""


def read_policy(content: bytes, name: str) -> Policy:
    """The policy in the bytes of a policy file. `name` is the file's, for the text of a fault."""
    try:
        return Policy.model_validate(orjson.loads(content))
    except orjson.JSONDecodeError as fault:
        raise PolicyUnusable(f"CALLGRANT_POLICY_FILE: {name} is not JSON (line {fault.lineno})") from fault
    except ValidationError as fault:
        places = "; ".join(f"{path_of(error['loc'])}: {error['msg']}" for error in fault.errors(include_input=False))
        raise PolicyUnusable(f"CALLGRANT_POLICY_FILE: {name}: {places}") from fault


def _since(day: str, value: int) -> Dated:
    return Dated.model_validate({"from": f"{day}T00:00:00+00:00", "value": value})


def _blocked(day: str, *countries: str) -> DatedCountries:
    return DatedCountries.model_validate({"from": f"{day}T00:00:00+00:00", "countries": countries})


# Sources of every date: domain 2.2. Meta gives days, no hours: 00:00 UTC. The 2026-06-01 list and the change of
# state_endpoint_rps have no published day; their dates are placeholders.
DEFAULT_POLICY: Final = Policy(
    profiles={
        "production": Profile(
            requests_24h=(_since("2025-07-01", 1),),
            requests_7d=(_since("2025-07-01", 2),),
            connected_calls_24h=(_since("2025-07-01", 5), _since("2025-10-13", 10), _since("2025-12-19", 100)),
            unanswered_nudge=(_since("2025-07-01", 2),),
            unanswered_revoke=(_since("2025-07-01", 4),),
            state_endpoint_rps=(_since("2025-07-01", 5), _since("2025-12-01", 100)),
        ),
        "sandbox": Profile(
            requests_24h=(_since("2025-10-13", 25),),
            requests_7d=(_since("2025-10-13", 100),),
            connected_calls_24h=(_since("2025-10-13", 100),),
            unanswered_nudge=(_since("2025-10-13", 5),),
            unanswered_revoke=(_since("2025-10-13", 10),),
        ),
    },
    bic_blocked_business_countries=(
        _blocked("2025-07-01", "US", "CA", "TR", "EG", "VN", "NG"),
        _blocked("2026-06-01", "US", "CA", "EG", "VN", "NG"),
    ),
)

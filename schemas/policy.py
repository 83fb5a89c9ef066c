"""Meta's numbers with the dates from which they hold: the policy file's model (domain 2.2).

Owns the figures, their dates and what a policy file may say. A rule asks for the value in force at an instant and never
writes a number of its own. Nothing in a file is guessed or passed over: an unknown key would silently leave a limit as
it was, so every fault is told with its place and what is allowed there (`policy_fields`, `policy_faults`).
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Final, Literal
from zlib import crc32

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from schemas.policy_faults import KeyTwice, each_key_once, faults_of
from schemas.policy_fields import Country, Instant, Seconds, Switch, display_number, number_id, once

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
MOST: Final = 1_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Dated(_Strict):
    """A value and the instant from which it holds."""

    since: Instant = Field(alias="from")
    value: int = Field(ge=0, le=MOST, strict=True)


class DatedCountries(_Strict):
    """The blocked countries and the instant from which the list holds."""

    since: Instant = Field(alias="from")
    countries: Annotated[tuple[Country, ...], AfterValidator(once)]

    @cached_property
    def since_at(self) -> float:
        """`since` in epoch seconds."""
        return self.since.timestamp()


def _in_order(entries: tuple[Dated, ...]) -> tuple[Dated, ...]:
    if not entries:
        raise ValueError("give at least one entry")
    _later_each(entry.since for entry in entries)
    return entries


def _countries_in_order(entries: tuple[DatedCountries, ...]) -> tuple[DatedCountries, ...]:
    _later_each(entry.since for entry in entries)
    return entries


def _later_each(dates: Iterable[datetime]) -> None:
    for place, (earlier, later) in enumerate(pairwise(dates), start=1):
        if later <= earlier:
            raise ValueError(f"entry {place}: every `from` must be later than the one before")


def _counting(entries: tuple[Dated, ...]) -> tuple[Dated, ...]:
    if any(entry.value == 0 for entry in entries):
        raise ValueError("a number of unanswered calls is at least 1")
    return entries


Series = Annotated[tuple[Dated, ...], AfterValidator(_in_order)]
Threshold = Annotated[Series, AfterValidator(_counting)]


class Profile(_Strict):
    """The limits of production numbers, or of sandbox and public test numbers."""

    requests_24h: Series
    requests_7d: Series
    connected_calls_24h: Series
    unanswered_nudge: Threshold
    unanswered_revoke: Threshold
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
        if instant >= dates[-1]:  # nearly every one
            return values[-1]
        return values[max(bisect_right(dates, instant) - 1, 0)]


class Defaults(_Strict):
    """Switches and spans that have no date."""

    temporary_seconds: Seconds = 604_800
    request_open_seconds: Seconds = 604_800
    count_failed_requests: Switch = False
    streak_reset_directions: Annotated[
        tuple[Literal["BUSINESS_INITIATED", "USER_INITIATED"], ...], AfterValidator(once)
    ] = ("BUSINESS_INITIATED", "USER_INITIATED")
    count_failed_calls_in_streak: Switch = False
    count_business_cancelled_in_streak: Switch = True
    expiring_soon_seconds: Seconds = 86_400


class NumberEntry(_Strict):
    """What the operator knows of one business number (design 15)."""

    profile: Literal["production", "sandbox"] = "production"
    country: Country | None = None
    display_phone_number: Annotated[str, AfterValidator(display_number)] | None = None


ProfileName = Literal["production", "sandbox"]
PROFILES: Final[tuple[ProfileName, ...]] = ("production", "sandbox")


def _both(profiles: dict[ProfileName, Profile]) -> dict[ProfileName, Profile]:
    """A number may turn out to be of either profile at any time: a file without one would fail only then."""
    for name in PROFILES:
        if name not in profiles:
            raise ValueError(f"{name} is missing; give {' and '.join(PROFILES)}")
    return profiles


class Policy(_Strict):
    """The whole policy file."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    defaults: Defaults = Defaults()
    profiles: Annotated[
        dict[ProfileName, Profile], AfterValidator(_both), Field(json_schema_extra={"required": list(PROFILES)})
    ]
    bic_blocked_business_countries: Annotated[tuple[DatedCountries, ...], AfterValidator(_countries_in_order)] = ()
    numbers: dict[Annotated[str, AfterValidator(number_id)], NumberEntry] = {}

    @cached_property
    def _rules(self) -> dict[str, str]:
        defaults = self.defaults.model_dump_json()
        return {
            name: f"{name[0]}{crc32((defaults + profile.model_dump_json()).encode()):08x}"
            for name, profile in self.profiles.items()
        }

    def rules_of(self, profile: str) -> str:
        """A short name of the rules a number of this profile is judged by: under other rules another one."""
        return self._rules[profile]

    def profile_of(self, rules: str) -> ProfileName | None:
        """The profile whose rules have this short name; None: they are of another policy file."""
        return next((name for name in PROFILES if self._rules[name] == rules), None)

    def blocked_countries(self, at: int) -> Sequence[str]:
        """The business countries from which no call may be started at `at` (domain 2.4)."""
        entries = self.bic_blocked_business_countries
        held = next((entry for entry in reversed(entries) if entry.since_at <= at), None)
        if held is None and entries:
            held = entries[0]
        return held.countries if held is not None else ()


_BOM: Final = b"\xef\xbb\xbf"


class PolicyUnusable(Exception):
    """The policy file cannot be used; the text names the file, the place and what is allowed."""


def read_policy(content: bytes, name: str) -> Policy:
    """The policy in the bytes of a policy file. `name` is the file's, for the text of a fault."""
    try:
        # By alias alone: what a field is called in code is no key of the file.
        policy = Policy.model_validate(orjson.loads(content.removeprefix(_BOM)), by_alias=True, by_name=False)
        json.loads(content.removeprefix(_BOM), object_pairs_hook=each_key_once)
    except orjson.JSONDecodeError as fault:
        raise PolicyUnusable(f"CALLGRANT_POLICY_FILE: {name} is not JSON (line {fault.lineno})") from fault
    except KeyTwice as fault:
        raise PolicyUnusable(f"CALLGRANT_POLICY_FILE: {name}: the key {fault} stands twice in one object") from fault
    except ValidationError as fault:
        places = "; ".join(faults_of(fault, TypeAdapter(Policy).json_schema()))
        raise PolicyUnusable(f"CALLGRANT_POLICY_FILE: {name}: {places}") from fault
    return policy


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

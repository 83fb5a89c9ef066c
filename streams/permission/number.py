"""What is known of the business number decides before the pair does (domain 2.4, 3.8; design 15).

Owns what a number is at an instant: calling switched off, blocked country, restriction. The country is the business
number's, never the user's; an unknown country is allowed.

What the policy file *names* of a number wins over what was registered: it is the operator's present word, holds at
once and for every instant, and is the way out when something wrong was registered. Where both are silent the country
is that of the display number. Errors that tell of the number (138000, 138013, 138014) stay evidence of the pair that
met them: what says otherwise, a reading or an accepted call, is evidence of a pair too (`refusals`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from schemas.business import BusinessState
from schemas.policy import NumberEntry, Policy
from streams.permission.windows import WEEK_S

Profile = Literal["production", "sandbox"]


class Registration(NamedTuple):
    """What the operator told of the number."""

    at: int
    profile: Profile | None
    country: str | None


class Setting(NamedTuple):
    """Calling was switched on or off."""

    at: int
    enabled: bool


class Restriction(NamedTuple):
    """Meta restricts calling until `until`; `restricts`: whose calls."""

    at: int
    restricts: str
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One business number, each list by time. What is asked of it at an instant is computed."""

    profile: Profile = "production"
    country: str | None = None
    settings: tuple[Setting, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    registrations: tuple[Registration, ...] = ()

    @classmethod
    def of(cls, entry: NumberEntry) -> "Number":
        """The number as the policy file knows it, before any fact."""
        return cls(profile=entry.profile, country=entry.country)


UNKNOWN = Number()


def number_in(
    policy: Policy, phone_number_id: str, told: Iterable[BusinessState] = (), shown_in: str | None = None
) -> Number:
    """The number as the policy file and the evidence `told` of it say, whatever names it was told under.

    `shown_in`: the country of its display number.
    """
    entry, told = policy.numbers.get(phone_number_id), tuple(told)
    if not told and shown_in is None:
        return UNKNOWN if entry is None else Number.of(entry)
    registered = sorted((one.at, one.id, one.profile, one.country) for state in told for one in state.registrations)
    profile: Profile = "production"
    country: str | None = None
    for _, _, said, where in registered:
        profile, country = said or profile, where or country
    if entry is not None:
        profile = entry.profile if "profile" in entry.model_fields_set else profile
        country = entry.country or country
    settings = {
        Setting(one.at, one.calling_enabled)
        for state in told
        for one in state.settings
        if one.calling_enabled is not None
    }
    # Without an end it lasts as long as one that an error tells of (design 15).
    restrictions = {
        Restriction(one.at, one.restricts, one.at + WEEK_S if one.until is None else one.until)
        for state in told
        for one in state.restrictions
    }
    return Number(
        profile=profile,
        country=country or shown_in,
        settings=tuple(sorted(settings)),
        restrictions=tuple(sorted(restrictions)),
        registrations=tuple(Registration(at, said, where) for at, _, said, where in registered),
    )


def country_supported(number: Number, at: int, policy: Policy) -> bool:
    """Whether calls may be started from the number's country at `at`."""
    return number.country is None or number.country not in policy.blocked_countries(at)


def calling_enabled(number: Number, at: int) -> bool:
    """Whether calling is on at `at`: on, until a settings webhook says otherwise; of two in one second, off (domain
    G22).
    """
    known = [setting for setting in number.settings if setting.at <= at]
    return known[-1].enabled and (known[-1].at, False) not in known if known else True


def switched_on(number: Number, at: int) -> list[int]:
    """When settings webhooks said that calling is on, up to `at`."""
    return [setting.at for setting in number.settings if setting.enabled and setting.at <= at]


def restricted_until(number: Number, at: int) -> int | None:
    """Until when the business may neither ask nor call (G21). Restrictions of users' calls block nothing of ours."""
    until = max((one.until for one in _blocking(number) if one.at <= at), default=0)
    return until if at < until else None


def told_of_restriction(number: Number, at: int) -> list[tuple[int, int]]:
    """From when and until when webhooks told of restrictions of the business's calls, up to `at`."""
    return [(one.at, one.until) for one in _blocking(number) if one.at <= at]


def _blocking(number: Number) -> list[Restriction]:
    return [one for one in number.restrictions if one.restricts != "user_initiated"]

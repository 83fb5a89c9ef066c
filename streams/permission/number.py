"""What is known of the business number decides before the pair does (domain 2.4, 3.8; design 15).

Owns the number's evidence and its rules: calling switched off, blocked country, restriction. The country is the
business number's, never the user's; an unknown country is allowed.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, assert_never

from schemas.events import (
    BusinessRegistered,
    BusinessRestricted,
    BusinessSeen,
    BusinessSettingsChanged,
    NumberFact,
    TemplateRegistered,
)
from schemas.policy import NumberEntry, Policy

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
    """The evidence of one business number, each list by time. What is asked of it at an instant is computed."""

    profile: Profile = "production"
    country: str | None = None
    settings: tuple[Setting, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    registrations: tuple[Registration, ...] = ()

    @classmethod
    def of(cls, entry: NumberEntry) -> "Number":
        """The number as the policy file knows it, before any fact."""
        return cls(profile=entry.profile, country=entry.country)


def number_in(policy: Policy, phone_number_id: str) -> Number:
    """What the policy file says of the number; a production number of unknown country where it says nothing."""
    entry = policy.numbers.get(phone_number_id)
    return UNKNOWN if entry is None else Number.of(entry)


UNKNOWN = Number()


def evolve_number(number: Number, fact: NumberFact) -> Number:
    """The number with one more fact about it; the same object when the fact says nothing new."""
    match fact:
        case BusinessRegistered():
            told = Registration(fact.occurred_at, fact.profile, fact.country)
            if told in number.registrations:
                return number
            kept = tuple(sorted({*number.registrations, told}, key=repr))
            kept = tuple(sorted(kept, key=lambda one: one.at))
            profile, country = number.profile, number.country
            for one in kept:
                profile, country = one.profile or profile, one.country or country
            return replace(number, registrations=kept, profile=profile, country=country)
        case BusinessSettingsChanged():
            if fact.calling_enabled is None:
                return number
            setting = Setting(fact.occurred_at, fact.calling_enabled)
            if setting in number.settings:
                return number
            return replace(number, settings=tuple(sorted({*number.settings, setting})))
        case BusinessRestricted():
            if fact.restricts is None or fact.until is None:
                return number
            restriction = Restriction(fact.occurred_at, fact.restricts, fact.until)
            if restriction in number.restrictions:
                return number
            return replace(number, restrictions=tuple(sorted({*number.restrictions, restriction})))
        case BusinessSeen() | TemplateRegistered():
            return number
        case other:
            assert_never(other)


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


def told_of_restriction(number: Number, at: int) -> list[int]:
    """When webhooks told of a restriction of the business's calls, up to `at`."""
    return [one.at for one in _blocking(number) if one.at <= at]


def _blocking(number: Number) -> list[Restriction]:
    return [one for one in number.restrictions if one.restricts != "user_initiated"]

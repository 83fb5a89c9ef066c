"""The answer about a business number: what it is, what holds for it at an instant, and what was told of it.

Owns the body. Refuses to judge: the rules of a number are the core's. Templates that Meta tells of an account
and not of a number are found under the account's id.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from schemas.business import BusinessState
from schemas.policy import Policy
from streams.permission import number as rules
from streams.permission.directory import Directory

_SWITCHES = ("callback_permission", "sip_enabled", "call_icon_visibility")
_SIDES = ("category", "status", "has_call_permission")


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RestrictionShown(_Shape):
    """`until`: null when the webhook named no end; then seven days are assumed."""

    at: int
    restricts: Literal["business_initiated", "user_initiated", "both"]
    until: int | None
    violation: str | None


class WarningShown(_Shape):
    """Meta warned; nothing was restricted by it."""

    at: int
    violation: str | None


class TemplateShown(_Shape):
    """The newest word on each side of a template; null: not told."""

    name: str
    language: str
    category: str | None
    status: str | None
    has_call_permission: bool | None


class NumberAnswer(_Shape):
    """A business number at an instant. Null: not told."""

    phone_number_id: str
    as_of: int
    display_phone_numbers: list[str]
    profile: Literal["production", "sandbox"]
    country: str | None
    country_supported: bool
    calling_enabled: bool
    restricted_until: int | None
    callback_permission: bool | None
    sip_enabled: bool | None
    call_icon_visibility: str | None
    restrictions: list[RestrictionShown]
    warnings: list[WarningShown]
    templates: list[TemplateShown]


def number_answer(directory: Directory, name: str, at: int, policy: Policy) -> dict[str, Any]:
    """The body about the number `name` at `at`; lists oldest first. Of one nothing was heard of: what is assumed."""
    number, told = directory.of(name), directory.told(name)
    return {
        "phone_number_id": name,
        "as_of": at,
        "display_phone_numbers": directory.displays(name),
        "profile": number.profile,
        "country": number.country,
        "country_supported": rules.country_supported(number, at, policy),
        "calling_enabled": rules.calling_enabled(number, at),
        "restricted_until": rules.restricted_until(number, at),
        **_switches(told, at),
        "restrictions": [
            {"at": one.at, "restricts": one.restricts, "until": one.until, "violation": one.violation}
            for one in _up_to(at, (one for state in told for one in state.restrictions))
        ],
        "warnings": [
            {"at": one.at, "violation": one.violation}
            for one in _up_to(at, (one for state in told for one in state.warnings))
        ],
        "templates": _templates(told, at),
    }


def _up_to(at: int, marks: Any) -> list[Any]:
    return sorted((mark for mark in marks if mark.at <= at), key=lambda mark: (mark.at, mark.id))


def _switches(told: list[BusinessState], at: int) -> dict[str, Any]:
    shown: dict[str, Any] = dict.fromkeys(_SWITCHES)
    for mark in _up_to(at, (one for state in told for one in state.settings)):
        shown.update({name: said for name in _SWITCHES if (said := getattr(mark, name)) is not None})
    return shown


def _templates(told: list[BusinessState], at: int) -> list[dict[str, Any]]:
    shown: dict[tuple[str, str], dict[str, Any]] = {}
    for mark in _up_to(at, (one for state in told for one in state.templates)):
        fresh = {"name": mark.name, "language": mark.language, **dict.fromkeys(_SIDES)}
        template = shown.setdefault((mark.name, mark.language), fresh)
        template.update({side: said for side in _SIDES if (said := getattr(mark, side)) is not None})
    return [shown[name] for name in sorted(shown)]

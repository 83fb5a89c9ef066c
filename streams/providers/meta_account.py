"""What Meta says about a business number or an account: restrictions, settings, templates (domain 3.8).

Owns which of these webhooks concern calling. They name the number by its display form, which stays as it is: it is
joined with the id when asked (design 5), so the fact is the same whatever was known when it came. Their ids are
digests of entry, time, field and value, since Meta gives them none (domain 3.10).
"""

from dataclasses import dataclass
from typing import Any, Final

from schemas.events import BusinessRestricted, BusinessSettingsChanged, Restricts, TemplateRegistered
from schemas.ids import derived_id
from streams.providers.fields import (
    digest,
    display_digits,
    identifier,
    instant,
    instant_or_zero,
    items,
    mapping,
    number_id,
    text,
    word,
)
from streams.providers.translation import Notes, Refused

_RESTRICTIONS: Final[dict[str, Restricts]] = {
    "RESTRICTED_BUSINESS_INITIATED_CALLING": "business_initiated",
    "RESTRICTED_BIZ_INITIATED_CALLING": "business_initiated",
    "RESTRICTED_USER_INITIATED_CALLING": "user_initiated",
    "RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN": "user_initiated",
    "RESTRICTED_BIZ_INITIATED_AND_USER_INITIATED_CALLING": "both",  # the one name of 2025
}
_BANS: Final = frozenset({"DISABLED_UPDATE", "ACCOUNT_DELETED", "ACCOUNT_BANNED", "BAN"})
_SWITCH: Final = {"ENABLED": True, "DISABLED": False}


@dataclass(frozen=True, slots=True)
class Account:
    """Where an account-level webhook stands."""

    notes: Notes
    entry: dict[str, Any]
    entry_path: str
    field: str

    def fields(self, value: dict[str, Any], path: str, number: str | None, display: str | None) -> dict[str, Any]:
        """What every fact about a number has. `number`, `display`: what the webhook calls it."""
        place = f"{path}.timestamp"
        at = instant(value.get("timestamp"), place)
        if at is None:
            place = f"{self.entry_path}.time"
            at = instant(self.entry.get("time"), place)
        return {
            "phone_number_id": number,
            "display_phone_number": display,
            "occurred_at": self.notes.received_at if at is None else self.notes.happened(at, place),
            "recorded_at": self.notes.received_at,
            "provider": self.notes.provider,
        }

    def fact_id(self, kind: str, value: dict[str, Any], place: int = 0) -> str:
        """The id of the fact: the same whenever this webhook comes again, however it is batched."""
        return derived_id(kind, digest([self.entry.get("id"), self.entry.get("time"), self.field, value]), place)


def read_update(account: Account, value: dict[str, Any], path: str) -> None:
    """A value of `account_update`."""
    event = word(value.get("event"))
    if event not in {"ACCOUNT_RESTRICTION", "ACCOUNT_VIOLATION"}:
        account.notes.ignore("account_ban" if event in _BANS else "account_event_other")
        return
    said = value.get("violation_info")
    violation = word(said.get("violation_type")) if isinstance(said, dict) else ""
    if event == "ACCOUNT_VIOLATION":
        if "CALL" not in violation:
            account.notes.ignore("violation_other")
            return
        _restricted(account, value, path, violation, None, None, 0)
        return
    restrictions = items(value, "restriction_info", path)
    if not restrictions:
        account.notes.ignore("restriction_other")
    for place, restriction in enumerate(restrictions):
        where = f"{path}.restriction_info[{place}]"
        try:
            restriction = mapping(restriction, where)
            restricts = _RESTRICTIONS.get(word(restriction.get("restriction_type")))
            if restricts is None:
                account.notes.ignore("restriction_other")
                continue
            until = instant_or_zero(restriction.get("expiration"), f"{where}.expiration")
            _restricted(account, value, path, violation, restricts, until, place)
        except Refused as refused:
            account.notes.park(refused.fault)


def _restricted(
    account: Account,
    value: dict[str, Any],
    path: str,
    violation: str,
    restricts: Restricts | None,
    until: int | None,
    place: int,
) -> None:
    display = display_digits(value.get("phone_number"))
    if display is None:
        identifier(value.get("phone_number"), f"{path}.phone_number")
        raise Refused("unknown_number", f"{path}.phone_number", "the webhook names no number")
    about = account.fields(value, path, None, display)
    account.notes.facts.append(
        BusinessRestricted(
            fact_id=account.fact_id("business_restricted", value, place),
            restricts=restricts,
            until=until,
            violation=violation or None,
            **about,
        )
    )


def read_settings(account: Account, value: dict[str, Any], path: str) -> None:
    """A value of `account_settings_update`."""
    place = f"{path}.phone_number_settings"
    settings = value.get("phone_number_settings")
    calling = settings.get("calling") if isinstance(settings, dict) else None
    if settings is None or (isinstance(settings, dict) and calling is None):
        account.notes.ignore("settings_other")
        return
    settings, calling = mapping(settings, place), mapping(calling, f"{place}.calling")
    number = number_id(settings.get("phone_number_id"), f"{place}.phone_number_id")
    shown, holder = (settings, place) if "display_phone_number" in settings else (value, path)
    name = "display_phone_number" if shown is settings else "phone_number"
    display = display_digits(shown.get(name))
    if number is None and display is None:
        identifier(shown.get(name), f"{holder}.{name}")
        raise Refused("unknown_number", f"{place}.phone_number_id", "the webhook names no number")
    sip = calling.get("sip")
    about = account.fields(value, path, number, display)
    account.notes.facts.append(
        BusinessSettingsChanged(
            fact_id=account.fact_id("business_settings_changed", value),
            calling_enabled=_switch(account, calling.get("status")),
            callback_permission=_switch(account, calling.get("callback_permission_status")),
            sip_enabled=_switch(account, sip.get("status") if isinstance(sip, dict) else sip),
            call_icon_visibility=word(calling.get("call_icon_visibility")) or None,
            **about,
        )
    )


def _switch(account: Account, said: Any) -> bool | None:
    switch = _SWITCH.get(word(said))
    if switch is None and said is not None:
        account.notes.ignore("setting_unknown")
    return switch


def read_template(account: Account, value: dict[str, Any], path: str) -> None:
    """A value of `message_template_status_update`. It names the account, not a number, and not the components."""
    name = text(value.get("message_template_name"))
    if name is None:
        raise Refused("missing_name", f"{path}.message_template_name", "a template is known by its name")
    about = account.fields(value, path, None, None)
    account.notes.facts.append(
        TemplateRegistered(
            fact_id=account.fact_id("template_registered", value),
            waba_id=text(account.entry.get("id")),
            name=name,
            language=text(value.get("message_template_language")) or "",
            category=word(value.get("message_template_category")) or None,
            status=word(value.get("event")) or None,
            has_call_permission=None,
            **about,
        )
    )

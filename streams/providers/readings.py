"""What a provider answers when it is asked about a pair (domain 3.3): one reading, whoever gave it.

Owns the form of each provider's answer. Refuses an answer without a status: an error of the provider is no reading,
and is reported as a refusal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.events import Reading, ReadStatus
from streams.providers.fields import MAX_SECONDS, instant_or_zero, mapping, word
from streams.providers.translation import Notes, Refused

_STATUSES: Final[dict[str, ReadStatus]] = {
    "NO_PERMISSION": "no_permission",
    "TEMPORARY": "temporary",
    "PERMANENT": "permanent",
}
_ACTIONS: Final = {"SEND_CALL_PERMISSION_REQUEST": "request", "START_CALL": "call"}
_WINDOWS: Final = {
    ("request", "PT24H"): "requests_24h",
    ("request", "P7D"): "requests_7d",
    ("call", "PT24H"): "connected_calls_24h",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an answer says. None: it did not say."""

    status: ReadStatus
    expires_at: int | None
    can_request: bool | None
    can_call: bool | None
    requests_24h: Reading | None
    requests_7d: Reading | None
    connected_calls_24h: Reading | None


def read_meta(notes: Notes, response: Mapping[str, Any], path: str) -> Answer:
    """Meta's GET body."""
    if "error" in response and "permission" not in response:
        raise Refused(
            "unreadable_reading", f"{path}.error", "an error is no reading; report request_refused or call_refused"
        )
    place = f"{path}.permission"
    permission = mapping(response.get("permission"), place)
    status = _STATUSES.get(word(permission.get("status")))
    if status is None:
        raise Refused("unreadable_reading", f"{place}.status", "allowed: no_permission, temporary, permanent")
    expiry = permission.get("expiration_time")
    if expiry is None:
        expiry = permission.get("expiration")
    can: dict[str, bool] = {}
    windows: dict[str, Reading] = {}
    for action in _objects(response.get("actions")):
        name = _ACTIONS.get(word(action.get("action_name")))
        if name is None:
            notes.ignore("reading_action_unknown")
            continue
        allowed = action.get("can_perform_action")
        if isinstance(allowed, bool):
            can[name] = allowed
        for limit in _objects(action.get("limits")):
            period = limit.get("time_period")
            window = _WINDOWS.get((name, period.upper())) if isinstance(period, str) else None
            used, most = _count(limit.get("current_usage")), _count(limit.get("max_allowed"))
            if window is None or used is None or most is None:
                notes.ignore("reading_limit_unknown")
                continue
            windows[window] = Reading(usage=used, maximum=most)
    return Answer(
        status=status,
        expires_at=instant_or_zero(expiry, f"{place}.expiration_time") if status == "temporary" else None,
        can_request=can.get("request"),
        can_call=can.get("call"),
        requests_24h=windows.get("requests_24h"),
        requests_7d=windows.get("requests_7d"),
        connected_calls_24h=windows.get("connected_calls_24h"),
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects of an array; actions and limits may be absent, and what is none of them says nothing."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 11:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_SECONDS else None


READINGS: Final[dict[str, Callable[[Notes, Mapping[str, Any], str], Answer]]] = {"meta": read_meta}
"""Which reader knows whose answers."""

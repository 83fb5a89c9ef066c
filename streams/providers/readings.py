"""What a provider answers when it is asked about a pair (domain 3.3, 4.2): one reading, whoever gave it.

Owns the form of each provider's answer: Meta's own, the flat one in camelCase of Infobip and 8x8, and DoubleTick's,
which counts what is left and has no word for the status. Refuses an answer that does not tell of the permission: an
error of the provider is no reading, and is reported as a refusal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.events import Reading, ReadStatus
from schemas.instants import whole
from streams.providers.fields import MAX_SECONDS, first_of, instant_or_zero, mapping, word
from streams.providers.translation import Notes, Refused

_STATUSES: Final[dict[str, ReadStatus]] = {
    "NO_PERMISSION": "no_permission",
    "NOT_GRANTED": "no_permission",
    "TEMPORARY": "temporary",
    "PERMANENT": "permanent",
}
_EXPIRY: Final = ("expiration_time", "expiration", "expirationTime", "expirationTimestamp", "expiration_timestamp")
_ACTIONS: Final = {"SEND_CALL_PERMISSION_REQUEST": "request", "START_CALL": "call"}
_WINDOWS: Final = {
    ("request", "PT24H"): "requests_24h",
    ("request", "P7D"): "requests_7d",
    ("call", "PT24H"): "connected_calls_24h",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an answer says. None: it did not say. `inferred`: fields that were inferred, see `schemas.events`."""

    status: ReadStatus
    expires_at: int | None
    can_request: bool | None
    can_call: bool | None
    requests_24h: Reading | None
    requests_7d: Reading | None
    connected_calls_24h: Reading | None
    inferred: tuple[str, ...] = ()


def read_meta(notes: Notes, response: Mapping[str, Any], path: str) -> Answer:
    """Meta's GET body."""
    if "error" in response and "permission" not in response:
        raise Refused(
            "unreadable_reading", f"{path}.error", "an error is no reading; report request_refused or call_refused"
        )
    place = f"{path}.permission"
    return _answer(notes, mapping(response.get("permission"), place), place, response.get("actions"))


def read_flat(notes: Notes, response: Mapping[str, Any], path: str) -> Answer:
    """Infobip's and 8x8's answer: Meta's without the object around the permission, in camelCase, times in ISO."""
    return _answer(notes, response, path, response.get("actions"))


def _answer(notes: Notes, permission: Mapping[str, Any], place: str, actions: Any) -> Answer:
    status = _STATUSES.get(word(permission.get("status")))
    if status is None:
        raise Refused("unreadable_reading", f"{place}.status", "allowed: no_permission, temporary, permanent")
    name, expiry = first_of(permission, _EXPIRY)
    can: dict[str, bool] = {}
    windows: dict[str, Reading] = {}
    for action in _objects(actions):
        named = first_of(action, ("action_name", "actionName", "name", "action"))[1]
        door = _ACTIONS.get(word(named))
        if door is None:
            notes.ignore_unknown("reading_action_unknown", named)
            continue
        allowed = first_of(action, ("can_perform_action", "canPerformAction"))[1]
        if isinstance(allowed, bool):
            can[door] = allowed
        for limit in _objects(action.get("limits")):
            period = first_of(limit, ("time_period", "timePeriod"))[1]
            window = _WINDOWS.get((door, period.upper())) if isinstance(period, str) else None
            used = _count(first_of(limit, ("current_usage", "currentUsage"))[1])
            most = _count(first_of(limit, ("max_allowed", "maxAllowed"))[1])
            if window is None or used is None or most is None:
                notes.ignore("reading_limit_unknown")
                continue
            windows[window] = Reading(usage=used, maximum=most)
    return Answer(
        status=status,
        expires_at=instant_or_zero(expiry, f"{place}.{name}") if status == "temporary" else None,
        can_request=can.get("request"),
        can_call=can.get("call"),
        requests_24h=windows.get("requests_24h"),
        requests_7d=windows.get("requests_7d"),
        connected_calls_24h=windows.get("connected_calls_24h"),
    )


def read_doubletick(_notes: Notes, response: Mapping[str, Any], path: str) -> Answer:
    """DoubleTick's answer, which says what may be done and not why.

    The status is inferred. A call that is allowed needs a permission: a permanent one where no request may be sent
    although requests are left (138017), else a temporary one of unknown end. A call that is not allowed although the
    limit of calls is not reached lacks the permission. Anything else does not tell.
    """
    for name, reason in (("isBlocked", "a blocked user"), ("isEligible", "a pair that is not eligible")):
        said = response.get(name)
        if (said is True and name == "isBlocked") or (isinstance(said, dict) and said.get("allowed") is False):
            raise Refused("unreadable_reading", f"{path}.{name}", f"says nothing of the permission of {reason}")
    call = mapping(response.get("startCall"), f"{path}.startCall")
    asked = response.get("callPermissionRequest")
    request: Mapping[str, Any] = asked if isinstance(asked, dict) else {}
    can_call, can_request = call.get("allowed"), request.get("allowed")
    calls = _window(_count(call.get("currentUsage")), _count(call.get("maxAllowed")))
    today, left = _count(request.get("numberOfRequestLeftForToday")), _count(request.get("allowedRequestLeftForWeek"))
    weekly = _count(request.get("totalRequestLimit"))
    if not isinstance(can_call, bool) or (not can_call and calls is not None and calls.usage >= calls.maximum):
        raise Refused("unreadable_reading", f"{path}.startCall", "does not tell whether there is a permission")
    status: ReadStatus = "no_permission"
    if can_call:
        status = "permanent" if can_request is False and today and left else "temporary"
    return Answer(
        status=status,
        expires_at=None,
        can_request=can_request if isinstance(can_request, bool) else None,
        can_call=can_call,
        requests_24h=None if today is None else Reading(usage=max(0, 1 - today), maximum=max(1, today)),
        requests_7d=None if left is None or weekly is None else _window(max(0, weekly - left), weekly),
        connected_calls_24h=calls,
        inferred=("status",) if today is None else ("status", "requests_24h"),
    )


def _window(used: int | None, most: int | None) -> Reading | None:
    return None if used is None or most is None else Reading(usage=used, maximum=most)


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects of an array; actions and limits may be absent, and what is none of them says nothing."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 11:
        value = int(value)
    value = whole(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_SECONDS else None


READINGS: Final[dict[str, Callable[[Notes, Mapping[str, Any], str], Answer]]] = {
    "meta": read_meta,
    "360dialog": read_meta,
    "zernio": read_meta,
    "infobip": read_flat,
    "8x8": read_flat,
    "doubletick": read_doubletick,
}
"""Which reader knows whose answers."""

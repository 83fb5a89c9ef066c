"""Which fact an action of the business is (design 13)."""

from datetime import datetime
from hashlib import sha256
from typing import Any

from schemas.codec import canonical
from schemas.events import (
    CallOffered,
    CallRefused,
    DispositionRecorded,
    PairFact,
    ReadingTaken,
    RequestRefused,
    RequestSent,
    Template,
)
from schemas.ids import derived_id


def fact_of_report(action: dict[str, Any], received_at: int) -> PairFact:
    """The fact of an action of any type that the end-to-end test sends."""
    about = {
        "phone_number_id": action["phone_number_id"],
        "user": action["user"],
        "occurred_at": _instant(action["occurred_at"]),
        "recorded_at": received_at,
        "provider": "actions",
    }
    more = {name: action.get(name) for name in ("campaign", "origin", "reservation_id")}
    fact: PairFact = _READERS[action["type"]](action, about, more)
    return fact


def _request_sent(action: dict[str, Any], about: dict[str, Any], more: dict[str, Any]) -> RequestSent:
    template = action.get("template")
    return RequestSent(
        fact_id=derived_id("request_sent", action["phone_number_id"], action["message_id"]),
        message_id=action["message_id"],
        kind=action["kind"],
        template=template
        and Template(name=template["name"], language=template["language"], category=template["category"]),
        **about,
        **more,
    )


def _refused(action: dict[str, Any], about: dict[str, Any], more: dict[str, Any]) -> RequestRefused | CallRefused:
    kind = RequestRefused if action["type"] == "request_refused" else CallRefused
    return kind(
        fact_id=derived_id(action["type"], action["phone_number_id"], action["action_id"]),
        action_id=action["action_id"],
        error_code=action["error_code"],
        details=action.get("details"),
        retry_at=action.get("retry_at"),
        **about,
        **more,
    )


def _call_started(action: dict[str, Any], about: dict[str, Any], more: dict[str, Any]) -> CallOffered:
    fact_id = derived_id("call_offered", action["phone_number_id"], action["call_id"], "started")
    told: dict[str, Any] = {"call_id": action["call_id"], "direction": "business_initiated", "reported": True}
    return CallOffered(fact_id=fact_id, **told, **about, **more)


def _disposition(action: dict[str, Any], about: dict[str, Any], _more: dict[str, Any]) -> DispositionRecorded:
    natural = (action["phone_number_id"], action["call_id"], about["occurred_at"], action["outcome"])
    fact_id = derived_id("disposition_recorded", *natural)
    return DispositionRecorded(fact_id=fact_id, call_id=action["call_id"], outcome=action["outcome"], **about)


def _reading(action: dict[str, Any], about: dict[str, Any], _more: dict[str, Any]) -> ReadingTaken:
    """Meta's answer; the test's answers name no limits."""
    permission, allowed = (
        action["response"]["permission"],
        {one["action_name"]: one["can_perform_action"] for one in action["response"]["actions"]},
    )
    said: dict[str, Any] = {
        "status": permission["status"],
        "expires_at": permission.get("expiration_time"),
        "can_request": allowed["send_call_permission_request"],
        "can_call": allowed["start_call"],
        "requests_24h": None,
        "requests_7d": None,
        "connected_calls_24h": None,
    }
    digest = sha256(canonical(said)).hexdigest()
    fact_id = derived_id("reading_taken", about["phone_number_id"], about["user"], about["occurred_at"], digest)
    return ReadingTaken(fact_id=fact_id, **about, **said)


_READERS: Any = {
    "request_sent": _request_sent,
    "request_refused": _refused,
    "call_refused": _refused,
    "call_started": _call_started,
    "disposition_recorded": _disposition,
    "reading_taken": _reading,
}


def _instant(value: float | str) -> int:
    return int(datetime.fromisoformat(value).timestamp()) if isinstance(value, str) else int(value)

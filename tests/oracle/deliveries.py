"""Which facts a webhook of Meta contains, by all names of a user (domain 3.5, 3.6, 3.7, 3.11).

Reads what the end-to-end test sends and no more; whatever it does not know it passes over. `reports.py` reads actions.
"""

import json
from typing import Any, Final

from schemas.events import (
    CallConnected,
    CallEnded,
    CallOffered,
    CallRejected,
    CallRinging,
    MessageStatus,
    PairFact,
    PermissionReplied,
    UserMessaged,
)
from schemas.ids import derived_id
from tests.oracle.reports import fact_of_report

STATUSES = ("sent", "delivered", "read", "failed")
MESSAGES = ("text", "image", "audio", "interactive")
CALL_STATUSES: Final = {"RINGING": (CallRinging, "call_ringing"), "REJECTED": (CallRejected, "call_rejected")}
NAMES = (("from", "from_user_id"), ("to", "to_user_id"), ("recipient_id", "recipient_user_id"))


def facts_of_delivery(provider: str, body: bytes, received_at: int) -> list[PairFact]:
    """The facts of one delivery; none when its bytes are not what the provider would send."""
    try:
        document = json.loads(body)
    except ValueError:
        return []
    if not isinstance(document, dict):
        return []
    if provider == "actions":
        return [fact_of_report(document, received_at)]
    facts: list[PairFact] = []
    for field, value in _values(body):
        facts += _messages(value, received_at) if field == "messages" else _calls(value, received_at)
    return facts


def links_of_delivery(body: bytes) -> set[tuple[str, str, str]]:
    """Number, scoped id and digits wherever an item of a webhook shows both names of its user."""
    links = set()
    for _, value in _values(body):
        number = value["metadata"]["phone_number_id"]
        for item in _items(value):
            links |= {(number, item[scoped], item[digits]) for digits, scoped in NAMES if {digits, scoped} <= set(item)}
    return links


def numbers_shown(body: bytes) -> set[tuple[str, str]]:
    """Which numbers a webhook shows by id and display form."""
    return {
        (value["metadata"]["phone_number_id"], value["metadata"]["display_phone_number"]) for _, value in _values(body)
    }


def _values(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    try:
        document = json.loads(body)
    except ValueError:
        return []
    changes = [change for entry in document.get("entry", []) for change in entry.get("changes", [])]
    return [(change["field"], change["value"]) for change in changes if change.get("field") in ("messages", "calls")]


def _items(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [*value.get("messages", []), *value.get("statuses", []), *value.get("calls", [])]


def _about(value: dict[str, Any], item: dict[str, Any], keys: tuple[str, str], received_at: int) -> dict[str, Any]:
    """Number, user and times; the digits name the user where they are shown."""
    return {
        "phone_number_id": value["metadata"]["phone_number_id"],
        "user": item.get(keys[0]) or item[keys[1]],
        "occurred_at": int(item["timestamp"]),
        "recorded_at": received_at,
        "provider": "meta",
    }


def _messages(value: dict[str, Any], received_at: int) -> list[PairFact]:
    facts: list[PairFact] = []
    for message in value.get("messages", []):
        about = _about(value, message, NAMES[0], received_at)
        interactive = message.get("interactive", {})
        if "call_permission_reply" in interactive:
            facts.append(_replied(message, interactive["call_permission_reply"], about))
        elif message["type"] in MESSAGES:
            fact_id = derived_id("user_messaged", about["phone_number_id"], message["id"])
            facts.append(UserMessaged(fact_id=fact_id, message_id=message["id"], **about))
    known = [status for status in value.get("statuses", []) if status["status"] in STATUSES]
    return [*facts, *(_status(status, _about(value, status, NAMES[2], received_at)) for status in known)]


def _replied(message: dict[str, Any], reply: dict[str, Any], about: dict[str, Any]) -> PermissionReplied:
    until = reply.get("expiration_timestamp")
    return PermissionReplied(
        fact_id=derived_id("permission_replied", about["phone_number_id"], message["id"]),
        message_id=message["id"],
        response=reply["response"],
        is_permanent=reply.get("is_permanent", False),
        expires_at=None if until is None else int(until),
        source=reply.get("response_source"),
        context_id=message.get("context", {}).get("id"),
        **about,
    )


def _status(status: dict[str, Any], about: dict[str, Any]) -> MessageStatus:
    errors = status.get("errors", [])
    return MessageStatus(
        fact_id=derived_id("message_status", about["phone_number_id"], status["id"], status["status"]),
        message_id=status["id"],
        status=status["status"],
        error_code=errors[0]["code"] if errors else None,
        **about,
    )


def _calls(value: dict[str, Any], received_at: int) -> list[PairFact]:
    facts: list[PairFact] = []
    for call in value.get("calls", []):
        by_user = call["direction"] == "USER_INITIATED"
        about = _about(value, call, NAMES[0] if by_user else NAMES[1], received_at)
        facts += _event(call, about, "user_initiated" if by_user else "business_initiated")
    for status in value.get("statuses", []):
        about = _about(value, status, NAMES[2], received_at)
        named = {"call_id": status["id"], **about}
        if status["status"] == "ACCEPTED":
            fact_id = derived_id("call_connected", about["phone_number_id"], status["id"])
            facts.append(CallConnected(fact_id=fact_id, direction="business_initiated", exact=False, **named))
        else:
            kind, name = CALL_STATUSES[status["status"]]
            facts.append(kind(fact_id=derived_id(name, about["phone_number_id"], status["id"]), **named))
    return facts


def _event(call: dict[str, Any], about: dict[str, Any], direction: Any) -> list[PairFact]:
    number, named = about["phone_number_id"], {"call_id": call["id"], "direction": direction, **about}
    if call["event"] == "connect":
        nothing: dict[str, Any] = {"campaign": None, "origin": None, "reservation_id": None}
        return [CallOffered(fact_id=derived_id("call_offered", number, call["id"]), **named, **nothing)]
    started_at = int(call["start_time"]) if "start_time" in call else None
    ended = CallEnded(
        fact_id=derived_id("call_ended", number, call["id"]),
        status="failed" if call["status"] == "FAILED" else "completed",
        started_at=started_at,
        ended_at=int(call["end_time"]) if "end_time" in call else None,
        duration_s=call.get("duration"),
        error_code=call["errors"][0]["code"] if "errors" in call else None,
        **named,
    )
    if started_at is None:
        return [ended]
    picked_up = {**named, "occurred_at": started_at}
    fact_id = derived_id("call_connected", number, call["id"])
    return [ended, CallConnected(fact_id=fact_id, exact=True, **picked_up)]

"""Which facts a webhook of Meta, or an action, contains (domain 3.5, 3.7, 3.11; design 13).

Reads what the end-to-end test sends and no more; whatever it does not know it passes over.
"""

import json
from datetime import datetime
from typing import Any

from schemas.events import MessageStatus, PairFact, PermissionReplied, RequestSent, Template, UserMessaged
from schemas.ids import derived_id

STATUSES = ("sent", "delivered", "read", "failed")
MESSAGES = ("text", "image", "audio", "interactive")


def facts_of_delivery(provider: str, body: bytes, received_at: int) -> list[PairFact]:
    """The facts of one delivery; none when its bytes are not what the provider would send."""
    try:
        document = json.loads(body)
    except ValueError:
        return []
    if not isinstance(document, dict):
        return []
    if provider == "actions":
        return [_request_sent(document, received_at)]
    return [fact for value in _values(body) for fact in _messages(value, received_at)]


def _messages(value: dict[str, Any], received_at: int) -> list[PairFact]:
    number = value["metadata"]["phone_number_id"]
    facts: list[PairFact] = []
    for message in value.get("messages", []):
        interactive = message.get("interactive", {})
        if "call_permission_reply" in interactive:
            facts.append(_replied(number, message, interactive["call_permission_reply"], received_at))
        elif message["type"] in MESSAGES:
            facts.append(_messaged(number, message, received_at))
    known = [status for status in value.get("statuses", []) if status["status"] in STATUSES]
    return [*facts, *(_status(number, status, received_at) for status in known)]


def links_of_delivery(body: bytes) -> set[tuple[str, str, str]]:
    """Number, scoped id and digits wherever an item of a webhook shows both names of its user."""
    links = set()
    for value in _values(body):
        items = [(item, "from", "from_user_id") for item in value.get("messages", [])]
        items += [(item, "recipient_id", "recipient_user_id") for item in value.get("statuses", [])]
        number = value["metadata"]["phone_number_id"]
        links |= {
            (number, item[scoped], item[digits]) for item, digits, scoped in items if {digits, scoped} <= set(item)
        }
    return links


def numbers_shown(body: bytes) -> set[tuple[str, str]]:
    """Which numbers a webhook shows by id and display form."""
    return {
        (value["metadata"]["phone_number_id"], value["metadata"]["display_phone_number"]) for value in _values(body)
    }


def _values(body: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(body)
    except ValueError:
        return []
    changes = [change for entry in document.get("entry", []) for change in entry.get("changes", [])]
    return [change["value"] for change in changes if change.get("field") == "messages"]


def _messaged(number: str, message: dict[str, Any], received_at: int) -> UserMessaged:
    return UserMessaged(
        fact_id=derived_id("user_messaged", number, message["id"]),
        phone_number_id=number,
        user=message["from"],
        occurred_at=int(message["timestamp"]),
        recorded_at=received_at,
        provider="meta",
        message_id=message["id"],
    )


def _replied(number: str, message: dict[str, Any], reply: dict[str, Any], received_at: int) -> PermissionReplied:
    until = reply.get("expiration_timestamp")
    return PermissionReplied(
        fact_id=derived_id("permission_replied", number, message["id"]),
        phone_number_id=number,
        user=message["from"],
        occurred_at=int(message["timestamp"]),
        recorded_at=received_at,
        provider="meta",
        message_id=message["id"],
        response=reply["response"],
        is_permanent=reply.get("is_permanent", False),
        expires_at=None if until is None else int(until),
        source=reply.get("response_source"),
        context_id=message.get("context", {}).get("id"),
    )


def _status(number: str, status: dict[str, Any], received_at: int) -> MessageStatus:
    errors = status.get("errors", [])
    return MessageStatus(
        fact_id=derived_id("message_status", number, status["id"], status["status"]),
        phone_number_id=number,
        user=status["recipient_id"],
        occurred_at=int(status["timestamp"]),
        recorded_at=received_at,
        provider="meta",
        message_id=status["id"],
        status=status["status"],
        error_code=errors[0]["code"] if errors else None,
    )


def _request_sent(action: dict[str, Any], received_at: int) -> RequestSent:
    template = action.get("template")
    return RequestSent(
        fact_id=derived_id("request_sent", action["phone_number_id"], action["message_id"]),
        phone_number_id=action["phone_number_id"],
        user=action["user"],
        occurred_at=_instant(action["occurred_at"]),
        recorded_at=received_at,
        provider="actions",
        message_id=action["message_id"],
        kind=action["kind"],
        template=template
        and Template(name=template["name"], language=template["language"], category=template["category"]),
        campaign=action.get("campaign"),
        origin=action.get("origin"),
        reservation_id=action.get("reservation_id"),
    )


def _instant(value: int | str) -> int:
    if isinstance(value, int):
        return value
    return int(datetime.fromisoformat(value).timestamp())

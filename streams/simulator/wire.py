"""How happenings look when Meta, or the business's own system, tells them: the shapes of domain 3.5 and 3.7 and of an
action.

Owns JSON shapes and their licensed variations: times as strings or integers, `type` and `contacts` present or not,
two writings of `context.from`, fields nobody has heard of. Refuses grouping and order (`deliveries.py`). One
happening is told once: its repetitions repeat these very values.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Literal, assert_never

from streams.simulator.happenings import Chatted, Pair, Replied, RequestSent, StatusReported

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One element of a webhook's `messages` or `statuses`, and the contact that goes with it, if any does."""

    pair: Pair
    array: Literal["messages", "statuses"]
    item: Json
    contact: Json | None
    told_at: int


def update(happening: StatusReported | Replied | Chatted, dice: Random) -> Update:
    match happening:
        case StatusReported():
            item = _status(happening, dice)
            with_contact = happening.status in ("delivered", "read") and dice.random() < 0.7
        case Replied():
            item = _message(happening, dice) | {"interactive": _reply(happening, dice)}
            with_contact = dice.random() < 0.9
            if dice.random() < 0.85:
                item["type"] = "interactive"
            if happening.request_id is not None:
                writer = dice.choice((happening.pair.display_phone_number, happening.pair.user))
                item["context"] = {"from": writer, "id": happening.request_id}
        case Chatted():
            item = _message(happening, dice) | {"type": "text", "text": {"body": happening.text}}
            with_contact = dice.random() < 0.9
        case other:
            assert_never(other)
    if dice.random() < 0.03:
        item["x_preview_feature"] = {"rollout": dice.randint(1, 9)}
    contact = _contact(happening.pair, dice) if with_contact else None
    return Update(
        pair=happening.pair,
        array="statuses" if isinstance(happening, StatusReported) else "messages",
        item=item,
        contact=contact,
        told_at=happening.at,
    )


def change(updates: list[Update]) -> Json:
    """One change of a webhook; all updates are of one business number and one array."""
    first = updates[0]
    value: Json = {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": first.pair.display_phone_number,
            "phone_number_id": first.pair.phone_number_id,
        },
    }
    contacts = {u.contact["wa_id"]: u.contact for u in updates if u.contact is not None}
    if contacts:
        value["contacts"] = list(contacts.values())
    value[first.array] = [u.item for u in updates]
    return {"field": "messages", "value": value}


def unknown_change(dice: Random) -> Json:
    """A field that no version of anything knows."""
    return {
        "field": f"preview_field_{dice.randint(1, 5)}",
        "value": {"event": "SOMETHING_NEW", "level": dice.randint(1, 3)},
    }


def envelope(entries: list[tuple[str, list[Json]]]) -> Json:
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": waba, "changes": changes} for waba, changes in entries],
    }


def action(request: RequestSent, dice: Random) -> Json:
    """The report of the business's own system that it sent a request."""
    told: Json = {
        "type": "request_sent",
        "phone_number_id": request.pair.phone_number_id,
        "user": request.pair.user,
        "message_id": request.message_id,
        "occurred_at": rfc3339(request.at) if dice.random() < 0.7 else request.at,
        "kind": "template" if request.template else "free_form",
        "origin": request.origin,
    }
    if request.template:
        template = request.template
        told["template"] = {"name": template.name, "language": template.language, "category": template.category}
    if request.campaign:
        told["campaign"] = request.campaign
    return told


def rfc3339(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(at: int, dice: Random) -> str | int:
    return str(at) if dice.random() < 0.92 else at


def _contact(pair: Pair, dice: Random) -> Json:
    contact: Json = {"profile": {"name": pair.profile_name}, "wa_id": pair.user}
    if dice.random() < 0.8:
        contact["user_id"] = pair.user_id
    return contact


def _message(happening: Replied | Chatted, dice: Random) -> Json:
    message: Json = {"from": happening.pair.user}
    if dice.random() < 0.8:
        message["from_user_id"] = happening.pair.user_id
    return message | {"id": happening.message_id, "timestamp": _seconds(happening.at, dice)}


def _reply(reply: Replied, dice: Random) -> Json:
    said: Json = {"response": "reject" if reply.answer == "reject" else "accept"}
    if reply.answer != "reject":
        said["is_permanent"] = reply.answer == "permanent"
    if reply.expires_at is not None:
        said["expiration_timestamp"] = _seconds(reply.expires_at, dice)
    said["response_source"] = "user_action"
    return {"type": "call_permission_reply", "call_permission_reply": said}


def _status(report: StatusReported, dice: Random) -> Json:
    status: Json = {
        "id": report.message_id,
        "status": report.status,
        "timestamp": _seconds(report.at, dice),
        "recipient_id": report.pair.user,
    }
    match report.status:
        case "sent" | "delivered":
            billed = report.category != "service"
            free_or_paid = "regular" if billed else "free_customer_service"
            status["pricing"] = {
                "billable": billed,
                "pricing_model": "PMP",
                "category": report.category,
                "type": free_or_paid,
            }
            if report.status == "delivered" and dice.random() < 0.7:
                status["recipient_user_id"] = report.pair.user_id
        case "read":
            pass
        case "failed":
            title = "Message undeliverable"
            details = {"details": "Message Undeliverable."}
            status["errors"] = [{"code": report.error_code, "title": title, "message": title, "error_data": details}]
        case other:
            assert_never(other)
    return status

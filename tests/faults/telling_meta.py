"""How Meta tells what happened, and the names and words that other dialects share with it (domain 3.5-3.7, 3.11).

Owns the business numbers of the storm and the names of its users. Refuses to import a translation: nothing here reads
back what it wrote.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
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
)

NUMBERS: Final = tuple(f"70010020030040{last}" for last in range(8))
DISPLAYS: Final = {number: f"44207946090{number[-1]}" for number in NUMBERS}


@dataclass(frozen=True, slots=True)
class User:
    """The names of a user that a payload shows; at least one."""

    digits: str | None
    scoped: str | None

    def under(self, digits: str, scoped: str, sign: str = "") -> dict[str, str]:
        """The names under two keys."""
        shown = {digits: self.digits and sign + self.digits, scoped: self.scoped}
        return {key: name for key, name in shown.items() if name is not None}


def scoped_id(user: str) -> str:
    """The business-scoped id of a user."""
    return f"GB.1000000000000{user[-9:]}"


def item(facts: tuple[PairFact, ...], user: User, dice: Random) -> tuple[str, str, dict[str, Any]]:
    """Field of the change, list of its value, and the item, as Meta writes it."""
    fact = facts[0]
    timestamp = dice.choice((str(fact.occurred_at), fact.occurred_at))
    sender = {**user.under("from", "from_user_id"), "timestamp": timestamp}
    recipient = {**user.under("recipient_id", "recipient_user_id"), "timestamp": timestamp}
    match fact:
        case PermissionReplied():
            message = {**sender, **reply_message(fact)}
            return "messages", "messages", message
        case MessageStatus():
            status: dict[str, Any] = {**recipient, "id": fact.message_id, "status": fact.status}
            if fact.error_code is not None:
                status["errors"] = [{"code": fact.error_code, "title": "Message undeliverable"}]
            return "messages", "statuses", status
        case CallOffered() | CallEnded():
            return "calls", "calls", {**sides(fact, user), **_call(fact), "timestamp": timestamp}
        case CallRinging() | CallConnected() | CallRejected():
            return "calls", "statuses", {**recipient, "type": "call", "id": fact.call_id, "status": call_status(fact)}
        case _:
            message = {**sender, "id": getattr(fact, "message_id", ""), "type": "text", "text": {"body": "?"}}
            return "messages", "messages", message


def reply_message(fact: PermissionReplied) -> dict[str, Any]:
    message: dict[str, Any] = {"id": fact.message_id, "type": "interactive"}
    if fact.context_id is not None:
        message["context"] = {"from": DISPLAYS[fact.phone_number_id], "id": fact.context_id}
    message["interactive"] = {"type": "call_permission_reply", "call_permission_reply": reply(fact)}
    return message


def reply(fact: PermissionReplied) -> dict[str, Any]:
    said: dict[str, Any] = {"response": fact.response, "response_source": fact.source}
    if fact.response == "accept":
        said["is_permanent"] = fact.is_permanent
    if fact.expires_at is not None:
        said["expiration_timestamp"] = fact.expires_at
    return said


def sides(fact: CallOffered | CallEnded, user: User, sign: str = "") -> dict[str, str]:
    ours = sign + DISPLAYS[fact.phone_number_id]
    if fact.direction == "business_initiated":
        return {"from": ours, **user.under("to", "to_user_id" if not sign else "toUserId", sign)}
    return {"to": ours, **user.under("from", "from_user_id" if not sign else "fromUserId", sign)}


def _call(fact: CallOffered | CallEnded) -> dict[str, Any]:
    call: dict[str, Any] = {"id": fact.call_id, "direction": fact.direction.upper()}
    if isinstance(fact, CallOffered):
        return {**call, "event": "connect", "biz_opaque_callback_data": fact.campaign or ""}
    call |= {"event": "terminate", "status": "COMPLETED", "end_time": str(fact.ended_at)}
    if fact.started_at is not None:
        call |= {"start_time": str(fact.started_at), "duration": fact.duration_s}
    return call


def call_status(fact: CallRinging | CallConnected | CallRejected) -> str:
    return {CallRinging: "RINGING", CallConnected: "ACCEPTED", CallRejected: "REJECTED"}[type(fact)]


def iso(at: int | None, zone: str = "Z") -> str:
    return datetime.fromtimestamp(at or 0, UTC).strftime("%Y-%m-%dT%H:%M:%S.000") + zone

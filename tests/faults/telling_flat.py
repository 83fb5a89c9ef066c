"""How the flattened dialects, and Gupshup's guide for SIP, tell what happened (domain 4.1, 4.2).

Owns their wording, written from the providers' documentation. Refuses to import a translation.
"""

from typing import Any

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
from tests.faults.telling_meta import DISPLAYS, User, call_status, iso, reply, reply_message, sides


def guide_for_sip(facts: tuple[PairFact, ...], user: User) -> dict[str, Any]:
    fact = facts[0]
    assert isinstance(fact, PermissionReplied)
    said: dict[str, Any] = {"response": "APPROVE" if fact.response == "accept" else "REJECT"}
    if fact.expires_at is not None:
        said["expiration_time"] = str(fact.expires_at)
    message = {"type": "interactive", "interactive": {"type": "call_permission_reply", "call_permission_reply": said}}
    value = {"messaging_product": "whatsapp", "contacts": [{"wa_id": user.digits}], "messages": [message]}
    entry = {"id": fact.phone_number_id, "changes": [{"field": "messages", "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def infobip(facts: tuple[PairFact, ...], user: User) -> dict[str, Any]:
    """One element of `results`."""
    fact, at = facts[0], iso(facts[0].occurred_at, "+0000")
    ours = DISPLAYS[fact.phone_number_id]
    if isinstance(fact, MessageStatus):
        if fact.status == "read":
            return {"messageId": fact.message_id, "from": ours, "to": user.digits, "sentAt": at, "seenAt": at}
        group = "DELIVERED" if fact.status == "delivered" else "UNDELIVERABLE"
        report = {"messageId": fact.message_id, "sender": ours, "to": user.digits, "sentAt": at, "doneAt": at}
        return {**report, "status": {"groupName": group}, "error": {"id": fact.error_code or 0}}
    message: dict[str, Any] = {"type": "TEXT", "text": "?"}
    if isinstance(fact, PermissionReplied):
        said: dict[str, Any] = {"response": fact.response.upper(), "responseSource": fact.source}
        if fact.expires_at is not None:
            said["expirationTimestamp"] = iso(fact.expires_at, "+0000")
        message = {"type": "INTERACTIVE_CALL_PERMISSION_REPLY", "callPermissionReply": said}
        if fact.context_id is not None:
            message["context"] = {"from": ours, "id": fact.context_id}
    about = {"from": user.digits, "to": ours, "integrationType": "WHATSAPP", "receivedAt": at}
    return {**about, "messageId": getattr(fact, "message_id", ""), "message": message}


def ycloud(facts: tuple[PairFact, ...], user: User) -> dict[str, Any]:
    fact, at = facts[0], iso(facts[0].occurred_at)
    number, display = fact.phone_number_id, "+" + DISPLAYS[facts[0].phone_number_id]
    event: dict[str, Any] = {"id": f"evt_TEST{fact.fact_id[:8]}", "apiVersion": "v2", "createTime": at}
    match fact:
        case MessageStatus():
            time = {"sent": "sendTime", "delivered": "deliverTime", "read": "readTime"}.get(fact.status, "updateTime")
            said: dict[str, Any] = {"wamid": fact.message_id, "from": display, "status": fact.status, time: at}
            said |= user.under("to", "toUserId", "+")
            if fact.error_code is not None:
                said["errorCode"] = str(fact.error_code)
            return {**event, "type": "whatsapp.message.updated", "whatsappMessage": said}
        case CallOffered():
            call = {"wacid": fact.call_id, "phoneId": number, **sides(fact, user, "+")}
            call |= {"direction": fact.direction.upper(), "bizOpaqueCallbackData": fact.campaign or ""}
            return {**event, "type": "whatsapp.call.connect", "callingConnect": call}
        case CallEnded():
            call = {"wacid": fact.call_id, "phoneId": number, **sides(fact, user, "+")}
            ended: dict[str, Any] = {"direction": fact.direction.upper(), "status": "COMPLETED"}
            ended["endTime"] = (fact.ended_at or 0) * 1000
            if fact.started_at is not None:
                ended |= {"startTime": fact.started_at * 1000, "duration": fact.duration_s}
            return {**event, "type": "whatsapp.call.terminate", "callingTerminate": call | ended}
        case CallRinging() | CallConnected() | CallRejected():
            status = {"wacid": fact.call_id, "phoneId": number, "status": call_status(fact)}
            status |= user.under("recipientPhone", "recipientUserId", "+")
            return {**event, "type": "whatsapp.call.status.updated", "callingStatusUpdated": status}
        case _:
            message: dict[str, Any] = {"type": "text", "text": {"body": "?"}}
            if isinstance(fact, PermissionReplied):
                message = reply_message(fact)
            message |= {"wamid": getattr(fact, "message_id", ""), "to": display, "sendTime": at}
            message |= user.under("from", "fromUserId", "+")
            return {**event, "type": "whatsapp.inbound_message.received", "whatsappInboundMessage": message}


def zernio(facts: tuple[PairFact, ...], user: User) -> dict[str, Any]:
    fact, at = facts[0], iso(facts[0].occurred_at)
    number, display = fact.phone_number_id, DISPLAYS[facts[0].phone_number_id]
    account = {"id": "TESTZACCOUNT", "platform": "whatsapp", "username": f"+{display[:2]} {display[2:]}"}
    if isinstance(fact, PermissionReplied):
        event: dict[str, Any] = {"id": fact.message_id, "event": "call.permission_request", "timestamp": at}
        return {**event, "permission": {"from": user.digits, **reply(fact)}, "account": account}
    assert isinstance(fact, CallOffered | CallEnded)
    call: dict[str, Any] = {"metaCallId": fact.call_id, "phoneNumberId": number, **sides(fact, user, "+")}
    call["direction"] = "outbound" if fact.direction == "business_initiated" else "inbound"
    event = {"id": f"TESTZ{fact.fact_id[:8]}", "account": account, "timestamp": at, "call": call}
    if isinstance(fact, CallOffered):
        call["startedAt"] = at
        return {**event, "event": "call.received"}
    call |= {"endedAt": iso(fact.ended_at), "endReason": "no_answer" if fact.started_at is None else "hangup"}
    call["durationSeconds"] = fact.duration_s or 30
    return {**event, "event": "call.ended"}

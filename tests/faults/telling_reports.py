"""How a business tells what it did: as actions, and as a send log of Meta's requests and answers (domain 3.1-3.4).

Owns their wording. Refuses to import the models that check them.
"""

from typing import Any, Literal

from schemas.events import (
    CallOffered,
    CallRefused,
    DispositionRecorded,
    PairFact,
    Reading,
    ReadingTaken,
    RequestRefused,
    RequestSent,
)
from tests.faults.telling_meta import User, iso


def action(facts: tuple[PairFact, ...], _user: User) -> dict[str, Any]:
    fact = facts[0]
    action: dict[str, Any] = {"phone_number_id": fact.phone_number_id, "user": fact.user}
    action["occurred_at"] = fact.occurred_at if int(fact.user) % 2 else iso(fact.occurred_at)
    match fact:
        case RequestSent():
            kept = ("message_id", "kind", "campaign", "origin", "template")
            said = {name: getattr(fact, name) for name in kept if getattr(fact, name) is not None}
            return {"type": "request_sent", **action, **said}
        case CallOffered():
            return {"type": "call_started", **action, "call_id": fact.call_id, "campaign": fact.campaign}
        case DispositionRecorded():
            return {"type": "disposition_recorded", **action, "call_id": fact.call_id, "outcome": fact.outcome}
        case RequestRefused() | CallRefused():
            kept = ("type", "action_id", "error_code", "details", "campaign")
            return action | {name: getattr(fact, name) for name in kept}
        case ReadingTaken():
            return {"type": "reading_taken", **action, "response": _answer(fact)}
        case _:
            raise AssertionError(fact.type)


def _answer(fact: ReadingTaken) -> dict[str, Any]:
    """What Meta answers when it is asked about a pair."""
    permission: dict[str, Any] = {"status": fact.status}
    if fact.expires_at is not None:
        permission["expiration_time"] = fact.expires_at
    asking = {"PT24H": fact.requests_24h, "P7D": fact.requests_7d}
    ask = {"action_name": "send_call_permission_request", "can_perform_action": fact.can_request}
    call = {"action_name": "start_call", "can_perform_action": fact.can_call}
    actions = [ask | {"limits": _limits(asking)}, call | {"limits": _limits({"PT24H": fact.connected_calls_24h})}]
    return {"messaging_product": "whatsapp", "permission": permission, "actions": actions}


def _limits(windows: dict[str, Reading | None]) -> list[dict[str, Any]]:
    return [
        {"time_period": period, "max_allowed": one.maximum, "current_usage": one.usage}
        for period, one in windows.items()
        if one is not None
    ]


def exchange(facts: tuple[PairFact, ...], _user: User) -> dict[str, Any]:
    """Meta's own request and answer, as a business has them in its send log."""
    fact = facts[0]
    exchange: dict[str, Any] = {"sent_at": fact.occurred_at}
    name: Literal["messages", "calls"] = "calls" if isinstance(fact, CallOffered | CallRefused) else "messages"
    path = f"/v25.0/{fact.phone_number_id}/{name}"
    if isinstance(fact, ReadingTaken):
        path = f"/v25.0/{fact.phone_number_id}/call_permissions?user_wa_id={fact.user}"
        answer = {"status": 200, "body": _answer(fact)}
        return {**exchange, "request": {"method": "GET", "path": path}, "response": answer}
    body: dict[str, Any] = {"messaging_product": "whatsapp", "to": fact.user}
    if name == "calls":
        body["action"] = "connect"
    elif isinstance(fact, RequestSent) and fact.template is not None:
        template = {"name": fact.template.name, "language": {"code": fact.template.language}}
        body |= {"type": "template", "template": template}
        exchange["template"] = {"has_call_permission": True, "category": fact.template.category}
    else:
        body |= {"type": "interactive", "interactive": {"type": "call_permission_request"}}
    exchange |= {"request": {"method": "POST", "path": path, "body": body}}
    exchange |= {key: told for key in ("campaign", "origin", "action_id") if (told := getattr(fact, key, None))}
    return {**exchange, "response": _response(fact, name)}


def _response(fact: PairFact, name: Literal["messages", "calls"]) -> dict[str, Any]:
    if isinstance(fact, RequestRefused | CallRefused):
        data = {"messaging_product": "whatsapp", "details": fact.details}
        error = {"message": "no", "code": fact.error_code, "error_data": data, "fbtrace_id": "TESTTRACE"}
        return {"status": 400, "body": {"error": error}}
    given = fact.call_id if isinstance(fact, CallOffered) else getattr(fact, "message_id", "")
    contacts = [{"input": f"+{fact.user}", "wa_id": fact.user}]
    return {"status": 200, "body": {"messaging_product": "whatsapp", "contacts": contacts, name: [{"id": given}]}}

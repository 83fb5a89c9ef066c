"""Words for history files: lines as Meta and the business would have written them, with drama numbers."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

T0 = 1_772_442_000  # 2026-03-02T09:00:00Z, as in the scenario tables of the domain
MINUTE, HOUR, DAY = 60, 3_600, 86_400
NUMBER, DISPLAY, WABA = "700100200300400", "442079460123", "900100200300400"
SANDBOX, SANDBOX_DISPLAY = "700100200300401", "442079460124"
Line = dict[str, Any]


def user(place: int) -> str:
    """The user of a scenario."""
    return f"447700900{place:03d}"


def scoped(place: int) -> str:
    """The same user's business-scoped id."""
    return f"GB.10000000000000000{place:03d}"


def at_text(at: int) -> str:
    """RFC 3339."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def action(what: str, who: str, at: int, /, **said: Any) -> Line:
    """A line with an action; received a second later."""
    told = {"type": what, "phone_number_id": said.pop("number", NUMBER), "user": who, "occurred_at": at_text(at)}
    return {"received_at": at_text(said.pop("received_at", at + 1)), "action": told | said}


def sent(who: str, message_id: str, at: int, **said: Any) -> Line:
    """A request that the provider took."""
    template = {"name": "test_cpr_template", "language": "en", "category": "UTILITY"}
    return action("request_sent", who, at, message_id=message_id, kind="template", template=template, **said)


def webhook(received_at: int, field: str, *values: dict[str, Any], provider: str = "meta", **entry: Any) -> Line:
    """A line with a webhook of one entry; a change a value."""
    changes = [{"field": field, "value": value} for value in values]
    body = {"object": "whatsapp_business_account", "entry": [{"id": WABA, **entry, "changes": changes}]}
    return {"received_at": at_text(received_at), "webhook": provider, "body": body}


def value(number: str = NUMBER, **parts: Any) -> dict[str, Any]:
    """The value of a change."""
    shown = SANDBOX_DISPLAY if number == SANDBOX else DISPLAY
    return {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": shown, "phone_number_id": number},
        **parts,
    }


def status(who: str, message_id: str, name: str, at: int, **said: Any) -> Line:
    """What became of a message."""
    one = {"id": message_id, "status": name, "timestamp": str(at), "recipient_id": who, **said}
    return webhook(at + 1, "messages", value(statuses=[one]))


def reply(who: str, message_id: str, at: int, response: str = "accept", **said: Any) -> Line:
    """A permission reply. `to`: its context; `until`: the expiry; `permanent`, `source` as on the wire."""
    number, received_at = said.pop("number", NUMBER), said.pop("received_at", at + 1)
    told: dict[str, Any] = {"response": response, "response_source": said.pop("source", "user_action")}
    if response == "accept":
        told["is_permanent"] = said.pop("permanent", False)
    if (until := said.pop("until", None)) is not None:
        told["expiration_timestamp"] = str(until)
    message = {
        "from": who,
        "id": message_id,
        "timestamp": str(at),
        "type": "interactive",
        "interactive": {"type": "call_permission_reply", "call_permission_reply": told},
    }
    if (to := said.pop("to", None)) is not None:
        message["context"] = {"from": DISPLAY, "id": to}
    if not who.isdigit():
        message["from_user_id"] = message.pop("from")
    return webhook(received_at, "messages", value(number, messages=[message], **said))


def ended(who: str, call_id: str, at: int, **said: Any) -> Line:
    """The end of a call of the business, unanswered unless it has a start."""
    number = said.pop("number", NUMBER)
    start = said.pop("start", None)
    by_user = said.pop("by_user", False)
    call = {"id": call_id, "event": "terminate", "timestamp": str(at), "status": "COMPLETED", **said}
    call |= {"direction": "USER_INITIATED" if by_user else "BUSINESS_INITIATED"}
    call |= {"from": who, "to": DISPLAY} if by_user else {"from": DISPLAY, "to": who}
    if start is not None:
        call |= {"start_time": str(start), "end_time": str(at), "duration": at - start}
    return webhook(at + 1, "calls", value(number, calls=[call]))


def call_status(who: str, call_id: str, name: str, at: int) -> Line:
    """A status of a call of the business."""
    one = {"id": call_id, "type": "call", "status": name, "timestamp": str(at), "recipient_id": who}
    return webhook(at + 1, "calls", value(statuses=[one]))


def unanswered(who: str, call_id: str, *ends: int, **said: Any) -> list[Line]:
    """Calls of the business that nobody took."""
    return [ended(who, f"{call_id}{place}", at, **said) for place, at in enumerate(ends, start=1)]


def restricted(at: int, until: int, display: str = DISPLAY) -> Line:
    """Meta restricts the calls of a number, which it names only by its display form."""
    told = {
        "phone_number": display,
        "event": "ACCOUNT_RESTRICTION",
        "violation_info": {"violation_type": "LOW_BUSINESS_INITIATED_CALLING_QUALITY"},
        "restriction_info": [{"restriction_type": "RESTRICTED_BUSINESS_INITIATED_CALLING", "expiration": until}],
    }
    return webhook(at + 1, "account_update", told, time=at)


def in_base64(line: Line) -> Line:
    """The same line as it is written where the bytes of a body do not round-trip."""
    body = json.dumps(line["body"]).encode()
    rest = {name: said for name, said in line.items() if name != "body"}
    return rest | {"body_base64": base64.b64encode(body).decode()}


def write(path: Path, *lines: Line | str | bytes) -> Path:
    """Lines as a file; text and bytes as they are."""
    with path.open("wb") as file:
        for line in lines:
            raw = json.dumps(line).encode() if isinstance(line, dict) else line
            file.write((raw.encode() if isinstance(raw, str) else raw) + b"\n")
    return path

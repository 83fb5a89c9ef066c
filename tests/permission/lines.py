"""Facts as history lines: what Meta and the business would have written for them.

Owns the way from the words of a story to a history file, so that each scenario is shipped as one. Refuses what no
scenario tells: a fact it has no line for is an error.
"""

from typing import Any

from schemas.events import (
    CallConnected,
    CallEnded,
    CallOffered,
    CallRefused,
    CallRejected,
    CallRinging,
    MessageStatus,
    PairFact,
    PermissionReplied,
    ReadingTaken,
    RequestRefused,
    RequestSent,
    UserMessaged,
    UserNumberChanged,
)
from tests.replay.written import DISPLAY, Line, action, call_status, ended, reply, sent, status, value, webhook


def lines_of(*facts: PairFact) -> list[Line]:
    """The lines of the facts, in their order. A call's connection is part of the line of its end."""
    return [line for fact in facts for line in _lines(fact)]


def _lines(fact: PairFact) -> list[Line]:
    who, at = fact.user, fact.occurred_at
    told: dict[str, Any]
    match fact:
        case RequestSent():
            line = sent(who, fact.message_id, at)
            if fact.template is None:
                del line["action"]["template"]
            line["action"]["kind"] = fact.kind
            return [line]
        case RequestRefused() | CallRefused():
            said = {"retry_at": fact.retry_at} if fact.retry_at is not None else {}
            return [action(fact.type, who, at, action_id=fact.action_id, error_code=fact.error_code, **said)]
        case MessageStatus():
            errors = {"errors": [{"code": fact.error_code}]} if fact.error_code is not None else {}
            return [status(who, fact.message_id, fact.status, at, **errors)]
        case PermissionReplied():
            told = {"to": fact.context_id, "until": fact.expires_at, "permanent": fact.is_permanent}
            return [reply(who, fact.message_id or "", at, fact.response, source=fact.source, **told)]
        case ReadingTaken():
            until = {} if fact.expires_at is None else {"expiration_time": fact.expires_at}
            return [action("reading_taken", who, at, response={"permission": {"status": fact.status, **until}})]
        case UserMessaged():
            text = {"from": who, "id": fact.message_id, "timestamp": str(at), "type": "text", "text": {"body": "Hello"}}
            return [webhook(at + 1, "messages", value(messages=[text]))]
        case UserNumberChanged():
            return [] if fact.role == "new" else [_moved(fact)]
        case _:
            return _lines_of_a_call(fact)


def _lines_of_a_call(fact: PairFact) -> list[Line]:
    who, at = fact.user, fact.occurred_at
    match fact:
        case CallOffered():
            return [_offered(fact)]
        case CallRinging() | CallRejected():
            return [call_status(who, fact.call_id, fact.type.removeprefix("call_").upper(), at)]
        case CallConnected():
            return [] if fact.exact else [call_status(who, fact.call_id, "ACCEPTED", at)]
        case CallEnded():
            return [_ended(fact)]
        case other:
            raise TypeError(f"no scenario tells of {other.type}")


def _offered(fact: CallOffered) -> Line:
    ours, direction = fact.direction == "business_initiated", fact.direction.upper()
    sides = {"from": DISPLAY, "to": fact.user} if ours else {"from": fact.user, "to": DISPLAY}
    call = {"id": fact.call_id, "event": "connect", "timestamp": str(fact.occurred_at), "direction": direction, **sides}
    return webhook(fact.occurred_at + 1, "calls", value(calls=[call]))


def _ended(fact: CallEnded) -> Line:
    said: dict[str, Any] = {"status": fact.status.upper()}
    if fact.error_code is not None:
        said["errors"] = [{"code": fact.error_code}]
    by_user = fact.direction == "user_initiated"
    return ended(fact.user, fact.call_id, fact.occurred_at, start=fact.started_at, by_user=by_user, **said)


def _moved(fact: UserNumberChanged) -> Line:
    told = {"type": "user_changed_number", "wa_id": fact.other, "body": "User A changed number"}
    said = {"from": fact.user, "id": fact.message_id, "timestamp": str(fact.occurred_at), "type": "system"}
    return webhook(fact.occurred_at + 1, "messages", value(messages=[said | {"system": told}]))

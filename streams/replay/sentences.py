"""What facts, standings and numbers are called in a person's words.

Owns the sentences of a story. Refuses to decide anything: what is said here was judged elsewhere.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import assert_never

from schemas.events import (
    CallConnected,
    CallEnded,
    CallOffered,
    CallRefused,
    CallRejected,
    CallRinging,
    DispositionRecorded,
    MessageStatus,
    PairFact,
    PermissionReplied,
    ReadingTaken,
    RequestRefused,
    RequestSent,
    UserMessaged,
    UserNumberChanged,
    UsersLinked,
)
from streams.permission.number import Number
from streams.permission.standing import Timeline

_REASONS = {
    "never": "nothing was ever granted",
    "declined": "the user declined",
    "revoked": "the user took it back",
    "auto_revoked": "WhatsApp took it back after unanswered calls",
    "auto_revoke_inferred": "too many unanswered calls in a row; no webhook has said so yet",
    "expired": "it ran out",
    "reading": "the provider, asked, shows none",
    "refused_138006": "the provider refused a call for want of permission",
    "number_changed": "the user has another number",
}
_VIAS = {
    "request": "through a request",
    "profile": "through the business profile",
    "callback": "after a call of the user",
    "reading": "known from the provider's answer",
    "inferred": "inferred from the provider's refusal",
}
OBSTACLES = {
    "calling_disabled": "calling is switched off for the business number",
    "country_not_supported": "calls may not be started from the business number's country",
    "business_restricted": "Meta restricts the business number",
    "no_permission": "there is no permission",
    "permanent_permission_exists": "a permanent permission exists: there is nothing to ask for",
    "provider_block": "the provider said that its limit is reached",
    "request_limit_24h": "the requests of 24 hours are used up",
    "request_limit_7d": "the requests of 7 days are used up",
    "connected_call_limit_24h": "the connected calls of 24 hours are used up",
}
FLAGS = {
    "downgrade": "a permanent permission became a temporary one",
    "expiry_inferred": "it named no end: the usual span is taken",
    "reply_to_expired_request": "its request was no longer on the user's screen; the reply counts all the same",
    "revoke_without_grant": "nothing was held: a grant was missed",
    "same_second_conflict": "another word fell into the same second; of two, the refusal holds",
    "source_inferred": "who decided was not said and is inferred",
    "unknown_request": "its request is not known to us",
}
_SIDES = {"business_initiated": "the business", "user_initiated": "the user"}


def utc(at: int) -> str:
    """An instant as people read it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: int) -> str:
    """A span in its two largest units."""
    parts = []
    for name, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if seconds >= size:
            parts.append(f"{seconds // size}{name}")
            seconds %= size
    return " ".join(parts[:2]) or "0s"


def printable(text: str) -> str:
    """A text that does nothing to a terminal: what cannot be seen is written as an escape."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def held(line: Timeline) -> str:
    """The permission at the instant of a timeline."""
    grant = line.hold.grant
    if grant is None:
        return f"no permission: {_REASONS[line.hold.reason]}"
    until = "permanent" if grant.expires_at is None else f"temporary, until {utc(grant.expires_at)}"
    return f"permission {until}, {_VIAS[grant.via]}{'' if grant.confirmed else ', not confirmed'}"


def happening(fact: PairFact) -> tuple[str, str | None]:
    """What happened, and the rule it falls under before it is known what it changed."""
    match fact:
        case PermissionReplied() | ReadingTaken() | UserNumberChanged():
            return _word(fact)
        case RequestSent() | MessageStatus() | RequestRefused() | CallRefused():
            return _sending(fact)
        case CallOffered() | CallRinging() | CallConnected() | CallRejected() | CallEnded():
            return _call(fact), "call"
        case UserMessaged():
            return "The user wrote: free-form requests may be sent for 24 hours", "service_window"
        case UsersLinked():
            return "A payload showed both names of the user", "linked"
        case DispositionRecorded():
            return f"An agent noted of call {fact.call_id}: {fact.outcome}", None
        case other:
            assert_never(other)


def _word(fact: PermissionReplied | ReadingTaken | UserNumberChanged) -> tuple[str, str | None]:
    match fact:
        case PermissionReplied():
            who = {"user_action": "The user", "automatic": "WhatsApp, for the user,"}.get(fact.source or "", "Somebody")
            kind = "permanently" if fact.is_permanent else "for a time"
            said = "declined or took permission back" if fact.response == "reject" else f"gave permission {kind}"
            to = f", in answer to {fact.context_id}" if fact.context_id is not None else ", without a request"
            return f"{who} {said}{_until(None if fact.is_permanent else fact.expires_at)}{to}", None
        case ReadingTaken():
            said = fact.status.replace("_", " ")
            return f"The provider, asked, said: {said}{_until(fact.expires_at)}", "reading"
        case UserNumberChanged():
            said = "has another number now" if fact.role == "old" else "had another number before"
            return f"The user {said}: {fact.other}", "number_changed"
        case other:
            assert_never(other)


def _sending(fact: RequestSent | MessageStatus | RequestRefused | CallRefused) -> tuple[str, str]:
    match fact:
        case RequestSent():
            by = f" with template {fact.template.name} ({fact.template.language})" if fact.template is not None else ""
            told = f", campaign {fact.campaign}" if fact.campaign is not None else ""
            return f"The business asked for permission: request {fact.message_id}{by}{told}", "request"
        case MessageStatus():
            return f"Message {fact.message_id} was {fact.status}{_code(fact.error_code)}", "message_status"
        case RequestRefused() | CallRefused():
            what = "a permission request" if isinstance(fact, RequestRefused) else "a call"
            rule = f"refused_{fact.error_code}" if fact.error_code in (138_006, 138_017) else "refused"
            return f"The provider refused {what} with error {fact.error_code}{_until(fact.retry_at)}", rule
        case other:
            assert_never(other)


def _call(fact: CallOffered | CallRinging | CallConnected | CallRejected | CallEnded) -> str:
    match fact:
        case CallOffered():
            return f"Call {fact.call_id} by {_SIDES[fact.direction]} began"
        case CallRinging():
            return f"Call {fact.call_id} rang"
        case CallConnected():
            told = "" if fact.exact else " (reported)"
            return f"Call {fact.call_id} by {_SIDES[fact.direction]} was picked up{told}"
        case CallRejected():
            return f"Call {fact.call_id} was rejected by the user"
        case CallEnded():
            lasted = f" after {span(fact.duration_s)}" if fact.duration_s else " without an answer"
            how = lasted if fact.status == "completed" else f": {fact.status}"
            return f"Call {fact.call_id} by {_SIDES[fact.direction]} ended{how}{_code(fact.error_code)}"
        case other:
            assert_never(other)


def _until(at: int | None) -> str:
    return f", until {utc(at)}" if at is not None else ""


def _code(code: int | None) -> str:
    return f" (error {code})" if code is not None else ""


def number_entries(number: Number, at: int) -> Iterator[tuple[int, str, str, str]]:
    """What became known of the business number up to `at`: instant, type, sentence, rule."""
    for setting in number.settings:
        if setting.at <= at:
            text = f"Calling was switched {'on' if setting.enabled else 'off'} for the business number"
            yield setting.at, "business_settings_changed", text, "calling_disabled"
    for one in number.restrictions:
        if one.at <= at:
            whose = {"user_initiated": "the users'", "business_initiated": "the business's"}.get(one.restricts, "all")
            text = f"Meta restricted {whose} calls of the business number until {utc(one.until)}"
            yield one.at, "business_restricted", text, "business_restricted"
    for told in number.registrations:
        if told.at <= at:
            said = ", ".join(part for part in (told.profile, told.country) if part is not None)
            yield told.at, "business_registered", f"The business number was registered: {said or 'seen'}", "registered"

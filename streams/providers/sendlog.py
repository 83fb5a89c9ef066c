"""What a business asked of Meta and what Meta answered, as facts (domain 3.1–3.4): entries of a send log.

Owns which exchanges are about a permission: requests, calls, readings. Each becomes the very fact that the action of
the same content makes, with the same id, so whoever reports both ways counts once. Everything else is counted and
ignored; a send log holds every message of a business.

Decisions bound here
- The user is whom the answer names (`contacts[].wa_id`): what was typed can differ, notably in Brazil and Mexico. Only
  where the answer names nobody it is whom the request names. Where both names of one user are shown, they are linked.
- A free-form request shows what it is. Of a template it cannot be seen whether it asks for permission: the sender marks
  it (`template.has_call_permission`, as in `template_registered`). Without the mark it is counted and ignored, unless
  Meta's answer is an error that only a request can get. A reply to one that was ignored still makes it known.
- A refused attempt has no id of Meta's: `action_id` of the envelope, else a digest of what it was, when, and Meta's
  trace, so that an entry posted twice is one fact.
- Meta says in `error_data` of 138012 when the next call may be placed, and does not document under which name: the only
  instant there, if it lies after the sending and within a week, is taken. Several: none is.
- No answer, or none of Meta's, says nothing about what happened: counted and ignored. So is an error
  instead of a reading. Call steps other than `connect` are told by webhooks.
"""

from dataclasses import replace
from typing import Any, Final, Literal

from schemas.actions import (
    Action,
    CallRefusedAction,
    CallStartedAction,
    ReadingTakenAction,
    RequestRefusedAction,
    RequestSentAction,
    TemplateSent,
    refusal_of,
)
from schemas.events import NumberFact, RequestKind
from schemas.ids import derived_id
from schemas.sendlog import USER_KEYS, Exchange, check_exchange
from streams.providers.actions import fact_of
from streams.providers.fields import error_code, identifier, instant, mapping, text, word
from streams.providers.known import NONE_KNOWN, Known
from streams.providers.meta_parties import CONTACT, Change, Names, names_of
from streams.providers.translation import Notes, Refused, Translation, translated

PROVIDER: Final = "meta-sendlog"
ONLY_REQUESTS_GET: Final = frozenset({138_009, 138_011, 138_017})
"""Errors that Meta answers to a permission request and to nothing else (domain 3.9)."""
WITHIN_S: Final = 7 * 86_400
MAX_DETAILS: Final = 4_096
_ANSWER: Final = "$.response.body"
Asked = RequestKind | Literal["call"]


def translate(body: bytes, received_at: int, _numbers: Known | None = None) -> Translation:
    """The facts of one exchange. `received_at`: our clock, epoch seconds."""

    def read(notes: Notes, value: Any) -> None:
        checked = check_exchange(value)
        if isinstance(checked, list):
            notes.park(refusal_of(checked))
        else:
            _read(notes, checked)

    return translated(PROVIDER, body, received_at, read)


def _read(notes: Notes, exchange: Exchange) -> None:
    answer: Any = exchange.response.body if exchange.response is not None else None
    code = _code(answer)
    match exchange.request.method, exchange.endpoint.name:
        case "GET", "call_permissions":
            if isinstance(answer, dict) and "permission" in answer:
                _reading(notes, exchange, answer)
            else:
                notes.ignore("sent_without_answer" if code is None else "sent_reading_refused")
        case "POST", "messages" | "calls":
            asked = _asked(notes, exchange, code)
            if asked is None:
                return
            if code is not None:
                _refused(notes, exchange, asked, code, answer["error"])
            elif exchange.succeeded and isinstance(answer, dict) and "error" not in answer:
                _taken(notes, exchange, asked, answer)
            else:
                notes.ignore("sent_without_answer")
        case _:
            notes.ignore("sent_endpoint_other")


def _code(answer: Any) -> int | None:
    """The code of Meta's error; None when the answer is none."""
    return error_code([answer.get("error")]) if isinstance(answer, dict) else None


def _asked(notes: Notes, exchange: Exchange, code: int | None) -> Asked | None:
    """What the sending asks of the user; None, and counted, when it is nothing for us."""
    body = exchange.request.body or {}
    if exchange.endpoint.name == "calls":
        if word(body.get("action")) == "CONNECT":
            return "call"
        notes.ignore("sent_call_other")
        return None
    said = word(body.get("type"))
    if said == "INTERACTIVE" and _is_request(body.get("interactive")):
        return "free_form"
    if said != "TEMPLATE":
        notes.ignore("sent_message_other")
        return None
    marked = exchange.template.has_call_permission if exchange.template is not None else None
    if marked or code in ONLY_REQUESTS_GET or any(map(_is_request, _parts(body))):
        return "template"
    notes.ignore("sent_template_unmarked" if marked is None else "sent_message_other")
    return None


def _is_request(part: Any) -> bool:
    """Whether an `interactive`, or a component of a template, is a call permission request."""
    return isinstance(part, dict) and word(part.get("type")) == "CALL_PERMISSION_REQUEST"


def _parts(body: dict[str, Any]) -> list[Any]:
    template = body.get("template")
    parts = template.get("components") if isinstance(template, dict) else None
    return parts if isinstance(parts, list) else []


def _taken(notes: Notes, exchange: Exchange, asked: Asked, answer: dict[str, Any]) -> None:
    """Meta took it and returned an id."""
    name = "calls" if asked == "call" else "messages"
    given, path = answer.get(name), f"{_ANSWER}.{name}[0]"
    first = mapping(given[0] if isinstance(given, list) and given else None, path)
    taken_id = identifier(first.get("id"), f"{path}.id")
    if taken_id is None:
        raise Refused("missing_id", f"{path}.id", "Meta took it and the answer does not say under which id")
    names = _names(notes, exchange, answer)
    about = _about(notes, exchange, names)
    if asked == "call":
        action: Action = CallStartedAction.model_construct(type="call_started", call_id=taken_id, **about)
    else:
        template = _template(exchange) if asked == "template" else None
        action = RequestSentAction.model_construct(
            type="request_sent", message_id=taken_id, kind=asked, template=template, **about
        )
    _add(notes, names, action)


def _refused(notes: Notes, exchange: Exchange, asked: Asked, code: int, error: dict[str, Any]) -> None:
    """Meta said why not."""
    names = _names(notes, exchange, {})
    about = _about(notes, exchange, names)
    said = error.get("error_data")
    data = said if isinstance(said, dict) else {}
    trace = text(error.get("fbtrace_id")) or ""
    attempt = (exchange.endpoint.name, about["phone_number_id"], about["user"], exchange.sent_at, code, trace)
    about |= {
        "action_id": exchange.action_id or derived_id(PROVIDER, *attempt),
        "error_code": code,
        "details": _details(data),
        "retry_at": _retry_at(exchange.sent_at, data),
    }
    if asked == "call":
        _add(notes, names, CallRefusedAction.model_construct(type="call_refused", **about))
    else:
        _add(notes, names, RequestRefusedAction.model_construct(type="request_refused", **about))


def _reading(notes: Notes, exchange: Exchange, answer: dict[str, Any]) -> None:
    names = _names(notes, exchange, {})
    about = _about(notes, exchange, names)
    taken = ReadingTakenAction.model_construct(type="reading_taken", response=answer, provider="meta", **about)
    try:
        _add(notes, names, taken)
    except Refused as refused:  # an action has the answer itself under `response`
        path = refused.fault.path.replace("$.response", _ANSWER, 1)
        raise Refused(refused.fault.reason, path, refused.fault.detail) from None


def _add(notes: Notes, names: Names, action: Action) -> None:
    """The fact of an action, with what the exchange shows beside it."""
    fact = fact_of(notes, action)
    assert not isinstance(fact, NumberFact)  # noqa: S101 - no action of this module is about a number alone
    shown = Change(notes, NONE_KNOWN, fact.phone_number_id, None, (), {})
    shown.fields(fact.phone_number_id, names, fact.occurred_at)  # keeps the link
    notes.facts.append(replace(fact, aliases=names.aliases))


def _names(notes: Notes, exchange: Exchange, answer: dict[str, Any]) -> Names:
    """The user's names: those of the answer's one contact, filled up with whom the request was for."""
    faults: list[Refused] = []
    contacts = answer.get("contacts")
    contact = contacts[0] if isinstance(contacts, list) and len(contacts) == 1 else None
    shown = names_of(contact, f"{_ANSWER}.contacts[0]", CONTACT, faults) if isinstance(contact, dict) else Names()
    names = shown.filled(_asked_for(exchange, faults))
    if names.user is None:
        raise faults[0] if faults else Refused("unknown_user", "$.request", "neither the answer nor the request names")
    for _ in faults:
        notes.ignore("user_name_unreadable")
    return names


def _asked_for(exchange: Exchange, faults: list[Refused]) -> Names:
    """Whom the request names: `to` wins over `recipient` (domain 3.1)."""
    if exchange.request.method == "GET":
        return names_of(exchange.endpoint.query, "$.request.path", USER_KEYS, faults)
    body = exchange.request.body or {}
    return names_of(body, "$.request.body", ("to",) if body.get("to") else ("recipient",), faults)


def _about(notes: Notes, exchange: Exchange, names: Names) -> dict[str, Any]:
    """What every action says."""
    body = exchange.request.body or {}
    campaign = exchange.campaign if exchange.campaign is not None else text(body.get("biz_opaque_callback_data"))
    return {
        "phone_number_id": exchange.endpoint.number,
        "user": names.user,
        "occurred_at": notes.happened(exchange.sent_at, "$.sent_at"),
        "campaign": campaign,
        "origin": exchange.origin,
        "reservation_id": exchange.reservation_id,
    }


def _template(exchange: Exchange) -> TemplateSent | None:
    """The template as the request names it; its category is known to the sender alone."""
    said = (exchange.request.body or {}).get("template")
    if not isinstance(said, dict) or (name := text(said.get("name"))) is None:
        return None
    language = said.get("language")
    code = text(language.get("code") if isinstance(language, dict) else language)
    category = exchange.template.category if exchange.template is not None else ""
    return TemplateSent.model_construct(name=name, language=code or "", category=category)


def _details(data: dict[str, Any]) -> str | None:
    """Meta's free text, as far as a fact takes it."""
    said = data.get("details")
    return said[:MAX_DETAILS].encode("utf-8", "replace").decode() if isinstance(said, str) and said else None


def _retry_at(sent_at: int, data: dict[str, Any]) -> int | None:
    """The one instant among the data of an error, if it is one until which one could have to wait."""
    found = set()
    for name, value in data.items():
        if name in {"details", "messaging_product"}:
            continue
        try:
            at = instant(value, "$")
        except Refused:
            continue
        if at is not None and sent_at < at <= sent_at + WITHIN_S:
            found.add(at)
    return found.pop() if len(found) == 1 else None

"""`BusinessState`: what is known of one business number, the value of `business.state` and of the worker's table of it.

Owns the shape and its JSON. Evidence, not switches (design 4): each mark stands once, under the id of its fact, so that
webhooks that come twice or late change nothing they should not. Whether calling is on, or a restriction holds, is
judged when asked.

A row is keyed by what its facts name the number by: its id, else its display number, else, for templates, the account.
Rows of one number are joined when asked (design 5). `version` and `recorded_at` are bookkeeping: they depend on the
order of arrival, and comparisons leave them out.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.events import NumberFact, Restricts

SCHEMA: Final = 1
MAX_FORMS: Final = 16
"""Display numbers shown together with one id: those shown first are kept."""
MAX_MARKS: Final = 256
"""Of registrations, settings, restrictions and warnings each: the newest are kept."""
MAX_TEMPLATES: Final = 4_000
"""Marks on templates: the newest are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A display number that was shown together with the id; `at`: first."""

    at: int
    display_phone_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What the operator told of the number. None: not told."""

    at: int
    id: str
    display_phone_number: str | None = None
    profile: Literal["production", "sandbox"] | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a settings webhook said. None: it did not say."""

    at: int
    id: str
    calling_enabled: bool | None = None
    callback_permission: bool | None = None
    sip_enabled: bool | None = None
    call_icon_visibility: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """Meta restricts calling. `until`: None when the webhook named no end; `violation`: why, in Meta's word."""

    at: int
    id: str
    restricts: Restricts
    until: int | None = None
    violation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationWarning:
    """Meta warns: nothing is restricted yet."""

    at: int
    id: str
    violation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateMark:
    """What was told of a template. None: not told."""

    at: int
    id: str
    name: str
    language: str
    category: str | None = None
    status: str | None = None
    has_call_permission: bool | None = None


Mark = Registration | Settings | Restriction | ViolationWarning | TemplateMark


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessState:
    """The evidence of one number, each list by time. `name`: what its facts name it by, the key of the row."""

    schema: int = SCHEMA
    version: int = 0
    name: str
    recorded_at: int = 0
    forms: tuple[Form, ...] = ()
    registrations: tuple[Registration, ...] = ()
    settings: tuple[Settings, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    warnings: tuple[ViolationWarning, ...] = ()
    templates: tuple[TemplateMark, ...] = ()


_READER: Final = TypeAdapter(BusinessState)


class BusinessUnreadable(Exception):
    """A stored row is not one of ours: a damaged store or a foreign writer. Names no content."""


def name_of(fact: NumberFact) -> str:
    """What a fact names its number by, the key of `business.events` and `business.state`; empty: by nothing."""
    return fact.phone_number_id or fact.display_phone_number or getattr(fact, "waba_id", None) or ""


def encode_business(state: BusinessState) -> bytes:
    """The row as JSON, without what is empty or not known. The bytes of equal states are equal."""
    row = {name: _told(value) for name, value in asdict(state).items() if value != ()}
    return orjson.dumps(row)


def decode_business(value: bytes) -> BusinessState:
    """The state of a row. Raises `BusinessUnreadable`, also for rows of a later schema."""
    try:
        state = _READER.validate_json(value)
    except ValidationError as fault:
        raise BusinessUnreadable("a row of a number that is not of this program's form") from fault
    if state.schema != SCHEMA:
        raise BusinessUnreadable("a row of a number in a later form than this program knows")
    return state


def _told(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [{name: told for name, told in mark.items() if told is not None} for mark in value]
    return value

"""Actions: what the business did, reported to us by `POST /v1/actions` or in a history file (design 13).

Owns their shape and the faults a caller is told about, each with a path and what is allowed. The gateway keeps the
action as it was sent; the worker makes the fact. Refuses to open a reading's `response`: whose answer it is decides
how it is read, and that is the worker's.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from schemas.codec import Unreadable, path_of
from schemas.events import EARLIEST_AT, LATEST_AT, Origin, RequestKind
from schemas.ids import PHONE_NUMBER_ID, WA_ID, user_of
from schemas.instants import NO_ZONE, read_instant, whole

MAX_ACTIONS: Final = 1_000
_CONTROL: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of what is no letter of a name: controls, lone surrogates, ends of lines and paragraphs."""


def instant(value: object) -> int:
    """Epoch seconds of an instant given as epoch seconds or as RFC 3339 with a zone. Raises ValueError that says what
    is allowed.
    """
    allowed = "give whole epoch seconds or RFC 3339 with a zone, between 2015 and 2100"
    try:
        at = read_instant(value)
    except ValueError as fault:
        raise ValueError(f"no zone; {allowed}" if str(fault) == NO_ZONE else allowed) from None
    if at > LATEST_AT and EARLIEST_AT <= at // 1000 < LATEST_AT:
        raise ValueError("these are milliseconds; give epoch seconds")
    if not EARLIEST_AT <= at < LATEST_AT:
        raise ValueError(allowed)
    return at


def _number(value: str) -> str:
    if not PHONE_NUMBER_ID.fullmatch(value):
        raise ValueError("give the phone_number_id: digits only, the id and not the display number")
    return value


def _user(value: str) -> str:
    user = user_of(value)
    if user is None:
        raise ValueError("give the user's wa_id (digits with the country code) or business-scoped id")
    if user.startswith("0"):
        raise ValueError("begins with 0: give the digits from the country code on, like 447700900123")
    return user


def _display(value: str) -> str:
    digits = re.sub(r"[\s+().-]", "", value)
    if not WA_ID.fullmatch(digits) or digits.startswith("0"):
        raise ValueError("give the business number with its country code, without 0 or 00 before it")
    return digits


def _country(value: str) -> str:
    if not (len(value) == 2 and value.isascii() and value.isalpha()):
        raise ValueError("give the country as two letters, ISO 3166-1 alpha-2")
    return value.upper()


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("an id has no control characters or lone surrogates")
    return value


def _without_control(value: str) -> str:
    if any(unicodedata.category(letter) in _CONTROL for letter in value):
        raise ValueError("no control characters, line ends or lone surrogates")
    return value


Instant = Annotated[int, BeforeValidator(instant, json_schema_input_type=int | str)]
PhoneNumberId = Annotated[str, AfterValidator(_number)]
User = Annotated[str, AfterValidator(_user)]
Display = Annotated[str, AfterValidator(_display)]
Country = Annotated[str, AfterValidator(_country)]
Id = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_printable)]
Text = Annotated[str, Field(max_length=512), AfterValidator(_without_control)]
ErrorCode = Annotated[int, Field(strict=True, ge=0, lt=1 << 31), BeforeValidator(whole)]


class TemplateSent(BaseModel):
    """Which template a request was sent with."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Id
    language: Text = ""
    category: Text = ""


class _Action(BaseModel):
    """What every action says. Unknown fields are kept in the raw record and ignored here (promise 6)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    phone_number_id: PhoneNumberId
    occurred_at: Instant


class _PairAction(_Action):
    """What the business did with one user."""

    user: User
    campaign: Text | None = None
    origin: Origin | None = None
    reservation_id: Text | None = None


class _Refusal(_PairAction):
    """What the provider did not do. `action_id`: the caller's own id of the attempt, since no other exists."""

    action_id: Id
    error_code: ErrorCode
    details: Annotated[str, Field(max_length=4_096)] | None = None
    retry_at: Instant | None = None


class RequestSentAction(_PairAction):
    """The provider took a call permission request and returned its message id."""

    type: Literal["request_sent"]
    message_id: Id
    kind: RequestKind
    template: TemplateSent | None = None


class RequestRefusedAction(_Refusal):
    """The provider did not take a call permission request."""

    type: Literal["request_refused"]


class CallStartedAction(_PairAction):
    """The provider took a call of the business and returned its id."""

    type: Literal["call_started"]
    call_id: Id


class CallRefusedAction(_Refusal):
    """The provider did not place a call."""

    type: Literal["call_refused"]


class ReadingTakenAction(_PairAction):
    """The provider was asked about the pair. `response`: the body of its answer as it came."""

    type: Literal["reading_taken"]
    response: dict[str, Any]
    provider: Id = "meta"


class DispositionRecordedAction(_PairAction):
    """An agent noted how a call ended."""

    type: Literal["disposition_recorded"]
    call_id: Id
    outcome: Id


class BusinessRegisteredAction(_Action):
    """The operator tells what a business number is."""

    type: Literal["business_registered"]
    display_phone_number: Display | None = None
    profile: Literal["production", "sandbox"] | None = None
    country: Country | None = None


class TemplateRegisteredAction(_Action):
    """The operator tells what a template is, above all whether it asks for permission."""

    type: Literal["template_registered"]
    name: Id
    language: Text = ""
    category: Text | None = None
    has_call_permission: bool | None = None


Action = (
    RequestSentAction
    | RequestRefusedAction
    | CallStartedAction
    | CallRefusedAction
    | ReadingTakenAction
    | DispositionRecordedAction
    | BusinessRegisteredAction
    | TemplateRegisteredAction
)
ACTIONS: Final[Mapping[str, type[Action]]] = {
    "request_sent": RequestSentAction,
    "request_refused": RequestRefusedAction,
    "call_started": CallStartedAction,
    "call_refused": CallRefusedAction,
    "reading_taken": ReadingTakenAction,
    "disposition_recorded": DispositionRecordedAction,
    "business_registered": BusinessRegisteredAction,
    "template_registered": TemplateRegisteredAction,
}
ACTION_TYPES: Final = tuple(ACTIONS)


def faults_of(fault: ValidationError, root: str = "$") -> list[dict[str, str]]:
    """Every fault as `{path, message}`, values left out."""
    return [
        {"path": path_of(error["loc"], root), "message": error["msg"].removeprefix("Value error, ")}
        for error in fault.errors(include_url=False, include_context=False, include_input=False)
    ]


def refusal_of(faults: list[dict[str, str]]) -> Unreadable:
    """Why a whole action cannot be used: its first fault with the path, the others told beside it."""
    first, *others = faults
    detail = "; also ".join([first["message"], *(f"{one['path']}: {one['message']}" for one in others[:8])])
    return Unreadable(reason="invalid_action", path=first["path"], detail=detail)


def check_action(value: Any, root: str = "$") -> Action | list[dict[str, str]]:
    """The action of a parsed JSON value, or every fault of it by path."""
    if not isinstance(value, dict):
        return [{"path": root, "message": "an action is a JSON object"}]
    said = value.get("type")
    model = ACTIONS.get(said) if isinstance(said, str) else None
    if model is None:
        return [{"path": f"{root}.type", "message": f"unknown type; allowed: {', '.join(ACTION_TYPES)}"}]
    try:
        return model.model_validate(value)
    except ValidationError as fault:
        return faults_of(fault, root)

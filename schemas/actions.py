"""Actions: what the business did, reported to us by `POST /v1/actions` or in a history file (design 13).

Owns their shape and the faults a caller is told about, each with a path and what is allowed. The gateway keeps the
action as it was sent; the worker makes the fact.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from schemas.codec import path_of
from schemas.events import EARLIEST_AT, LATEST_AT
from schemas.ids import PHONE_NUMBER_ID, user_of

MAX_ACTIONS: Final = 1_000


def instant(value: object) -> int:
    """Epoch seconds of an instant given as epoch seconds or as RFC 3339 with a zone. Raises ValueError that says what
    is allowed.
    """
    allowed = "give epoch seconds or RFC 3339 with a zone, between 2015 and 2100"
    if isinstance(value, str):
        if value.isascii() and value.isdigit():
            value = int(value)
        else:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                raise ValueError(allowed) from None
            if moment.tzinfo is None:
                raise ValueError(f"no zone; {allowed}")
            value = int(moment.timestamp())
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(allowed)
    if value > LATEST_AT and EARLIEST_AT <= value // 1000 < LATEST_AT:
        raise ValueError("these are milliseconds; give epoch seconds")
    if not EARLIEST_AT <= value < LATEST_AT:
        raise ValueError(allowed)
    return value


def _number(value: str) -> str:
    if not PHONE_NUMBER_ID.fullmatch(value):
        raise ValueError("give the phone_number_id: digits only, the id and not the display number")
    return value


def _user(value: str) -> str:
    user = user_of(value)
    if user is None:
        raise ValueError("give the user's wa_id (digits with the country code) or business-scoped id")
    return user


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("an id has no control characters or lone surrogates")
    return value


Instant = Annotated[int, BeforeValidator(instant, json_schema_input_type=int | str)]
PhoneNumberId = Annotated[str, AfterValidator(_number)]
User = Annotated[str, AfterValidator(_user)]
Id = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_printable)]
Text = Annotated[str, Field(max_length=512)]


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
    user: User
    occurred_at: Instant
    campaign: Text | None = None
    origin: Literal["conversation", "call_dialog", "broadcast", "call_page", "api"] | None = None
    reservation_id: Text | None = None


class RequestSentAction(_Action):
    """The provider took a call permission request and returned its message id."""

    type: Literal["request_sent"]
    message_id: Id
    kind: Literal["free_form", "template"]
    template: TemplateSent | None = None


Action = RequestSentAction
ACTION: Final[TypeAdapter[Action]] = TypeAdapter(Action)
ACTION_TYPES: Final = ("request_sent",)


def faults_of(fault: ValidationError, root: str = "$") -> list[dict[str, str]]:
    """Every fault as `{path, message}`, values left out."""
    return [
        {"path": path_of(error["loc"], root), "message": error["msg"].removeprefix("Value error, ")}
        for error in fault.errors(include_url=False, include_context=False, include_input=False)
    ]


def check_action(value: Any, root: str = "$") -> Action | list[dict[str, str]]:
    """The action of a parsed JSON value, or every fault of it by path."""
    if not isinstance(value, dict):
        return [{"path": root, "message": "an action is a JSON object"}]
    if value.get("type") not in ACTION_TYPES:
        return [{"path": f"{root}.type", "message": f"unknown type; allowed: {', '.join(ACTION_TYPES)}"}]
    try:
        return ACTION.validate_python(value)
    except ValidationError as fault:
        return faults_of(fault, root)

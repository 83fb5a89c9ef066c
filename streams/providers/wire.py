"""Meta's items as pydantic models: all that is wrong with an item that was refused.

Owns the diagnosis in a dead letter. The readers stop at the first fault and are fast; a refused item is read once
more here, with the same field readers, so that whoever mends it learns of every fault at once. Never in the hot path,
and never the judge: what was refused stays refused for the reason it was refused for.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from schemas.codec import Unreadable, path_of
from streams.providers.fields import identifier, instant, instant_or_zero, mapping, seconds, user_name
from streams.providers.translation import Refused

MAX_FAULTS: Final = 8
"""A dead letter's header names so many faults of one item, no more."""


def _read_by(read: Callable[[Any, str], Any]) -> BeforeValidator:
    """A field reader as a validator: its reason becomes the kind of error, its detail the text."""

    def check(value: Any) -> Any:
        try:
            read(value, "")
        except Refused as refused:
            detail = refused.fault.detail.replace("{", "(").replace("}", ")")
            raise PydanticCustomError("refused", detail) from None
        return value

    return BeforeValidator(check)


Id = Annotated[Any, _read_by(identifier)]
Instant = Annotated[Any, _read_by(instant)]
InstantOrZero = Annotated[Any, _read_by(instant_or_zero)]
Seconds = Annotated[Any, _read_by(seconds)]
User = Annotated[Any, _read_by(user_name)]


class Model(BaseModel):
    """Fields that a reader may refuse; everything else of an item is free."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Context(Model):
    """What a message answers."""

    id: Id = None


class Reply(Model):
    """`call_permission_reply`."""

    expiration_timestamp: InstantOrZero = None
    expiration_time: InstantOrZero = None


class Interactive(Model):
    """`interactive` of a message."""

    call_permission_reply: Reply | None = None


class System(Model):
    """`system` of a message."""

    wa_id: User = None
    new_wa_id: User = None
    user_id: User = None
    previous_user_id: User = None


class _Item(Model):
    id: Id = None
    timestamp: Instant = None


class Message(_Item):
    """An element of `messages`."""

    sender: User = Field(default=None, alias="from")
    from_user_id: User = None
    from_parent_user_id: User = None
    context: Context | None = None
    interactive: Interactive | None = None
    system: System | None = None


class Status(_Item):
    """An element of `statuses`, of a message or of a call."""

    recipient_id: User = None
    recipient_user_id: User = None
    recipient_parent_user_id: User = None


class Call(_Item):
    """An element of `calls`. Its sides may be a display number, which no reader refuses."""

    from_user_id: User = None
    to_user_id: User = None
    start_time: InstantOrZero = None
    end_time: InstantOrZero = None
    duration: Seconds = None


def diagnosed(model: type[Model], item: Any, path: str, first: Unreadable) -> Unreadable:
    """The refusal of an item with every other fault of it named behind. No value is quoted."""
    try:
        model.model_validate(mapping(item, path))
    except Refused:
        return first
    except ValidationError as fault:
        others = [
            f"{place}: {error['msg']}"
            for error in fault.errors(include_url=False, include_context=False, include_input=False)[:MAX_FAULTS]
            if (place := path_of(error["loc"], path)) != first.path
        ]
        if others:
            return Unreadable(reason=first.reason, path=first.path, detail="; also ".join((first.detail, *others)))
    return first

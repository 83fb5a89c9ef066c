"""What the business did, as facts: the records of `actions.raw` and the actions of a history file (design 13).

Owns the fact of each action. The gateway has checked the shape; it is checked again here, since a topic has other
writers. A call that the business started and the provider's own word on it are two facts about one call: each keeps
what it alone knows.
"""

from dataclasses import asdict
from typing import Any, assert_never

from schemas.actions import (
    Action,
    BusinessRegisteredAction,
    CallRefusedAction,
    CallStartedAction,
    DispositionRecordedAction,
    ReadingTakenAction,
    RequestRefusedAction,
    RequestSentAction,
    TemplateRegisteredAction,
    check_action,
    refusal_of,
)
from schemas.events import (
    BusinessRegistered,
    CallOffered,
    CallRefused,
    DispositionRecorded,
    Fact,
    ReadingTaken,
    RequestRefused,
    RequestSent,
    Template,
    TemplateRegistered,
)
from schemas.ids import derived_id
from streams.providers.fields import digest
from streams.providers.known import Known
from streams.providers.readings import READINGS
from streams.providers.translation import Notes, Refused, Translation, translated

PROVIDER = "actions"


def translate(body: bytes, received_at: int, _numbers: Known | None = None) -> Translation:
    """The fact of one action. `received_at`: our clock, epoch seconds."""

    def read(notes: Notes, value: Any) -> None:
        checked = check_action(value)
        if isinstance(checked, list):
            notes.park(refusal_of(checked))
        else:
            notes.happened(checked.occurred_at, "$.occurred_at")
            notes.facts.append(fact_of(notes, checked))

    return translated(PROVIDER, body, received_at, read)


def fact_of(notes: Notes, action: Action) -> Fact:
    """The fact of a checked action, under the provider of `notes`: the send log's door makes the same facts."""
    number = action.phone_number_id
    about: dict[str, Any] = {
        "phone_number_id": number,
        "occurred_at": action.occurred_at,
        "recorded_at": notes.received_at,
        "provider": notes.provider,
    }
    match action:
        case BusinessRegisteredAction():
            told = action.model_dump(include={"display_phone_number", "profile", "country"})
            fact_id = derived_id("business_registered", number, action.occurred_at, digest(told))
            return BusinessRegistered(fact_id=fact_id, **about, **told)
        case TemplateRegisteredAction():
            told = action.model_dump(include={"name", "language", "category", "has_call_permission"})
            fact_id = derived_id("template_registered", number, action.occurred_at, digest(told))
            about |= {"display_phone_number": None, "waba_id": None, "status": None}
            return TemplateRegistered(fact_id=fact_id, **about, **told)
        case ReadingTakenAction():
            return _reading(notes, action, about | {"user": action.user})
        case DispositionRecordedAction():
            fact_id = derived_id("disposition_recorded", number, action.call_id, action.occurred_at, action.outcome)
            return DispositionRecorded(
                fact_id=fact_id, user=action.user, call_id=action.call_id, outcome=action.outcome, **about
            )
        case _:
            return _attempt(action, about | {"user": action.user})


def _attempt(
    action: RequestSentAction | RequestRefusedAction | CallStartedAction | CallRefusedAction, about: dict[str, Any]
) -> Fact:
    """The fact of a request or a call, taken or refused."""
    number = action.phone_number_id
    about |= {"campaign": action.campaign, "origin": action.origin, "reservation_id": action.reservation_id}
    match action:
        case RequestSentAction():
            sent = action.template
            return RequestSent(
                fact_id=derived_id("request_sent", number, action.message_id),
                message_id=action.message_id,
                kind=action.kind,
                template=Template(name=sent.name, language=sent.language, category=sent.category) if sent else None,
                **about,
            )
        case CallStartedAction():
            return CallOffered(
                fact_id=derived_id("call_offered", number, action.call_id, "started"),
                call_id=action.call_id,
                direction="business_initiated",
                reported=True,
                **about,
            )
        case RequestRefusedAction() | CallRefusedAction():
            refused = RequestRefused if isinstance(action, RequestRefusedAction) else CallRefused
            return refused(
                fact_id=derived_id(action.type, number, action.action_id),
                action_id=action.action_id,
                error_code=action.error_code,
                details=action.details,
                retry_at=action.retry_at,
                **about,
            )
        case other:
            assert_never(other)


def _reading(notes: Notes, action: ReadingTakenAction, about: dict[str, Any]) -> ReadingTaken:
    read = READINGS.get(action.provider.lower())
    if read is None:
        allowed = ", ".join(sorted(READINGS))
        raise Refused("unknown_reading_provider", "$.provider", f"no reader knows its answers; known: {allowed}")
    answer = read(notes, action.response, "$.response")
    natural = {name: told for name, told in asdict(answer).items() if name != "inferred"}  # ids are older than it is
    fact_id = derived_id("reading_taken", action.phone_number_id, action.user, action.occurred_at, digest(natural))
    told = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
    return ReadingTaken(fact_id=fact_id, **about, **told)

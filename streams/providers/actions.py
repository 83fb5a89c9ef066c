"""What the business did, as facts: the records of `actions.raw` and the actions of a history file (design 13).

Owns the fact of each action. The gateway has checked the shape; it is checked again here, since a topic has other
writers.
"""

from schemas.actions import check_action
from schemas.codec import Unreadable
from schemas.events import RequestSent, Template
from schemas.ids import derived_id
from streams.providers.translation import Notes, Refused, Translation, parsed


def translate(body: bytes, received_at: int) -> Translation:
    """The fact of one action. `received_at`: our clock, epoch seconds."""
    notes = Notes()
    try:
        checked = check_action(parsed(body))
    except Refused as refused:
        notes.park(refused.fault)
        return notes.done()
    if isinstance(checked, list):
        notes.park(Unreadable(reason="invalid_action", path=checked[0]["path"], detail=checked[0]["message"]))
        return notes.done()
    template = checked.template
    notes.facts.append(
        RequestSent(
            fact_id=derived_id("request_sent", checked.phone_number_id, checked.message_id),
            phone_number_id=checked.phone_number_id,
            user=checked.user,
            occurred_at=checked.occurred_at,
            recorded_at=received_at,
            provider="actions",
            message_id=checked.message_id,
            kind=checked.kind,
            template=Template(name=template.name, language=template.language, category=template.category)
            if template
            else None,
            campaign=checked.campaign,
            origin=checked.origin,
            reservation_id=checked.reservation_id,
        )
    )
    return notes.done()

"""Records: what analytics needs of one step of one pair. The values of `permission.records`.

Owns the row shapes. Each row is the whole present row with a `version`; the store keeps the newest, so late facts
correct history. A row that a later fact made untrue comes once more with `is_deleted` 1. Times are epoch seconds,
null when not happened. The writer holds every number in range: the store would wrap or misread it in silence
(clickhouse.md, traps 3, 4).
"""

from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from schemas.answers import GrantSource, Label, Reason, Via
from schemas.events import Direction

FinalClass = Literal[
    "refused",
    "failed",
    "accepted_temporary",
    "accepted_permanent",
    "declined",
    "expired_no_response",
    "superseded",
    "open",
]
ResponseKind = Literal["accepted_temporary", "accepted_permanent", "declined"]
Prior = Literal["never", "declined", "expired", "revoked", "auto_revoked", "granted"]
EndCause = Literal[
    "expired",
    "revoked_via_request",
    "revoked_via_profile",
    "auto_revoked",
    "auto_revoke_inferred",
    "replaced",
    "reading",
    "refused_138006",
    "number_changed",
]
CallOutcome = Literal["connected", "unanswered", "rejected", "cancelled", "technical_failure", "open"]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RequestRow(_Row):
    """One call permission request (design 13). `anchor_at` files it under a day: `sent_at`, else its earliest sign."""

    request_id: str
    phone_number_id: str
    user: str
    kind: str
    template_name: str | None
    template_language: str | None
    template_category: str | None
    campaign: str | None
    origin: str | None
    attempt: int
    prior: Prior
    anchor_at: int
    sent_at: int | None
    delivered_at: int | None
    read_at: int | None
    failed_at: int | None
    error_code: int | None
    first_response: ResponseKind | None
    first_response_at: int | None
    last_response: ResponseKind | None
    last_response_at: int | None
    superseded_at: int | None
    expires_at: int | None
    final_class: FinalClass
    version: int
    is_deleted: Literal[0, 1]


class GrantRow(_Row):
    """One grant from its first decision to its end."""

    grant_id: str
    phone_number_id: str
    user: str
    request_id: str | None
    kind: Literal["temporary", "permanent"]
    via: Via
    source: GrantSource | None
    confirmed: bool
    granted_at: int
    expires_at: int | None
    ended_at: int | None
    end_cause: EndCause | None
    flags: list[str]
    version: int
    is_deleted: Literal[0, 1]


class CallRow(_Row):
    """One call. `anchor_at` files it under a day: its earliest sign. `pulses`: billed pulses of six seconds."""

    call_id: str
    phone_number_id: str
    user: str
    direction: Direction
    outcome: CallOutcome
    anchor_at: int
    started_at: int
    connected_at: int | None
    ended_at: int | None
    duration_s: int | None
    pulses: int
    campaign: str | None
    disposition: str | None
    version: int
    is_deleted: Literal[0, 1]


class ChangeRow(_Row):
    """What was announced, flat: `before` and `after` are labels."""

    change_id: str
    type: str
    occurred_at: int
    before: Label
    after: Label
    cause: str
    reason: Reason | None
    via: Via | None
    source: GrantSource | None
    grant_id: str | None
    version: int


class FactRow(_Row):
    """The fact of the step. `version`: 1 under a wa_id, 0 under another name of the user."""

    fact_id: str
    type: str
    occurred_at: int
    recorded_at: int
    version: Literal[0, 1]
    body: dict[str, Any]


class Record(_Row):
    """One step. `fact` is absent when a deadline passed. Rows inside carry no pair of their own: the record's is
    theirs.
    """

    phone_number_id: str
    user: str
    fact: FactRow | None = None
    requests: list[dict[str, Any]]
    grants: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    changes: list[ChangeRow]


def encode_record(record: dict[str, Any]) -> bytes:
    """A record as the value of `permission.records`: one JSON object that starts with `{` and ends with `}`."""
    return orjson.dumps(record)

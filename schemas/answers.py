"""Answers about a pair: Meta's own shape, our additions in extra keys (design 8, 13).

Owns the models behind `openapi.json` and the JSON Schema. The core builds the same shape as plain dicts; a test holds
the two together.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["no_permission", "temporary", "permanent"]
ActionName = Literal["send_call_permission_request", "start_call"]
Refusal = Literal[
    "calling_disabled",
    "country_not_supported",
    "business_restricted",
    "no_permission",
    "permanent_permission_exists",
    "provider_block",
    "request_limit_24h",
    "request_limit_7d",
    "connected_call_limit_24h",
]
Label = Literal["granted", "pending", "denied", "auto_revoked", "expired", "no_answer", "not_requested"]
Reason = Literal[
    "never",
    "declined",
    "revoked",
    "auto_revoked",
    "auto_revoke_inferred",
    "expired",
    "reading",
    "refused_138006",
    "number_changed",
]
Via = Literal["request", "profile", "callback", "reading", "inferred"]
GrantSource = Literal["user_action", "automatic", "inferred"]
Flag = Literal[
    "downgrade",
    "expiry_inferred",
    "reply_to_expired_request",
    "revoke_without_grant",
    "same_second_conflict",
    "source_inferred",
    "unknown_request",
]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Permission(_Shape):
    """Meta's three statuses; `expiration_time` (epoch seconds) only when temporary."""

    status: Status
    expiration_time: int | None = None


class Limit(_Shape):
    """One window. `limit_expiration_time` only when usage has reached the maximum."""

    time_period: Literal["PT24H", "P7D"]
    max_allowed: int
    current_usage: int
    limit_expiration_time: int | None = None


class ActionAnswer(_Shape):
    """May this be done now; if not, the first reason that applies and when it opens if nothing else happens."""

    action_name: ActionName
    can_perform_action: bool
    reason: Refusal | None
    retry_at: int | None
    limits: list[Limit]


class StandingAnswer(_Shape):
    """Permission judged at an instant, with what led to it."""

    label: Label
    reason: Reason | None
    via: Via | None
    source: GrantSource | None
    confirmed: bool
    granted_at: int | None
    request_id: str | None
    unanswered_streak: int
    service_window_until: int | None
    flags: list[Flag]


class JudgedPermission(_Shape):
    """`before` and `after` of a change: the standing with Meta's permission."""

    permission: Permission
    label: Label
    reason: Reason | None
    via: Via | None
    source: GrantSource | None
    confirmed: bool
    granted_at: int | None
    request_id: str | None
    unanswered_streak: int
    service_window_until: int | None
    flags: list[Flag]


class Answer(_Shape):
    """The body of `GET /{phone_number_id}/call_permissions`."""

    messaging_product: Literal["whatsapp"]
    as_of: int
    permission: Permission
    actions: list[ActionAnswer]
    standing: StandingAnswer


class StandingLine(_Shape):
    """One line of `callgrant replay --emit standings`. `asked_as`: the other name by which the user was asked for."""

    phone_number_id: str
    user: str
    as_of: int
    permission: Permission
    actions: list[ActionAnswer]
    standing: StandingAnswer
    asked_as: str | None = None

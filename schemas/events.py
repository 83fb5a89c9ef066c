"""Facts: what happened, past tense, immutable. The values of `permission.events`.

Owns the fields of every fact and the merge of two facts with one id. All times are epoch seconds: `occurred_at` on the
provider's clock (rules use it), `recorded_at` on ours (operations only). Ids are derived from the provider's own ids,
so a webhook that comes twice makes the same fact twice.
"""

from dataclasses import dataclass
from typing import Final, Literal

EARLIEST_AT: Final = 1_420_070_400  # 2015-01-01: before WhatsApp had businesses; anything older is a broken clock
LATEST_AT: Final = 4_102_444_800  # 2100-01-01: beyond it a number is milliseconds or garbage

Provider = Literal["meta", "gupshup", "infobip", "360dialog", "ycloud", "zernio", "actions"]
Response = Literal["accept", "reject"]
ReplySource = Literal["user_action", "automatic"]
MessageStatusName = Literal["sent", "delivered", "read", "failed"]
RequestKind = Literal["free_form", "template"]
Origin = Literal["conversation", "call_dialog", "broadcast", "call_page", "api"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The template a request was sent with."""

    name: str
    language: str
    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionReplied:
    """The user, or WhatsApp for the user, gave or took permission (domain 1.2, 3.5).

    `expires_at`: None when the provider named none. `source`: None when the dialect does not say. `context_id`: the
    request's message id, or the id of the user's call for a callback permission; None for the business profile and
    automatic revokes.
    """

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    message_id: str | None
    response: Response
    is_permanent: bool
    expires_at: int | None
    source: ReplySource | None
    context_id: str | None
    aliases: tuple[str, ...] = ()
    type: Literal["permission_replied"] = "permission_replied"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStatus:
    """What became of a message of the business (domain 3.7). It may or may not have been a request."""

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    message_id: str
    status: MessageStatusName
    error_code: int | None
    aliases: tuple[str, ...] = ()
    type: Literal["message_status"] = "message_status"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSent:
    """The business sent a call permission request and the provider took it (domain 1.4). Keeps the action as sent."""

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    message_id: str
    kind: RequestKind
    template: Template | None
    campaign: str | None
    origin: Origin | None
    reservation_id: str | None
    aliases: tuple[str, ...] = ()
    type: Literal["request_sent"] = "request_sent"


Fact = PermissionReplied | MessageStatus | RequestSent

FACT_TYPES: Final[dict[str, type[Fact]]] = {
    "permission_replied": PermissionReplied,
    "message_status": MessageStatus,
    "request_sent": RequestSent,
}
FACT_VERSIONS: Final[dict[str, int]] = dict.fromkeys(FACT_TYPES, 1)
"""The version that is written today, in `ce_type`. Older ones are read through `schemas.upcasters`."""

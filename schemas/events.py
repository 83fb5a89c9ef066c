"""Facts: what happened, past tense, immutable. The values of `permission.events`.

Owns the fields of every fact and the merge of two facts with one id. All times are epoch seconds: `occurred_at` on the
provider's clock (rules use it), `recorded_at` on ours (operations only). Ids are derived from the provider's own ids,
so a webhook that comes twice makes the same fact twice. `forwarded`: the fact came to this pair through another name
of the user and carries what the other pair's mark had kept of it (design 7). `inferred`: names of fields that the
provider did not say and that were inferred as documented (`is_permanent`, `phone_number_id`; of a reading `status`,
`requests_24h`): what rests on them is unconfirmed until a provider says so.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

EARLIEST_AT: Final = 1_420_070_400  # 2015-01-01: before WhatsApp had businesses; anything older is a broken clock
LATEST_AT: Final = 4_102_444_800  # 2100-01-01: beyond it a number is milliseconds or garbage

Provider = Literal["meta", "gupshup", "infobip", "360dialog", "ycloud", "zernio", "actions", "meta-sendlog"]
Response = Literal["accept", "reject"]
ReplySource = Literal["user_action", "automatic"]
MessageStatusName = Literal["sent", "delivered", "read", "failed"]
RequestKind = Literal["free_form", "template"]
Origin = Literal["conversation", "call_dialog", "broadcast", "call_page", "api"]
Direction = Literal["business_initiated", "user_initiated"]
EndStatus = Literal["completed", "failed", "cancelled"]
ReadStatus = Literal["no_permission", "temporary", "permanent"]
Role = Literal["old", "new"]
Restricts = Literal["business_initiated", "user_initiated", "both"]


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
    automatic revokes. `revoked`: the dialect's own word says that this reject took back a permission that was held.
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
    forwarded: bool = False
    revoked: bool = False
    inferred: tuple[str, ...] = ()
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
    forwarded: bool = False
    inferred: tuple[str, ...] = ()
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
    forwarded: bool = False
    type: Literal["request_sent"] = "request_sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused:
    """The provider did not take a permission request (domain 3.9). `retry_at`: when it says the next one may be
    sent.
    """

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    action_id: str
    error_code: int
    details: str | None
    retry_at: int | None
    campaign: str | None
    origin: Origin | None
    reservation_id: str | None
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    type: Literal["request_refused"] = "request_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOffered:
    """A call was placed (domain 3.6, `connect`), or the business says that it placed one (`reported`)."""

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    call_id: str
    direction: Direction
    campaign: str | None
    origin: Origin | None
    reservation_id: str | None
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    reported: bool = False
    type: Literal["call_offered"] = "call_offered"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRinging:
    """The user's phone rings."""

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    call_id: str
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    inferred: tuple[str, ...] = ()
    type: Literal["call_ringing"] = "call_ringing"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConnected:
    """A call was picked up (domain 3.6).

    `exact`: `occurred_at` is the call's start time, not the time of the report that it was accepted.
    """

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    call_id: str
    direction: Direction
    exact: bool
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    inferred: tuple[str, ...] = ()
    type: Literal["call_connected"] = "call_connected"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRejected:
    """The user declined the call; its terminate is the same call and does not count again (domain 1.6)."""

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    call_id: str
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    inferred: tuple[str, ...] = ()
    type: Literal["call_rejected"] = "call_rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """The provider's last word on a call. Completed does not mean connected: that takes a start, a duration or a
    pick-up (A12).
    """

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    call_id: str
    direction: Direction
    status: EndStatus
    started_at: int | None
    ended_at: int | None
    duration_s: int | None
    error_code: int | None
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    type: Literal["call_ended"] = "call_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRefused:
    """The provider did not place a call; no call exists (domain 3.9). `retry_at`: when it says the next one may be
    placed.
    """

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    action_id: str
    error_code: int
    details: str | None
    retry_at: int | None
    campaign: str | None
    origin: Origin | None
    reservation_id: str | None
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    type: Literal["call_refused"] = "call_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessaged:
    """The user sent a message, a voicemail too: it opens the service window (domain 2.3)."""

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    message_id: str
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    type: Literal["user_messaged"] = "user_messaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One window of a reading: how much of the limit was used."""

    usage: int
    maximum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingTaken:
    """Meta's answer about the pair at an instant (domain 3.3). None: the answer did not say."""

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    status: ReadStatus
    expires_at: int | None
    can_request: bool | None
    can_call: bool | None
    requests_24h: Reading | None
    requests_7d: Reading | None
    connected_calls_24h: Reading | None
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    inferred: tuple[str, ...] = ()
    type: Literal["reading_taken"] = "reading_taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersLinked:
    """A payload showed that `user`, a business-scoped id, is the user with this `wa_id` (design 7). Timeless once
    known.
    """

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    wa_id: str
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    type: Literal["users_linked"] = "users_linked"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserNumberChanged:
    """The user has another phone number (domain 3.11, G20). Told to both pairs; `role` is this pair's, `other` the
    other's name.
    """

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    message_id: str
    role: Role
    other: str
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    type: Literal["user_number_changed"] = "user_number_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DispositionRecorded:
    """What an agent noted about a call."""

    fact_id: str
    phone_number_id: str
    user: str
    occurred_at: int
    recorded_at: int
    provider: str
    call_id: str
    outcome: str
    aliases: tuple[str, ...] = ()
    forwarded: bool = False
    type: Literal["disposition_recorded"] = "disposition_recorded"


PairFact = (
    PermissionReplied
    | MessageStatus
    | RequestSent
    | RequestRefused
    | CallOffered
    | CallRinging
    | CallConnected
    | CallRejected
    | CallEnded
    | CallRefused
    | UserMessaged
    | ReadingTaken
    | UsersLinked
    | UserNumberChanged
    | DispositionRecorded
)
"""What happened to a pair."""

# A fact about a number names it by its id, or by the display form where a webhook shows nothing else; they are joined
# when asked (design 5). A template webhook names only the account.


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessRestricted:
    """Meta restricts a number's calling until `until`; None: a warning without a restriction (domain 3.8)."""

    fact_id: str
    phone_number_id: str | None
    display_phone_number: str | None
    occurred_at: int
    recorded_at: int
    provider: str
    restricts: Restricts | None
    until: int | None
    violation: str | None
    type: Literal["business_restricted"] = "business_restricted"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessSettingsChanged:
    """The number's calling settings (domain 3.8). None: the webhook did not say."""

    fact_id: str
    phone_number_id: str | None
    display_phone_number: str | None
    occurred_at: int
    recorded_at: int
    provider: str
    calling_enabled: bool | None
    callback_permission: bool | None
    sip_enabled: bool | None
    call_icon_visibility: str | None
    type: Literal["business_settings_changed"] = "business_settings_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessRegistered:
    """The operator told what a number is."""

    fact_id: str
    phone_number_id: str | None
    display_phone_number: str | None
    occurred_at: int
    recorded_at: int
    provider: str
    profile: Literal["production", "sandbox"] | None
    country: str | None
    type: Literal["business_registered"] = "business_registered"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessSeen:
    """A webhook showed which display number belongs to which id."""

    fact_id: str
    phone_number_id: str | None
    display_phone_number: str | None
    occurred_at: int
    recorded_at: int
    provider: str
    type: Literal["business_seen"] = "business_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRegistered:
    """A template of the number, and whether it asks for permission."""

    fact_id: str
    phone_number_id: str | None
    display_phone_number: str | None
    occurred_at: int
    recorded_at: int
    provider: str
    waba_id: str | None
    name: str
    language: str
    category: str | None
    status: str | None
    has_call_permission: bool | None
    type: Literal["template_registered"] = "template_registered"


NumberFact = BusinessRestricted | BusinessSettingsChanged | BusinessRegistered | BusinessSeen | TemplateRegistered
Fact = PairFact | NumberFact

FACT_TYPES: Final[dict[str, type[Fact]]] = {
    kind.__dataclass_fields__["type"].default: kind for kind in (*get_args(PairFact), *get_args(NumberFact))
}
FACT_VERSIONS: Final[dict[str, int]] = dict.fromkeys(FACT_TYPES, 1)
"""The version that is written today, in `ce_type`. Older ones are read through `schemas.upcasters`."""

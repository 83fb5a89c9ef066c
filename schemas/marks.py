"""Marks: the pieces of evidence a pair's state holds.

Owns what a mark of each kind keeps. In the JSON it is an array: its fields in their order, without the nulls at its
end (`schemas/mark_lists.py`).
"""

from typing import Final, Literal, NamedTuple

MAX_UNMATCHED: Final = 64
"""Messages with statuses that match no known request: the newest are kept (design 4)."""
MAX_MESSAGES: Final = 32
"""Messages of the user: the newest are kept (design 4)."""


INFERRED: Final = 1
REVOKED: Final = 2

What = Literal[
    "temporary",
    "permanent",
    "reject",
    "read_none",
    "read_temporary",
    "read_permanent",
    "refused_138017",
    "refused_138006",
    "moved_away",
    "moved_here",
]


class Decision(NamedTuple):
    """A word on the permission: a reply, a reading, an error that tells of it, a change of the user's number.

    `id`: the message or action id, or `#` and the fact's id where there is none. `opens`: what a reading says may be
    done, 1 a request, 2 a call, 3 both; None for anything else. `hints`: 1, that what it says of the permission was
    inferred from a dialect that does not tell; 2, that the dialect's own word is *revoked*; 3 both; None neither.
    """

    id: str
    at: int
    recorded_at: int
    what: What
    expires_at: int | None = None
    source: str | None = None
    context_id: str | None = None
    opens: int | None = None
    hints: int | None = None

    @property
    def is_inferred(self) -> bool:
        """Whether what it says of the permission is an inference, to be confirmed."""
        return self.hints is not None and self.hints & INFERRED != 0

    @property
    def is_revocation(self) -> bool:
        """Whether the dialect says that a permission was held and taken back."""
        return self.hints is not None and self.hints & REVOKED != 0


class Request(NamedTuple):
    """A message of the business with what became of it; a known request once `sent_at` is known.

    Entries without `sent_at` hold statuses of messages that are, so far, no request of ours. `template` is name,
    language and category. `status_sent_at` is the provider's word, `sent_at` the action's.
    """

    message_id: str
    sent_at: int | None = None
    recorded_at: int | None = None
    kind: str | None = None
    template: tuple[str, str, str] | None = None
    campaign: str | None = None
    origin: str | None = None
    reservation_id: str | None = None
    status_sent_at: int | None = None
    delivered_at: int | None = None
    read_at: int | None = None
    failed_at: int | None = None
    error_code: int | None = None


class Refusal(NamedTuple):
    """A request or call that the provider did not take.

    `id`: the door and the action's id, as `request:<id>` or `call:<id>`: a caller may use one id at both doors.
    """

    id: str
    at: int
    recorded_at: int
    door: Literal["request", "call"]
    error_code: int
    retry_at: int | None = None
    campaign: str | None = None
    origin: str | None = None

    @property
    def action_id(self) -> str:
        """The action's id as it was reported."""
        return self.id.partition(":")[2]


class Call(NamedTuple):
    """One call with what became of it. `started_at` is exact, `accepted_at` the report of the pick-up; `offered_at` is
    the provider's word, `reported_at` the business's.

    The JSON has a letter for the direction (`b`, `u`: who began it) and for the status (`c` completed, `f` failed, `x`
    cancelled).
    """

    call_id: str
    recorded_at: int
    direction: str | None = None
    offered_at: int | None = None
    ringing_at: int | None = None
    accepted_at: int | None = None
    started_at: int | None = None
    rejected_at: int | None = None
    terminated_at: int | None = None
    status: str | None = None
    ended_at: int | None = None
    duration_s: int | None = None
    error_code: int | None = None
    campaign: str | None = None
    origin: str | None = None
    reservation_id: str | None = None
    disposition: str | None = None
    disposed_at: int | None = None
    reported_at: int | None = None


class Message(NamedTuple):
    """A message of the user."""

    fact_id: str
    at: int


class Link(NamedTuple):
    """What names this business-scoped id the user `wa_id`; the earliest holds (design 7)."""

    at: int
    wa_id: str

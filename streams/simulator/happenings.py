"""What can happen in the pretend world: the words the rest of the room speaks.

Owns the vocabulary: who a pair is, what the business sent, what Meta reported, what the user did. Refuses to know how
any of it looks on the wire (`wire.py`) or what follows from it (`rules.py`). All `…at` are epoch seconds on Meta's
clock.
"""

from dataclasses import dataclass
from typing import Literal

DAY_S = 86_400
WEEK_S = 7 * DAY_S

Answer = Literal["temporary", "permanent", "reject"]
StatusName = Literal["sent", "delivered", "read", "failed"]
Category = Literal["utility", "marketing", "service"]
Origin = Literal["conversation", "call_dialog", "broadcast", "call_page", "api"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One business number and one of its users, with the names both carry in webhooks."""

    phone_number_id: str
    display_phone_number: str
    waba_id: str
    user: str
    user_id: str
    profile_name: str

    @property
    def key(self) -> tuple[str, str]:
        return self.phone_number_id, self.user

    def __repr__(self) -> str:
        """Masked: a repr ends up in logs, and a phone number may not."""
        return f"Pair({self.phone_number_id}/…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    name: str
    language: str
    category: Literal["UTILITY", "MARKETING"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSent:
    """The business asked for permission; `template` is None for a free-form request."""

    pair: Pair
    message_id: str
    at: int
    template: Template | None
    campaign: str | None
    origin: Origin

    @property
    def category(self) -> Category:
        """What Meta charges it as; free-form messages are service messages."""
        if self.template is None:
            return "service"
        return "utility" if self.template.category == "UTILITY" else "marketing"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReported:
    """Meta told what became of a message: of a request, or of another message of the business (which is noise)."""

    pair: Pair
    message_id: str
    at: int
    status: StatusName
    category: Category
    error_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """The user decided: on a request (`request_id`), or through the business profile (None)."""

    pair: Pair
    message_id: str
    at: int
    answer: Answer
    request_id: str | None

    @property
    def expires_at(self) -> int | None:
        return self.at + WEEK_S if self.answer == "temporary" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chatted:
    """The user wrote something: no decision, but it opens the 24 hours in which a free-form request may be sent."""

    pair: Pair
    message_id: str
    at: int
    text: str


Happening = RequestSent | StatusReported | Replied | Chatted

"""What errors of the provider forbid, and for how long (domain 3.9; design 15, readings and errors).

Owns the codes that block. An error holds until something newer says otherwise: a reading, an accepted call, a settings
webhook. 138006 and 138017 tell of the permission itself and are words on the grant, not blocks.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from schemas.marks import Decision, Refusal
from streams.permission.windows import DAY_S, WEEK_S

CALLING_OFF: Final = 138_000
COUNTRY: Final = 138_013
RESTRICTED: Final = 138_014
CALL_LIMIT: Final = 138_012
REQUEST_LIMIT: Final = 138_009
REQUEST_OPENS: Final = 1
CALL_OPENS: Final = 2


def latest(refusals: Iterable[Refusal], code: int) -> int | None:
    """When the code was last answered."""
    return max((refusal.at for refusal in refusals if refusal.error_code == code), default=None)


def still_holds(refused_at: int | None, denials: Iterable[int]) -> bool:
    """Whether a refusal stands although some things said otherwise, at the instants `denials`."""
    return refused_at is not None and all(denied_at <= refused_at for denied_at in denials)


def opened(decisions: Sequence[Decision], what: int = REQUEST_OPENS | CALL_OPENS) -> list[int]:
    """When readings said that a request may be sent or a call started."""
    return [word.at for word in decisions if word.opens is not None and word.opens & what]


def blocked_until(refusals: Sequence[Refusal], decisions: Sequence[Decision], door: str, at: int) -> int | None:
    """Until when the provider's own limit blocks the door at `at`; several blocks: the latest (design 15).

    138012 without an instant blocks calls for 24 hours; 138009 blocks requests where it names an instant.
    """
    openings = opened(decisions, CALL_OPENS if door == "call" else REQUEST_OPENS)
    until = 0
    for refusal in refusals:
        if refusal.door != door or not still_holds(refusal.at, openings):
            continue
        if refusal.error_code == CALL_LIMIT:
            until = max(until, refusal.retry_at or refusal.at + DAY_S)
        elif refusal.error_code == REQUEST_LIMIT and refusal.retry_at is not None:
            until = max(until, refusal.retry_at)
    return until if at < until else None


def restricted_until(refusals: Sequence[Refusal], told: Iterable[tuple[int, int]], at: int) -> int | None:
    """Until when 138014 restricts at `at`: seven days, unless a webhook said until when. That is one of a restriction
    since, or of one that covers the error. `told`: from when and until when, of each restriction told of.
    """
    refused_at = latest(refusals, RESTRICTED)
    if refused_at is None or any(began >= refused_at or refused_at < ends for began, ends in told):
        return None  # what covers the latest error covers, or came after, each older one
    until = refused_at + WEEK_S
    return until if at < until else None

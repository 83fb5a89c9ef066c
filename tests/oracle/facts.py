"""Facts with one id become one; the facts of an instant; the replies in the order in which they count.

Merging and ordering do not depend on the order in which facts are handed in.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from schemas.events import (
    CallConnected,
    CallRefused,
    MessageStatus,
    PairFact,
    PermissionReplied,
    ReadingTaken,
    RequestRefused,
    RequestSent,
    UserNumberChanged,
)

Kind = Literal["accepted_temporary", "accepted_permanent", "declined"]
IN_ONE_SECOND: tuple[Kind, ...] = ("accepted_temporary", "accepted_permanent", "declined")


def distinct(facts: Iterable[PairFact]) -> list[PairFact]:
    """One fact an id: the earliest times, every alias, and of what else a pair keeps the smaller JSON text."""
    versions: dict[str, list[PairFact]] = {}
    for fact in facts:
        versions.setdefault(fact.fact_id, []).append(fact)
    return [_merged(same) for same in versions.values()]


def _merged(same: list[PairFact]) -> PairFact:
    return replace(
        min(_exact(same), key=_text_of_the_rest),
        occurred_at=min(fact.occurred_at for fact in _exact(same)),
        recorded_at=min(fact.recorded_at for fact in same),
        aliases=tuple(sorted({alias for fact in same for alias in fact.aliases})),
    )


def _exact(same: list[PairFact]) -> list[PairFact]:
    """A call's start time counts before the report that it was accepted."""
    return [fact for fact in same if isinstance(fact, CallConnected) and fact.exact] or same


def _text_of_the_rest(fact: PairFact) -> bytes:
    """What a mark keeps of a fact besides its times and aliases, as a JSON array in the order of `schemas.state`."""
    if isinstance(fact, PermissionReplied):
        permanent = fact.response == "accept" and fact.is_permanent
        what = "reject" if fact.response == "reject" else "permanent" if permanent else "temporary"
        rest: list[Any] = [what, fact.expires_at if what == "temporary" else None, fact.source, fact.context_id]
        guessed = 1 if {"is_permanent", "phone_number_id"} & set(fact.inferred) else 0
        rest += [None, guessed + (2 if fact.revoked else 0) or None]
    elif isinstance(fact, MessageStatus):
        rest = [fact.error_code]
    elif isinstance(fact, RequestSent):
        template = fact.template and [fact.template.name, fact.template.language, fact.template.category]
        rest = [fact.kind, template, fact.campaign, fact.origin, fact.reservation_id]
    elif isinstance(fact, RequestRefused | CallRefused):
        rest = [fact.error_code, fact.retry_at, fact.campaign, fact.origin]
    elif isinstance(fact, ReadingTaken):
        what = "read_none" if fact.status == "no_permission" else f"read_{fact.status}"
        allows = (1 if fact.can_request else 0) + (2 if fact.can_call else 0)
        rest = [what, fact.expires_at if fact.status == "temporary" else None, None, None, allows]
        rest.append(1 if "status" in fact.inferred else None)
    elif isinstance(fact, UserNumberChanged):
        rest = ["moved_away" if fact.role == "old" else "moved_here", None, None, fact.other, None, None]
    else:
        rest = []
    return json.dumps(rest, separators=(",", ":"), ensure_ascii=False).encode()


def until(facts: Iterable[PairFact], at: int) -> list[PairFact]:
    """What had happened at an instant."""
    return [fact for fact in facts if fact.occurred_at <= at]


@dataclass(frozen=True)
class Reply:
    """A reply read once: who spoke, what it says, what it answers."""

    id: str
    at: int
    kind: Kind
    expires_at: int | None
    automatic: bool
    source_told: bool
    context: str | None
    guessed: bool
    """The dialect left open whether it is for good, or which number it is about."""
    takes_back: bool
    """The dialect's own word is that a permission was revoked."""

    @property
    def accepts(self) -> bool:
        return self.kind != "declined"

    def by(self, source: str) -> "Reply":
        """The same reply, spoken by another."""
        return replace(self, automatic=source == "automatic")

    @property
    def about_a_call(self) -> bool:
        return self.context is not None and self.context.startswith("wacid.")

    @property
    def request_id(self) -> str | None:
        """The request it answers."""
        return None if self.about_a_call else self.context


def replies_of(facts: Iterable[PairFact]) -> list[Reply]:
    """Every reply, in the order in which they count: by time, in one second rejects last, then by id."""
    found = [_reply(fact) for fact in facts if isinstance(fact, PermissionReplied)]
    return sorted(found, key=lambda reply: (reply.at, IN_ONE_SECOND.index(reply.kind), reply.id))


def _reply(fact: PermissionReplied) -> Reply:
    if fact.response == "reject":
        kind: Kind = "declined"
    else:
        kind = "accepted_permanent" if fact.is_permanent else "accepted_temporary"
    about_a_call = (fact.context_id or "").startswith("wacid.")
    # Where nobody says: an accept after a user's call is WhatsApp's; a reject would need a run of unanswered calls.
    supposed = "automatic" if fact.response == "accept" and about_a_call else "user_action"
    return Reply(
        id=fact.message_id or fact.fact_id,
        at=fact.occurred_at,
        kind=kind,
        expires_at=fact.expires_at if kind == "accepted_temporary" else None,
        automatic=(fact.source or supposed) == "automatic",
        source_told=fact.source is not None,
        context=fact.context_id,
        guessed="is_permanent" in fact.inferred or "phone_number_id" in fact.inferred,
        takes_back=fact.revoked,
    )

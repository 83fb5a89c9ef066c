"""The story of a pair's grants: every reply in turn (domain 1.2, rows G1 to G15; 1.5).

Reads the replies from the first to the last, each time anew, and says what each did.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.events import Fact, PermissionReplied, RequestSent
from schemas.policy import Policy
from tests.oracle.facts import Reply, replies_of
from tests.oracle.requests import expires_at, requests_of


@dataclass
class Grant:
    """One grant from its first reply to its end."""

    permanent: bool
    via: str
    source: str
    granted_at: int
    expires_at: int | None
    request_id: str | None
    flags: set[str]
    ended_at: int | None = None
    end_cause: str | None = None

    def holds(self, at: int) -> bool:
        return self.ended_at is None and (self.expires_at is None or at < self.expires_at)


@dataclass
class Story:
    """Every grant there was; where there is none, why, and the flags of the last reply that counted."""

    grants: list[Grant] = field(default_factory=list)
    reason: str = "never"
    last_flags: set[str] = field(default_factory=set)

    def grant_at(self, at: int) -> Grant | None:
        return self.grants[-1] if self.grants and self.grants[-1].holds(at) else None


def story_of(facts: Iterable[Fact], policy: Policy) -> Story:
    """What the replies among these facts did, one after the other."""
    facts = list(facts)
    story = Story()
    for reply in replies_of(facts):
        present = story.grant_at(reply.at)
        flags = _flags_of(reply, facts, present, policy)
        if reply.accepts:
            _accept(story, reply, present, flags, policy)
        else:
            _reject(story, reply, present, flags)
    return story


def _accept(story: Story, reply: Reply, present: Grant | None, flags: set[str], policy: Policy) -> None:
    permanent = reply.kind == "accepted_permanent"
    ends_at = None if permanent else reply.expires_at or reply.at + policy.defaults.temporary_seconds
    if present is not None and present.permanent and (permanent or reply.automatic):
        return  # G6, and permanent once more: the same grant
    if present is not None and not permanent and reply.automatic:  # G5
        present.expires_at = max(present.expires_at or 0, ends_at or 0)
        return
    if present is not None:
        present.ended_at, present.end_cause = reply.at, "replaced"
    by_user = "profile" if reply.context is None else "request"
    via = "callback" if reply.about_a_call or reply.automatic else by_user
    story.grants.append(
        Grant(
            permanent=permanent,
            via=via,
            source="automatic" if reply.automatic else "user_action",
            granted_at=reply.at,
            expires_at=ends_at,
            request_id=reply.request_id if via == "request" else None,
            flags=flags,
        )
    )
    story.reason, story.last_flags = "expired", flags  # the only way to lose it without a further reply


def _reject(story: Story, reply: Reply, present: Grant | None, flags: set[str]) -> None:
    story.last_flags = flags
    if present is None:
        if not reply.automatic:
            story.reason = "revoked" if reply.context is None else "declined"
        return  # G11: an automatic one leaves the reason as it is
    present.ended_at = reply.at
    if reply.automatic:
        present.end_cause = story.reason = "auto_revoked"
    else:
        present.end_cause = "revoked_via_profile" if reply.context is None else "revoked_via_request"
        story.reason = "revoked"


def _flags_of(reply: Reply, facts: list[Fact], present: Grant | None, policy: Policy) -> set[str]:
    flags = set()
    others = [other for other in replies_of(facts) if other.at == reply.at and other.kind != reply.kind]
    if others:
        flags.add("same_second_conflict")
    if reply.kind == "accepted_temporary" and reply.expires_at is None:
        flags.add("expiry_inferred")
    if not reply.source_told:
        flags.add("source_inferred")
    if reply.kind == "accepted_temporary" and not reply.automatic and present is not None and present.permanent:
        flags.add("downgrade")
    if reply.kind == "declined" and present is None and (reply.automatic or reply.context is None):
        flags.add("revoke_without_grant")
    if reply.request_id is not None:
        flags |= _flags_of_its_request(reply, reply.request_id, facts, policy)
    return flags


def _flags_of_its_request(reply: Reply, request_id: str, facts: list[Fact], policy: Policy) -> set[str]:
    if not any(isinstance(fact, RequestSent) and fact.message_id == request_id for fact in facts):
        return {"unknown_request"}
    before = [fact for fact in facts if not isinstance(fact, PermissionReplied) or fact.occurred_at < reply.at]
    everyone = requests_of(before)
    for asked in everyone:
        if asked.id == request_id:
            end = expires_at(asked, everyone, policy)
            if end is not None and end <= reply.at:
                return {"reply_to_expired_request"}
    return set()

"""The story of a pair's grants: every word on the permission and every call in turn (domain 1.2, 1.5, 1.6).

Reads them from the first to the last, each time anew, and says what each did.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.events import (
    CallRefused,
    PairFact,
    PermissionReplied,
    ReadingTaken,
    RequestRefused,
    RequestSent,
    UserNumberChanged,
)
from schemas.policy import Policy
from tests.oracle.business import Business
from tests.oracle.calls import calls_of
from tests.oracle.facts import IN_ONE_SECOND, Reply, replies_of
from tests.oracle.requests import expires_at, requests_of

NUMBER_CHANGED, NOT_PERMITTED, PERMANENT_EXISTS = "number_changed", 138006, 138017
UNANSWERED, CONNECTED, SAID = 0, 1, 2
ODD = {
    "downgrade",
    "reply_to_expired_request",
    "revoke_without_grant",
    "same_second_conflict",
    "unknown_request",
}


@dataclass
class Grant:
    """One grant from its first word to its end."""

    permanent: bool
    via: str
    source: str | None
    granted_at: int
    expires_at: int | None
    request_id: str | None
    flags: set[str]
    confirmed: bool = True
    ended_at: int | None = None
    end_cause: str | None = None

    def holds(self, at: int) -> bool:
        return self.ended_at is None and (self.expires_at is None or at < self.expires_at)


@dataclass
class Story:
    """Every grant there was; where there is none, why; the last flags; the unanswered calls in a row."""

    grants: list[Grant] = field(default_factory=list)
    reason: str = "never"
    confirmed: bool = True
    last_flags: set[str] = field(default_factory=set)
    streak: int = 0
    told: set[tuple[str, str]] = field(default_factory=set)
    """What a row of unanswered calls made WhatsApp or us say, and at which call; which replies are odd, and how."""

    def grant_at(self, at: int) -> Grant | None:
        return self.grants[-1] if self.grants and self.grants[-1].holds(at) else None

    def begin(self, grant: Grant, at: int, cause: str = "replaced") -> None:
        present = self.grant_at(at)
        if present is not None:
            present.ended_at, present.end_cause = at, cause
        self.grants.append(grant)
        self.reason, self.confirmed, self.last_flags = "expired", True, grant.flags  # how it ends unless told otherwise

    def end(self, at: int, cause: str, reason: str, *, confirmed: bool) -> None:
        present = self.grant_at(at)
        if present is not None:
            present.ended_at, present.end_cause = at, cause
        self.reason, self.confirmed = reason, confirmed


def story_of(facts: Iterable[PairFact], policy: Policy, number: Business) -> Story:
    """What these facts did to the permission, one after the other."""
    facts = list(facts)
    story = Story()
    for at, kind, _, name, said in _in_turn(facts, policy):
        if kind == CONNECTED:
            story.streak = 0
        elif kind == UNANSWERED:
            _missed(story, at, name, policy, number)
        elif isinstance(said, Reply):
            _reply(story, said, facts, policy, number)
        elif isinstance(said, ReadingTaken):
            _reading(story, said, policy)
        elif isinstance(said, UserNumberChanged):
            story.end(at, NUMBER_CHANGED, NUMBER_CHANGED, confirmed=False)
            story.last_flags = set()
        elif isinstance(said, CallRefused):
            if story.grant_at(at) is not None:
                story.end(at, "refused_138006", "refused_138006", confirmed=False)
                story.last_flags = set()
        elif isinstance(said, RequestRefused):
            present = story.grant_at(at)
            if present is None:
                story.streak = 0  # the permission that was missed was given since
            if present is None or not present.permanent:
                story.begin(Grant(True, "inferred", "inferred", at, None, None, set(), confirmed=False), at)
    return story


def _missed(story: Story, at: int, call_id: str, policy: Policy, number: Business) -> None:
    story.streak += 1
    if story.grant_at(at) is None:
        return  # nobody is asked whether a permission may stay that nobody gave
    nudge, revoke = number.threshold("unanswered_nudge", at, policy), number.threshold("unanswered_revoke", at, policy)
    if story.streak == nudge:
        story.told.add(("user_nudged", call_id))
    if story.streak == revoke - 1:
        story.told.add(("streak_at_risk", call_id))
    if story.streak >= revoke:
        story.end(at, "auto_revoke_inferred", "auto_revoke_inferred", confirmed=False)
        story.last_flags = set()


Turn = tuple[int, int, int, str, "Reply | PairFact | None"]


def _in_turn(facts: list[PairFact], policy: Policy) -> list[Turn]:
    """All that turns the story, by time; in one second calls, replies, errors, readings, moves: the surest last."""
    turns: list[Turn] = []
    for call in calls_of(facts):
        direction = "USER_INITIATED" if call.by_user else "BUSINESS_INITIATED"
        missed_at = call.unanswered_at(policy)
        if call.connected_at is not None and direction in policy.defaults.streak_reset_directions:
            turns.append((call.connected_at, CONNECTED, 0, call.id, None))
        if missed_at is not None:
            turns.append((missed_at, UNANSWERED, 0, call.id, None))
    turns += [(said.at, SAID, IN_ONE_SECOND.index(said.kind), said.id, said) for said in replies_of(facts)]
    for fact in facts:
        at = fact.occurred_at
        if isinstance(fact, ReadingTaken):
            turns.append((at, SAID, 5, fact.fact_id, fact))  # two in one second that differ: by id (design 15)
        elif isinstance(fact, RequestRefused) and fact.error_code == PERMANENT_EXISTS:
            turns.append((at, SAID, 3, fact.action_id, fact))
        elif isinstance(fact, CallRefused) and fact.error_code == NOT_PERMITTED:
            turns.append((at, SAID, 4, fact.action_id, fact))
        elif isinstance(fact, UserNumberChanged):
            turns.append((at, SAID, 8 + (fact.role == "new"), fact.message_id, fact))
    return sorted(turns, key=lambda turn: turn[:4])


def _reply(story: Story, reply: Reply, facts: list[PairFact], policy: Policy, number: Business) -> None:
    present = story.grant_at(reply.at)
    if not reply.source_told and not reply.accepts and reply.context is None:
        at_threshold = story.streak >= number.threshold("unanswered_revoke", reply.at, policy)
        reply = reply.by("automatic" if at_threshold else "user_action")
    confirms = not reply.accepts and reply.automatic and present is None and story.reason == "auto_revoke_inferred"
    flags = _flags_of(reply, facts, present, policy)
    if confirms:
        flags.discard("revoke_without_grant")
    settled = "same_second_conflict" not in flags
    story.told |= {("anomaly_raised", f"{flag} of {reply.id}") for flag in flags & ODD}
    if reply.accepts:
        _accept(story, reply, present, flags, policy)
        story.streak = 0
        return
    story.last_flags = flags
    if reply.automatic:
        story.streak = 0
        if present is not None or confirms:
            if confirms:
                story.grants[-1].end_cause = "auto_revoked"
            story.end(reply.at, "auto_revoked", "auto_revoked", confirmed=settled)
        elif not settled and story.reason not in ("never", "expired"):  # of these two nothing is in doubt
            story.confirmed = False
    elif present is None:
        missed = reply.context is None or reply.takes_back  # a grant that nobody told us of
        story.reason, story.confirmed = "revoked" if missed else "declined", settled
    else:
        cause = "revoked_via_profile" if reply.context is None else "revoked_via_request"
        story.end(reply.at, cause, "revoked", confirmed=settled)


def _accept(story: Story, reply: Reply, present: Grant | None, flags: set[str], policy: Policy) -> None:
    permanent = reply.kind == "accepted_permanent"
    ends_at = None if permanent else reply.expires_at or reply.at + policy.defaults.temporary_seconds
    doubtful = reply.guessed or "same_second_conflict" in flags  # A38: a reading is wished for
    if present is not None and present.permanent and (permanent or reply.automatic):  # G6; permanent once more
        present.confirmed = present.confirmed or not (reply.automatic or doubtful)
        return
    if present is not None and not permanent and reply.automatic:  # G5
        _lasts_until(present, max(present.expires_at or 0, ends_at or 0), reply.expires_at)
        return
    by_user = "profile" if reply.context is None else "request"
    called_back = reply.about_a_call or (reply.automatic and not permanent)
    via = "callback" if called_back else by_user
    source = "automatic" if reply.automatic else "user_action"
    request_id = reply.request_id if via == "request" else None
    grant = Grant(permanent, via, source, reply.at, ends_at, request_id, flags, confirmed=not doubtful)
    story.begin(grant, reply.at)


def _lasts_until(grant: Grant, until: int, named: int | None) -> None:
    """The end is an inference as long as nobody has named the one that holds."""
    if until == named:
        grant.flags.discard("expiry_inferred")
    elif until != grant.expires_at:
        grant.flags.add("expiry_inferred")
    grant.expires_at = until


def _reading(story: Story, read: ReadingTaken, policy: Policy) -> None:
    at, present = read.occurred_at, story.grant_at(read.occurred_at)
    sure = "status" not in read.inferred  # else it knows whether there is a permission, not which
    if read.status == "no_permission":
        if present is not None:
            story.end(at, "reading", "reading", confirmed=sure)
            story.last_flags = set()
        elif sure:
            story.confirmed = True
        return
    if present is None:
        story.streak = 0
    elif not sure:
        return
    permanent = read.status == "permanent"
    ends_at = None if permanent else read.expires_at or at + policy.defaults.temporary_seconds
    if present is not None and present.permanent == permanent:
        present.confirmed = True  # it agrees, but for the expiry perhaps, which is then put right
        if not permanent and read.expires_at is not None:
            _lasts_until(present, read.expires_at, read.expires_at)
        return
    flags = {"expiry_inferred"} if not permanent and read.expires_at is None else set()
    story.begin(Grant(permanent, "reading", None, at, ends_at, None, flags, confirmed=sure), at, "reading")


def _flags_of(reply: Reply, facts: list[PairFact], present: Grant | None, policy: Policy) -> set[str]:
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
    if reply.kind == "declined" and present is None and (reply.automatic or reply.context is None or reply.takes_back):
        flags.add("revoke_without_grant")
    if reply.request_id is not None:
        flags |= _flags_of_its_request(reply, reply.request_id, facts, policy)
    return flags


def _flags_of_its_request(reply: Reply, request_id: str, facts: list[PairFact], policy: Policy) -> set[str]:
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

"""The story of one pair: what happened in the order of time, when we learned it, and which rule decided what.

Owns the entries and their sentences. Refuses to judge: what a thing changed is found by judging the pair without it and
with it, by the code that answers questions. Times are epoch seconds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.events import (
    CallConnected,
    CallEnded,
    CallOffered,
    CallRefused,
    CallRejected,
    CallRinging,
    DispositionRecorded,
    MessageStatus,
    PairFact,
    PermissionReplied,
    ReadingTaken,
    RequestRefused,
    RequestSent,
    UserMessaged,
    UserNumberChanged,
    UsersLinked,
)
from schemas.marks import Decision
from schemas.policy import Policy
from schemas.state import PairState
from streams.permission.grants import Grant
from streams.permission.number import Number
from streams.permission.refusals import REQUEST_LIMIT
from streams.permission.standing import Timeline, timeline
from streams.replay.blocks import caused, forbids
from streams.replay.listeners import Heard
from streams.replay.rules import RULES
from streams.replay.sentences import FLAGS, happening, held, number_entries, utc

LEARNED_LATE_S = 60


@dataclass(slots=True)
class Entry:
    """One thing that happened. `rule`: a name of `RULES`; `then`: what it changed; `notes`: what else is to be said."""

    at: int
    what: str
    text: str
    rule: str | None = None
    learned_at: int | None = None
    fact_id: str | None = None
    times: int = 1
    then: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    place: int = 0
    """Among the words on the permission: these count in an order of their own within a second."""

    def shown(self) -> dict[str, Any]:
        """The entry as JSON."""
        rule = RULES[self.rule]._asdict() if self.rule is not None else None
        late = self.learned_at is not None and self.learned_at - self.at > LEARNED_LATE_S
        return {
            "at": self.at,
            "learned_at": self.learned_at,
            "learned_late": late,
            "what": self.what,
            "text": self.text,
            "then": self.then,
            "notes": self.notes,
            "rule": rule,
            "fact_id": self.fact_id,
            "times": self.times,
        }


def entries(state: PairState, at: int, heard: Iterable[Heard], policy: Policy, number: Number) -> list[Entry]:
    """Everything that happened up to `at`, in the order of time."""
    line = timeline(state, at, policy, number)
    told = [_told(one, line, policy, number) for one in heard if one.fact.occurred_at <= at]
    told += _passed(line, at)
    told += [Entry(when, what, text, rule) for when, what, text, rule in number_entries(number, at)]
    return sorted(told, key=lambda entry: (entry.at, _ORDER.get(entry.what, _LAST), entry.place, entry.fact_id or ""))


_ORDER = {
    what: rank
    for rank, group in enumerate(
        (
            ("business_registered", "business_settings_changed", "business_restricted", "users_linked"),
            ("request_sent",),
            ("message_status",),
            ("call_offered",),
            ("call_ringing",),
            ("call_connected", "call_rejected"),
            ("call_ended",),
            ("permission_expired",),
            ("permission_replied", "reading_taken", "request_refused", "call_refused", "user_number_changed"),
        )
    )
    for what in group
}
_LAST = len(_ORDER)


def _told(one: Heard, line: Timeline, policy: Policy, number: Number) -> Entry:
    fact = one.fact
    text, rule = happening(fact)
    entry = Entry(fact.occurred_at, fact.type, text, rule, one.learned_at, fact.fact_id, one.times)
    if fact.forwarded:
        entry.notes.append("it came under another name of the user and was handed on")
    if one.late:
        entry.rule = "late"
        entry.notes.append("it came later than the horizon: counted, and nothing is changed by it")
        return entry
    if line.state.base is not None and fact.occurred_at <= line.state.base.until:
        entry.notes.append("settled: only what it came to is still kept")
        return entry
    match fact:
        case PermissionReplied() | ReadingTaken() | UserNumberChanged():
            _word(entry, fact, line, policy, number)
        case RequestRefused() | CallRefused():
            _word(entry, fact, line, policy, number)
            _refused(entry, fact, line, policy, number)
        case CallRejected() | CallEnded() | CallConnected():
            _call(entry, fact, line, policy, number)
        case RequestSent():
            _request(entry, fact.message_id, line)
        case MessageStatus() | CallOffered() | CallRinging() | UserMessaged() | UsersLinked() | DispositionRecorded():
            pass
    return entry


def _word(entry: Entry, fact: PairFact, line: Timeline, policy: Policy, number: Number) -> None:
    """What a word on the permission did: the pair up to the words before it, and with it."""
    names = _names(fact)
    words = line.state.decisions
    place = next((place for place, word in enumerate(words) if word.id in names), None)
    if place is None:
        return
    entry.place = place
    word = words[place]
    before = timeline(line.state._replace(decisions=words[:place]), word.at, policy, number)
    after = timeline(line.state._replace(decisions=words[: place + 1]), word.at, policy, number)
    entry.then, rule = _difference(word, before, after)
    entry.rule = rule or entry.rule
    was = set(before.hold.flags)
    entry.notes += [FLAGS[flag] for flag in after.hold.flags if flag in FLAGS and (flag not in was or entry.then)]


def _names(fact: PairFact) -> set[str]:
    """Under which ids the word of a fact may be kept."""
    names = {f"#{fact.fact_id}"}
    if isinstance(fact, PermissionReplied) and fact.message_id is not None:
        names.add(fact.message_id)
    if isinstance(fact, RequestRefused | CallRefused):
        names.add(f"!{'request' if isinstance(fact, RequestRefused) else 'call'}:{fact.action_id}")
    return names


def _refused(entry: Entry, fact: RequestRefused | CallRefused, line: Timeline, policy: Policy, number: Number) -> None:
    """What an error forbids from then on."""
    entry.then += [forbids(block) for block in caused(line.state, fact, entry.at, policy, number)]
    if fact.error_code == REQUEST_LIMIT and fact.retry_at is None:
        entry.notes.append("it names no instant and forbids nothing: the limits as counted here stand")


def _difference(word: Decision, before: Timeline, after: Timeline) -> tuple[list[str], str | None]:
    old, new = before.hold.grant, after.hold.grant
    if new is not None:
        if old is None or old.grant_id != new.grant_id or old.kind != new.kind:
            return [held(after)], _grant_rule(word, old, new)
        if old.expires_at != new.expires_at:
            return [held(after)], "reading" if word.what.startswith("read") else "extended"
        kept = "the permission was known and stays as it is"
        return [kept], "automatic_on_permanent" if word.what == "temporary" and new.kind == "permanent" else None
    reason, last = after.hold.reason, after.ended[-1] if after.ended else None
    if old is not None and last is not None:
        cause = last.end_cause or reason
        return [held(after)], cause if cause in RULES else reason
    if reason != before.hold.reason:
        return [held(after)], reason if reason in RULES else "revoked_via_profile"
    if "revoke_without_grant" in after.hold.flags:
        return ["nothing was held, and nothing is"], "revoke_without_grant"
    return ["nothing was held, and nothing is"], None


def _grant_rule(word: Decision, old: Grant | None, new: Grant) -> str:
    if new.via in ("reading", "inferred"):
        return "reading" if new.via == "reading" else "refused_138017"
    if old is not None:
        if new.kind == "permanent":
            return "upgraded"
        return "downgraded" if old.kind == "permanent" else "replaced"
    if new.via == "callback":
        return "callback"
    if new.via == "profile":
        return "accepted_profile"
    return "accepted_permanent" if word.what == "permanent" else "accepted_temporary"


def _call(
    entry: Entry, fact: CallRejected | CallEnded | CallConnected, line: Timeline, policy: Policy, number: Number
) -> None:
    """What a call did to the row of unanswered ones, and whether that ended the permission."""
    rung, call_id = line.state.calls, fact.call_id
    call = next((call for call in rung if call.call_id == call_id), None)
    if call is None:
        return
    earlier = tuple(word for word in line.state.decisions if word.at < entry.at)
    without = line.state._replace(decisions=earlier, calls=tuple(one for one in rung if one is not call))
    before = timeline(without, entry.at, policy, number)
    after = timeline(line.state._replace(decisions=earlier), entry.at, policy, number)
    if (call_id, entry.at) in after.unanswered:
        limit = policy.profiles[number.profile].at("unanswered_revoke", entry.at)
        row = [one for one, _ in after.unanswered].index(call_id) + 1
        entry.then.append(f"unanswered in a row: {row} of {limit}")
        entry.rule = "streak"
    elif isinstance(fact, CallConnected) and before.unanswered and not after.unanswered:
        entry.then.append("the row of unanswered calls starts again at 0")
        entry.rule = "streak"
    for notice in after.notices:
        if notice.id == call_id and notice.at == entry.at:
            if notice.kind == "user_nudged":
                entry.then.append("WhatsApp asks the user whether these calls are still wanted")
            if notice.kind == "streak_at_risk":
                entry.then.append("one more unanswered call takes the permission away")
    if before.hold.grant is not None and after.hold.grant is None:
        entry.then.append(held(after))
        entry.rule = "auto_revoke_inferred"


def _request(entry: Entry, message_id: str, line: Timeline) -> None:
    life = next((life for life in line.lives if life.request_id == message_id), None)
    if life is not None:
        entry.notes.append(f"the pair's request {life.attempt}; so far: {life.prior.replace('_', ' ')}")
        entry.notes.append(f"it is {life.final_class.replace('_', ' ')}")


def _passed(line: Timeline, at: int) -> Iterator[Entry]:
    """What nobody tells: permissions that ran out, requests that left the screen."""
    for grant in line.ended:
        if grant.end_cause == "expired" and grant.ended_at is not None and grant.ended_at <= at:
            text = f"The temporary permission of {utc(grant.granted_at)} ran out"
            yield Entry(grant.ended_at, "permission_expired", text, "expired", then=["no permission: it ran out"])
    for life in line.lives:
        if life.final_class == "expired_no_response" and life.expires_at is not None:
            text = f"Request {life.request_id} left the user's screen without an answer"
            yield Entry(life.expires_at, "request_expired", text, "request")
        if life.superseded_at is not None:
            text = f"Request {life.request_id} was pushed aside by a newer one"
            yield Entry(life.superseded_at, "request_superseded", text, "request")

"""Proof: of settled evidence the few marks from which what is held follows (design 7).

Owns which marks these are. A pair that is known by another name than the wa_id may yet turn out to be a user's other
name, and then hands on the latest decision and the running row as the facts that they were. Nothing is guessed: what is
kept comes to what was settled on a pair that knows nothing else, or nothing is kept. Refuses pairs of a wa_id: they
hand nothing on.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from schemas.ids import is_wa_id
from schemas.marks import Call, Decision, Request
from schemas.policy import Policy
from schemas.state import PairState, Proof
from streams.permission import grants
from streams.permission.grants import Hold
from streams.permission.number import Number
from streams.permission.standing import Timeline, beat_of, timeline, was_asked

MOST: Final = 16
"""More words in a row than this are not kept: nearly always one or two tell all that is held."""


def proof_of(state: PairState, line: Timeline, policy: Policy, number: Number) -> Proof | None:
    """The marks, of those that are about to be settled and those kept so far, that prove where `line` has come to."""
    if is_wa_id(state.user):
        return None
    kept, now = state.proof or Proof(), line.state
    refusals = {mark.id: mark for mark in (*kept.refusals, *now.refusals)}
    words = [
        word
        for word in (*kept.decisions, *now.decisions)
        if not word.id.startswith("!")
        or word.id[1:] in refusals  # a word without the error that told it cannot be told
    ]
    requests = {entry.message_id: entry for entry in (*kept.requests, *now.requests) if entry.sent_at is not None}
    calls = {call.call_id: call for call in (*kept.calls, *now.calls)}
    for count in _counts(len(words)):
        chosen = words[len(words) - count :]
        proof = Proof(
            tuple(chosen),
            tuple(_asked(chosen, requests)),
            tuple(refusals[name] for name in sorted({word.id[1:] for word in chosen} & refusals.keys())),
            tuple(_rung(chosen, calls, line, policy, number)),
        )
        alone = PairState(state.phone_number_id, state.user, judged_at=line.at, **proof._asdict())
        if _come_to(timeline(alone, line.at, policy, number)) == _come_to(line):
            return proof
    return None


def _counts(words: int) -> Iterator[int]:
    """How many of the latest words are tried, the fewest first."""
    count = min(words, 1)
    yield count
    while count < min(words, MOST):
        count = min(2 * count, words, MOST)
        yield count


def _come_to(line: Timeline) -> tuple[Hold, tuple[tuple[str, int], ...], bool]:
    """What is held, the running row, and whether the user was asked. Why nothing was held before a grant is never asked
    again.
    """
    hold = line.hold
    return hold if hold.grant is None else hold._replace(reason="never"), line.unanswered, was_asked(line)


def _asked(words: Sequence[Decision], requests: Mapping[str, Request]) -> list[Request]:
    """The requests that the words answer, those that may have pushed them aside by then, and the latest one that did
    not fail: whoever has it was asked before.
    """
    arrived = [entry for entry in requests.values() if entry.failed_at is None]
    chosen = {entry.message_id for entry in sorted(arrived, key=lambda entry: entry.sent_at or 0)[-1:]}
    for word in words:
        asked = requests.get(word.context_id or "") if grants.is_reply(word) else None
        if asked is not None:
            span = range(asked.sent_at or 0, word.at + 1)
            chosen.update([name for name, entry in requests.items() if entry.sent_at in span])
            chosen.add(asked.message_id)
    return [requests[name] for name in sorted(chosen)]


def _rung(
    words: Sequence[Decision], calls: Mapping[str, Call], line: Timeline, policy: Policy, number: Number
) -> list[Call]:
    """The calls of the running row, and since the first word those of each row that was long enough to revoke, with the
    one that ended it.
    """
    profile, since = policy.profiles[number.profile], words[0].at if words else line.at
    beats = sorted([beat for call in calls.values() if (beat := beat_of(call, policy)) is not None])
    chosen = {name for name, _ in line.unanswered} & calls.keys()
    row: list[str] = []
    for beat in beats:
        if beat.at < since:
            continue
        row.append(beat.call_id)
        if len(row) - beat.resets >= profile.at("unanswered_revoke", beat.at):
            chosen.update(row)
        if beat.resets:
            row = []
    return [calls[name] for name in sorted(chosen)]

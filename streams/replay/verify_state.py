"""Stored rows beside the pairs as they should stand: who wins on a state topic, and what makes two states the same.

Owns both rules. A reader of a state topic keeps the higher version, at equality the later offset; a tombstone removes
whatever stood there (design 5). Two states are the same when their evidence is, bookkeeping left out, and when they
stand alike at one instant. Where the worker stored more often than the log has facts (a fact beyond the horizon
that was delivered again counts again), the horizon settled elsewhere: then what both still hold must be the same.
Refuses to fold.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from schemas.business import BusinessState
from schemas.policy import Policy
from schemas.state import PairState
from streams.permission.answer import answer
from streams.permission.calls import begun_at
from streams.permission.number import Number

Unlike = Literal["evidence", "standing"]
NO_VERSION: Final = -1


@dataclass(slots=True)
class Winners:
    """The rows of a state topic as its readers keep them. `version_of`: reads the version of a row, -1: it is none."""

    version_of: Callable[[bytes], int]
    rows: dict[bytes, bytes] = field(default_factory=dict)
    strangers: int = 0
    """Records that are no row: readers leave them out."""
    _versions: dict[bytes, int] = field(default_factory=dict)

    def take(self, key: bytes | None, value: bytes | None, stamped: str | None) -> None:
        """The next record, in order of offset. `stamped`: the version in its header."""
        if key is None:
            self.strangers += 1
        elif value is None:
            self.rows.pop(key, None)
            self._versions.pop(key, None)
        else:
            version = int(stamped) if stamped is not None and stamped.isdigit() else self.version_of(value)
            if version < 0:
                self.strangers += 1
            elif version >= self._versions.get(key, NO_VERSION):
                self.rows[key], self._versions[key] = value, version


def unlike(mine: PairState, stored: PairState, at: int, policy: Policy, number: Number) -> Unlike | None:
    """In what the stored row differs from what the log says; None: in nothing that counts."""
    if not _same(mine, stored):
        settled_elsewhere = stored.version > mine.version and _same(_held(mine, stored), _held(stored, mine))
        if not settled_elsewhere:
            return "evidence"
    if mine.forwards_to is None and answer(mine, at, policy, number) != answer(stored, at, policy, number):
        return "standing"
    return None


def same_number(mine: BusinessState, stored: BusinessState) -> bool:
    """Whether two rows of a number hold the same evidence."""
    return replace(mine, version=0, recorded_at=0) == replace(stored, version=0, recorded_at=0)


def _same(one: PairState, other: PairState) -> bool:
    return _evidence(one) == _evidence(other)


def _evidence(state: PairState) -> PairState:
    """The state without its bookkeeping. Not its bytes: marks that nobody looked at are written as they were stored,
    and an earlier version may have stored them in other words.
    """
    return state._replace(version=0, judged_at=0, due_at=None, recorded_at=0, late=0, walked=None, proof=None)


def _held(state: PairState, other: PairState) -> PairState:
    """What is newer than what either has settled."""
    until = max(one.base.until if one.base is not None else -1 for one in (state, other))
    return state._replace(
        base=None,
        dropped=0,
        decisions=tuple(word for word in state.decisions if word.at > until),
        requests=tuple(entry for entry in state.requests if (entry.sent_at or 0) > until),
        refusals=tuple(mark for mark in state.refusals if mark.at > until),
        calls=tuple(call for call in state.calls if begun_at(call) > until),
        messages=tuple(message for message in state.messages if message.at > until),
    )

"""`PairState`: the evidence of one pair, the value of `permission.state` and of the worker's table.

Owns the shape; its JSON is read and written by `schemas/state_row.py`. Evidence, not counters (design 4): each mark
once, under an id derived from the provider's, so that a fact met twice or late changes nothing it should not.
Everything else (standing, windows, classes) is computed from it.

The JSON keeps a mark as an array, in the order of its fields below, without the nulls at its end: a pair stays at some
hundred bytes. `version`, `judged_at`, `due_at`, `recorded_at`, `late` and `walked` are bookkeeping: they depend on the
order of arrival, and comparisons of states leave them out.

Marks are made when somebody looks at them (`schemas/mark_lists.py`).
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from schemas.ids import Pair
from schemas.marks import Call, Decision, Link, Message, Refusal, Request


class Base(NamedTuple):
    """What older, settled evidence left behind: the walk over it up to `until` (design 4, horizon).

    `decided_at`, `decided_by`: the latest word on the permission. `grant`: the fields of the grant that was held, in
    the core's order. `streak`: call id and instant of the unanswered calls in a row. `attempts`: requests known as
    sent. `asked`: whether one of them may have reached the user; a row of before it was kept does not tell (None).
    """

    until: int
    reason: str
    decided_by: str | None
    decided_at: int
    flags: tuple[str, ...]
    confirmed: bool
    grant: tuple[Any, ...] | None
    streak: tuple[tuple[str, int], ...]
    attempts: int
    service_at: int
    asked: bool | None = None


class Proof(NamedTuple):
    """Of settled evidence the few marks from which what is held follows: what is handed on, should the pair turn out
    to be a user's other name (design 7). Each list in the order of the state's own.
    """

    decisions: Sequence[Decision] = ()
    requests: Sequence[Request] = ()
    refusals: Sequence[Refusal] = ()
    calls: Sequence[Call] = ()


class Walked(NamedTuple):
    """What the walk over the evidence up to `judged_at` came to, so that a fact in order of time continues it.

    `by`: under which rules (`Policy.rules_of`); under others it says nothing. `since`: the instant of the last thing
    the walk met. `grant`: the fields of the grant that is held, in the core's order. `priors`: a letter for each
    request known as sent, in the order of sending: the standing before it (`PRIORS`).
    """

    by: str
    since: int
    reason: str
    decided_by: str | None
    flags: tuple[str, ...]
    confirmed: bool
    grant: tuple[Any, ...] | None
    streak: tuple[tuple[str, int], ...]
    priors: str


class PairState(NamedTuple):
    """All marks of a pair, each list in its own fixed order: decisions by time and kind, the others by id.

    `judged_at`: the latest instant for which changes were announced and rows written; 0 before the first fact.
    `due_at`: when the grant that holds at `judged_at` runs out; None when nothing will.
    `recorded_at`: the latest receipt, the clock of the horizon. `late`: facts beyond the horizon, which change nothing.
    `dropped`: entries that were pushed out by a bound. `walked`: what was judged so far; None: walk again. `proof`: of
    what was settled, where no few marks tell it or nobody may ask for it, None.
    """

    phone_number_id: str
    user: str
    version: int = 0
    judged_at: int = 0
    due_at: int | None = None
    recorded_at: int = 0
    decisions: Sequence[Decision] = ()
    requests: Sequence[Request] = ()
    refusals: Sequence[Refusal] = ()
    calls: Sequence[Call] = ()
    messages: Sequence[Message] = ()
    links: tuple[Link, ...] = ()
    aliases: tuple[str, ...] = ()
    base: Base | None = None
    dropped: int = 0
    late: int = 0
    walked: Walked | None = None
    proof: Proof | None = None

    @property
    def pair(self) -> Pair:
        """Whose evidence this is."""
        return Pair(self.phone_number_id, self.user)

    @property
    def forwards_to(self) -> str | None:
        """The canonical name under which this pair's evidence is kept, where the pair is only a forwarding address."""
        return min(self.links).wa_id if self.links else None

    def __repr__(self) -> str:
        return (
            f"PairState({self.pair!r} v{self.version}, {len(self.decisions)} decisions, {len(self.requests)} requests)"
        )


class StoredState(BaseModel):
    """The JSON of `encode_state`, for its JSON Schema. Arrays end where only nulls would follow; empty lists are left
    out.
    """

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    schema_version: Literal[1] = Field(alias="schema")
    version: int
    phone_number_id: str
    user: str
    judged_at: int
    due_at: int | None = None
    recorded_at: int
    decisions: list[Decision] = []
    requests: list[Request] = []
    refusals: list[Refusal] = []
    calls: list[Call] = []
    messages: list[Message] = []
    links: list[Link] = []
    aliases: list[str] = []
    base: Base | None = None
    dropped: int = 0
    late: int = 0
    walked: Walked | None = None
    proof: Proof | None = None

"""`PairState`: the evidence of one pair, the value of `permission.state` and of the worker's table.

Owns the shape and its JSON. Evidence, not counters (design 4): each mark once, under an id derived from the
provider's, so that a fact met twice or late changes nothing it should not. Everything else (standing, windows,
classes) is computed from it.

The JSON keeps a mark as an array, in the order of its fields below, without the nulls at its end: a pair stays at some
hundred bytes. `version`, `judged_at`, `due_at`, `recorded_at`, `late` and `walked` are bookkeeping: they depend on the
order of arrival, and comparisons of states leave them out.

Marks are made when somebody looks at them (`schemas/marks.py`).
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.ids import Pair
from schemas.marks import Call, Decision, Link, Marks, Message, Refusal, Request, marks_of, unopened

SCHEMA: Final = 1
LATEST: Final = "="
"""In the JSON of `Walked.decided_by`: the latest decision of the row."""
CANONICAL_VERSION: Final = 1 << 32
"""Added to the version of rows keyed by wa_id digits: they outrank the rows of a pair that became a forwarding
address.
"""


class Base(NamedTuple):
    """What older, settled evidence left behind: the walk over it up to `until` (design 4, horizon).

    `decided_at`, `decided_by`: the latest word on the permission. `grant`: the fields of the grant that was held, in
    the core's order. `streak`: call id and instant of the unanswered calls in a row. `attempts`: requests known as
    sent.
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
    `dropped`: entries that were pushed out by a bound. `walked`: what was judged so far; None: walk again.
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


def judged(state: PairState, version: int, at: int, received_at: int) -> PairState:
    """The state as the next version, judged at `at`."""
    return PairState(state[0], state[1], version, at, state[4], received_at, *state[6:])


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


class StateUnreadable(Exception):
    """A stored state row is not one of ours: a damaged store or a foreign writer. Names no content."""


_KINDS: Final[tuple[Any, ...]] = (Decision, Request, Refusal, Call, Message)
_LISTS: Final = ("decisions", "requests", "refusals", "calls", "messages")
_FIRST, _LAST = PairState._fields.index(_LISTS[0]), PairState._fields.index(_LISTS[-1]) + 1


def encode_state(state: PairState) -> bytes:
    """The row as JSON. The bytes of equal states are equal."""
    row: dict[str, Any] = {
        "schema": SCHEMA,
        "version": state.version,
        "phone_number_id": state.phone_number_id,
        "user": state.user,
        "judged_at": state.judged_at,
        "recorded_at": state.recorded_at,
    }
    if state.due_at is not None:
        row["due_at"] = state.due_at
    lists: Sequence[Any] = state[_FIRST:_LAST]
    for name, kind, marks in zip(_LISTS, _KINDS, lists, strict=True):
        if marks:
            row[name] = marks.raw if marks.__class__ is Marks else marks_of(kind, marks).raw
    if state.aliases:
        row["aliases"] = state.aliases
    if state.dropped or state.late:
        row |= {"dropped": state.dropped, "late": state.late}
    if state.links:
        row["links"] = [tuple(mark) for mark in state.links]
    if state.base is not None:
        row["base"] = tuple(state.base)
    if state.walked is not None:
        row["walked"] = _shorter(state.walked, state.decisions)
    return orjson.dumps(row)


def decode_state(value: bytes) -> PairState:
    """The row of `encode_state`. Unknown keys are ignored; raises `StateUnreadable` on anything that is no state
    row.
    """
    try:
        row: dict[str, Any] = orjson.loads(value)
        if row["schema"] != SCHEMA:
            raise StateUnreadable(f"a state row of schema {row['schema']!r}; this program reads {SCHEMA}")
        get = row.get
        base, walked = get("base"), get("walked")
        decisions = unopened(Decision, row["decisions"]) if "decisions" in row else ()
        return PairState(
            row["phone_number_id"],
            row["user"],
            row["version"],
            row["judged_at"],
            get("due_at"),
            row["recorded_at"],
            decisions,
            unopened(Request, row["requests"]) if "requests" in row else (),
            unopened(Refusal, row["refusals"]) if "refusals" in row else (),
            unopened(Call, row["calls"]) if "calls" in row else (),
            unopened(Message, row["messages"]) if "messages" in row else (),
            tuple([Link(*mark) for mark in row["links"]]) if "links" in row else (),
            tuple(row["aliases"]) if "aliases" in row else (),
            _base(base) if base is not None else None,
            get("dropped", 0),
            get("late", 0),
            _walked(walked, decisions) if walked is not None else None,
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError) as fault:
        raise StateUnreadable("a state row that is not of this program's form") from fault


def _base(row: list[Any]) -> Base:
    base = Base(*row)
    return base._replace(
        flags=tuple(base.flags),
        grant=_grant(base.grant),
        streak=tuple((call_id, at) for call_id, at in base.streak),
    )


def _shorter(walked: Walked, decisions: Sequence[Decision]) -> Sequence[Any]:
    """What was walked, without the id of the word that decided where that is the latest one."""
    named = bool(decisions) and walked.decided_by == decisions[-1].id
    return (*walked[:3], LATEST, *walked[4:]) if named else walked[:]


def _walked(row: list[Any], decisions: Sequence[Decision]) -> Walked:
    by, since, reason, decided_by, flags, confirmed, grant, streak, priors = row
    row_of_calls = tuple([(call_id, at) for call_id, at in streak])
    if decided_by == LATEST:
        decided_by = decisions[-1].id
    return Walked(by, since, reason, decided_by, tuple(flags), confirmed, _grant(grant), row_of_calls, priors)


def _grant(fields: Sequence[Any] | None) -> tuple[Any, ...] | None:
    if fields is None:
        return None
    return tuple([tuple(part) if part.__class__ is list else part for part in fields])


def version_of(value: bytes) -> int:
    """The version of an encoded row without reading all of it; -1 when it is no row. Readers keep the higher one."""
    start = value.find(b'"version":', 0, 40)
    if start < 0:
        return -1
    end = value.find(b",", start)
    digits = value[start + 10 : end]
    return int(digits) if digits.isdigit() else -1


def row_version(state: PairState) -> int:
    """The version analytics rows of this state carry."""
    return state.version + (CANONICAL_VERSION if state.user.isdigit() else 0)

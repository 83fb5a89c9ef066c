"""`PairState`: the evidence of one pair, the value of `permission.state` and of the worker's table.

Owns the shape and its JSON. Evidence, not counters (design 4): each mark once, under an id derived from the
provider's, so that a fact met twice or late changes nothing it should not. Everything else (standing, windows,
classes) is computed from it.

The JSON keeps a mark as an array, in the order of its fields below, without the nulls at its end: a pair stays at some
hundred bytes. `version`, `judged_at`, `due_at`, `recorded_at` and `late` are bookkeeping: they depend on the order of
arrival, and comparisons of states leave them out.
"""

from typing import Any, Final, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.ids import Pair

SCHEMA: Final = 1
CANONICAL_VERSION: Final = 1 << 32
"""Added to the version of rows keyed by wa_id digits: they outrank the rows of a pair that became a forwarding
address.
"""
MAX_UNMATCHED: Final = 64
"""Messages with statuses that match no known request: the newest are kept (design 4)."""
MAX_MESSAGES: Final = 32
"""Messages of the user: the newest are kept (design 4)."""

What = Literal[
    "temporary",
    "permanent",
    "reject",
    "read_none",
    "read_temporary",
    "read_permanent",
    "refused_138017",
    "refused_138006",
    "moved_away",
    "moved_here",
]


class Decision(NamedTuple):
    """A word on the permission: a reply, a reading, an error that tells of it, a change of the user's number.

    `id`: the message or action id, or `#` and the fact's id where there is none. `opens`: what a reading says may be
    done, 1 a request, 2 a call, 3 both; None for anything else.
    """

    id: str
    at: int
    recorded_at: int
    what: What
    expires_at: int | None = None
    source: str | None = None
    context_id: str | None = None
    opens: int | None = None


class Request(NamedTuple):
    """A message of the business with what became of it; a known request once `sent_at` is known.

    Entries without `sent_at` hold statuses of messages that are, so far, no request of ours. `template` is name,
    language and category. `status_sent_at` is the provider's word, `sent_at` the action's.
    """

    message_id: str
    sent_at: int | None = None
    recorded_at: int | None = None
    kind: str | None = None
    template: tuple[str, str, str] | None = None
    campaign: str | None = None
    origin: str | None = None
    reservation_id: str | None = None
    status_sent_at: int | None = None
    delivered_at: int | None = None
    read_at: int | None = None
    failed_at: int | None = None
    error_code: int | None = None


class Refusal(NamedTuple):
    """A request or call that the provider did not take.

    `id`: the door and the action's id, as `request:<id>` or `call:<id>`: a caller may use one id at both doors.
    """

    id: str
    at: int
    recorded_at: int
    door: Literal["request", "call"]
    error_code: int
    retry_at: int | None = None
    campaign: str | None = None
    origin: str | None = None

    @property
    def action_id(self) -> str:
        """The action's id as it was reported."""
        return self.id.partition(":")[2]


class Call(NamedTuple):
    """One call with what became of it. `started_at` is exact, `accepted_at` the report of the pick-up."""

    call_id: str
    recorded_at: int
    direction: str | None = None
    offered_at: int | None = None
    ringing_at: int | None = None
    accepted_at: int | None = None
    started_at: int | None = None
    rejected_at: int | None = None
    terminated_at: int | None = None
    status: str | None = None
    ended_at: int | None = None
    duration_s: int | None = None
    error_code: int | None = None
    campaign: str | None = None
    origin: str | None = None
    reservation_id: str | None = None
    disposition: str | None = None
    disposed_at: int | None = None


class Message(NamedTuple):
    """A message of the user."""

    fact_id: str
    at: int


class Link(NamedTuple):
    """What names this business-scoped id the user `wa_id`; the earliest holds (design 7)."""

    at: int
    wa_id: str


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


class PairState(NamedTuple):
    """All marks of a pair, each list in its own fixed order: decisions by time and kind, the others by id.

    `judged_at`: the latest instant for which changes were announced and rows written; 0 before the first fact.
    `due_at`: when the grant that holds at `judged_at` runs out; None when nothing will.
    `recorded_at`: the latest receipt, the clock of the horizon. `late`: facts beyond the horizon, which change nothing.
    `dropped`: entries that were pushed out by a bound.
    """

    phone_number_id: str
    user: str
    version: int = 0
    judged_at: int = 0
    due_at: int | None = None
    recorded_at: int = 0
    decisions: tuple[Decision, ...] = ()
    requests: tuple[Request, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    calls: tuple[Call, ...] = ()
    messages: tuple[Message, ...] = ()
    links: tuple[Link, ...] = ()
    aliases: tuple[str, ...] = ()
    base: Base | None = None
    dropped: int = 0
    late: int = 0

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


class StateUnreadable(Exception):
    """A stored state row is not one of ours: a damaged store or a foreign writer. Names no content."""


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
    if state.decisions:
        row["decisions"] = [_short(mark) for mark in state.decisions]
    if state.requests:
        row["requests"] = [_short(mark) for mark in state.requests]
    if state.refusals:
        row["refusals"] = [_short(mark) for mark in state.refusals]
    if state.calls:
        row["calls"] = [_short(mark) for mark in state.calls]
    if state.messages:
        row["messages"] = [tuple(mark) for mark in state.messages]
    if state.links:
        row["links"] = [tuple(mark) for mark in state.links]
    if state.aliases:
        row["aliases"] = state.aliases
    if state.base is not None:
        row["base"] = tuple(state.base)
    if state.dropped:
        row["dropped"] = state.dropped
    if state.late:
        row["late"] = state.late
    return orjson.dumps(row)


def _short(mark: tuple[Any, ...]) -> tuple[Any, ...]:
    """The array without its empty end: most requests have no error, many no read."""
    last = len(mark)
    while mark[last - 1] is None:
        last -= 1
    return mark[:last]


def decode_state(value: bytes) -> PairState:
    """The row of `encode_state`. Unknown keys are ignored; raises `StateUnreadable` on anything that is no state
    row.
    """
    try:
        row: dict[str, Any] = orjson.loads(value)
        if row["schema"] != SCHEMA:
            raise StateUnreadable(f"a state row of schema {row['schema']!r}; this program reads {SCHEMA}")
        get = row.get
        base = get("base")
        return PairState(
            phone_number_id=row["phone_number_id"],
            user=row["user"],
            version=row["version"],
            judged_at=row["judged_at"],
            due_at=get("due_at"),
            recorded_at=row["recorded_at"],
            decisions=tuple([Decision(*mark) for mark in get("decisions", ())]),
            requests=tuple([_request(mark) for mark in get("requests", ())]),
            refusals=tuple([Refusal(*mark) for mark in get("refusals", ())]),
            calls=tuple([Call(*mark) for mark in get("calls", ())]),
            messages=tuple([Message(*mark) for mark in get("messages", ())]),
            links=tuple([Link(*mark) for mark in get("links", ())]),
            aliases=tuple(get("aliases", ())),
            base=_base(base) if base is not None else None,
            dropped=get("dropped", 0),
            late=get("late", 0),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError) as fault:
        raise StateUnreadable("a state row that is not of this program's form") from fault


def _request(mark: list[Any]) -> Request:
    if len(mark) > 4 and mark[4] is not None:
        mark[4] = tuple(mark[4])
    return Request(*mark)


def _base(row: list[Any]) -> Base:
    base = Base(*row)
    grant = base.grant
    return base._replace(
        flags=tuple(base.flags),
        grant=None if grant is None else tuple(tuple(part) if isinstance(part, list) else part for part in grant),
        streak=tuple((call_id, at) for call_id, at in base.streak),
    )


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

"""`PairState`: the evidence of one pair, the value of `permission.state` and of the worker's table.

Owns the shape and its JSON. Evidence, not counters (design 4): each mark once, under an id derived from the
provider's, so that a fact met twice or late changes nothing it should not. Everything else (standing, windows,
classes) is computed from it.

The JSON keeps a mark as an array, in the order of its fields below: a pair stays at some hundred bytes.
`version` and `judged_at` are bookkeeping: they depend on the order of arrival, and comparisons of states leave them
out.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.ids import Pair

SCHEMA: Final = 1
CANONICAL_VERSION: Final = 1 << 32
"""Added to the version of rows keyed by wa_id digits: they outrank the rows of a pair that became a forwarding
address.
"""


class Decision(NamedTuple):
    """A reply: who decided what, when, until when. `id` is the message id, or the fact's id where a dialect has
    none.
    """

    id: str
    at: int
    recorded_at: int
    accept: bool
    permanent: bool
    expires_at: int | None
    source: str | None
    context_id: str | None


class Request(NamedTuple):
    """A message of the business with what became of it; a known request once `sent_at` is known.

    Entries without `sent_at` hold statuses of messages that are, so far, no request of ours. `template` is name,
    language and category. `status_sent_at` is the provider's word, `sent_at` the action's.
    """

    message_id: str
    sent_at: int | None = None
    recorded_at: int | None = None
    kind: str = ""
    template: tuple[str, str, str] | None = None
    campaign: str | None = None
    origin: str | None = None
    reservation_id: str | None = None
    status_sent_at: int | None = None
    delivered_at: int | None = None
    read_at: int | None = None
    failed_at: int | None = None
    error_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairState:
    """All marks of a pair, each list in its own fixed order: decisions by time and kind, requests by message id.

    `judged_at`: the latest instant for which changes were announced and rows written; 0 before the first fact.
    `dropped`: status entries that were pushed out by the bound of `MAX_UNMATCHED`.
    """

    phone_number_id: str
    user: str
    version: int = 0
    judged_at: int = 0
    decisions: tuple[Decision, ...] = ()
    requests: tuple[Request, ...] = ()
    aliases: tuple[str, ...] = ()
    dropped: int = 0

    @property
    def pair(self) -> Pair:
        """Whose evidence this is."""
        return Pair(self.phone_number_id, self.user)

    def __repr__(self) -> str:
        return (
            f"PairState({self.pair!r} v{self.version}, {len(self.decisions)} decisions, {len(self.requests)} requests)"
        )


class StoredState(BaseModel):
    """The JSON of `encode_state`, for its JSON Schema. A request's array ends where only nulls would follow."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    schema_version: Literal[1] = Field(alias="schema")
    version: int
    phone_number_id: str
    user: str
    judged_at: int
    decisions: list[Decision]
    requests: list[Request]
    aliases: list[str]
    dropped: int


MAX_UNMATCHED: Final = 64
"""Messages with statuses that match no known request: the newest are kept (design 4)."""


class StateUnreadable(Exception):
    """A stored state row is not one of ours: a damaged store or a foreign writer. Names no content."""


def encode_state(state: PairState) -> bytes:
    """The row as JSON. The bytes of equal states are equal."""
    return orjson.dumps(
        {
            "schema": SCHEMA,
            "version": state.version,
            "phone_number_id": state.phone_number_id,
            "user": state.user,
            "judged_at": state.judged_at,
            "decisions": [tuple(mark) for mark in state.decisions],
            "requests": [_short(mark) for mark in state.requests],
            "aliases": state.aliases,
            "dropped": state.dropped,
        }
    )


def _short(mark: Request) -> tuple[Any, ...]:
    """The array without its empty end: most requests have no error, many no read."""
    last = len(mark)
    while last > 1 and mark[last - 1] is None:
        last -= 1
    return tuple(mark[:last])


def decode_state(value: bytes) -> PairState:
    """The row of `encode_state`. Unknown keys are ignored; raises `StateUnreadable` on anything that is no state
    row.
    """
    try:
        row: dict[str, Any] = orjson.loads(value)
        if row["schema"] != SCHEMA:
            raise StateUnreadable(f"a state row of schema {row['schema']!r}; this program reads {SCHEMA}")
        return PairState(
            phone_number_id=row["phone_number_id"],
            user=row["user"],
            version=row["version"],
            judged_at=row["judged_at"],
            decisions=tuple([Decision(*mark) for mark in row["decisions"]]),
            requests=tuple([_request(mark) for mark in row["requests"]]),
            aliases=tuple(row["aliases"]),
            dropped=row["dropped"],
        )
    except (orjson.JSONDecodeError, KeyError, TypeError) as fault:
        raise StateUnreadable("a state row that is not of this program's form") from fault


def _request(mark: list[Any]) -> Request:
    if len(mark) > 4 and mark[4] is not None:
        mark[4] = tuple(mark[4])
    return Request(*mark)


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

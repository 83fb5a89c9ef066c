"""The row of a pair: its state as JSON and back.

Owns the one text form of `PairState` (`schemas/state.py`), its version, and what can be read of a row without reading
all of it. Equal states have equal bytes.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from schemas.mark_lists import marks_of, unopened
from schemas.marks import Call, Decision, Link, Message, Refusal, Request
from schemas.state import Base, PairState, Walked

SCHEMA: Final = 1
LATEST: Final = "="
"""In the JSON of `Walked.decided_by`: the latest decision of the row."""
CANONICAL_VERSION: Final = 1 << 32
"""Added to the version of rows keyed by wa_id digits: they outrank the rows of a pair that became a forwarding
address.
"""
_INTEGERS: Final = ("version", "judged_at", "recorded_at", "dropped", "late")
_VERSION: Final = PairState._fields.index("version")
_JUDGED_AT: Final = PairState._fields.index("judged_at")
_DUE_AT: Final = PairState._fields.index("due_at")
_RECORDED_AT: Final = PairState._fields.index("recorded_at")
_DECIDED_BY: Final = Walked._fields.index("decided_by")
_GRANT: Final = Walked._fields.index("grant")
_LASTS: Final = (None, None)
_LASTING: Final = 9
"""A grant that lasts has this many fields in the JSON: how it ended is left out."""
_WALKED: Final = PairState._fields.index("walked")


class StateUnreadable(Exception):
    """A stored state row is not one of ours: a damaged store or a foreign writer. Names no content."""


def judged(state: PairState, version: int, at: int, received_at: int) -> PairState:
    """The state as the next version, judged at `at`."""
    fields: list[Any] = [*state]
    fields[_VERSION], fields[_JUDGED_AT], fields[_RECORDED_AT] = version, at, received_at
    return tuple.__new__(PairState, fields)


def continued(state: PairState, due_at: int | None, walked: Walked | None) -> PairState:
    """The state with what was judged of it."""
    fields: list[Any] = [*state]
    fields[_DUE_AT], fields[_WALKED] = due_at, walked
    return tuple.__new__(PairState, fields)


def with_field(state: PairState, place: int, value: Any) -> PairState:
    """The state with another value in the field at `place`: `_replace` at a fifth of its cost."""
    fields: list[Any] = [*state]
    fields[place] = value
    return tuple.__new__(PairState, fields)


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
    if decisions := state.decisions:
        row["decisions"] = marks_of(Decision, decisions).raw
    if requests := state.requests:
        row["requests"] = marks_of(Request, requests).raw
    if refusals := state.refusals:
        row["refusals"] = marks_of(Refusal, refusals).raw
    if calls := state.calls:
        row["calls"] = marks_of(Call, calls).raw
    if messages := state.messages:
        row["messages"] = marks_of(Message, messages).raw
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
        for name in _INTEGERS:
            if get(name, 0).__class__ is not int:
                raise TypeError(name)
        if row["phone_number_id"].__class__ is not str or row["user"].__class__ is not str:
            raise TypeError("pair")
        due_at, aliases = get("due_at"), get("aliases", ())
        if due_at is not None and due_at.__class__ is not int:
            raise TypeError("due_at")
        if any(alias.__class__ is not str for alias in aliases):
            raise TypeError("aliases")
        decisions = unopened(Decision, row["decisions"]) if "decisions" in row else ()
        fields = (
            row["phone_number_id"],
            row["user"],
            row["version"],
            row["judged_at"],
            due_at,
            row["recorded_at"],
            decisions,
            unopened(Request, row["requests"]) if "requests" in row else (),
            unopened(Refusal, row["refusals"]) if "refusals" in row else (),
            unopened(Call, row["calls"]) if "calls" in row else (),
            unopened(Message, row["messages"]) if "messages" in row else (),
            tuple([Link(*mark) for mark in row["links"]]) if "links" in row else (),
            tuple(aliases),
            _base(base) if base is not None else None,
            get("dropped", 0),
            get("late", 0),
            _walked(walked, decisions) if walked is not None else None,
        )
        return tuple.__new__(PairState, fields)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError) as fault:
        raise StateUnreadable("a state row that is not of this program's form") from fault


def _base(row: list[Any]) -> Base:
    until, reason, decided_by, decided_at, flags, confirmed, grant, streak, attempts, service_at = row
    calls = tuple([(call_id, at) for call_id, at in streak])
    told = tuple(flags)
    return Base(until, reason, decided_by, decided_at, told, confirmed, _grant(grant), calls, attempts, service_at)


def _shorter(walked: Walked, decisions: Sequence[Decision]) -> Sequence[Any]:
    """What was walked, without the id of the word that decided where that is the latest one."""
    fields: list[Any] = [*walked]
    if decisions and walked.decided_by == marks_of(Decision, decisions).raw[-1][0]:
        fields[_DECIDED_BY] = LATEST
    if walked.grant is not None and walked.grant[_LASTING:] == _LASTS:
        fields[_GRANT] = walked.grant[:_LASTING]
    return fields


def _walked(row: list[Any], decisions: Sequence[Decision]) -> Walked:
    by, since, reason, decided_by, flags, confirmed, grant, streak, priors = row
    if decided_by == LATEST:
        decided_by = marks_of(Decision, decisions).raw[-1][0]
    held = _grant(grant)
    if held is not None and len(held) == _LASTING:
        held = (*held, *_LASTS)
    calls = tuple([(call_id, at) for call_id, at in streak])
    return tuple.__new__(Walked, (by, since, reason, decided_by, tuple(flags), confirmed, held, calls, priors))


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

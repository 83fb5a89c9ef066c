"""The row of a pair: its state as JSON and back.

Owns the one text form of `PairState` (`schemas/state.py`), its version, and what can be read of a row without reading
all of it. Equal states have equal bytes. The lists of marks stand at the end of a row, in the order of `_LISTS`, so
that they can be found without being read: what is added to a row goes before them.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from schemas.mark_lists import Marks, StateUnreadable, filled, marks_of, unopened
from schemas.marks import Call, Decision, Link, Message, Refusal, Request
from schemas.state import Base, PairState, Proof, Walked

_LOADS: Final = orjson.loads  # as in `mark_lists`
_DUMPS: Final = orjson.dumps
SCHEMA: Final = 1
LATEST: Final = "="
"""In the JSON of `Walked.decided_by`: the latest decision of the row."""
CANONICAL_VERSION: Final = 1 << 32
"""Added to the version of rows keyed by wa_id digits: they outrank the rows of a pair that became a forwarding
address.
"""
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
_LISTS: Final[tuple[tuple[str, Any], ...]] = (
    ("decisions", Decision),
    ("requests", Request),
    ("refusals", Refusal),
    ("calls", Call),
    ("messages", Message),
)
_NAMES: Final = [name for name, _ in _LISTS]
_KINDS: Final = [kind for _, kind in _LISTS]
_KEYS: Final = [f',"{name}":'.encode() for name in _NAMES]
_QUOTED: Final = [f'"{name}"'.encode() for name in _NAMES]
_SPACED: Final = (b'" ', b'"\n', b'"\r', b'"\t')
"""A name may be written with escapes, too: then a space before its colon hides it."""
_OPENINGS: Final = [f',"{name}":[['.encode() for name in _NAMES]
"""Before the first mark of a list: lists that are empty are left out."""
_NO_LISTS: Final[tuple[Sequence[Any], ...]] = ((),) * len(_LISTS)
_NO_ROW: Final = (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What reading anything that is no row comes to."""
_NOT_OURS: Final = "a state row that is not of this program's form"


def judged(state: PairState, version: int, at: int, received_at: int) -> PairState:
    """The state as the next version, judged at `at`."""
    fields: list[Any] = list(state)
    fields[_VERSION], fields[_JUDGED_AT], fields[_RECORDED_AT] = version, at, received_at
    return filled(PairState, fields)


def continued(state: PairState, due_at: int | None, walked: Walked | None) -> PairState:
    """The state with what was judged of it."""
    fields: list[Any] = list(state)
    fields[_DUE_AT], fields[_WALKED] = due_at, walked
    return filled(PairState, fields)


def with_field(state: PairState, place: int, value: Any) -> PairState:
    """The state with another value in the field at `place`: `_replace` at a fifth of its cost."""
    fields: list[Any] = list(state)
    fields[place] = value
    return filled(PairState, fields)


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
    if state.aliases:
        row["aliases"] = state.aliases
    if state.dropped or state.late:
        row["dropped"], row["late"] = state.dropped, state.late
    if state.links:
        row["links"] = [tuple(mark) for mark in state.links]
    if state.base is not None:
        row["base"] = tuple(state.base) if state.base.asked is not None else state.base[:-1]
    if state.proof is not None:
        row["proof"] = [marks_of(kind, marks).raw for kind, marks in zip(_KINDS, state.proof, strict=False)]
    if state.walked is not None:
        row["walked"] = _shorter(state.walked, state.decisions)
    parts = [_DUMPS(row)[:-1]]
    lists = (state.decisions, state.requests, state.refusals, state.calls, state.messages)
    for place, marks in enumerate(lists):
        if marks:
            parts.append(_KEYS[place])
            parts.append(marks_of(_KINDS[place], marks).text)
    parts.append(b"}")
    return b"".join(parts)


def decode_state(value: bytes) -> PairState:
    """The row of `encode_state`, all of it. Unknown keys are ignored; raises `StateUnreadable` on anything that is no
    state row.
    """
    try:
        row: dict[str, Any] = _LOADS(value)
        lists = [unopened(kind, row[name]) if name in row else () for name, kind in _LISTS]
        state = _state(row, lists)
        return state if state.walked is None else with_field(state, _WALKED, decider_named(state.walked, lists[0]))
    except _NO_ROW as fault:
        raise StateUnreadable(_NOT_OURS) from fault


def open_state(value: bytes) -> PairState:
    """The row of `encode_state`, its lists unread: what is wrong in one is told when it is looked into, as
    `StateUnreadable`. `walked` may name the word that decided as the latest one (`decider_named`). A row of any other
    form is read as `decode_state` does.
    """
    try:
        state = _opened(value)
    except _NO_ROW:
        state = None
    if state is None:
        return decode_state(value)
    if state.walked is not None and state.walked.decided_by == LATEST and not state.decisions:
        raise StateUnreadable(_NOT_OURS)
    return state


def _opened(value: bytes) -> PairState | None:
    """The row with its lists unread; None where it is not of the form that `encode_state` gives.

    A quote inside of a text is escaped: so what opens a list opens it, and what opens one within something else leaves
    a head that is no JSON. Where a key stands behind the head that opens no list, something is there that is not ours.
    """
    lists, head, held, begin, found = list(_NO_LISTS), value, -1, 0, 0
    for place in range(len(_KEYS)):
        at = value.find(_OPENINGS[place], begin)
        if at < 0:
            if _is_key(value, place, begin):
                return None
            continue
        if held < 0:
            head = value[:at] + b"}"
        elif not _put(lists, held, value[begin:at]):
            return None
        held, begin = place, at + len(_KEYS[place])
        found += 1
    if held >= 0 and not (value.endswith(b"}") and _put(lists, held, value[begin:-1])):
        return None
    start = len(head) - 1
    if value.count(b'":', start) != found:
        return None
    if value.find(b"\\", start) >= 0 and any(value.find(spaced, start) >= 0 for spaced in _SPACED):
        return None
    row: dict[str, Any] = _LOADS(head)
    return _state(row, lists) if row.keys().isdisjoint(_NAMES) else None


def _put(lists: list[Sequence[Any]], place: int, text: bytes) -> bool:
    """Whether the text ends as a list does; then it stands in its place, unread."""
    if not text.endswith(b"]]"):
        return False
    lists[place] = Marks(_KINDS[place], None, text=text)
    return True


def _is_key(value: bytes, place: int, begin: int) -> bool:
    """Whether the name of a list stands behind `begin` as anything but a text of a mark: a key in another form than
    ours.
    """
    name = _QUOTED[place]
    at = value.find(name, begin)
    while at >= 0:
        if value[at + len(name) : at + len(name) + 1] not in (b",", b"]"):
            return True
        at = value.find(name, at + 1)
    return False


def _state(row: dict[str, Any], lists: Sequence[Sequence[Any]]) -> PairState:
    if row["schema"] != SCHEMA:
        raise StateUnreadable(f"a state row of schema {row['schema']!r}; this program reads {SCHEMA}")
    number, user, due_at = row["phone_number_id"], row["user"], row.get("due_at")
    version, judged_at, recorded_at = row["version"], row["judged_at"], row["recorded_at"]
    aliases, dropped, late = row.get("aliases", ()), row.get("dropped", 0), row.get("late", 0)
    if not (type(version) is type(judged_at) is type(recorded_at) is type(dropped) is type(late) is int):
        raise TypeError("no integer")
    if due_at is not None and type(due_at) is not int:
        raise TypeError("no integer")
    if not type(number) is type(user) is str:
        raise TypeError("no text")
    for alias in aliases:
        if type(alias) is not str:
            raise TypeError("no text")
    decisions, requests, refusals, calls, messages = lists
    base, walked, proof = row.get("base"), row.get("walked"), row.get("proof")
    fields = (
        number,
        user,
        version,
        judged_at,
        due_at,
        recorded_at,
        decisions,
        requests,
        refusals,
        calls,
        messages,
        tuple([Link(*mark) for mark in row["links"]]) if "links" in row else (),
        tuple(aliases),
        _base(base) if base is not None else None,
        dropped,
        late,
        _walked(walked) if walked is not None else None,
        _proof(proof) if proof is not None else None,
    )
    return filled(PairState, fields)


def _base(row: list[Any]) -> Base:
    asked = row.pop() if len(row) == len(Base._fields) else None
    until, reason, decided_by, decided_at, flags, confirmed, grant, streak, attempts, service_at = row
    calls = tuple([(call_id, at) for call_id, at in streak])
    told = tuple(flags)
    return Base(
        until, reason, decided_by, decided_at, told, confirmed, _grant(grant), calls, attempts, service_at, asked
    )


def _proof(row: list[Any]) -> Proof:
    decisions, requests, refusals, calls = row
    return Proof(
        unopened(Decision, decisions), unopened(Request, requests), unopened(Refusal, refusals), unopened(Call, calls)
    )


def _shorter(walked: Walked, decisions: Sequence[Decision]) -> Sequence[Any]:
    """What was walked, without the id of the word that decided where that is the latest one."""
    fields: list[Any] = list(walked)
    if walked.decided_by is not None and walked.decided_by != LATEST and decisions:
        marks = marks_of(Decision, decisions)
        # Of a list that nobody opened it is not the latest: this encoder would have said so.
        if marks.is_opened and walked.decided_by == marks.raw[-1][0]:
            fields[_DECIDED_BY] = LATEST
    if walked.grant is not None and walked.grant[_LASTING:] == _LASTS:
        fields[_GRANT] = walked.grant[:_LASTING]
    return fields


def decider_named(walked: Walked, decisions: Sequence[Decision]) -> Walked:
    """`walked` with the id of the word that decided, also where that is the latest one."""
    if walked.decided_by != LATEST:
        return walked
    fields: list[Any] = list(walked)
    fields[_DECIDED_BY] = marks_of(Decision, decisions).raw[-1][0]
    return filled(Walked, fields)


def _walked(row: list[Any]) -> Walked:
    by, since, reason, decided_by, flags, confirmed, grant, streak, priors = row
    held = _grant(grant)
    if held is not None:
        if len(held) == _LASTING:
            held = (*held, *_LASTS)
        elif len(held) != _LASTING + len(_LASTS):
            raise TypeError("no grant")
    calls = tuple([(call_id, at) for call_id, at in streak])
    return filled(Walked, (by, since, reason, decided_by, tuple(flags), confirmed, held, calls, priors))


def _grant(fields: Sequence[Any] | None) -> tuple[Any, ...] | None:
    if fields is None:
        return None
    return tuple([tuple(part) if type(part) is list else part for part in fields])


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

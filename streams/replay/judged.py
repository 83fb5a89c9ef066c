"""What is printed of a judged pair: a standing line, and rows of its requests, grants and calls (design 13).

Owns the field lists of these outputs. They are the rows of analytics without their bookkeeping, judged at the instant
asked.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from schemas.ids import Pair
from schemas.policy import Policy
from schemas.state import PairState
from streams.permission.answer import answer
from streams.permission.calls import begun_at
from streams.permission.number import Number
from streams.permission.rows import call_row, grant_row, request_row
from streams.permission.standing import Timeline, timeline

Row = dict[str, Any]
RowKind = Literal["requests", "grants", "calls"]
_FIELDS: Final[dict[RowKind, tuple[str, tuple[str, ...]]]] = {
    "requests": (
        "request_id",
        (
            *("kind", "template_name", "template_language", "template_category", "campaign", "origin"),
            *("attempt", "prior", "sent_at", "delivered_at", "read_at", "failed_at", "error_code"),
            *("first_response", "first_response_at", "last_response", "last_response_at"),
            *("superseded_at", "expires_at", "final_class"),
        ),
    ),
    "grants": (
        "grant_id",
        (
            *("request_id", "kind", "via", "source", "confirmed", "granted_at", "expires_at", "ended_at"),
            *("end_cause", "flags"),
        ),
    ),
    "calls": (
        "call_id",
        (
            *("direction", "outcome", "started_at", "connected_at", "ended_at", "duration_s", "pulses"),
            *("campaign", "disposition"),
        ),
    ),
}
_PRINTED: Final = {"template_category": "category"}


def standing_line(state: PairState, at: int, policy: Policy, number: Number, asked_as: str | None = None) -> Row:
    """The judged pair. `asked_as`: the other name it was asked by."""
    named = {"phone_number_id": state.phone_number_id, "user": state.user}
    if asked_as is not None:
        named["asked_as"] = asked_as
    return named | answer(state, at, policy, number)


def rows(kind: RowKind, state: PairState, at: int, policy: Policy, number: Number) -> Iterator[Row]:
    """The rows of a pair in the order of time."""
    line = timeline(state, at, policy, number)
    name, fields = _FIELDS[kind]
    pair = {"phone_number_id": state.phone_number_id, "user": state.user}
    for row in _ROWS[kind](line):
        yield {name: row[name]} | pair | {_PRINTED.get(field, field): row[field] for field in fields}


def _requests(line: Timeline) -> list[Row]:
    return [request_row(life) for life in sorted(line.lives, key=lambda life: (life.anchor_at, life.request_id))]


def _grants(line: Timeline) -> list[Row]:
    return [grant_row(grant) for grant in sorted(line.grants, key=lambda grant: (grant.granted_at, grant.grant_id))]


def _calls(line: Timeline) -> list[Row]:
    return [call_row(call) for call in sorted(line.state.calls, key=lambda call: (begun_at(call), call.call_id))]


_ROWS: Final[dict[RowKind, Callable[[Timeline], list[Row]]]] = {
    "requests": _requests,
    "grants": _grants,
    "calls": _calls,
}


def nothing_of(pair: Pair) -> PairState:
    """The state of a pair that was never seen."""
    return PairState(phone_number_id=pair.phone_number_id, user=pair.user)

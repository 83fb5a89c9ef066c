"""The fold of one fact by itself, for programs that get one event at a time: what a plain agent would write.

The same pure functions as the worker's, without its batch: the row is read, judged and encoded for each fact.
"""

from typing import NamedTuple

from schemas.changes import encode_change
from schemas.codec import decode_fact
from schemas.envelope import Headers, cloud_event
from schemas.events import PairFact
from schemas.ids import Pair, derived_id
from schemas.policy import DEFAULT_POLICY
from schemas.records import encode_record
from schemas.state import PairState
from schemas.state_row import encode_state, open_state
from streams.permission.number import Number, number_in
from streams.permission.step import step

_numbers: dict[str, Number] = {}


class Told(NamedTuple):
    """One output record."""

    value: bytes
    headers: Headers


class One(NamedTuple):
    """What one fact comes to. `row`: None when it changed nothing."""

    row: bytes | None
    changes: list[Told]
    record: Told | None


def fold_one(value: bytes, stored: bytes | None) -> One:
    fact = decode_fact(value)
    assert isinstance(fact, PairFact), "the past holds facts of pairs"
    pair = Pair(fact.phone_number_id, fact.user)
    number = _numbers.get(pair.phone_number_id)
    if number is None:
        number = _numbers[pair.phone_number_id] = number_in(DEFAULT_POLICY, pair.phone_number_id)
    before = PairState(phone_number_id=pair[0], user=pair[1]) if stored is None else open_state(stored)
    done = step(before, fact, DEFAULT_POLICY, number)
    if done.repeated or done.state is before:
        return One(None, [], None)
    state = done.state
    changes = [
        Told(
            encode_change(change),
            cloud_event(
                id=change["change_id"],
                kind=change["type"].replace("permission_", "permission."),
                source="worker",
                at=change["occurred_at"],
            ),
        )
        for change in done.changes
    ]
    record = None
    if done.record is not None:
        event_id = derived_id("record", pair.text, state.version, state.judged_at)
        headers = cloud_event(id=event_id, kind="permission.record", source="worker", at=state.judged_at)
        record = Told(encode_record(done.record), headers)
    return One(encode_state(state), changes, record)

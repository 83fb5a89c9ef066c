"""Records as this room sees them: what arrives, what goes out, and a state row on `permission.state`. Pure.

Owns the two headers of a state row that spare recovery the reading of values. Refuses to know a topic's full name.
"""

from typing import Final, NamedTuple, Protocol

from schemas.envelope import Headers, cloud_event, header
from schemas.ids import derived_id
from schemas.policy import Policy
from schemas.state import PairState, StateUnreadable, decode_state, version_of
from streams.permission.number import number_in
from streams.permission.step import deadline_of

VERSION: Final = "version"
DUE_AT: Final = "due_at"
"""When the grant of a state row will run out, epoch seconds; absent when nothing will."""


class Arrival(Protocol):
    """A record as the client gives it."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers | tuple[tuple[str, bytes], ...]: ...


class Row(NamedTuple):
    """One record to be: key, value (None: a tombstone) and headers."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def state_headers(state: PairState, due_at: int | None) -> Headers:
    """The headers of a state row. A deadline that passed moves `judged_at` alone, so both make the id."""
    event_id = derived_id("state", state.pair.text, state.version, state.judged_at)
    headers = cloud_event(id=event_id, kind="pair_state", source="worker", at=state.judged_at)
    headers.append((VERSION, str(state.version).encode()))
    if due_at is not None:
        headers.append((DUE_AT, str(due_at).encode()))
    return headers


def again(key: bytes, value: bytes | None, policy: Policy) -> Row:
    """A stored row as a record once more: what else wrote under its key is overwritten with it."""
    if value is None:
        return Row(key, None, [])
    try:
        state = decode_state(value)
    except StateUnreadable:  # as it was found: recovery took it by this header alone
        return Row(key, value, [(VERSION, str(max(version_of(value), 0)).encode())])
    due_at = deadline_of(state, policy, number_in(policy, state.phone_number_id))
    return Row(key, value, state_headers(state, due_at))


def version_on(arrival: Arrival) -> int:
    """The version of a state row that came back; -1 when it is none."""
    text = header(arrival.headers, VERSION)
    return int(text) if text is not None and text.isdigit() else version_of(arrival.value or b"")


def due_on(arrival: Arrival, policy: Policy) -> int | None:
    """When the grant of a state row that came back runs out. Reads the value only of a row without our headers."""
    text = header(arrival.headers, DUE_AT)
    if text is not None and text.isdigit():
        return int(text)
    if arrival.value is None or header(arrival.headers, VERSION) is not None:
        return None
    try:
        state = decode_state(arrival.value)
    except StateUnreadable:  # the fold says so when a fact of that pair comes
        return None
    return deadline_of(state, policy, number_in(policy, state.phone_number_id))

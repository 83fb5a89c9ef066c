"""Records as this room sees them: what arrives, what goes out, and the rows of the two state topics. Pure.

Owns the two headers of a state row that spare recovery the reading of values. Refuses to know a topic's full name.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from schemas.business import BusinessState, BusinessUnreadable, decode_business
from schemas.envelope import AnyHeaders, Headers, cloud_event
from schemas.ids import BUSINESS_SCOPED_ID, PHONE_NUMBER_ID, WA_ID, derived_id, pair_text
from schemas.mark_lists import StateUnreadable
from schemas.policy import Policy
from schemas.state import PairState
from schemas.state_row import decode_state, version_of
from streams.permission.number import Number
from streams.permission.step import deadline_of

VERSION: Final = "version"
DUE_AT: Final = "due_at"
"""When the grant of a state row will run out, epoch seconds; absent when nothing will."""


_ZERO: Final = ord("0")
_PAIR: Final = re.compile(
    f"{PHONE_NUMBER_ID.pattern}/(?:{WA_ID.pattern}|{BUSINESS_SCOPED_ID.pattern})".encode()
).fullmatch
"""What `parse_pair` takes, of bytes as they are: recovery asks it of every row."""


NumberOf = Callable[[str], Number]
"""What is known of a business number at this moment."""


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
    def headers(self) -> AnyHeaders: ...


class Row(NamedTuple):
    """One record to be: key, value (None: a tombstone) and headers."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def state_headers(state: PairState, due_at: int | None) -> Headers:
    """The headers of a state row. A deadline that passed moves `judged_at` alone, so both make the id."""
    event_id = derived_id("state", pair_text(state.phone_number_id, state.user), state.version, state.judged_at)
    headers = cloud_event(id=event_id, kind="pair_state", source="worker", at=state.judged_at)
    headers.append((VERSION, str(state.version).encode()))
    if due_at is not None:
        headers.append((DUE_AT, str(due_at).encode()))
    return headers


def number_headers(state: BusinessState) -> Headers:
    """The headers of a row of `business.state`."""
    event_id = derived_id("business_state", state.name, state.version)
    headers = cloud_event(id=event_id, kind="business_state", source="worker", at=state.recorded_at)
    headers.append((VERSION, str(state.version).encode()))
    return headers


def version_told(told: bytes | None, value: bytes) -> int:
    """The version of a state row that came back; -1 when it is none. `told`: its header of that name."""
    if told is None or not told.isdigit():
        return version_of(value)
    return told[0] - _ZERO if len(told) == 1 else int(told)


class RowForm(Protocol):
    """What a table must know of its rows."""

    def is_key(self, key: bytes) -> bool:
        """Whether a row may stand under the key."""

    def again(self, key: bytes, value: bytes | None) -> Row:
        """A stored row as a record once more: what else wrote under its key is overwritten with it."""

    def due_on(self, value: bytes, version: bytes | None, due_at: bytes | None) -> int | None:
        """When something of a row that came back runs out: what the time index keeps. Value, and what its headers
        `VERSION` and `DUE_AT` say.
        """


@dataclass(frozen=True, slots=True)
class PairRows:
    """Rows of `permission.state`."""

    policy: Policy
    number_of: NumberOf

    def is_key(self, key: bytes) -> bool:
        """A pair."""
        return _PAIR(key) is not None

    def again(self, key: bytes, value: bytes | None) -> Row:
        """The row with its headers made anew."""
        if value is None:
            return Row(key, None, [])
        try:
            state = decode_state(value)
        except StateUnreadable:
            return _as_found(key, value)
        return Row(key, value, state_headers(state, self._deadline(state)))

    def due_on(self, value: bytes, version: bytes | None, due_at: bytes | None) -> int | None:
        """When the grant runs out. Reads the value only of a row without our headers."""
        if due_at is not None and due_at.isdigit():
            return int(due_at)
        if version is not None:
            return None
        try:
            state = decode_state(value)
        except StateUnreadable:  # the fold says so when a fact of that pair comes
            return None
        return self._deadline(state)

    def _deadline(self, state: PairState) -> int | None:
        return deadline_of(state, self.policy, self.number_of(state.phone_number_id))


class NumberRows:
    """Rows of `business.state`. Nothing of a number is announced when it runs out."""

    def is_key(self, key: bytes) -> bool:
        """An id, a display number or an account: a name without a pair's separator."""
        return bool(key) and b"/" not in key

    def again(self, key: bytes, value: bytes | None) -> Row:
        """The row with its headers made anew."""
        if value is None:
            return Row(key, None, [])
        try:
            state = decode_business(value)
        except BusinessUnreadable:
            return _as_found(key, value)
        return Row(key, value, number_headers(state))

    def due_on(self, value: bytes, version: bytes | None, due_at: bytes | None) -> int | None:  # noqa: ARG002
        """Never."""
        return None


def _as_found(key: bytes, value: bytes) -> Row:
    """A row that cannot be read, with the header by which alone recovery took it."""
    return Row(key, value, [(VERSION, str(max(version_of(value), 0)).encode())])

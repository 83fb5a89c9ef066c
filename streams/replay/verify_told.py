"""What stands on `permission.changes` of one pair, made comparable with what a fold announces.

Owns the reading of one announcement. Its id is derived from all it says, so an id that does not fit its content is a
fault by itself. Its `version` counts stored changes of a row, and a fact beyond the horizon that was delivered again
counts again; so what is compared is everything else it says, but of a passed deadline only which one: what it says of
the rest depends on when it was found. That it tells of a grant that ran out just then is looked at beside its id, which
does not hold it. Refuses to fold.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson
from pydantic import ValidationError

from schemas.changes import Change, change_id
from schemas.codec import canonical
from schemas.ids import Pair

_BOOKKEEPING: Final = frozenset({"change_id", "version"})
_NEEDED: Final = frozenset(
    {"change_id", "version", "fact_id", "occurred_at", "phone_number_id", "user", "type", "data"}
)


class Told(NamedTuple):
    """One announcement. `said`: digest of its content. `fact_id`: None when a deadline passed, at `at`."""

    said: bytes
    fact_id: str | None
    version: int
    at: int
    change_id: str
    type: str


class NotOne(Exception):
    """A record of `permission.changes` that is no announcement of its pair, or not the one its id names."""


@dataclass(slots=True)
class Heard:
    """The announcements of one pair. `repeated`: records whose id had come before, as after a crash."""

    by_fact: dict[str, list[Told]] = field(default_factory=dict)
    deadlines: list[Told] = field(default_factory=list)
    times: Counter[bytes] = field(default_factory=Counter)
    """How many different announcements say the same."""
    types: dict[bytes, str] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    repeated: int = 0

    def take(self, one: Told) -> None:
        """One more, in the order of the topic."""
        if one.fact_id is None:  # after a crash perhaps at a later version of the pair
            self.deadlines.append(one)
        if one.change_id in self.ids:
            self.repeated += 1
            return
        self.ids.add(one.change_id)
        self.times[one.said] += 1
        self.types[one.said] = one.type
        if one.fact_id is not None:
            self.by_fact.setdefault(one.fact_id, []).append(one)

    def of_deadline(self, at: int) -> Iterator[Told]:
        """Those that say that a grant ran out at `at`."""
        return (one for one in self.deadlines if one.at == at)


def said_in(change: Mapping[str, Any]) -> bytes:
    """The digest of what an announcement says; of a passed deadline it is which one."""
    if change["fact_id"] is None:
        return blake2b(change_id(dict(change)).encode(), digest_size=16).digest()
    told = {name: value for name, value in change.items() if name not in _BOOKKEEPING}
    return blake2b(canonical(told), digest_size=16).digest()


def told_of(key: bytes | None, value: bytes | None) -> Told:
    """The announcement of a record. Raises `NotOne`."""
    try:
        change = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        raise NotOne("its value is not JSON") from None
    if not isinstance(change, dict) or not change.keys() >= _NEEDED:
        raise NotOne("its value is no announcement")
    if key != Pair(change["phone_number_id"], change["user"]).key:
        raise NotOne("its key is not the pair it tells of")
    if change["fact_id"] is None:
        _check_deadline(change)
    if change["change_id"] != change_id({name: said for name, said in change.items() if name != "change_id"}):
        raise NotOne("its id is not derived from what it says")
    return Told(
        said_in(change),
        change["fact_id"],
        change["version"],
        change["occurred_at"],
        change["change_id"],
        change["type"],
    )


def _check_deadline(said: Mapping[str, Any]) -> None:
    """Raise `NotOne` where it does not say that a temporary permission ran out at the instant it names."""
    try:
        change = Change.model_validate(said, strict=True)
    except ValidationError:
        raise NotOne("its value is no announcement") from None
    if "grant_id" not in change.data:
        raise NotOne("it names no grant whose deadline passed")
    before, after = change.before, change.after
    held = (before.permission.status, before.permission.expiration_time)
    if (change.type, change.cause, held, after.permission.status) != (
        "permission_expired",
        "expired",
        ("temporary", change.occurred_at),
        "no_permission",
    ):
        raise NotOne("it does not say of a grant that it ran out at its deadline")

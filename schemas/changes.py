"""Changes: announcements that a standing changed. The values of `permission.changes`.

Owns the shape and the id. An id is derived from what the announcement says, so a repeated batch repeats ids, and no
id ever has two contents. But that of a passed deadline is derived from the grant and the deadline alone: a timer and a
late fact announce the same, and so does a timer that comes again after a crash, when other facts came before it
(design 6). What the announcement says of everything else may then be newer.
"""

from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from schemas.answers import JudgedPermission
from schemas.codec import canonical
from schemas.ids import derived_from, derived_id

ChangeType = Literal[
    "permission_granted",
    "permission_extended",
    "permission_declined",
    "permission_revoked",
    "permission_expired",
    "user_nudged",
    "streak_at_risk",
    "limit_reached",
    "drift_detected",
    "anomaly_raised",
    "pair_merged",
]
CHANGE_VERSION: Final = 1


class Change(BaseModel):
    """One announcement. `fact_id`: the fact that caused it, None when a deadline passed. `version`: of the pair's
    state row.

    `occurred_at`: of the fact, or the deadline that passed; epoch seconds on the provider's clock.
    """

    model_config = ConfigDict(extra="forbid")

    change_id: str
    type: ChangeType
    phone_number_id: str
    user: str
    occurred_at: int
    cause: str
    before: JudgedPermission
    after: JudgedPermission
    fact_id: str | None
    version: int
    data: dict[str, Any]


def change_id(fields: dict[str, Any]) -> str:
    """The id of a change from everything else it says; that of a passed deadline from the pair, the grant and the
    deadline.
    """
    if fields["fact_id"] is None:
        grant_id = fields["data"]["grant_id"]
        return derived_id("deadline", fields["phone_number_id"], fields["user"], grant_id, fields["occurred_at"])
    return derived_from("change", canonical(fields))


def encode_change(change: dict[str, Any]) -> bytes:
    """A change as the value of its record."""
    return orjson.dumps(change)

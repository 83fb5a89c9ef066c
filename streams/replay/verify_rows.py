"""Rows of analytics, made comparable: which fields count, one digest a row, one sum a pair.

Owns what of a row is compared: all but its version, and but what only the clock ends (an open request that is over, a
temporary grant that ran out): a row is told by facts and the views judge it by the clock, so a row told later says it
another way. Digests are made of a plain text, so that a store can make the same of what it holds (`TABLES` says how).
Also the day a row is filed under: of an id a store keeps one row a day, whoever it is told of. Refuses to know any
store.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any, Final, Literal, NamedTuple

TableName = Literal["facts", "requests", "grants", "calls"]
Kind = Literal["text", "whole", "instant", "flag", "texts"]

SEPARATOR: Final = "\x1f"
RAN_OUT: Final = "expired"
NO_RESPONSE: Final = "expired_no_response"
DAY_S: Final = 86_400
_MOST: Final = (1 << 64) - 1


class Form(NamedTuple):
    """A table: what names a row in it, the instant that files it under a day, and the fields that are compared."""

    id: str
    filed_at: str
    fields: tuple[tuple[str, Kind], ...]


TABLES: Final[dict[TableName, Form]] = {
    "facts": Form("fact_id", "occurred_at", (("type", "text"),)),
    "requests": Form(
        "request_id",
        "anchor_at",
        (
            *((name, "text") for name in ("kind", "template_name", "template_language", "template_category")),
            ("campaign", "text"),
            ("origin", "text"),
            ("attempt", "whole"),
            ("prior", "text"),
            *((name, "instant") for name in ("anchor_at", "sent_at", "delivered_at", "read_at", "failed_at")),
            ("error_code", "whole"),
            ("first_response", "text"),
            ("first_response_at", "instant"),
            ("last_response", "text"),
            ("last_response_at", "instant"),
            ("superseded_at", "instant"),
            ("expires_at", "instant"),
            ("final_class", "text"),
        ),
    ),
    "grants": Form(
        "grant_id",
        "granted_at",
        (
            *((name, "text") for name in ("request_id", "kind", "via", "source")),
            ("confirmed", "flag"),
            ("flags", "texts"),
            *((name, "instant") for name in ("granted_at", "expires_at", "ended_at")),
            ("end_cause", "text"),
        ),
    ),
    "calls": Form(
        "call_id",
        "anchor_at",
        (
            ("direction", "text"),
            ("outcome", "text"),
            *((name, "instant") for name in ("anchor_at", "started_at", "connected_at", "ended_at")),
            ("duration_s", "whole"),
            ("pulses", "whole"),
            ("campaign", "text"),
            ("disposition", "text"),
        ),
    ),
}


class Sum(NamedTuple):
    """So many rows of a pair in a table, and the sum of their digests."""

    rows: int = 0
    digests: int = 0

    def __add__(self, other: Any) -> "Sum":
        return Sum(self.rows + other.rows, (self.digests + other.digests) & _MOST)


Sums = dict[TableName, Sum]


@dataclass(slots=True)
class Rows:
    """The newest form of each row of one pair: by table and id its digest."""

    digests: dict[tuple[TableName, str], int] = field(default_factory=dict)
    days: dict[tuple[TableName, str], tuple[int, ...]] = field(default_factory=dict)
    """By table and id the days since 1970 it is filed under: one, but for a fact that was told again as earlier."""
    _versions: dict[tuple[TableName, str], int] = field(default_factory=dict)

    def take(self, record: Mapping[str, Any]) -> None:
        """The rows of one step, as it told them or as they stand in a record."""
        if (fact := record.get("fact")) is not None:
            told: tuple[TableName, str] = ("facts", fact["fact_id"])
            self.digests[told] = digest("facts", fact)
            self.days[told] = tuple({*self.days.get(told, ()), _day("facts", fact)})
        for table in ("requests", "grants", "calls"):
            for row in record.get(table, ()):
                self._take(table, row)

    def sums(self) -> Sums:
        """Of all tables."""
        found: Sums = {}
        for (table, _), one in self.digests.items():
            found[table] = found.get(table, Sum()) + Sum(1, one)
        return found

    def _take(self, table: TableName, row: Mapping[str, Any]) -> None:
        name = (table, row[TABLES[table].id])
        version: int = row["version"]
        if version < self._versions.get(name, 0):
            return
        self._versions[name] = version
        if row["is_deleted"]:
            self.digests.pop(name, None)
            self.days.pop(name, None)
        else:
            self.digests[name] = digest(table, row)
            self.days[name] = (_day(table, row),)


def digest(table: TableName, row: Mapping[str, Any]) -> int:
    """The digest of a row: the first half of MD5 over its fields as text."""
    form = TABLES[table]
    fields = [str(row[form.id]), *(_text(table, row, name, kind) for name, kind in form.fields)]
    return int.from_bytes(md5(SEPARATOR.join(fields).encode(), usedforsecurity=False).digest()[:8], "big")


def _day(table: TableName, row: Mapping[str, Any]) -> int:
    return int(row[TABLES[table].filed_at] or 0) // DAY_S


def differing(one: Sums, other: Sums, tables: Iterable[TableName] = tuple(TABLES)) -> list[TableName]:
    """The tables in which two pairs of sums differ."""
    return [table for table in tables if one.get(table, Sum()) != other.get(table, Sum())]


def _text(table: TableName, row: Mapping[str, Any], name: str, kind: Kind) -> str:
    value = row[name]
    if table == "requests" and name == "final_class" and value == NO_RESPONSE:
        return "open"
    if table == "grants" and name in ("ended_at", "end_cause") and row["end_cause"] == RAN_OUT:
        value = None
    match kind:
        case "text":
            return value or ""
        case "whole" | "instant" | "flag":
            return str(int(value or 0))
        case "texts":
            return ",".join(value)

"""What `verify` found: how much was compared, what differs, what was not looked at and why.

Owns the kinds of difference, their counts and the first few of each. A pair is named by its partition and a digest of
its key unless somebody asks for more: a key holds a phone number. Refuses to compare.
"""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from schemas.ids import partition_of

FIRST: Final = 5
REMEMBERED: Final = 1_000
"""Details kept of each kind, so that some are left when pairs in motion are taken out."""

CHECKS: Final[dict[str, str]] = {
    "state": "permission.state: the table of pairs",
    "store": "local stores of workers",
    "numbers": "business.state: the table of numbers",
    "changes": "permission.changes: announcements",
    "forwards": "facts handed on between names",
    "records": "permission.records: rows told",
    "rows": "ClickHouse: rows stored",
    "answers": "answers of the api",
}
KINDS: Final[dict[str, str]] = {
    "state.missing": "a pair of the log has no row",
    "state.invented": "a row no fact leads to",
    "state.unreadable": "a row that is no state of its pair",
    "state.evidence": "a row with other evidence",
    "state.standing": "a row that stands otherwise",
    "store.missing": "a row of the topic is not in the store",
    "store.invented": "the store has a row the topic has not",
    "store.differs": "the store has another row than the topic",
    "numbers.missing": "a number of the log has no row",
    "numbers.invented": "a row no fact leads to",
    "numbers.differs": "a row with other evidence",
    "changes.lost": "not announced",
    "changes.invented": "announced, and nothing in the log led to it",
    "changes.doubled": "announced again under another id",
    "changes.content": "an announcement that is not what its id or key says",
    "changes.overdue": "a grant ran out and nobody announced it",
    "forwards.lost": "a fact is not in the log of the canonical pair",
    "records.differs": "other rows than the log leads to",
    "records.unreadable": "a record that is none",
    "rows.differs": "other rows than the log leads to",
    "answers.differs": "another answer than the log leads to",
}


@dataclass(slots=True)
class Findings:
    """Differences by kind. `compared`: by check how many were compared; `words`: by check what else is to be said."""

    compared: Counter[str] = field(default_factory=Counter)
    words: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """By check why nothing was compared."""
    _found: dict[str, dict[bytes, int]] = field(default_factory=lambda: defaultdict(dict))
    _details: dict[str, list[tuple[bytes, str]]] = field(default_factory=lambda: defaultdict(list))

    def differs(self, kind: str, key: bytes, detail: str = "", times: int = 1) -> None:
        """One difference of a known kind. `detail`: what of it may be shown to anybody."""
        if kind not in KINDS:
            raise LookupError(f"{kind} is no kind of difference")
        found = self._found[kind]
        found[key] = found.get(key, 0) + times
        if len(self._details[kind]) < REMEMBERED:
            self._details[kind].append((key, detail))

    def leave_out(self, keys: Collection[bytes]) -> int:
        """Take out the pairs that moved while they were looked at. How many of them had differed."""
        gone: set[bytes] = set()
        for kind, found in self._found.items():
            moved = found.keys() & keys
            gone |= moved
            for key in moved:
                del found[key]
            self._details[kind] = [one for one in self._details[kind] if one[0] not in moved]
        return len(gone)

    @property
    def total(self) -> int:
        """All differences."""
        return sum(sum(found.values()) for found in self._found.values())

    def of(self, check: str) -> dict[str, int]:
        """By kind how many, of one check."""
        counted = {kind: sum(found.values()) for kind, found in self._found.items() if kind.startswith(f"{check}.")}
        return {kind: count for kind, count in counted.items() if count}

    def first(self, kind: str, partitions: int, *, show_pairs: bool) -> list[dict[str, Any]]:
        """The first few of a kind."""
        return [
            {"pair": named(key, partitions, show_pairs=show_pairs), "detail": detail}
            for key, detail in self._details[kind][:FIRST]
        ]


def named(key: bytes, partitions: int, *, show_pairs: bool) -> str:
    """A pair as it may be shown."""
    if show_pairs:
        return key.decode("utf-8", "backslashreplace")
    return f"{partition_of(key, partitions)}:{sha256(key).hexdigest()[:12]}"

"""What a partition's fold came to, beside what stands: announcements, rows of the tables, rows told.

Owns which difference is of which kind. Refuses to read topics and to fold: it is handed both sides.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from deploy.verify_report import Findings
from schemas.business import BusinessState, BusinessUnreadable, decode_business
from schemas.mark_lists import StateUnreadable
from schemas.policy import Policy
from schemas.state_row import decode_state, encode_state
from streams.permission.number import Number
from streams.replay.verify_fold import Folded, KnownNumbers, doubled, invented, lost
from streams.replay.verify_rows import Rows
from streams.replay.verify_state import Unlike, same_number, unlike
from streams.replay.verify_told import Heard

Pairs = Mapping[bytes, Folded]

GRACE_S: Final = 60
"""How long after its deadline a grant may be announced before that counts as late; a tick comes every 10 s."""


def compare_changes(pairs: Pairs, heard: Mapping[bytes, Heard], cut_ms: int, into: Findings) -> None:
    """What was announced. What was announced before `cut_ms` is gone."""
    for key, one in heard.items():
        into.compared["changes"] += len(one.ids)
        if key not in pairs:
            into.differs("changes.invented", key, "of a pair without facts", len(one.ids))
    for key, pair in pairs.items():
        for said in lost(pair, cut_ms):
            into.differs("changes.lost", key, said.type)
        for kind in invented(pair):
            into.differs("changes.invented", key, kind)
        if count := doubled(pair):
            into.differs("changes.doubled", key, times=count)


def compare_deadlines(pairs: Pairs, tick_at: int, into: Findings) -> None:
    """Grants that had run out long before `tick_at`, a tick that counted in full, and were not announced."""
    for key, pair in pairs.items():
        due_at = min((way.due_at or tick_at for way in pair.ways), default=tick_at)
        if all(way.due_at is not None and way.due_at <= tick_at - GRACE_S for way in pair.ways):
            into.differs("changes.overdue", key, f"{tick_at - due_at} s ago")


def compare_states(
    pairs: Pairs, stored: Mapping[bytes, bytes], at: int, policy: Policy, numbers: KnownNumbers, into: Findings
) -> None:
    """The table of pairs, as readers of its topic keep it."""
    for key, pair in pairs.items():
        if pair.state.version == 0:  # all that came of it said nothing that is stored
            continue
        into.compared["state"] += 1
        value = stored.get(key)
        if value is None:
            into.differs("state.missing", key)
        elif value != encode_state(pair.state):
            number = numbers.of(pair.state.phone_number_id)
            if (kind := _unlike(pair, value, at, policy, number)) is not None:
                into.differs(f"state.{kind}", key)
    for key in stored.keys() - pairs.keys():
        into.differs("state.invented", key)


def _unlike(pair: Folded, value: bytes, at: int, policy: Policy, number: Number) -> Unlike | str | None:
    try:
        state = decode_state(value)
    except StateUnreadable:
        return "unreadable"
    if state.pair != pair.state.pair:
        return "unreadable"
    ways = [unlike(mine, state, at, policy, number) for mine in pair.ways]
    return None if None in ways else ways[0]


def compare_records(pairs: Pairs, told: Mapping[bytes, Rows], *, cut: bool, into: Findings) -> None:
    """The newest form of each row that was told. `cut`: those told first are gone."""
    for key in told.keys() | pairs.keys():
        ours = pairs[key].rows.digests if key in pairs else {}
        theirs = told[key].digests if key in told else {}
        into.compared["records"] += len(theirs)
        if ours == theirs or (cut and theirs.items() <= ours.items()):
            continue
        tables = {table for (table, _), _ in ours.items() ^ theirs.items()}
        into.differs("records.differs", key, ", ".join(sorted(tables)))


def compare_numbers(states: Iterable[BusinessState], stored: Mapping[bytes, bytes], into: Findings) -> None:
    """The table of numbers."""
    expected = {state.name.encode(): state for state in states}
    for key in sorted(expected.keys() | stored.keys()):
        into.compared["numbers"] += 1
        if key not in stored:
            into.differs("numbers.missing", key)
        elif key not in expected:
            into.differs("numbers.invented", key)
        elif not _same_number(expected[key], stored[key]):
            into.differs("numbers.differs", key)


def _same_number(mine: BusinessState, value: bytes) -> bool:
    try:
        return same_number(mine, decode_business(value))
    except BusinessUnreadable:
        return False

"""A reader of `permission.state` that keeps the higher version, and is never satisfied with less than it had."""

from collections.abc import Iterable
from typing import Any

from schemas.state import PairState
from schemas.state_row import decode_state


class LostEvidence(AssertionError):
    """A pair came back poorer. Names place and offset."""


def kept_by_version(records: Iterable[Any]) -> dict[bytes, PairState]:
    """What such a reader holds in the end. Raises at the first record it would take and that knows less than the last.

    Its own reading: each partition by its offsets, the higher version, at equality the later one.
    """
    kept: dict[bytes, PairState] = {}
    for record in sorted(records, key=lambda each: (each.partition, each.offset)):
        place = f"partition {record.partition}, offset {record.offset}"
        had = kept.get(record.key)
        if record.value is None:
            if had is not None:
                raise LostEvidence(f"{place}: a pair with {had!r} was taken back")
            continue
        state = decode_state(record.value)
        if had is not None and state.version < had.version:
            continue
        if had is not None and (lost := _lost(had, state)):
            raise LostEvidence(f"{place}: version {had.version} to {state.version} lost {lost}")
        kept[record.key] = state
    return kept


def _lost(had: PairState, has: PairState) -> str:
    """What of `had` is not in `has`, empty when nothing is missing. Marks of a request are filled in, never emptied.

    A pair that became a forwarding address has handed its evidence to the user's canonical pair: there it is compared.
    """
    if has.forwards_to is not None:
        named, was_named = {link.wa_id for link in has.links}, {link.wa_id for link in had.links}
        return "" if was_named <= named else "a link"
    missing = set(had.decisions) - set(has.decisions)
    if missing:
        return f"{len(missing)} decisions"
    requests = {request.message_id: request for request in has.requests}
    for request in had.requests:
        now = requests.get(request.message_id)
        if now is None:
            return "a request"
        emptied = [name for name, was in request._asdict().items() if was is not None and getattr(now, name) is None]
        if emptied:
            return f"{', '.join(emptied)} of a request"
    return "" if has.dropped >= had.dropped and set(had.aliases) <= set(has.aliases) else "aliases or what was dropped"

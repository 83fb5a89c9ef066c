"""A history file line by line: what each line would deliver, or why it cannot.

Owns the exact reading of a line for those who send its bytes on: unlike `replay`, which may look again when a body
makes no sense, they must know before. Also which lines no door could take. Refuses to understand a body.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson

from schemas.actions import Action, check_action, refusal_of
from schemas.codec import Unreadable
from schemas.sendlog import Exchange, check_exchange
from streams.providers.registry import PROVIDERS
from streams.providers.translation import Refused, parsed
from streams.replay.lines import Arrival, arrival_of, exact_arrival_of
from streams.replay.sources import MAX_LINE_BYTES, Line, Sources, Told

ACTIONS: Final = "actions"
SEND_LOG: Final = "meta-sendlog"
Check = Callable[[Any], Action | Exchange | list[dict[str, str]]]
CHECKS: Final[dict[str, Check]] = {ACTIONS: check_action, SEND_LOG: check_exchange}
"""Whose bodies have a shape that is ours."""
KNOWN: Final = ", ".join(sorted(PROVIDERS.keys() - {ACTIONS}))


def arrivals(
    sources: Sources, told: Told | None = None, most_bytes: int | None = None
) -> Iterator[tuple[Line, Arrival | Unreadable]]:
    """Every line with what it holds. `most_bytes`: how long a body may be where it goes."""
    for line in sources.lines(told):
        yield line, arrival_in(line, most_bytes)


def arrival_in(line: Line, most_bytes: int | None = None) -> Arrival | Unreadable:
    """What a line holds: bytes that are a body as a whole, of a provider that is known and in a shape that is ours."""
    if not line.whole:
        return Unreadable(reason="line_too_long", path="$", detail=f"a line has at most {MAX_LINE_BYTES} bytes")
    found = arrival_of(line.raw)
    if isinstance(found, Unreadable):
        return found
    if found.cut and not _is_json(found.body):  # perhaps the line has more keys than the usual ones
        found = exact_arrival_of(line.raw)
        if isinstance(found, Unreadable):
            return found
    if most_bytes is not None and len(found.body) > most_bytes:
        detail = f"the gateway takes a body of at most {most_bytes} bytes; `callgrant import` takes a longer one"
        return Unreadable(reason="too_large", path="$", detail=detail)
    if found.provider not in PROVIDERS:
        return Unreadable(reason="unknown_provider", path="$.webhook", detail=f"known: {KNOWN}")
    return _shaped(found)


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def _shaped(arrival: Arrival) -> Arrival | Unreadable:
    check = CHECKS.get(arrival.provider)
    if check is None:
        return arrival
    try:
        faults = check(parsed(arrival.body))
    except Refused as refused:
        return refused.fault
    return refusal_of(faults) if isinstance(faults, list) else arrival

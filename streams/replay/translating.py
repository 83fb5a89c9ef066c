"""What payloads mean, without a pair being judged: bodies of one provider, or lines of a history.

Owns telling these apart: one document is one body (or one history line), anything else is read line by line.
"""

from collections.abc import Iterator
from typing import Final

from schemas.codec import Unreadable
from schemas.policy import Policy
from streams.providers.translation import Refused, Translation, parsed
from streams.replay.lines import BOM, Arrival, arrival_of
from streams.replay.meaning import meaning, meaning_of
from streams.replay.scout import scout
from streams.replay.sources import Line, Sources

_OF_LINES: Final = ("body", "body_base64", "action")
_OF_BODIES: Final = ("object", "entry", "results", "type", "event", "permission", "request")
"""By these a body is told, of whatever provider: no history line has them beside its own keys."""
Meaning = tuple[Line, Translation | Unreadable]


def translated(sources: Sources, provider: str, received_at: int, policy: Policy) -> Iterator[Meaning]:
    """The meaning of each line, or of the one document. `provider`, `received_at`: of bodies; history lines bring
    their own.
    """
    numbers = scout(sources.lines(), policy).known()

    def read(line: Line) -> Translation | Unreadable:
        if not line.whole or _is_of_history(line.raw):
            return meaning(line, numbers)
        return meaning_of(Arrival(provider, received_at, line.raw.removeprefix(BOM).strip()), numbers)

    whole = sources.whole()
    if whole is not None and whole.strip() and (_is_json(whole) or not _has_object(sources)):
        line = Line("", 1, whole)
        yield line, read(line)
        return
    for line in sources.lines():
        yield line, read(line)


def _is_of_history(raw: bytes) -> bool:
    """Whether this is a history line, be it one with a fault: it would mean nothing as a body."""
    if not isinstance(arrival_of(raw), Unreadable):
        return True
    said = _json(raw)
    if not isinstance(said, dict):
        return False
    if "received_at" in said and said.keys() & {"webhook", "action"}:
        return True
    return not said.keys().isdisjoint(_OF_LINES) and said.keys().isdisjoint(_OF_BODIES)


def _is_json(raw: bytes) -> bool:
    return _json(raw) is not None


def _has_object(sources: Sources) -> bool:
    return any(isinstance(_json(line.raw), dict) for line in sources.lines())


def _json(raw: bytes) -> object:
    """The JSON of a document; None when it is none, which `null` may be called too."""
    try:
        read: object = parsed(raw)
    except Refused:
        return None
    return read

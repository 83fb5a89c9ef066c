"""What a line of a history means: the line's form, then the translation of its provider.

Owns the second, exact reading of a line whose body could not be cut out of it. Never raises.
"""

from schemas.codec import Unreadable
from streams.providers.known import Known
from streams.providers.registry import translate
from streams.providers.translation import Translation
from streams.replay.lines import Arrival, arrival_of, exact_arrival_of
from streams.replay.sources import MAX_LINE_BYTES, Line

_EMPTY = Unreadable(reason="empty_body", path="$", detail="an empty object: there is nothing in it to judge")


def meaning(line: Line, numbers: Known) -> Translation | Unreadable:
    """The facts of a line; `Unreadable` when it is no history line. `numbers`: those known."""
    if not line.whole:
        return Unreadable(reason="line_too_long", path="$", detail=f"a line has at most {MAX_LINE_BYTES} bytes")
    arrival = arrival_of(line.raw)
    if isinstance(arrival, Unreadable):
        return arrival
    done = meaning_of(arrival, numbers)
    if arrival.cut and any(fault.path == "$" for fault in done.parked):
        # What was cut out is perhaps no JSON because the line has more keys, or because it is broken.
        exact = exact_arrival_of(line.raw)
        return exact if isinstance(exact, Unreadable) else meaning_of(exact, numbers)
    return done


def meaning_of(arrival: Arrival, numbers: Known) -> Translation:
    """The facts of one body. An empty object holds nothing to judge and would otherwise pass in silence."""
    done = translate(arrival.provider, arrival.body, arrival.received_at, numbers)
    if not (done.facts or done.parked) and b"".join(arrival.body.split()) == b"{}":
        return Translation(parked=(_EMPTY,))
    return done

"""The same deliveries as a history file: JSON lines in the order of arrival, to be replayed without a network.

Owns the line's shape (one webhook with its body, or one action; an array of actions is as many lines). Refuses to
judge what it writes.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from streams.simulator.deliveries import Delivery
from streams.simulator.wire import rfc3339


def lines(deliveries: Iterable[Delivery]) -> Iterator[bytes]:
    for delivery in deliveries:
        received_at = rfc3339(delivery.received_at)
        match delivery.door:
            case "webhook":
                yield orjson.dumps(
                    {"received_at": received_at, "webhook": "meta", "body": orjson.Fragment(delivery.body)}
                )
            case "action":
                told = orjson.loads(delivery.body)
                for action in told if isinstance(told, list) else [told]:
                    yield orjson.dumps({"received_at": received_at, "action": action})


def write(path: Path, deliveries: Iterable[Delivery]) -> int:
    """Writes the file, replacing what was there; answers the number of lines."""
    count = 0
    with path.open("wb") as file:
        for line in lines(deliveries):
            file.write(line + b"\n")
            count += 1
    return count

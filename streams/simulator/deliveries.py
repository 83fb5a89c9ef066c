"""From what happened to what is posted: grouped, repeated, late and out of order, as webhooks come.

Owns the order and the bytes of every POST. Refuses to lose anything: each happening is in at least one delivery, and
its repetitions say the same. Meta batches on three levels (entries, changes, elements of an array), repeats whole
POSTs after a time-out, and repeats single updates in other company; the business's own reports come singly or as a
JSON array, also sometimes twice or late.

Receipt times never pass the world's end: what would come later comes last.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, TypeVar

from streams.simulator import wire
from streams.simulator.happenings import RequestSent
from streams.simulator.wire import Json, Update
from streams.simulator.world import World

LATEST_S = 6 * 3_600  # how long a late update is on its way at most
REPEATED_WITHIN_S = 24 * 3_600
GAP_S = 900  # what is due further apart than this does not share a POST
OWN_CHANGE = 0.3
OWN_ENTRY = 0.15
UNKNOWN_FIELD = 0.02

T = TypeVar("T")
Due = tuple[int, T]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST. `received_at` is the receipt time that a history file of the same world shows."""

    door: Literal["webhook", "action"]
    received_at: int
    body: bytes


def deliveries(world: World, *, seed: int, duplicates: float, disorder: float) -> list[Delivery]:
    """All deliveries in the order in which they are to be posted."""
    dice = Random(f"deliveries {seed}")  # apart from the world's dice: other rates tell of the same world
    actions = [(h.at, wire.action(h, dice)) for h in world.happenings if isinstance(h, RequestSent)]
    updates = [(h.at, wire.update(h, dice)) for h in world.happenings if not isinstance(h, RequestSent)]
    actions = _on_the_way(actions, dice, duplicates, disorder)
    updates = _on_the_way(updates, dice, duplicates, disorder)
    posts = [
        (due_at, Delivery("action", min(due_at, world.end_at), body))
        for due_at, body in _posts(actions, _action_body, dice, duplicates)
    ]
    posts += [
        (due_at, Delivery("webhook", min(due_at, world.end_at), body))
        for due_at, body in _posts(updates, _webhook_body, dice, duplicates)
    ]
    posts.sort(key=lambda post: post[0])
    return [delivery for _, delivery in posts]


def _on_the_way(told: Iterable[Due[T]], dice: Random, duplicates: float, disorder: float) -> list[Due[T]]:
    """When each thing is due: soon, or late (`disorder`); some once more, in other company (half of `duplicates`)."""
    due: list[Due[T]] = []
    for at, what in told:
        due_at = at + (dice.randint(1, LATEST_S) if dice.random() < disorder else dice.randint(0, 2))
        due.append((due_at, what))
        if dice.random() < duplicates / 2:
            due.append((due_at + dice.randint(1, REPEATED_WITHIN_S), what))
    due.sort(key=lambda one: one[0])
    return due


def _posts(
    due: list[Due[T]], body_of: Callable[[list[T], Random], bytes], dice: Random, duplicates: float
) -> Iterator[Due[bytes]]:
    """What is due together, as bodies; some bodies once more, byte for byte (the other half of `duplicates`)."""
    for group in _groups(due, dice):
        due_at, body = group[-1][0], body_of([what for _, what in group], dice)
        yield due_at, body
        if dice.random() < duplicates / 2:
            yield due_at + dice.randint(1, REPEATED_WITHIN_S), body


def _groups(due: list[Due[T]], dice: Random) -> Iterator[list[Due[T]]]:
    group: list[Due[T]] = []
    most = 1
    for one in due:
        if group and (len(group) == most or one[0] - group[0][0] > GAP_S):
            yield group
            group = []
        if not group:
            most = dice.choices((1, dice.randint(2, 5), dice.randint(6, 30)), weights=(55, 30, 15))[0]
        group.append(one)
    if group:
        yield group


def _action_body(group: list[Json], dice: Random) -> bytes:
    return _bytes(group if len(group) > 1 or dice.random() < 0.2 else group[0])


def _webhook_body(group: list[Update], dice: Random) -> bytes:
    """Elements of one number and array share a change, changes of one account an entry; sometimes each has its own."""
    entries: dict[tuple[str, int], dict[tuple[str, str, int], list[Update]]] = {}
    for place, update in enumerate(group, start=1):
        entry = entries.setdefault((update.pair.waba_id, place if dice.random() < OWN_ENTRY else 0), {})
        key = (update.pair.phone_number_id, update.array, place if dice.random() < OWN_CHANGE else 0)
        entry.setdefault(key, []).append(update)
    told = [(waba, [wire.change(together) for together in changes.values()]) for (waba, _), changes in entries.items()]
    if dice.random() < UNKNOWN_FIELD:
        told[-1][1].append(wire.unknown_change(dice))
    return _bytes(wire.envelope(told))


def _bytes(value: Any) -> bytes:
    """As Meta writes: no spaces, everything beyond ASCII escaped. What is signed are these bytes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()

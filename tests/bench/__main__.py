"""`make bench`: what things cost in CPU time, as ratios of two ways measured in turn in one run. Nothing is a gate.

Each figure stands on a line `BENCH <name> <value> <unit>`; above 1 a ratio means that ours is cheaper.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict

from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.records import encode_record
from schemas.state import decode_state, encode_state
from streams.permission.step import step
from streams.providers.registry import translate
from tests.permission.story import DAY, HOUR, PRODUCTION, T0, accepted, delivered, given, rejected, sent, status
from tests.providers.payloads import CONTACT, RECEIVED_AT, body, envelope, reply, value

ROUNDS: Final = 15


def cpu_us(work: Callable[[int], object], times: int) -> float:
    """CPU time of one call in microseconds: the best of the rounds, as the machine disturbs but never helps."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for turn in range(times):
            work(turn)
        best = min(best, (time.process_time() - began) / times * 1e6)
    return best


def tell(name: str, figure: float, unit: str) -> None:
    print(f"BENCH {name} {figure:.2f} {unit}", flush=True)


def core() -> None:
    """Decode, step and encode of one fact: a pair of some ten marks, and one of two hundred."""
    typical: list[Any] = [
        sent("wamid.TESTREQ0001", T0),
        status("wamid.TESTREQ0001", "sent", T0 + 1),
        delivered("wamid.TESTREQ0001", T0 + 5),
        status("wamid.TESTREQ0001", "read", T0 + 60),
        accepted("wamid.TESTREPLY0001", T0 + HOUR, to="wamid.TESTREQ0001"),
        rejected("wamid.TESTREPLY0002", T0 + 2 * HOUR),
        sent("wamid.TESTREQ0002", T0 + DAY),
        status("wamid.TESTREQ0002", "sent", T0 + DAY + 1),
        delivered("wamid.TESTREQ0002", T0 + DAY + 5),
    ]
    heavy = [
        fact
        for place in range(50)
        for fact in (
            sent(f"wamid.TESTREQ1{place:03}", T0 + place * DAY),
            status(f"wamid.TESTREQ1{place:03}", "sent", T0 + place * DAY + 1),
            delivered(f"wamid.TESTREQ1{place:03}", T0 + place * DAY + 5),
            accepted(f"wamid.TESTREPLY1{place:03}", T0 + place * DAY + HOUR, to=f"wamid.TESTREQ1{place:03}"),
        )
    ]
    for name, past, last in (("step", typical, T0 + 2 * DAY), ("step_heavy", heavy, T0 + 60 * DAY)):
        state = given(*past).state
        stored = encode_state(state)
        following: list[PairFact] = [status("wamid.TESTREQ0002", "read", last + turn) for turn in range(64)]

        def one(turn: int, stored: bytes = stored, following: list[PairFact] = following) -> None:
            done = step(decode_state(stored), following[turn % 64], DEFAULT_POLICY, PRODUCTION)
            encode_state(done.state)
            encode_record(done.record or {})

        tell(f"{name}_us", cpu_us(one, 200 if name == "step" else 10), "us")
        tell(f"{name}_state_bytes", len(stored), "bytes")


class _Contact(BaseModel):
    model_config = ConfigDict(extra="ignore")
    wa_id: str | None = None
    user_id: str | None = None


class _Value(BaseModel):
    model_config = ConfigDict(extra="ignore")
    metadata: dict[str, str]
    contacts: list[_Contact] = []
    messages: list[dict[str, Any]] = []
    statuses: list[dict[str, Any]] = []


class _Change(BaseModel):
    field: str
    value: _Value


class _Entry(BaseModel):
    id: str
    changes: list[_Change]


class _Webhook(BaseModel):
    object: str
    entry: list[_Entry]


def translation() -> None:
    """A permission reply as facts, beside pydantic only reading the same envelope."""
    said: dict[str, Any] = {"response": "accept", "is_permanent": True, "response_source": "user_action"}
    webhook = body(envelope(value(contacts=[CONTACT], messages=[reply(context="wamid.TESTREQ0001", **said)])))
    ours = cpu_us(lambda _: translate("meta", webhook, RECEIVED_AT), 500)
    theirs = cpu_us(lambda _: _Webhook.model_validate(orjson.loads(webhook)), 500)
    tell("translate_us", ours, "us")
    tell("translate_vs_pydantic_read", theirs / ours, "ratio")


if __name__ == "__main__":
    core()
    translation()

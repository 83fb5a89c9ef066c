"""The core by itself: a stored row is read, judged with one more fact, and written again.

The mix is the simulator's: half of all facts are statuses of requests, a fifth are quiet, the rest are requests,
replies and calls. Each kind stands on a line of its own too, as the mean hides that an announcement costs as much as
four statuses.
"""

from functools import partial
from typing import Any, Final

from deploy.compiled import is_used
from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.records import encode_record
from schemas.state_row import encode_state, open_state
from streams.permission.step import step
from tests.bench.measure import cpu_us, cpu_us_in_turn, tell
from tests.permission.story import (
    DAY,
    HOUR,
    PRODUCTION,
    T0,
    accepted,
    connected,
    delivered,
    given,
    messaged,
    rejected,
    sent,
    status,
    unanswered,
)

MIX: Final = {"status": 50, "quiet": 20, "request": 14, "reply": 10, "call": 6}
"""Of a hundred facts, as `callgrant simulate` makes them, with the calls that its users do not make."""


def typical() -> list[Any]:
    """Nine marks: two requests, two replies, three calls, two messages."""
    return [
        sent("wamid.TESTREQ0001", T0),
        status("wamid.TESTREQ0001", "sent", T0 + 1),
        delivered("wamid.TESTREQ0001", T0 + 5),
        status("wamid.TESTREQ0001", "read", T0 + 60),
        accepted("wamid.TESTREPLY0001", T0 + HOUR, to="wamid.TESTREQ0001"),
        messaged("wamid.TESTMESSAGE0001", T0 + HOUR),
        messaged("wamid.TESTMESSAGE0002", T0 + HOUR + 60),
        *unanswered(T0 + 2 * HOUR),
        *connected(T0 + 3 * HOUR),
        *unanswered(T0 + 5 * HOUR),
        rejected("wamid.TESTREPLY0002", T0 + 6 * HOUR),
        sent("wamid.TESTREQ0002", T0 + DAY),
        status("wamid.TESTREQ0002", "sent", T0 + DAY + 1),
        delivered("wamid.TESTREQ0002", T0 + DAY + 5),
    ]


def twenty() -> list[Any]:
    """Twenty marks: what `state <= 2 kB` is measured with."""
    return [
        *typical(),
        sent("wamid.TESTREQ0003", T0 + 9 * DAY),
        delivered("wamid.TESTREQ0003", T0 + 9 * DAY + 5),
        accepted("wamid.TESTREPLY0003", T0 + 9 * DAY + HOUR, to="wamid.TESTREQ0003"),
        *unanswered(*(T0 + 9 * DAY + place * HOUR for place in (2, 3))),
        *connected(*(T0 + 9 * DAY + place * HOUR for place in (4, 5, 6))),
        *(messaged(f"wamid.TESTMESSAGE001{place}", T0 + 9 * DAY + place) for place in range(4)),
    ]


def heavy() -> list[Any]:
    """Two hundred marks over fifty days."""
    return [
        fact
        for place in range(50)
        for fact in (
            sent(f"wamid.TESTREQ1{place:03}", T0 + place * DAY),
            status(f"wamid.TESTREQ1{place:03}", "sent", T0 + place * DAY + 1),
            delivered(f"wamid.TESTREQ1{place:03}", T0 + place * DAY + 5),
            accepted(f"wamid.TESTREPLY1{place:03}", T0 + place * DAY + HOUR, to=f"wamid.TESTREQ1{place:03}"),
            *unanswered(T0 + place * DAY + 2 * HOUR),
            *connected(T0 + place * DAY + 3 * HOUR),
        )
    ]


def following(at: int, newest: str) -> dict[str, PairFact]:
    """One fact of each kind, next in order of time. `newest`: the pair's newest request, which is unanswered."""
    return {
        "status": status(newest, "read", at),
        "quiet": messaged("wamid.TESTMESSAGE0009", at),
        "request": sent("wamid.TESTREQ9999", at),
        "reply": accepted("wamid.TESTREPLY9999", at, to=newest),
        "call": unanswered(at)[-1],
    }


def _one(stored: bytes, fact: PairFact, _: int) -> None:
    encode_state(step(open_state(stored), fact, DEFAULT_POLICY, PRODUCTION).state)


def core() -> None:
    """A pair of some ten marks, and one of two hundred."""
    print(f"The core is {'compiled' if is_used() else 'interpreted'}.")
    fresh = [sent("wamid.TESTREQ2000", T0 + 51 * DAY), delivered("wamid.TESTREQ2000", T0 + 51 * DAY + 5)]
    for name, past, at, newest, times in (
        ("step", typical(), T0 + 2 * DAY, "wamid.TESTREQ0002", 200),
        ("step_heavy", [*heavy(), *fresh], T0 + 52 * DAY, "wamid.TESTREQ2000", 20),
    ):
        stored = encode_state(given(*past).state._replace(version=1))
        works = {kind: partial(_one, stored, fact) for kind, fact in following(at, newest).items()}
        costs = cpu_us_in_turn(works, times)
        for kind, cost in costs.items():
            tell(f"{name}_{kind}_us", cost, "us")
        tell(f"{name}_us", sum(cost * MIX[kind] for kind, cost in costs.items()) / 100, "us")
    record = step(
        given(*typical()).state, following(T0 + 2 * DAY, "wamid.TESTREQ0002")["reply"], DEFAULT_POLICY, PRODUCTION
    ).record
    tell("record_us", cpu_us(lambda _: encode_record(record or {}), 500), "us")
    tell("state_bytes_at_20_marks", len(encode_state(given(*twenty()).state)), "bytes")

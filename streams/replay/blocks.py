"""Which errors of the provider stand in the way at an instant, and what lifts each (domain 3.9; design 15, readings and
errors).

Owns the sentences about them. Refuses to judge: an obstacle rests on an error when the same pair, judged without that
error by the functions that answer questions, has another one or none. So where a webhook or the policy file says the
same, the obstacle rests on these.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from schemas.events import CallRefused, RequestRefused
from schemas.policy import Policy
from schemas.state import PairState
from streams.permission import refusals
from streams.permission.answer import Obstacle, may_call, may_request, usage_of
from streams.permission.number import Number, told_of_restriction
from streams.permission.standing import Timeline, timeline
from streams.replay.sentences import OBSTACLES, utc

CODES: Final = {
    refusals.CALLING_OFF: "calling_disabled",
    refusals.COUNTRY: "country_not_supported",
    refusals.RESTRICTED: "business_restricted",
    refusals.CALL_LIMIT: "provider_block",
    refusals.REQUEST_LIMIT: "provider_block",
}
"""The reason that each error gives."""
_MAY: Final = {"request": may_request, "call": may_call}
_LIFTS: Final = {
    refusals.CALLING_OFF: "calling switched on by a settings webhook, a reading that allows a request or a call, or "
    "a call that is picked up lifts",
    refusals.COUNTRY: "a reading that allows a request or a call, or a call of the business that is picked up lifts",
    refusals.RESTRICTED: "a webhook that tells of a restriction replaces by its end the seven days of",
    refusals.CALL_LIMIT: "a reading that allows a call lifts",
    refusals.REQUEST_LIMIT: "a reading that allows a request lifts",
}


class Block(NamedTuple):
    """An obstacle that rests on an error, at one door or both. `until`: when it is gone by itself; None: never."""

    code: int
    reason: str
    doors: tuple[str, ...]
    until: int | None


def blocks(line: Timeline, policy: Policy, number: Number) -> list[Block]:
    """What errors alone forbid at the instant of the timeline."""
    found = []
    for code, reason in CODES.items():
        left = tuple(one for one in line.state.refusals if one.error_code != code)
        if len(left) == len(line.state.refusals):
            continue
        without = timeline(line.state._replace(refusals=left), line.at, policy, number, line)
        doors = tuple(
            door
            for door in _MAY
            if (stands := _obstacle(line, door, reason, policy, number)) is not None
            and stands != _obstacle(without, door, reason, policy, number)
        )
        if doors:
            found.append(Block(code, reason, doors, _until(line, code, doors, number)))
    return found


def _obstacle(line: Timeline, door: str, reason: str, policy: Policy, number: Number) -> Obstacle | None:
    used = usage_of(line, policy, number)
    return next((one for one in _MAY[door](line, used, policy, number) if one.reason == reason), None)


def _until(line: Timeline, code: int, doors: tuple[str, ...], number: Number) -> int | None:
    """When the error stops by itself; also where the answer has no instant, since the permission runs out before."""
    met = [one for one in line.state.refusals if one.error_code == code]
    if code == refusals.RESTRICTED:
        return refusals.restricted_until(met, told_of_restriction(number, line.at), line.at)
    return refusals.blocked_until(met, line.state.decisions, doors[0], line.at)


def caused(
    state: PairState, fact: RequestRefused | CallRefused, at: int, policy: Policy, number: Number
) -> list[Block]:
    """What an error forbade at `at` that nothing forbade without it."""
    mark = f"{'request' if isinstance(fact, RequestRefused) else 'call'}:{fact.action_id}"
    left = tuple(one for one in state.refusals if one.id != mark)
    before = blocks(timeline(state._replace(refusals=left), at, policy, number), policy, number)
    after = blocks(timeline(state, at, policy, number), policy, number)
    return [block for block in after if block not in before]


def forbids(block: Block) -> str:
    """What an error came to, in words."""
    what = " and ".join(f"no {door}" for door in block.doors)
    until = f", until {utc(block.until)}" if block.until is not None else ""
    return f"{what}: {OBSTACLES[block.reason]}{until}"


def lifts(block: Block) -> Iterator[tuple[int | None, str]]:
    """What would lift a block: its instant, None: whenever it happens; and the sentence."""
    if block.until is not None:
        yield block.until, f"what error {block.code} forbids may be tried again"
    yield None, f"{_LIFTS[block.code]} error {block.code}"

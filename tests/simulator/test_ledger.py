"""The ledger against a recount that knows nothing but the bytes that were posted."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from typing import Any

import orjson
import pytest

from streams.simulator import END_CAUSES, FINAL_CLASSES, Simulation, SimulatorConfig, simulate

END = 1_772_442_000
WEEK = 604_800


@dataclass
class Told:
    """What the posted bytes say about one pair, each thing once."""

    asked: dict[str, int] = field(default_factory=dict)
    statuses: dict[tuple[str, str], int] = field(default_factory=dict)
    replies: dict[str, tuple[int, str, int | None, str | None]] = field(default_factory=dict)


def read_back(simulation: Simulation) -> dict[tuple[str, str], Told]:
    pairs: dict[tuple[str, str], Told] = {}
    for delivery in simulation.deliveries:
        body = orjson.loads(delivery.body)
        if delivery.door == "action":
            for action in body if isinstance(body, list) else [body]:
                told = pairs.setdefault((action["phone_number_id"], action["user"]), Told())
                told.asked[action["message_id"]] = instant(action["occurred_at"])
            continue
        for change in (
            change for entry in body["entry"] for change in entry["changes"] if change["field"] == "messages"
        ):
            value = change["value"]
            number = value["metadata"]["phone_number_id"]
            for item in value.get("statuses", []):
                told = pairs.setdefault((number, item["recipient_id"]), Told())
                told.statuses[item["id"], item["status"]] = int(item["timestamp"])
            for item in value.get("messages", []):
                told = pairs.setdefault((number, item["from"]), Told())
                if "interactive" in item:
                    told.replies[item["id"]] = decision(item)
    return pairs


def instant(value: str | int) -> int:
    return value if isinstance(value, int) else int(datetime.fromisoformat(value).timestamp())


def decision(item: dict[str, Any]) -> tuple[int, str, int | None, str | None]:
    reply = item["interactive"]["call_permission_reply"]
    kind = "reject" if reply["response"] == "reject" else "permanent" if reply["is_permanent"] else "temporary"
    expires_at = int(reply["expiration_timestamp"]) if kind == "temporary" else None
    return int(item["timestamp"]), kind, expires_at, item.get("context", {}).get("id")


def recount(pairs: dict[tuple[str, str], Told], at: int) -> tuple[Counter[str], Counter[str], dict[Any, Any]]:
    """A walk along each pair's time line, second by second of importance, with one running state."""
    funnel: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    held: dict[Any, Any] = {}
    for key, told in pairs.items():
        kind: str | None = None
        until: int | None = None
        for replied_at, answer, expires_at, context in sorted(told.replies.values()):
            if replied_at > at:
                break
            if kind == "temporary" and until is not None and until <= replied_at:
                ended["expired"] += 1
                kind = None
            if answer == "reject":
                if kind:
                    ended["revoked_via_request" if context else "revoked_via_profile"] += 1
                kind = None
            elif not (answer == kind == "permanent"):
                ended["replaced"] += kind is not None
                kind, until = answer, expires_at
        if kind == "temporary" and until is not None and until <= at:
            ended["expired"] += 1
            kind = None
        held[key] = (kind or "no_permission", until if kind == "temporary" else None)
        count_requests(told, at, funnel)
    return funnel, ended, held


def count_requests(told: Told, at: int, funnel: Counter[str]) -> None:
    statuses = {name: reported_at for name, reported_at in told.statuses.items() if reported_at <= at}
    newer_arrival: int | None = None
    for request_id, sent_at in sorted(told.asked.items(), key=lambda asked: -asked[1]):
        if sent_at > at:
            continue
        read_at = statuses.get((request_id, "read"))
        arrived_at = statuses.get((request_id, "delivered"), read_at)
        answers = [
            kind for when, kind, _, context in sorted(told.replies.values()) if context == request_id and when <= at
        ]
        ends_at = (arrived_at or sent_at) + WEEK
        if answers:
            final = {"temporary": "accepted_temporary", "permanent": "accepted_permanent", "reject": "declined"}[
                answers[0]
            ]
        elif (request_id, "failed") in statuses:
            final = "failed"
        elif newer_arrival is not None and newer_arrival < ends_at:
            final = "superseded"
        else:
            final = "expired_no_response" if ends_at <= at else "open"
        funnel.update(["requested", final])
        funnel["delivered"] += arrived_at is not None
        funnel["read"] += read_at is not None
        funnel["responded"] += bool(answers)
        funnel["changed_mind"] += bool(answers) and answers[0] != answers[-1]
        if arrived_at is not None:
            newer_arrival = arrived_at if newer_arrival is None else min(newer_arrival, arrived_at)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6, 7, 8])
def test_the_ledger_equals_a_recount_of_the_posted_bytes_at_the_end_and_at_any_instant(seed: int) -> None:
    config = replace(SimulatorConfig.week_ending(END), seed=seed, pairs=250, duplicates=0.3, disorder=0.4)
    simulation = simulate(config)
    ledger, pairs = simulation.ledger, read_back(simulation)
    dice = Random(seed)
    for at in (END, ledger.holds_until, *(dice.randrange(config.start_at, END + WEEK) for _ in range(6))):
        funnel, ended, held = recount(pairs, at)
        assert ledger.funnel(at) == {name: funnel[name] for name in ledger.funnel(at)}
        assert ledger.revocations(at) == {cause: ended[cause] for cause in END_CAUSES}
        for (number, user), expected in held.items():
            permission = ledger.permission(number, user, at)
            assert (permission.status, permission.expires_at) == expected


def test_a_recount_of_bytes_with_one_reply_lost_does_not_equal_the_ledger() -> None:
    simulation = simulate(replace(SimulatorConfig.week_ending(END), pairs=250))
    pairs = read_back(simulation)
    answered = next(told for told in pairs.values() if len(told.replies) == 1 and told.asked)
    answered.replies.clear()
    funnel, _, _ = recount(pairs, END)
    assert simulation.ledger.funnel() != {name: funnel[name] for name in simulation.ledger.funnel()}


@pytest.mark.parametrize("end_at", [END, END + 1_000_003, END + 77_777_777])
def test_the_week_of_the_demo_shows_every_class_and_every_cause(end_at: int) -> None:
    ledger = simulate(SimulatorConfig.week_ending(end_at)).ledger
    funnel, ended = ledger.funnel(), ledger.revocations()
    assert 1_500 <= funnel["requested"] <= 2_000
    assert funnel.pop("refused") == 0
    assert min(funnel.values()) >= 20
    assert min(ended.values()) >= 10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_final_classes_add_up_to_all_requests(seed: int) -> None:
    ledger = simulate(replace(SimulatorConfig.week_ending(END), seed=seed, pairs=200)).ledger
    funnel = ledger.funnel()
    assert sum(funnel[name] for name in FINAL_CLASSES) == funnel["requested"] == len(ledger.requests())
    assert funnel["requested"] >= funnel["delivered"] >= funnel["read"]
    answered = funnel["accepted_temporary"] + funnel["accepted_permanent"] + funnel["declined"]
    assert funnel["responded"] == answered


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_the_answers_of_the_end_hold_for_a_while_after_it(seed: int) -> None:
    ledger = simulate(replace(SimulatorConfig.week_ending(END), seed=seed, pairs=300, hush_s=7_200)).ledger
    assert ledger.holds_until == END + 7_200
    assert ledger.funnel(ledger.holds_until) == ledger.funnel()
    assert ledger.revocations(ledger.holds_until) == ledger.revocations()
    assert dict(ledger.permissions(ledger.holds_until)) == dict(ledger.permissions())


def test_delivery_does_not_change_the_books() -> None:
    config = replace(SimulatorConfig.week_ending(END), pairs=200)
    calm, wild = (
        simulate(replace(config, duplicates=0, disorder=0)),
        simulate(replace(config, duplicates=1, disorder=1)),
    )
    assert calm.ledger == wild.ledger
    assert calm.deliveries != wild.deliveries


def test_the_ledger_as_json_holds_a_row_for_each_request_grant_and_pair() -> None:
    ledger = simulate(replace(SimulatorConfig.week_ending(END), pairs=200)).ledger
    told = orjson.loads(orjson.dumps(ledger.to_json()))
    assert told["judged_at"] == END
    assert told["funnel"] == ledger.funnel()
    assert len(told["requests"]) == len({row["request_id"] for row in told["requests"]}) == told["funnel"]["requested"]
    assert Counter(row["end_cause"] for row in told["grants"] if row["end_cause"]) == ledger.revocations()
    assert len(told["permissions"]) == 200


def test_a_pair_of_no_world_has_no_permission() -> None:
    ledger = simulate(replace(SimulatorConfig.week_ending(END), pairs=1)).ledger
    assert ledger.permission("700100200300499", "447700900999").status == "no_permission"

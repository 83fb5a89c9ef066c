"""What is posted: nothing missing, much of it twice, late, in odd company, and in the shapes of Meta."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from streams.simulator import Simulation, SimulatorConfig, simulate
from streams.simulator.deliveries import Delivery
from streams.simulator.happenings import RequestSent, StatusReported

END = 1_772_442_000


@cache
def posted(*, duplicates: float = 0.0, disorder: float = 0.0, seed: int = 1) -> Simulation:
    config = SimulatorConfig.week_ending(END)
    return simulate(replace(config, seed=seed, pairs=400, duplicates=duplicates, disorder=disorder))


def bodies(simulation: Simulation, door: str) -> list[Any]:
    return [json.loads(delivery.body) for delivery in simulation.deliveries if delivery.door == door]


def changes(simulation: Simulation) -> Iterator[dict[str, Any]]:
    for body in bodies(simulation, "webhook"):
        for entry in body["entry"]:
            yield from entry["changes"]


def values(simulation: Simulation) -> Iterator[dict[str, Any]]:
    return (change["value"] for change in changes(simulation) if change["field"] == "messages")


def updates(simulation: Simulation) -> list[tuple[str, str, int]]:
    """(id, status or empty, timestamp) of every element, in the order of posting."""
    return [
        (item["id"], item.get("status", ""), int(item["timestamp"]))
        for value in values(simulation)
        for item in value.get("statuses", []) + value.get("messages", [])
    ]


def actions(simulation: Simulation) -> list[dict[str, Any]]:
    return [one for body in bodies(simulation, "action") for one in (body if isinstance(body, list) else [body])]


def happened(simulation: Simulation) -> Counter[tuple[str, str, int]]:
    return Counter(
        (h.message_id, h.status if isinstance(h, StatusReported) else "", h.at)
        for h in simulation.world.happenings
        if not isinstance(h, RequestSent)
    )


def overtaken(instants: list[int]) -> int:
    return sum(later < earlier for earlier, later in pairwise(instants))


def test_without_duplicates_everything_that_happened_is_told_exactly_once() -> None:
    simulation = posted()
    assert Counter(updates(simulation)) == happened(simulation)
    sent = [h.message_id for h in simulation.world.happenings if isinstance(h, RequestSent)]
    assert sorted(action["message_id"] for action in actions(simulation)) == sorted(sent)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_duplicates_and_disorder_still_nothing_is_missing_and_nothing_is_added(seed: int) -> None:
    simulation = posted(duplicates=0.5, disorder=0.5, seed=seed)
    assert set(updates(simulation)) == set(happened(simulation))


def test_duplicates_are_both_whole_posts_and_single_updates_in_other_company() -> None:
    simulation = posted(duplicates=0.3)
    repeated_posts = [n for n in Counter(d.body for d in simulation.deliveries).values() if n > 1]
    assert len(repeated_posts) > 0.05 * len(simulation.deliveries)
    told = Counter(update for body in {d.body for d in simulation.deliveries} for update in updates_of(body))
    assert sum(n > 1 for n in told.values()) > 0.05 * len(told)
    assert len(actions(simulation)) > len({action["message_id"] for action in actions(simulation)})


def updates_of(body: bytes) -> list[tuple[str, str]]:
    told = json.loads(body)
    if "entry" not in told:
        return []
    known = [change["value"] for entry in told["entry"] for change in entry["changes"] if change["field"] == "messages"]
    items = [item for value in known for item in value.get("statuses", []) + value.get("messages", [])]
    return [(item["id"], item.get("status", "")) for item in items]


def test_a_repetition_says_the_same_as_the_first_telling() -> None:
    told: dict[tuple[str, str], str] = {}
    for value in values(posted(duplicates=0.6, disorder=0.3)):
        for item in value.get("statuses", []) + value.get("messages", []):
            said = json.dumps(item)
            assert told.setdefault((item["id"], item.get("status", "")), said) == said


def test_disorder_lets_updates_overtake_each_other_and_calm_nearly_never() -> None:
    calm = [at for _, _, at in updates(posted())]
    wild = [at for _, _, at in updates(posted(disorder=0.3))]
    assert overtaken(wild) > 0.15 * len(wild)
    assert overtaken(wild) > 3 * overtaken(calm)


def test_disorder_lets_statuses_and_replies_come_before_the_report_of_their_request() -> None:
    simulation = posted(disorder=0.3)
    reported: set[str] = set()
    early = 0
    for delivery in simulation.deliveries:
        if delivery.door == "action":
            told = json.loads(delivery.body)
            reported |= {action["message_id"] for action in (told if isinstance(told, list) else [told])}
        else:
            early += sum("TESTREQ" in wamid and wamid not in reported for wamid, _ in updates_of(delivery.body))
    assert early > 100


def test_webhooks_are_batched_on_three_levels() -> None:
    simulation = posted()
    assert max(len(body["entry"]) for body in bodies(simulation, "webhook")) > 1
    assert max(len(entry["changes"]) for body in bodies(simulation, "webhook") for entry in body["entry"]) > 1
    assert max(len(value.get("statuses", [])) for value in values(simulation)) > 1
    assert max(len(value.get("messages", [])) for value in values(simulation)) > 1
    assert {type(body) for body in bodies(simulation, "action")} == {dict, list}


def test_every_element_stands_under_its_own_number_and_account() -> None:
    simulation = posted(duplicates=0.2, disorder=0.2)
    pair_of = {h.message_id: h.pair for h in simulation.world.happenings}
    for body in bodies(simulation, "webhook"):
        for entry in body["entry"]:
            for change in entry["changes"]:
                if change["field"] != "messages":
                    continue
                value = change["value"]
                for item in value.get("statuses", []) + value.get("messages", []):
                    pair = pair_of[item["id"]]
                    assert entry["id"] == pair.waba_id
                    assert value["metadata"] == {
                        "display_phone_number": pair.display_phone_number,
                        "phone_number_id": pair.phone_number_id,
                    }
                    assert item.get("from", item.get("recipient_id")) == pair.user


def test_replies_have_metas_fields_and_a_temporary_accept_runs_exactly_a_week() -> None:
    seen: set[tuple[str, bool | None, bool]] = set()
    for value in values(posted()):
        for message in value.get("messages", []):
            if "interactive" not in message:
                continue
            assert message["interactive"]["type"] == "call_permission_reply"
            reply = message["interactive"]["call_permission_reply"]
            seen.add((reply["response"], reply.get("is_permanent"), "context" in message))
            assert reply["response_source"] == "user_action"
            assert ("is_permanent" in reply) == (reply["response"] == "accept")
            assert ("expiration_timestamp" in reply) == (reply.get("is_permanent") is False)
            if "expiration_timestamp" in reply:
                assert int(reply["expiration_timestamp"]) == int(message["timestamp"]) + 604_800
    kinds = (("accept", False), ("accept", True), ("reject", None))
    assert seen == {(response, permanent, context) for response, permanent in kinds for context in (True, False)}


def test_all_licensed_variations_occur() -> None:
    told = list(values(posted()))
    items = [item for value in told for item in value.get("statuses", []) + value.get("messages", [])]
    replies = [item for item in items if "interactive" in item]
    assert {type(item["timestamp"]) for item in items} == {str, int}
    assert {item.get("type") for item in replies} == {"interactive", None}
    assert {"contacts" in value for value in told if "messages" in value} == {True, False}
    assert {"from_user_id" in item for item in replies} == {True, False}
    assert any("x_preview_feature" in item for item in items)
    assert any(item.get("type") == "text" for item in items)
    assert any("TESTMSG" in item["id"] for item in items if "status" in item)
    assert any(item["errors"][0]["code"] == 131026 for item in items if item.get("status") == "failed")
    assert {type(action["occurred_at"]) for action in actions(posted())} == {str, int}
    assert {action["kind"] for action in actions(posted())} == {"template", "free_form"}


def test_changes_of_unknown_fields_occur() -> None:
    assert {change["field"] for change in changes(posted())} > {"messages"}


def test_bytes_are_written_as_meta_writes_them() -> None:
    written = b"".join(delivery.body for delivery in posted().deliveries)
    assert written.isascii()
    assert b"Zo\\u00eb" in written
    assert b'": ' not in written


def test_receipt_times_grow_and_do_not_pass_the_end() -> None:
    simulation = posted(duplicates=0.3, disorder=0.3)
    received: list[Delivery] = simulation.deliveries
    instants = [delivery.received_at for delivery in received]
    assert instants == sorted(instants)
    assert instants[-1] <= END

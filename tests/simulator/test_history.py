"""The history file holds the same deliveries, line by line."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from streams.simulator import Simulation, SimulatorConfig, simulate

END = 1_772_442_000


def simulation() -> Simulation:
    return simulate(replace(SimulatorConfig.week_ending(END), pairs=100, duplicates=0.2, disorder=0.2))


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_every_line_is_one_webhook_or_one_action_with_its_receipt_time(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    count = simulation().to_history(path)
    lines = written(path)
    assert count == len(lines)
    for line in lines:
        assert set(line) in ({"received_at", "webhook", "body"}, {"received_at", "action"})
        if "webhook" in line:
            assert line["webhook"] == "meta"
            assert line["body"]["object"] == "whatsapp_business_account"
        else:
            assert line["action"]["type"] == "request_sent"
            assert "campaign" not in line["action"] or line["action"]["campaign"]


def test_the_file_holds_the_posted_bodies_in_order(tmp_path: Path) -> None:
    told = simulation()
    told.to_history(tmp_path / "history.jsonl")
    lines = written(tmp_path / "history.jsonl")
    webhooks = [json.loads(delivery.body) for delivery in told.deliveries if delivery.door == "webhook"]
    assert [line["body"] for line in lines if "webhook" in line] == webhooks
    actions = [json.loads(delivery.body) for delivery in told.deliveries if delivery.door == "action"]
    singly = [one for body in actions for one in (body if isinstance(body, list) else [body])]
    assert [line["action"] for line in lines if "action" in line] == singly


def test_receipt_times_are_rfc_3339_in_order_and_not_before_what_they_tell(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    simulation().to_history(path)
    received = [datetime.fromisoformat(line["received_at"]).timestamp() for line in written(path)]
    assert received == sorted(received)
    for received_at, line in zip(received, written(path), strict=True):
        for entry in line.get("body", {}).get("entry", []):
            for change in entry["changes"]:
                for item in change["value"].get("messages", []) + change["value"].get("statuses", []):
                    assert int(item["timestamp"]) <= received_at


def test_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    simulation().to_history(tmp_path / "one.jsonl")
    simulation().to_history(tmp_path / "two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()

"""The policy file: dated values, and faults that name the place."""

import orjson
import pytest

from schemas.policy import DEFAULT_POLICY, Policy, PolicyUnusable, read_policy

PRODUCTION = DEFAULT_POLICY.profiles["production"]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (1_700_000_000, 5),  # before the first date the first value holds
        (1_757_000_000, 5),
        (1_760_313_599, 5),
        (1_760_313_600, 10),  # 13 Oct 2025
        (1_766_102_399, 10),
        (1_766_102_400, 100),  # 19 Dec 2025
        (1_772_442_000, 100),
    ],
)
def test_the_connected_call_limit_is_the_one_of_its_date(at: int, value: int) -> None:
    assert PRODUCTION.at("connected_calls_24h", at) == value


def test_turkey_left_the_blocked_countries() -> None:
    assert "TR" in DEFAULT_POLICY.blocked_countries(1_757_000_000)
    assert "TR" not in DEFAULT_POLICY.blocked_countries(1_782_000_000)


def _written(**changes: object) -> bytes:
    return orjson.dumps(orjson.loads(DEFAULT_POLICY.model_dump_json(by_alias=True)) | changes)


def test_a_policy_file_is_read_back_as_it_was_written() -> None:
    assert read_policy(_written(), "policy.json") == DEFAULT_POLICY


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"surprise": 1}, "$.surprise"),
        ({"profiles": {"production": {"requests_24h": []}}}, "$.profiles.production.requests_24h"),
        ({"schema": 2}, "$.schema"),
        ({"numbers": {"700100200300400": {"profil": "sandbox"}}}, "$.numbers.700100200300400.profil"),
    ],
)
def test_a_fault_in_a_policy_file_names_its_place(changes: dict[str, object], place: str) -> None:
    with pytest.raises(PolicyUnusable) as fault:
        read_policy(_written(**changes), "policy.json")
    assert place in str(fault.value)
    assert "CALLGRANT_POLICY_FILE" in str(fault.value)


def test_overlapping_dates_are_a_fault() -> None:
    body = orjson.loads(DEFAULT_POLICY.model_dump_json(by_alias=True))
    entries = body["profiles"]["production"]["connected_calls_24h"]
    body["profiles"]["production"]["connected_calls_24h"] = [entries[1], entries[0]]
    with pytest.raises(PolicyUnusable, match=r"connected_calls_24h.*later than the one before"):
        read_policy(_written(profiles=body["profiles"]), "policy.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_what_is_no_json_is_told_with_the_file(content: bytes) -> None:
    with pytest.raises(PolicyUnusable, match=r"policy\.json is not JSON"):
        read_policy(content, "policy.json")


def test_a_policy_cannot_be_changed_in_place() -> None:
    assert Policy.model_config["frozen"]

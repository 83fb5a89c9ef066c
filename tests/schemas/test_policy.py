"""The policy file: dated values, and faults that name the place."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import generate
from schemas.countries import COUNTRIES
from schemas.policy import DAY_S, DEFAULT_POLICY, Dated, DatedCountries, Policy, PolicyUnusable, read_policy

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


Place = tuple[str | int, ...]
LIMITS: Place = ("profiles", "production", "requests_7d")
ENTRY: Place = ("numbers", "700100200300400")
UTC_TEXT = "give an instant in UTC between 2015 and 2100, like 2025-07-01T00:00:00Z"


def _changed(place: Place, value: Any) -> bytes:
    """The reference policy with one place set to something else; `...`: taken out."""
    body = orjson.loads(_written())
    node = body
    for step in place[:-1]:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    if value is ...:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return orjson.dumps(body)


def _refused(content: bytes) -> str:
    with pytest.raises(PolicyUnusable) as fault:
        read_policy(content, "policy.json")
    head, _, told = str(fault.value).partition(" policy.json: ")
    assert head == "CALLGRANT_POLICY_FILE:"
    return told


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (
            ("surprise",),
            1,
            "$.surprise: unknown key; allowed: schema, defaults, profiles, bic_blocked_business_countries, ",
        ),
        (("schema",), 2, "$.schema: Input should be 1"),
        (("schema_version",), 1, "$.schema_version: unknown key; allowed: schema, defaults, profiles, "),
        ((*LIMITS, 0, "since"), 1, "$.profiles.production.requests_7d[0].since: unknown key; allowed: from, value"),
        (
            ("bic_blocked_business_countries", 1, "since"),
            "2026-06-01T00:00:00Z",
            "$.bic_blocked_business_countries[1].since: unknown key; allowed: from, countries",
        ),
        (("profiles",), ..., "$.profiles: missing"),
        (("profiles",), [], "$.profiles: an object is expected here"),
        (("profiles", "sandbox"), ..., "$.profiles: sandbox is missing; give production and sandbox"),
        (("profiles", "prod"), {}, "$.profiles.prod: unknown key; allowed: production, sandbox"),
        (LIMITS, ..., "$.profiles.production.requests_7d: missing; the keys here are requests_24h, requests_7d, "),
        (LIMITS, [], "$.profiles.production.requests_7d: give at least one entry"),
        (LIMITS, {}, "$.profiles.production.requests_7d: an array is expected here"),
        ((*LIMITS, 0, "until"), 1, "$.profiles.production.requests_7d[0].until: unknown key; allowed: from, value"),
        (
            (*LIMITS, 0, "value"),
            -1,
            "$.profiles.production.requests_7d[0].value: Input should be greater than or equal",
        ),
        ((*LIMITS, 0, "value"), "2", "$.profiles.production.requests_7d[0].value: Input should be a valid integer"),
        ((*LIMITS, 0, "value"), True, "$.profiles.production.requests_7d[0].value: Input should be a valid integer"),
        ((*LIMITS, 0, "from"), "2025-07-01", f"$.profiles.production.requests_7d[0].from: {UTC_TEXT}"),
        ((*LIMITS, 0, "from"), "2025-07-01T02:00:00+02:00", f"$.profiles.production.requests_7d[0].from: {UTC_TEXT}"),
        ((*LIMITS, 0, "from"), "soon", f"$.profiles.production.requests_7d[0].from: {UTC_TEXT}"),
        ((*LIMITS, 0, "from"), 1_751_328_000_000, f"$.profiles.production.requests_7d[0].from: {UTC_TEXT}"),
        ((*LIMITS, 0, "from"), None, f"$.profiles.production.requests_7d[0].from: {UTC_TEXT}"),
        (
            ("profiles", "sandbox", "unanswered_revoke", 0, "value"),
            0,
            "$.profiles.sandbox.unanswered_revoke: a number of unanswered calls is at least 1",
        ),
        (("defaults", "temporary_seconds"), -1, "$.defaults.temporary_seconds: Input should be greater than 0"),
        (
            ("defaults", "count_failed_requests"),
            "no",
            "$.defaults.count_failed_requests: Input should be a valid boolean",
        ),
        (
            ("defaults", "streak_reset_directions"),
            ["USER_INITIATED", "USER_INITIATED"],
            "$.defaults.streak_reset_directions: one of them stands here twice",
        ),
        (
            ("bic_blocked_business_countries", 1, "countries"),
            ["UK"],
            "$.bic_blocked_business_countries[1].countries[0]: no country; give an ISO 3166-1 alpha-2 code in capitals",
        ),
        ((*ENTRY, "profil"), "sandbox", "$.numbers.700100200300400.profil: unknown key; allowed: profile, country, "),
        ((*ENTRY, "profile"), "test", "$.numbers.700100200300400.profile: Input should be 'production' or 'sandbox'"),
        ((*ENTRY, "country"), "gb", "$.numbers.700100200300400.country: no country"),
        ((*ENTRY, "display_phone_number"), "none", "$.numbers.700100200300400.display_phone_number: give the business"),
        (("numbers", "my number"), {}, "$.numbers.my number: give the phone_number_id: digits only"),
    ],
)
def test_a_fault_is_told_with_its_place_and_what_is_allowed(place: Place, value: Any, told: str) -> None:
    assert _refused(_changed(place, value)).startswith(told)


@pytest.mark.parametrize(
    ("place", "said", "written"),
    [
        ((*LIMITS, 0), "from", "since"),
        (("bic_blocked_business_countries", 0), "from", "since"),
        ((), "schema", "schema_version"),
    ],
)
def test_what_a_field_is_called_in_code_is_no_key_of_the_file(place: Place, said: str, written: str) -> None:
    body = orjson.loads(_written())
    node = body
    for step in place:
        node = node[step]
    node[written] = node.pop(said)
    assert f"{written}: unknown key; allowed: {said}, " in _refused(orjson.dumps(body))


def test_in_code_the_models_are_built_by_their_fields() -> None:
    day = datetime(2025, 7, 1, tzinfo=UTC)
    assert Dated.model_validate({"since": day, "value": 2}) == PRODUCTION.requests_7d[0]
    assert DatedCountries.model_validate({"since": day, "countries": ("GB",)}).since_at == day.timestamp()
    assert Policy.model_validate(DEFAULT_POLICY.model_dump()) == DEFAULT_POLICY


def test_every_fault_of_a_file_is_told_at_once() -> None:
    told = _refused(_written(surprise=1, schema=3, numbers=[]))
    assert [place.partition(":")[0] for place in told.split("; $")] == ["$.schema", ".numbers", ".surprise"]


def test_a_key_that_stands_twice_is_a_fault() -> None:
    assert _refused(b'{"schema": 1, ' + _written()[1:]) == 'the key "schema" stands twice in one object'


def test_instants_may_be_epoch_seconds_and_a_byte_order_mark_is_no_fault() -> None:
    written = _changed((*LIMITS, 0, "from"), 1_751_328_000)
    assert read_policy(b"\xef\xbb\xbf" + written, "policy.json") == DEFAULT_POLICY


ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=4), st.sampled_from(["GB", "Z"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=6), inner, max_size=2)),
    max_leaves=4,
)


def _places(node: Any, place: Place = ()) -> Iterator[Place]:
    """Every place of a document but its root."""
    for step, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*place, step)
        yield from _places(inner, (*place, step))


PLACES = sorted(_places(orjson.loads(_written())), key=str)


@given(st.sampled_from(PLACES), ANYTHING)
def test_whatever_stands_anywhere_is_a_policy_that_answers_or_a_fault_with_its_place(place: Place, said: Any) -> None:
    try:
        policy = read_policy(_changed(place, said), "policy.json")
    except PolicyUnusable as fault:
        text = str(fault)
        assert text.startswith(f"CALLGRANT_POLICY_FILE: policy.json: $.{place[0]}")
        return
    for profile in policy.profiles.values():
        assert profile.at("unanswered_revoke", 1_772_442_000) >= 1
        assert profile.at("requests_24h", 0) >= 0
    assert set(policy.blocked_countries(1_772_442_000)) <= COUNTRIES
    written = policy.model_dump_json(by_alias=True).encode()
    assert read_policy(written, "policy.json") == policy
    jsonschema.Draft202012Validator(SCHEMA).validate(orjson.loads(written))


SCHEMA = orjson.loads((generate.FOLDER / "policy.v1.json").read_bytes())
DAYS = st.lists(
    st.tuples(st.integers(0, 3_000), st.integers(0, 200)), min_size=1, max_size=6, unique_by=lambda day: day[0]
)


@given(DAYS, st.integers(-10, 3_010), st.sampled_from([-1, 0, 1]))
def test_the_value_in_force_is_that_of_the_last_date_that_has_come(
    days: list[tuple[int, int]], day: int, second: int
) -> None:
    start = 1_451_606_400  # 2016-01-01
    series = [{"from": start + when * DAY_S, "value": value} for when, value in sorted(days)]
    policy = read_policy(_changed(LIMITS, series), "policy.json")
    at = start + day * DAY_S + second
    passed = [entry["value"] for entry in series if entry["from"] <= at]
    assert policy.profiles["production"].at("requests_7d", at) == (passed or [series[0]["value"]])[-1]
    if len(series) > 1:
        assert "entry 1: every `from` must be later" in _refused(_changed(LIMITS, [series[1], series[0], *series[2:]]))


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

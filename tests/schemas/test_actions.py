"""Actions: what a caller is told about a fault."""

from typing import Any

import jsonschema
import orjson
import pytest

from schemas import generate
from schemas.actions import ACTION_TYPES, ACTIONS, RequestRefusedAction, RequestSentAction, check_action

GOOD: dict[str, Any] = {
    "type": "request_sent",
    "phone_number_id": "700100200300400",
    "user": "447700900123",
    "message_id": "wamid.TESTREQ0001",
    "occurred_at": "2026-03-02T09:00:00Z",
    "kind": "template",
    "template": {"name": "test_cpr_template", "language": "en", "category": "UTILITY"},
    "campaign": "camp-42",
    "origin": "broadcast",
}


@pytest.mark.parametrize(
    "at", ["2026-03-02T09:00:00Z", "2026-03-02T10:00:00+01:00", 1_772_442_000, "1772442000", 1_772_442_000.0]
)
def test_an_instant_is_epoch_seconds_or_rfc_3339(at: object) -> None:
    action = check_action(GOOD | {"occurred_at": at})
    assert isinstance(action, RequestSentAction)
    assert action.occurred_at == 1_772_442_000


def test_unknown_fields_are_no_fault() -> None:
    assert isinstance(check_action(GOOD | {"surprise": 1}), RequestSentAction)


@pytest.mark.parametrize(
    ("changed", "path", "says"),
    [
        ({"type": "request_snet"}, "$.type", "request_sent"),
        ({"type": None}, "$.type", "allowed"),
        ({"phone_number_id": "+442079460123"}, "$.phone_number_id", "not the display number"),
        ({"user": "ann"}, "$.user", "wa_id"),
        ({"occurred_at": 1_772_442_000_000}, "$.occurred_at", "milliseconds"),
        ({"occurred_at": "yesterday"}, "$.occurred_at", "RFC 3339"),
        ({"occurred_at": "2026-03-02T09:00:00"}, "$.occurred_at", "zone"),
        ({"occurred_at": -5}, "$.occurred_at", "2015"),
        ({"occurred_at": True}, "$.occurred_at", "RFC 3339"),
        ({"occurred_at": 1_772_442_000.5}, "$.occurred_at", "whole"),
        ({"occurred_at": 1_772_442_000_000.0}, "$.occurred_at", "milliseconds"),
        ({"occurred_at": float("inf")}, "$.occurred_at", "whole"),
        ({"message_id": ""}, "$.message_id", "at least 1"),
        ({"message_id": "wamid.TEST\n0001"}, "$.message_id", "control characters"),
        ({"message_id": "wamid.TEST\x000001"}, "$.message_id", "control characters"),
        ({"template": {"name": "a\u2028b"}}, "$.template.name", "control characters"),
        ({"kind": "templat"}, "$.kind", "free_form"),
        ({"template": {"language": "en"}}, "$.template.name", "required"),
        ({"origin": "mail"}, "$.origin", "broadcast"),
    ],
)
def test_a_fault_names_its_path_and_what_is_allowed(changed: dict[str, Any], path: str, says: str) -> None:
    faults = check_action(GOOD | changed)
    assert isinstance(faults, list)
    assert [fault["path"] for fault in faults] == [path]
    assert says in faults[0]["message"]


def test_every_fault_of_an_action_is_told_at_once() -> None:
    faults = check_action(GOOD | {"user": "ann", "occurred_at": "soon", "kind": 3}, "$[7]")
    assert isinstance(faults, list)
    assert {fault["path"] for fault in faults} == {"$[7].user", "$[7].occurred_at", "$[7].kind"}


@pytest.mark.parametrize("value", [None, 1, "x", [], [GOOD]])
def test_what_is_no_object_is_no_action(value: object) -> None:
    assert check_action(value) == [{"path": "$", "message": "an action is a JSON object"}]


def test_no_fault_quotes_what_was_sent() -> None:
    faults = check_action(GOOD | {"user": "447700900123x"})
    assert isinstance(faults, list)
    assert "447700900" not in str(faults)


MORE: dict[str, dict[str, Any]] = {
    "request_sent": {"message_id": "wamid.TESTREQ0001", "kind": "free_form"},
    "request_refused": {"action_id": "TEST-1", "error_code": 138_009},
    "call_started": {"call_id": "wacid.TESTCALL0001"},
    "call_refused": {"action_id": "TEST-1", "error_code": 138_006},
    "reading_taken": {"response": {"permission": {"status": "permanent"}}},
    "disposition_recorded": {"call_id": "wacid.TESTCALL0001", "outcome": "Resolved"},
    "business_registered": {"profile": "sandbox", "country": "GB"},
    "template_registered": {"name": "test_cpr_template", "language": "en"},
}


def action(kind: str) -> dict[str, Any]:
    """The smallest action of a type."""
    common = {"type": kind, "phone_number_id": "700100200300400", "occurred_at": 1_772_442_000}
    return common | ({} if kind.endswith("_registered") else {"user": "447700900123"}) | MORE[kind]


@pytest.mark.parametrize("kind", ACTION_TYPES)
def test_the_smallest_action_of_every_type_is_valid(kind: str) -> None:
    assert isinstance(check_action(action(kind)), ACTIONS[kind])


@pytest.mark.parametrize("kind", ACTION_TYPES)
def test_every_field_of_the_smallest_action_is_needed(kind: str) -> None:
    optional = {"profile", "country", "language"}
    for name in action(kind).keys() - optional:
        faults = check_action({key: held for key, held in action(kind).items() if key != name})
        assert isinstance(faults, list)
        assert [fault["path"] for fault in faults] == [f"$.{name}"]


@pytest.mark.parametrize(
    ("kind", "changed", "path", "says"),
    [
        ("request_refused", {"error_code": "138009"}, "$.error_code", "integer"),
        ("request_refused", {"error_code": True}, "$.error_code", "integer"),
        ("request_refused", {"error_code": 138_009.5}, "$.error_code", "integer"),
        ("request_refused", {"error_code": -1.0}, "$.error_code", "greater than"),
        ("request_refused", {"error_code": -1}, "$.error_code", "greater than"),
        ("call_refused", {"retry_at": "later"}, "$.retry_at", "RFC 3339"),
        ("call_refused", {"action_id": ""}, "$.action_id", "at least 1"),
        ("reading_taken", {"response": "permanent"}, "$.response", "dictionary"),
        ("disposition_recorded", {"outcome": ""}, "$.outcome", "at least 1"),
        ("business_registered", {"profile": "test"}, "$.profile", "sandbox"),
        ("business_registered", {"country": "GBR"}, "$.country", "ISO 3166-1"),
        ("business_registered", {"country": "44"}, "$.country", "two letters"),
        ("business_registered", {"display_phone_number": "hotline"}, "$.display_phone_number", "country code"),
        ("template_registered", {"has_call_permission": "perhaps"}, "$.has_call_permission", "boolean"),
    ],
)
def test_a_fault_of_any_type_names_its_path_and_what_is_allowed(
    kind: str, changed: dict[str, Any], path: str, says: str
) -> None:
    faults = check_action(action(kind) | changed)
    assert isinstance(faults, list)
    assert [fault["path"] for fault in faults] == [path]
    assert says in faults[0]["message"]


@pytest.mark.parametrize("at", [1_420_070_399, 4_102_444_800, "9" * 5_000, "-5", 1e9, None, [], "2014-12-31T23:59:59Z"])
def test_an_instant_outside_our_time_is_a_fault_and_never_an_error(at: object) -> None:
    faults = check_action(action("call_started") | {"occurred_at": at})
    assert isinstance(faults, list)
    assert [fault["path"] for fault in faults] == ["$.occurred_at"]


@pytest.mark.parametrize("user", ["07700900123", "0044 7700 900123", "+0 7700 900123", "+44 (0)7700 900123"])
def test_a_user_as_it_is_dialled_at_home_is_refused_with_what_to_give(user: str) -> None:
    faults = check_action(GOOD | {"user": user})
    assert isinstance(faults, list)
    assert [(fault["path"], "country code" in fault["message"]) for fault in faults] == [("$.user", True)]


@pytest.mark.parametrize("user", ["+44 7700 900123", "+44 (7700) 900-123", "44.7700.900123", "447700900123"])
def test_a_user_has_one_name_however_it_is_written(user: str) -> None:
    found = check_action(GOOD | {"user": user})
    assert isinstance(found, RequestSentAction)
    assert found.user == "447700900123"


@pytest.mark.parametrize("name", ["campaign", "reservation_id"])
@pytest.mark.parametrize("control", ["\n", "\r", "\x00", "\x1b[31m", "\x85", "\u2028"])
def test_no_name_holds_a_control_character(name: str, control: str) -> None:
    faults = check_action(GOOD | {name: f"camp{control}42"})
    assert isinstance(faults, list)
    assert [(fault["path"], "control characters" in fault["message"]) for fault in faults] == [(f"$.{name}", True)]


@pytest.mark.parametrize("name", ["Frühling 👩\u200d💻", "a\u00a0b", "\u200fربيع", "spring <b>"])
def test_any_letter_may_stand_in_the_name_of_a_campaign(name: str) -> None:
    assert isinstance(check_action(GOOD | {"campaign": name}), RequestSentAction)


@pytest.mark.parametrize("at", ["2026-03-02t09:00:00z", "2026-03-02T09:00:00.999+00:00", "2026-03-02 09:00:00Z"])
def test_every_form_of_rfc_3339_is_read(at: str) -> None:
    action = check_action(GOOD | {"occurred_at": at})
    assert isinstance(action, RequestSentAction)
    assert action.occurred_at == 1_772_442_000


def test_a_whole_float_is_the_whole_number_it_is_as_the_schema_says() -> None:
    told = action("request_refused") | {
        "occurred_at": 1_772_442_000.0,
        "error_code": 138_009.0,
        "retry_at": 1.7725284e9,
    }
    schema = orjson.loads((generate.FOLDER / "action.request_refused.v1.json").read_bytes())
    jsonschema.Draft202012Validator(schema).validate(told)
    found = check_action(told)
    assert isinstance(found, RequestRefusedAction)
    assert (found.occurred_at, found.error_code, found.retry_at) == (1_772_442_000, 138_009, 1_772_528_400)
    assert {type(found.occurred_at), type(found.error_code), type(found.retry_at)} == {int}

"""What the business reported, as facts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from schemas.actions import ACTION_TYPES
from schemas.codec import Unreadable, decode_fact, encode_fact
from schemas.events import (
    BusinessRegistered,
    CallOffered,
    CallRefused,
    DispositionRecorded,
    RequestRefused,
    RequestSent,
    Template,
    TemplateRegistered,
)
from schemas.ids import derived_id
from streams.providers.kinds import IGNORED, PARKED
from streams.providers.registry import PROVIDERS, translate
from tests.providers.payloads import NUMBER, RECEIVED_AT, USER, body, call, calls, read, sample, told

ACTION = {
    "type": "request_sent",
    "phone_number_id": NUMBER,
    "user": "+44 7700 900123",
    "message_id": "wamid.TESTREQ0001",
    "occurred_at": "2026-03-02T09:00:00Z",
    "kind": "template",
    "template": {"name": "test_cpr_template", "language": "en", "category": "UTILITY"},
    "campaign": "camp-42",
    "origin": "broadcast",
    "surprise": 1,
}


def test_a_request_that_was_sent_is_a_fact_that_keeps_the_action() -> None:
    assert translate("actions", body(ACTION), RECEIVED_AT).facts == (
        RequestSent(
            fact_id=derived_id("request_sent", NUMBER, "wamid.TESTREQ0001"),
            phone_number_id=NUMBER,
            user=USER,
            occurred_at=1_772_442_000,
            recorded_at=RECEIVED_AT,
            provider="actions",
            message_id="wamid.TESTREQ0001",
            kind="template",
            template=Template(name="test_cpr_template", language="en", category="UTILITY"),
            campaign="camp-42",
            origin="broadcast",
            reservation_id=None,
        ),
    )


def test_whole_floats_make_the_same_fact_as_the_integers_they_are() -> None:
    refused = ACTION | {"type": "request_refused", "action_id": "TEST-1", "error_code": 138_009}
    whole = refused | {"occurred_at": 1_772_442_000, "retry_at": 1_772_528_400}
    floats = whole | {"error_code": 138_009.0, "occurred_at": 1_772_442_000.0, "retry_at": 1_772_528_400.0}
    assert floats["occurred_at"] == whole["occurred_at"]
    (fact,) = translate("actions", body(whole), RECEIVED_AT).facts
    (same,) = translate("actions", body(floats), RECEIVED_AT).facts
    assert encode_fact(same) == encode_fact(fact)


def test_an_action_that_is_not_valid_is_parked_with_its_path() -> None:
    done = translate("actions", body(ACTION | {"user": "ann"}), RECEIVED_AT)
    assert [(fault.reason, fault.path) for fault in done.parked] == [("invalid_action", "$.user")]


def test_an_action_that_is_no_json_is_parked() -> None:
    assert [fault.reason for fault in translate("actions", b"{", RECEIVED_AT).parked] == ["not_json"]


def test_a_provider_nobody_registered_is_parked_to_be_retried() -> None:
    assert [fault.reason for fault in translate("pigeon", b"{}", RECEIVED_AT).parked] == ["unknown_provider"]
    assert "pigeon" not in PROVIDERS


COMMON: dict[str, Any] = {"phone_number_id": NUMBER, "user": USER, "occurred_at": "2026-03-02T09:00:00Z"}
BASE: dict[str, Any] = {
    "phone_number_id": NUMBER,
    "occurred_at": 1_772_442_000,
    "recorded_at": RECEIVED_AT,
    "provider": "actions",
}
TAGS: dict[str, Any] = {"campaign": "camp-42", "origin": "call_page", "reservation_id": "res-1"}
REFUSED: dict[str, Any] = {"action_id": "TEST-1", "error_code": 138_009, "details": "limit", "retry_at": 1_772_528_400}
ALL: dict[str, dict[str, Any]] = {
    "request_sent": ACTION,
    "request_refused": COMMON | TAGS | REFUSED,
    "call_started": COMMON | TAGS | {"call_id": "wacid.TESTCALL0001"},
    "call_refused": COMMON | TAGS | REFUSED | {"error_code": 138_012},
    "reading_taken": COMMON | {"response": sample("reading-temporary")},
    "disposition_recorded": COMMON | {"call_id": "wacid.TESTCALL0001", "outcome": "Resolved"},
    "business_registered": COMMON | {"display_phone_number": "+44 20 7946 0123", "profile": "sandbox", "country": "gb"},
    "template_registered": COMMON
    | {"name": "test_cpr_template", "language": "en", "category": "UTILITY", "has_call_permission": True},
}


def fact_of(name: str, **more: Any) -> object:
    """The one fact of an action."""
    done = translate("actions", body(ALL[name] | {"type": name} | more), RECEIVED_AT)
    assert done.parked == ()
    (fact,) = done.facts
    return fact


def test_every_action_there_is_makes_one_fact() -> None:
    assert {name: fact_of(name) is not None for name in ACTION_TYPES} == dict.fromkeys(ALL, True)


@pytest.mark.parametrize(("name", "kind"), [("request_refused", RequestRefused), ("call_refused", CallRefused)])
def test_a_refusal_keeps_its_code_and_when_to_try_again(
    name: str, kind: type[RequestRefused] | type[CallRefused]
) -> None:
    assert fact_of(name, error_code=138_009) == kind(
        fact_id=derived_id(name, NUMBER, "TEST-1"), user=USER, **BASE, **TAGS, **REFUSED
    )


def test_a_started_call_is_an_offer_of_the_business() -> None:
    assert fact_of("call_started") == CallOffered(
        fact_id=derived_id("call_offered", NUMBER, "wacid.TESTCALL0001", "started"),
        user=USER,
        call_id="wacid.TESTCALL0001",
        direction="business_initiated",
        reported=True,
        **BASE,
        **TAGS,
    )


def test_what_the_business_and_what_meta_say_of_one_call_are_two_facts() -> None:
    ours = fact_of("call_started")
    (theirs,) = told(read(calls(call("connect"))))
    assert isinstance(ours, CallOffered)
    assert isinstance(theirs, CallOffered)
    assert ours.call_id == theirs.call_id
    assert ours.fact_id != theirs.fact_id
    assert (ours.reported, theirs.reported) == (True, False)


def test_a_disposition_is_about_a_call() -> None:
    assert fact_of("disposition_recorded") == DispositionRecorded(
        fact_id=derived_id("disposition_recorded", NUMBER, "wacid.TESTCALL0001", 1_772_442_000, "Resolved"),
        user=USER,
        call_id="wacid.TESTCALL0001",
        outcome="Resolved",
        **BASE,
    )


def test_a_registered_business_needs_no_user_and_is_kept_in_one_form() -> None:
    fact = fact_of("business_registered", user=None)
    assert isinstance(fact, BusinessRegistered)
    assert fact == BusinessRegistered(
        fact_id=fact.fact_id, display_phone_number="442079460123", profile="sandbox", country="GB", **BASE
    )


def test_a_registered_template_says_whether_it_asks_for_permission() -> None:
    fact = fact_of("template_registered")
    assert isinstance(fact, TemplateRegistered)
    assert fact == TemplateRegistered(
        fact_id=fact.fact_id,
        display_phone_number=None,
        waba_id=None,
        name="test_cpr_template",
        language="en",
        category="UTILITY",
        status=None,
        has_call_permission=True,
        **BASE,
    )


@pytest.mark.parametrize("name", ["business_registered", "template_registered"])
def test_what_is_told_differently_later_is_another_fact(name: str) -> None:
    once, again, later = fact_of(name), fact_of(name), fact_of(name, occurred_at=1_772_442_001)
    assert once == again != later


def test_every_fault_of_an_action_is_named_in_its_dead_letter() -> None:
    done = translate("actions", body(ACTION | {"user": "ann", "occurred_at": "soon"}), RECEIVED_AT)
    (fault,) = done.parked
    assert (fault.reason, fault.path) == ("invalid_action", "$.occurred_at")
    assert "; also $.user: " in fault.detail


@given(
    some.sampled_from(sorted(ALL)),
    some.data(),
    some.none() | some.booleans() | some.integers() | some.text(max_size=9) | some.lists(some.integers(), max_size=2),
)
def test_any_json_in_any_field_of_an_action_gives_a_fact_or_a_reason(
    name: str, data: some.DataObject, odd: Any
) -> None:
    action = ALL[name] | {"type": name}
    done = translate("actions", body(action | {data.draw(some.sampled_from(sorted(action))): odd}), RECEIVED_AT)
    assert len(done.facts) + len(done.parked) == 1
    assert done.ignored.keys() <= IGNORED.keys()
    assert {fault.reason for fault in done.parked} <= PARKED.keys()
    for fact in done.facts:
        assert not isinstance(decode_fact(encode_fact(fact)), Unreadable)


def test_what_claims_to_have_happened_long_after_its_receipt_is_parked() -> None:
    done = translate("actions", body(ACTION | {"occurred_at": RECEIVED_AT + 8 * 86_400}), RECEIVED_AT)
    assert (done.facts, [fault.reason for fault in done.parked]) == ((), ["time_in_future"])
    assert len(translate("actions", body(ACTION | {"occurred_at": RECEIVED_AT + 6 * 86_400}), RECEIVED_AT).facts) == 1

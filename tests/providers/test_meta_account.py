"""Domain 3.8: what Meta says about a number or an account."""

from typing import Any

import pytest

from schemas.events import BusinessRestricted, BusinessSettingsChanged, TemplateRegistered
from tests.providers.payloads import DISPLAY, NUMBER, RECEIVED_AT, WABA, read, sample, told, value_of


def restricted(payload: dict[str, Any]) -> list[tuple[object, ...]]:
    """What each restriction of a payload says."""
    facts = [fact for fact in told(read(payload)) if isinstance(fact, BusinessRestricted)]
    assert len({fact.fact_id for fact in facts}) == len(facts)
    return [(fact.restricts, fact.until, fact.violation) for fact in facts]


def test_a_restriction_names_the_number_by_its_display_form_and_says_until_when() -> None:
    (fact,) = told(read(sample("restriction")))
    assert fact == BusinessRestricted(
        fact_id=fact.fact_id,
        phone_number_id=None,
        display_phone_number=DISPLAY,
        occurred_at=1_772_442_000,
        recorded_at=RECEIVED_AT,
        provider="meta",
        restricts="business_initiated",
        until=1_773_046_800,
        violation="LOW_BUSINESS_INITIATED_CALLING_QUALITY",
    )


def test_a_restriction_is_the_same_fact_whatever_is_known_of_the_number() -> None:
    assert read(sample("restriction")).facts == read(sample("restriction"), {DISPLAY: NUMBER}).facts


def test_another_time_of_the_entry_is_another_restriction() -> None:
    later = sample("restriction")
    later["entry"][0]["time"] += 1
    assert read(later).facts[0].fact_id != read(sample("restriction")).facts[0].fact_id


@pytest.mark.parametrize(
    ("kind", "restricts"),
    [
        ("RESTRICTED_BUSINESS_INITIATED_CALLING", "business_initiated"),
        ("restricted_business_initiated_calling", "business_initiated"),
        ("RESTRICTED_USER_INITIATED_CALLING", "user_initiated"),
        ("RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN", "user_initiated"),
        ("RESTRICTED_BIZ_INITIATED_AND_USER_INITIATED_CALLING", "both"),
    ],
)
def test_every_restriction_of_calling_says_which_calls_it_concerns(kind: str, restricts: str) -> None:
    payload = sample("restriction")
    value_of(payload)["restriction_info"][0]["restriction_type"] = kind
    assert [first for first, *_ in restricted(payload)] == [restricts]


def test_every_restriction_of_a_webhook_is_a_fact() -> None:
    payload = sample("restriction")
    value_of(payload)["restriction_info"] = [
        {"restriction_type": "RESTRICTED_BUSINESS_INITIATED_CALLING", "expiration": "1773046800"},
        {"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION", "expiration": 1_773_046_800},
        {"restriction_type": "RESTRICTED_USER_INITIATED_CALLING"},
    ]
    del value_of(payload)["violation_info"]
    assert restricted(payload) == [("business_initiated", 1_773_046_800, None), ("user_initiated", None, None)]
    assert read(payload).ignored == {"restriction_other": 1}


def test_an_unreadable_end_of_a_restriction_is_parked_and_costs_not_its_neighbour() -> None:
    payload = sample("restriction")
    value_of(payload)["restriction_info"].append(
        {"restriction_type": "RESTRICTED_USER_INITIATED_CALLING", "expiration": "soon"}
    )
    done = read(payload)
    assert [fact.type for fact in done.facts] == ["business_restricted"]
    assert [fault.path for fault in done.parked] == ["$.entry[0].changes[0].value.restriction_info[1].expiration"]


@pytest.mark.parametrize(
    "violation",
    [
        "LOW_BUSINESS_INITIATED_CALLING_QUALITY",
        "LOW_USER_INITIATED_CALLING_QUALITY",
        "LOW_CALLING_QUALITY",
        "USER_INITIATED_CALLS_LOW_PICKUP_RATE",
    ],
)
def test_a_violation_is_a_warning_that_restricts_nothing(violation: str) -> None:
    payload = sample("violation")
    value_of(payload)["violation_info"]["violation_type"] = violation
    assert restricted(payload) == [(None, None, violation)]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": ["DISABLE"]}}, "account_ban"),
        ({"event": "PARTNER_ADDED"}, "account_event_other"),
        ({"event": None}, "account_event_other"),
        ({"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "SPAM"}}, "violation_other"),
        ({"event": "ACCOUNT_VIOLATION", "violation_info": []}, "violation_other"),
        ({"event": "ACCOUNT_RESTRICTION", "restriction_info": None}, "restriction_other"),
        (
            {"restriction_info": [{"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 1}]},
            "restriction_other",
        ),
    ],
)
def test_what_does_not_concern_calling_is_counted(changed: dict[str, Any], kind: str) -> None:
    payload = sample("restriction")
    value_of(payload).update(changed)
    done = read(payload)
    assert (done.facts, done.ignored, done.parked) == ((), {kind: 1}, ())


def test_a_restriction_of_no_number_is_parked() -> None:
    payload = sample("restriction")
    del value_of(payload)["phone_number"]
    assert [fault.reason for fault in read(payload).parked] == ["unknown_number"]


def test_a_number_that_is_written_as_an_integer_is_no_number_and_told_so() -> None:
    update, settings = sample("restriction"), sample("settings")
    value_of(update)["phone_number"] = 442_079_460_123
    said = value_of(settings)["phone_number_settings"]
    del said["phone_number_id"]
    said["display_phone_number"] = 442_079_460_123
    where = "$.entry[0].changes[0].value"
    for payload, place in ((update, "phone_number"), (settings, "phone_number_settings.display_phone_number")):
        assert {(fault.reason, fault.path) for fault in read(payload).parked} == {("unreadable_id", f"{where}.{place}")}


def test_settings_say_which_switches_are_on() -> None:
    (fact,) = told(read(sample("settings")))
    assert fact == BusinessSettingsChanged(
        fact_id=fact.fact_id,
        phone_number_id=NUMBER,
        display_phone_number=None,
        occurred_at=1_772_442_000,
        recorded_at=RECEIVED_AT,
        provider="meta",
        calling_enabled=True,
        callback_permission=True,
        sip_enabled=False,
        call_icon_visibility="DEFAULT",
    )


def test_settings_that_are_not_told_are_unknown_and_not_off() -> None:
    payload = sample("settings")
    value_of(payload)["phone_number_settings"]["calling"] = {"status": "disabled", "sip": {"status": "perhaps"}}
    done = read(payload)
    (fact,) = told(done)
    assert isinstance(fact, BusinessSettingsChanged)
    assert (fact.calling_enabled, fact.callback_permission, fact.sip_enabled) == (False, None, None)
    assert done.ignored == {"setting_unknown": 1}


@pytest.mark.parametrize("settings", [None, {"phone_number_id": NUMBER}, {"phone_number_id": NUMBER, "calling": None}])
def test_settings_of_something_else_are_counted(settings: object) -> None:
    payload = sample("settings")
    value_of(payload)["phone_number_settings"] = settings
    done = read(payload)
    assert (done.facts, done.ignored) == ((), {"settings_other": 1})


def test_settings_of_no_number_are_parked() -> None:
    payload = sample("settings")
    del value_of(payload)["phone_number_settings"]["phone_number_id"]
    assert [fault.reason for fault in read(payload).parked] == ["unknown_number"]


def test_the_status_of_a_template_is_a_fact_about_the_account() -> None:
    (fact,) = told(read(sample("template-status")))
    assert fact == TemplateRegistered(
        fact_id=fact.fact_id,
        phone_number_id=None,
        display_phone_number=None,
        occurred_at=1_772_442_000,
        recorded_at=RECEIVED_AT,
        provider="meta",
        waba_id=WABA,
        name="test_cpr_template",
        language="en",
        category="UTILITY",
        status="APPROVED",
        has_call_permission=None,
    )


def test_a_template_without_name_is_parked() -> None:
    payload = sample("template-status")
    del value_of(payload)["message_template_name"]
    assert [(fault.reason, fault.path) for fault in read(payload).parked] == [
        ("missing_name", "$.entry[0].changes[0].value.message_template_name")
    ]


def test_an_account_webhook_without_any_time_happened_when_it_came() -> None:
    payload = sample("restriction")
    del payload["entry"][0]["time"]
    assert read(payload).facts[0].occurred_at == RECEIVED_AT


def test_an_account_webhook_nested_too_deeply_is_parked() -> None:
    payload = sample("template-status")
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    value_of(payload)["surprise"] = deep
    assert len(read(payload).facts) + len(read(payload).parked) == 1

"""What the business reported, as facts."""

from schemas.events import RequestSent, Template
from schemas.ids import derived_id
from streams.providers.registry import PROVIDERS, translate
from tests.providers.payloads import NUMBER, RECEIVED_AT, USER, body

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


def test_an_action_that_is_not_valid_is_parked_with_its_path() -> None:
    done = translate("actions", body(ACTION | {"user": "ann"}), RECEIVED_AT)
    assert [(fault.reason, fault.path) for fault in done.parked] == [("invalid_action", "$.user")]


def test_an_action_that_is_no_json_is_parked() -> None:
    assert [fault.reason for fault in translate("actions", b"{", RECEIVED_AT).parked] == ["not_json"]


def test_a_provider_nobody_registered_is_parked_to_be_retried() -> None:
    assert [fault.reason for fault in translate("pigeon", b"{}", RECEIVED_AT).parked] == ["unknown_provider"]
    assert "pigeon" not in PROVIDERS

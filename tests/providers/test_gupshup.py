"""Domain 4.2: both dialects of Gupshup."""

from typing import Any

import pytest

from schemas.events import Fact, PermissionReplied
from streams.providers.registry import translate
from tests.providers.payloads import (
    CONTACT,
    NUMBER,
    RECEIVED_AT,
    USER,
    WABA,
    body,
    envelope,
    reply,
    sample,
    told,
    value,
    value_of,
)

GUIDE: dict[str, Any] = {
    "object": "whatsapp_business_account",
    "entry": [
        {
            "id": NUMBER,
            "changes": [
                {
                    "field": "messages",
                    "value": {
                        "messaging_product": "whatsapp",
                        "contacts": [{"wa_id": USER}],
                        "messages": [
                            {
                                "type": "interactive",
                                "interactive": {
                                    "type": "call_permission_reply",
                                    "call_permission_reply": {"response": "APPROVE", "expiration_time": "1773048600"},
                                },
                            }
                        ],
                    },
                }
            ],
        }
    ],
}


def facts(payload: object) -> list[Fact]:
    """The facts of a payload of Gupshup."""
    return told(translate("gupshup", body(payload), RECEIVED_AT))


def test_the_guide_for_sip_names_the_number_by_the_entry() -> None:  # scenario 47
    (fact,) = facts(GUIDE)
    assert isinstance(fact, PermissionReplied)
    assert (fact.phone_number_id, fact.user, fact.provider) == (NUMBER, USER, "gupshup")
    assert (fact.response, fact.is_permanent, fact.expires_at) == ("accept", False, 1_773_048_600)
    assert (fact.message_id, fact.occurred_at) == (None, RECEIVED_AT)


def test_a_reply_without_id_and_time_has_the_same_id_whenever_it_comes_again() -> None:
    (again,) = told(translate("gupshup", body(GUIDE), RECEIVED_AT + 60))
    assert again.fact_id == facts(GUIDE)[0].fact_id


def test_metas_own_translation_never_takes_an_entry_for_a_number() -> None:
    done = translate("meta", body(GUIDE), RECEIVED_AT)
    assert (done.facts, [fault.reason for fault in done.parked]) == ((), ["unknown_number"])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"is_permanent": True, "response": "accept", "response_source": "user_action"}, (True, None)),
        ({"response": "accept", "expiration_timestamp": 1_773_048_600}, (False, 1_773_048_600)),
    ],
)
def test_what_is_passed_on_unchanged_is_read_as_metas(said: dict[str, Any], expected: tuple[bool, int | None]) -> None:
    payload = envelope(value(contacts=[CONTACT], messages=[reply(context="wamid.TESTREQ0001", **said)]))
    (fact,) = facts(payload | {"gs_app_id": "TEST-app"})
    assert isinstance(fact, PermissionReplied)
    assert (fact.phone_number_id, fact.is_permanent, fact.expires_at) == (NUMBER, *expected)


def test_an_enqueued_status_is_counted_whatever_its_clock() -> None:
    payload = sample("statuses")
    payload["entry"][0]["id"] = WABA
    said = {"gs_id": "TEST-gs", "id": "wamid.TESTREQ0001", "recipient_id": USER, "timestamp": 1_772_442_000_420}
    value_of(payload).update(statuses=[said | {"status": "enqueued"}])
    del value_of(payload)["metadata"]
    done = translate("gupshup", body(payload), RECEIVED_AT)
    assert (done.facts, done.ignored, done.parked) == ((), {"status_enqueued": 1}, ())

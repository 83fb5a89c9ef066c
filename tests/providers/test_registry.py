"""The one registry of translations."""

from dataclasses import replace
from typing import get_args

import pytest

from schemas.events import Provider
from streams.providers.registry import PROVIDERS, translate
from streams.providers.translation import Translation
from tests.providers.payloads import (
    DISPLAY,
    NUMBER,
    RECEIVED_AT,
    body,
    envelope,
    known,
    read,
    reply,
    sample,
    value,
    value_of,
)

ENVELOPES = sorted(PROVIDERS.keys() - {"actions", "meta-sendlog"})


@pytest.mark.parametrize("provider", ENVELOPES)
def test_every_provider_that_passes_on_metas_envelope_reads_it_under_its_own_name(provider: str) -> None:
    facts = translate(provider, body(sample("r1-temporary-accept")), RECEIVED_AT).facts
    assert [fact.type for fact in facts] == ["permission_replied", "users_linked", "users_linked", "business_seen"]
    assert {fact.provider for fact in facts} == {provider}


@pytest.mark.parametrize("provider", ENVELOPES)
def test_a_fact_has_the_same_id_whoever_passed_it_on(provider: str) -> None:
    ids = [
        [fact.fact_id for fact in translate(one, body(sample("statuses")), RECEIVED_AT).facts]
        for one in ("meta", provider)
    ]
    assert ids[0] == ids[1] != []


@pytest.mark.parametrize("provider", ENVELOPES)
def test_every_provider_is_given_the_registered_numbers(provider: str) -> None:
    payload = sample("r1-temporary-accept")
    del value_of(payload)["metadata"]["phone_number_id"]
    facts = translate(provider, body(payload), RECEIVED_AT, known({DISPLAY: NUMBER})).facts
    assert {fact.phone_number_id for fact in facts} == {NUMBER}


def test_every_registered_provider_may_stand_in_a_fact() -> None:
    assert PROVIDERS.keys() <= set(get_args(Provider))


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
@pytest.mark.parametrize("said", [b"", b"null", b"[]", b"{}", b"\xff", b'{"entry": 5}'])
def test_no_translation_ever_raises(provider: str, said: bytes) -> None:
    assert translate(provider, said, RECEIVED_AT).facts == ()


AHEAD = RECEIVED_AT + 8 * 86_400


def places(provider: str, payload: object, received_at: int = RECEIVED_AT) -> list[tuple[str, str]]:
    """Reason and path of what is parked."""
    return [(fault.reason, fault.path) for fault in translate(provider, body(payload), received_at).parked]


def test_each_item_that_claims_to_have_happened_long_after_its_receipt_is_parked_with_its_own_place() -> None:
    late = [reply(f"wamid.TEST{at}", response="accept", timestamp=AHEAD + at) for at in range(2)]
    payload = envelope(value(messages=[*late, reply("wamid.TESTGOOD", response="accept")]))
    where = "$.entry[0].changes[0].value.messages"
    assert places("meta", payload) == [("time_in_future", f"{where}[{at}].timestamp") for at in range(2)]
    assert [fact.type for fact in read(payload).facts] == ["permission_replied", "users_linked", "business_seen"]


def test_an_instant_far_ahead_is_named_where_the_dialect_says_it() -> None:
    settings = envelope(
        {"timestamp": AHEAD, "phone_number_settings": {"phone_number_id": NUMBER, "calling": {"status": "ENABLED"}}},
        field="account_settings_update",
    )
    update = envelope({"message_template_name": "t"}, field="message_template_status_update")
    update["entry"][0]["time"] = AHEAD
    connect = {"wacid": "wacid.TEST1", "phoneId": NUMBER, "from": DISPLAY, "to": "447700900123"}
    connect |= {"direction": "BUSINESS_INITIATED"}
    event = {"type": "whatsapp.call.connect", "createTime": AHEAD, "callingConnect": connect}
    action = {"type": "disposition_recorded", "phone_number_id": NUMBER, "user": "447700900123", "call_id": "wacid.T"}
    assert places("meta", settings) == [("time_in_future", "$.entry[0].changes[0].value.timestamp")]
    assert places("meta", update) == [("time_in_future", "$.entry[0].time")]
    assert places("ycloud", event) == [("time_in_future", "$.createTime")]
    assert places("actions", action | {"outcome": "sold", "occurred_at": AHEAD}) == [
        ("time_in_future", "$.occurred_at")
    ]


def test_a_translation_that_forgets_to_look_is_parked_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    late = replace(read(sample("statuses")).facts[0], occurred_at=AHEAD)
    monkeypatch.setitem(PROVIDERS, "meta", lambda *_: Translation(facts=(late,)))
    assert places("meta", {}) == [("time_in_future", "$")]

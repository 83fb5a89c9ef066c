"""The one registry of translations."""

from typing import get_args

import pytest

from schemas.events import Provider
from streams.providers.registry import PROVIDERS, translate
from tests.providers.payloads import DISPLAY, NUMBER, RECEIVED_AT, body, known, sample, value_of

ENVELOPES = sorted(PROVIDERS.keys() - {"actions", "meta-sendlog"})


@pytest.mark.parametrize("provider", ENVELOPES)
def test_every_provider_that_passes_on_metas_envelope_reads_it_under_its_own_name(provider: str) -> None:
    facts = translate(provider, body(sample("r1-temporary-accept")), RECEIVED_AT).facts
    assert [fact.type for fact in facts] == ["permission_replied", "users_linked", "users_linked", "business_seen"]
    assert {fact.provider for fact in facts} == {provider}


@pytest.mark.parametrize("provider", ENVELOPES)
def test_a_fact_has_the_same_id_whoever_passed_it_on(provider: str) -> None:
    ids = [[fact.fact_id for fact in translate(one, body(sample("statuses")), 0).facts] for one in ("meta", provider)]
    assert ids[0] == ids[1]


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

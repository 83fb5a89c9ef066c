from collections import Counter

import orjson

from schemas.codec import Unreadable, decode_fact
from schemas.envelope import header, raw_record
from schemas.events import BusinessRegistered, PairFact, RequestSent
from schemas.ids import partition_of
from streams.providers.known import Known
from streams.worker.translation import translate_batch
from tests.providers.payloads import USER, envelope
from tests.worker.seeded import NUMBERS, raw_past
from tests.worker.stand_ins import Record, record

AT_MS = 1_772_443_801_500


def raw(provider: str, value: bytes | None, offset: int = 0) -> Record:
    headers = raw_record(provider=provider, received_at_ms=AT_MS, delivery_id="d", secret_slot="test")
    return record(value, offset=offset, topic="webhooks.raw", headers=headers)


def test_facts_go_to_the_partition_of_their_pair_with_their_own_id() -> None:
    past = [record(each.value, topic=each.topic, headers=each.headers) for each in raw_past(4, 200)]
    done = translate_batch(past, 8)

    assert len(done.facts) > 1
    assert done.parked == []
    for (topic, partition), rows in done.facts.items():
        for row in rows:
            fact = decode_fact(row.value or b"")
            assert not isinstance(fact, Unreadable)
            if isinstance(fact, PairFact):
                assert (topic, row.key) == ("permission.events", f"{fact.phone_number_id}/{fact.user}".encode())
            else:
                assert (topic, row.key) == ("business.events", (fact.phone_number_id or "").encode())
            assert partition_of(row.key or b"", 8) == partition
            assert header(row.headers, "ce_id") == fact.fact_id
    assert {topic for topic, _ in done.facts} == {"permission.events", "business.events"}


def test_a_body_that_is_no_json_is_parked_and_the_next_is_read() -> None:
    good = next(each.value for each in raw_past(1, 10) if each.topic == "webhooks.raw")
    done = translate_batch([raw("meta", b"{", offset=5), raw("meta", good)], 8)

    assert done.flags == [True, False]
    assert done.reasons == Counter({"not_json": 1})
    assert header(done.parked[0].headers, "origin_offset") == "5"
    assert sum(len(rows) for (topic, _), rows in done.facts.items() if topic == "permission.events") == 1


def test_an_unknown_provider_and_a_tombstone_are_parked() -> None:
    done = translate_batch([raw("nobody", b"{}"), raw("meta", None), record(b"{}", topic="webhooks.raw")], 8)

    assert done.reasons == Counter({"unknown_provider": 2, "no_value": 1})


def test_without_a_receipt_header_the_records_own_time_counts() -> None:
    action = next(each.value for each in raw_past(1, 10) if each.topic == "actions.raw")
    with_header, without = (
        translate_batch([raw("actions", action)], 1),
        translate_batch(
            [record(action, topic="actions.raw", headers=[("provider", b"actions"), ("received_at", b"yesterday")])], 1
        ),
    )

    def receipt(row_value: bytes | None) -> int:
        fact = decode_fact(row_value or b"")
        assert isinstance(fact, RequestSent)
        return fact.recorded_at

    assert receipt(with_header.facts["permission.events", 0][0].value) == AT_MS // 1000
    assert receipt(without.facts["permission.events", 0][0].value) == 1_772_443_801


def test_a_webhook_with_one_bad_message_of_many_is_parked_once_and_is_not_bad() -> None:
    webhook = orjson.loads(next(each.value for each in raw_past(1, 10) if each.topic == "webhooks.raw"))
    change = webhook["entry"][0]["changes"][0]["value"]
    [status] = change["statuses"]
    change["statuses"] += [{**status, "timestamp": "soon"}, {**status, "timestamp": "later"}]
    done = translate_batch([raw("meta", orjson.dumps(webhook))], 1)

    assert done.flags == [False]
    assert len(done.facts["permission.events", 0]) == 1
    assert len(done.parked) == len(done.reasons) == 1


def test_a_fact_about_a_number_is_keyed_by_what_names_it() -> None:
    action = {
        "type": "business_registered",
        "phone_number_id": NUMBERS[0],
        "occurred_at": AT_MS // 1000,
        "display_phone_number": "442079460123",
        "profile": "sandbox",
    }
    restriction = {"restriction_type": "RESTRICTED_BUSINESS_INITIATED_CALLING", "expiration": AT_MS // 1000 + 86_400}
    update = {"phone_number": "+44 20 7946 0123", "event": "ACCOUNT_RESTRICTION", "restriction_info": [restriction]}
    webhook = orjson.dumps(envelope(update, field="account_update"))
    done = translate_batch([raw("actions", orjson.dumps(action)), raw("meta", webhook, 1)], 8)

    assert done.parked == []
    found = {row.key: decode_fact(row.value or b"") for rows in done.facts.values() for row in rows}
    assert {topic for topic, _ in done.facts} == {"business.events"}
    assert set(found) == {NUMBERS[0].encode(), b"442079460123"}
    assert isinstance(found[NUMBERS[0].encode()], BusinessRegistered)
    assert set(done.facts) == {("business.events", partition_of(key, 8)) for key in found if key is not None}


def test_an_entry_id_that_is_a_known_number_names_it() -> None:
    webhook = envelope(
        {"messages": [{"from": USER, "id": "wamid.TESTMSG1", "timestamp": str(AT_MS // 1000), "text": {}}]}
    )
    webhook["entry"][0]["id"] = NUMBERS[0]
    arrivals = [raw("meta", orjson.dumps(webhook))]
    assert dict(translate_batch(arrivals, 8).reasons) == {"unknown_number": 1}
    done = translate_batch(arrivals, 8, numbers=Known(ids=frozenset(NUMBERS)))
    assert [row.key for rows in done.facts.values() for row in rows] == [f"{NUMBERS[0]}/{USER}".encode()]


def test_a_header_of_null_beside_ours_changes_nothing() -> None:
    action = next(each.value for each in raw_past(1, 10) if each.topic == "actions.raw")
    plain = raw("actions", action)
    odd = plain._replace(headers=(("x", None), *plain.headers))
    assert translate_batch([odd], 1).facts == translate_batch([plain], 1).facts

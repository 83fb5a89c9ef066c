"""Domain 3.5, 3.7: what Meta's webhooks mean, in every shape seen."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from schemas.codec import Unreadable, decode_fact, encode_fact
from schemas.events import MessageStatus, PermissionReplied
from schemas.ids import derived_id
from streams.providers.kinds import IGNORED, PARKED
from streams.providers.registry import translate
from tests.providers.payloads import (
    CONTACT,
    NUMBER,
    PARENT,
    RECEIVED_AT,
    SAMPLES,
    SCOPED,
    USER,
    body,
    envelope,
    json_values,
    places,
    read,
    reply,
    sample,
    status,
    told,
    value,
)

ACCEPT: dict[str, Any] = {
    "response": "accept",
    "is_permanent": False,
    "expiration_timestamp": "1773048600",
    "response_source": "user_action",
}


def only(payload: object) -> PermissionReplied:
    """The one reply of a payload."""
    (fact,) = told(read(payload))
    assert isinstance(fact, PermissionReplied)
    return fact


def test_r1_a_temporary_accept_of_a_request() -> None:
    fact = only(envelope(value(contacts=[CONTACT], messages=[reply(context="wamid.TESTREQ0001", **ACCEPT)])))
    assert fact == PermissionReplied(
        fact_id=derived_id("permission_replied", NUMBER, "wamid.TESTREPLY0001"),
        phone_number_id=NUMBER,
        user=USER,
        aliases=(SCOPED,),
        occurred_at=1_772_443_800,
        recorded_at=RECEIVED_AT,
        provider="meta",
        message_id="wamid.TESTREPLY0001",
        response="accept",
        is_permanent=False,
        expires_at=1_773_048_600,
        source="user_action",
        context_id="wamid.TESTREQ0001",
    )


def test_r2_a_permanent_accept_has_no_expiry_even_where_one_is_named() -> None:
    fact = only(envelope(value(messages=[reply(**ACCEPT | {"is_permanent": True})])))
    assert (fact.is_permanent, fact.expires_at) == (True, None)


def test_r3_an_accept_through_the_profile_has_no_context() -> None:
    assert only(envelope(value(messages=[reply(response="accept", is_permanent=True)]))).context_id is None


def test_r4_a_reject_is_neither_permanent_nor_has_it_an_expiry() -> None:
    fact = only(envelope(value(messages=[reply(response="reject", response_source="user_action", context="r1")])))
    assert (fact.response, fact.is_permanent, fact.expires_at) == ("reject", False, None)


def test_r5_the_context_of_a_callback_permission_is_the_users_call() -> None:
    said = ACCEPT | {"response_source": "automatic", "context": "wacid.TESTUIC0001"}
    fact = only(envelope(value(messages=[reply(**said)])))
    assert (fact.source, fact.context_id) == ("automatic", "wacid.TESTUIC0001")


def test_r8_an_old_payload_without_permanence_source_and_type_is_read() -> None:
    message = reply(response="accept", expiration_timestamp=1_773_048_600)
    del message["type"]
    fact = only(envelope(value(messages=[message])))
    assert (fact.is_permanent, fact.source, fact.expires_at) == (False, None, 1_773_048_600)


def test_r9_a_user_with_a_username_is_known_by_the_scoped_id() -> None:
    message = reply(**ACCEPT)
    del message["from"]
    fact = only(
        envelope(value(contacts=[{"profile": {}, "user_id": SCOPED, "parent_user_id": PARENT}], messages=[message]))
    )
    assert (fact.user, fact.aliases) == (SCOPED, (PARENT,))


def test_the_id_of_a_reply_does_not_depend_on_the_name_the_user_came_under() -> None:
    message = reply(**ACCEPT)
    named = only(envelope(value(messages=[message])))
    scoped = only(envelope(value(messages=[{k: v for k, v in message.items() if k != "from"}])))
    assert (named.user, scoped.user) == (USER, SCOPED)
    assert named.fact_id == scoped.fact_id


@pytest.mark.parametrize("word", ["accept", "ACCEPT", "approve", "APPROVE", "GRANTED", "granted"])
def test_every_word_for_yes_is_an_accept(word: str) -> None:
    assert only(envelope(value(messages=[reply(response=word)]))).response == "accept"


@pytest.mark.parametrize("word", ["reject", "REJECT", "REJECTED", "denied", "REVOKED"])
def test_every_word_for_no_is_a_reject(word: str) -> None:
    assert only(envelope(value(messages=[reply(response=word)]))).response == "reject"


def test_an_unknown_word_is_counted_and_decides_nothing() -> None:
    done = read(envelope(value(messages=[reply(response="perhaps"), reply(response=None), reply(response=3)])))
    assert (done.facts, done.ignored, done.parked) == ((), {"response_unknown": 3}, ())


@pytest.mark.parametrize(
    "at",
    [
        "1772443800",
        1_772_443_800,
        1_772_443_800_123,
        1_772_443_800.0,
        1_772_443_800_123.0,
        "2026-03-02T09:30:00.000+0000",
    ],
)
def test_an_instant_is_read_in_every_form_seen(at: object) -> None:
    assert only(envelope(value(messages=[reply(timestamp=at, **ACCEPT)]))).occurred_at == 1_772_443_800


def test_without_a_timestamp_the_receipt_time_stands() -> None:
    assert only(envelope(value(messages=[reply(timestamp=None, **ACCEPT)]))).occurred_at == RECEIVED_AT


@pytest.mark.parametrize(
    "at", [-1, 0, 1_000_000_000, 10**20, "soon", "2026-03-02T09:30:00", True, 1.5, 1_772_443_800.5, 1e300, [], {}]
)
def test_an_instant_nobody_can_read_is_parked_with_its_path(at: object) -> None:
    done = read(envelope(value(messages=[reply(timestamp=at, **ACCEPT)])))
    assert done.facts == ()
    assert [fault.path for fault in done.parked] == ["$.entry[0].changes[0].value.messages[0].timestamp"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [(b"NaN", "not_json"), (b"Infinity", "not_json"), (b"-Infinity", "not_json"), (b"1e999", "unreadable_time")],
)
def test_what_is_no_number_of_json_is_no_instant(said: bytes, reason: str) -> None:
    payload = body(envelope(value(messages=[reply(**ACCEPT)]))).replace(b'"1772443800"', said)
    done = translate("meta", payload, RECEIVED_AT)
    assert said in payload
    assert (done.facts, [fault.reason for fault in done.parked]) == ((), [reason])


def test_an_expiry_with_a_fraction_of_zero_is_that_expiry_and_a_zero_is_none() -> None:
    said = [
        only(envelope(value(messages=[reply(response="accept", expiration_timestamp=at)])))
        for at in (1773048600.0, 0.0)
    ]
    assert [fact.expires_at for fact in said] == [1_773_048_600, None]


def test_without_a_message_id_the_content_makes_the_id() -> None:
    message = reply(**ACCEPT)
    del message["id"]
    one, two = only(envelope(value(messages=[message]))), only(envelope(value(messages=[message])))
    other = only(envelope(value(messages=[message | {"timestamp": "1772443801"}])))
    assert one.fact_id == two.fact_id != other.fact_id
    assert one.message_id is None


def test_statuses_are_read_with_their_error() -> None:
    failed = status("wamid.TESTREQ0002", "failed", errors=[{"code": 131_026, "title": "Message undeliverable"}])
    done = read(envelope(value(statuses=[status("wamid.TESTREQ0001", "delivered"), failed])))
    assert [(fact.status, fact.error_code) for fact in done.facts if isinstance(fact, MessageStatus)] == [
        ("delivered", None),
        ("failed", 131_026),
    ]


def test_a_repeated_status_has_the_same_id_whatever_it_was_grouped_with() -> None:
    alone = read(envelope(value(statuses=[status("wamid.TESTREQ0001", "read")])))
    grouped = read(
        envelope(value(statuses=[status("x", "sent")]), value(statuses=[status("wamid.TESTREQ0001", "read")]))
    )
    assert alone.facts[0].fact_id == grouped.facts[1].fact_id


def test_an_enqueued_or_unknown_status_is_counted() -> None:
    done = read(envelope(value(statuses=[status("a", "enqueued", 1_772_442_000_420), status("a", "warned")])))
    assert (done.facts, done.ignored) == ((), {"status_enqueued": 1, "status_unknown": 1})


def test_every_entry_change_and_item_of_a_batch_is_read() -> None:  # scenario 41
    one = envelope(
        value(statuses=[status("r1", "sent")]), value(messages=[reply(**ACCEPT), {"type": "text", "from": USER}])
    )
    two = envelope({"surprise": 1}, field="novelty")
    done = read({"object": "whatsapp_business_account", "entry": one["entry"] + two["entry"] + one["entry"]})
    assert [fact.type for fact in told(done)] == ["message_status", "permission_replied", "user_messaged"] * 2
    assert done.ignored == {"field_unknown": 1}


def test_one_bad_update_of_a_thousand_costs_nothing_of_the_others() -> None:
    statuses: list[Any] = [status(f"wamid.TEST{place}", "sent") for place in range(1_000)]
    statuses[500] = {"id": 5, "status": "sent", "recipient_id": USER}
    done = read(envelope(value(statuses=statuses)))
    assert len([fact for fact in done.facts if isinstance(fact, MessageStatus)]) == 999
    assert [fault.path for fault in done.parked] == ["$.entry[0].changes[0].value.statuses[500].id"]


def test_a_lone_surrogate_in_a_name_costs_no_permission() -> None:
    text = json.dumps(envelope(value(contacts=[CONTACT], messages=[reply(**ACCEPT)])))
    done = translate("meta", text.replace("Test User", "\\ud83d").encode(), RECEIVED_AT)
    assert [fact.type for fact in told(done)] == ["permission_replied"]


def test_broken_utf_8_in_a_name_costs_no_permission() -> None:
    text = json.dumps(envelope(value(contacts=[CONTACT], messages=[reply(**ACCEPT)]))).encode()
    done = translate("meta", text.replace(b"Test User", b"\xf0\x9f\x98"), RECEIVED_AT)
    assert [fact.type for fact in told(done)] == ["permission_replied"]


def test_a_byte_order_mark_costs_no_permission() -> None:
    text = json.dumps(envelope(value(contacts=[CONTACT], messages=[reply(**ACCEPT)]))).encode()
    assert [fact.type for fact in told(translate("meta", b"\xef\xbb\xbf" + text, RECEIVED_AT))] == [
        "permission_replied"
    ]


def test_a_lone_surrogate_in_an_id_is_parked() -> None:
    text = json.dumps(envelope(value(messages=[reply(**ACCEPT)]))).replace("wamid.TESTREPLY0001", "wamid.\\ud83d")
    done = translate("meta", text.encode(), RECEIVED_AT)
    assert [fault.reason for fault in done.parked] == ["unreadable_id"]


@pytest.mark.parametrize(
    "said", [b"", b"{", b"null\x00", b"[" * 100_000, b'{"entry": NaN}', b"\xff\xfe\xff", b'{"a":1}x']
)
def test_what_is_no_json_is_parked(said: bytes) -> None:
    assert [fault.reason for fault in translate("meta", said, RECEIVED_AT).parked] == ["not_json"]


@pytest.mark.parametrize("payload", [[], 1, None, "x", {"entry": {}}, {"entry": [1]}, {"entry": [{"changes": 1}]}])
def test_what_has_not_the_form_of_a_webhook_is_parked(payload: object) -> None:
    assert [fault.reason for fault in read(payload).parked] == ["unreadable"]


def test_messengers_look_alike_is_another_product() -> None:
    assert read({"object": "page", "entry": [{"call_permission_reply": {"response": "approve"}}]}).ignored == {
        "other_object": 1
    }


def test_a_payload_without_a_number_is_parked_as_unknown_number() -> None:
    payload = envelope({"messages": [reply(**ACCEPT)], "statuses": [status("r1", "sent")]})
    assert [fault.reason for fault in read(payload).parked] == ["unknown_number"] * 2


def test_a_voicemail_is_no_permission() -> None:  # scenario 52
    done = read(envelope(value(messages=[{"from": USER, "id": "wacid.TESTCALL0001", "type": "audio", "audio": {}}])))
    assert [fact.type for fact in told(done)] == ["user_messaged"]


WEBHOOKS = sorted(path.stem for path in SAMPLES.glob("*.json") if not path.stem.startswith("reading"))


@given(some.data(), some.sampled_from(WEBHOOKS), json_values)
def test_any_json_in_any_place_gives_facts_or_a_reason_and_never_raises(
    data: some.DataObject, name: str, odd: Any
) -> None:
    payload: Any = {"all": sample(name)}
    place = ("all", *data.draw(some.sampled_from(places(payload["all"]))))
    holder = payload
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = odd
    done = translate("meta", json.dumps(payload["all"]).encode(), RECEIVED_AT)
    for fact in done.facts:
        assert not isinstance(decode_fact(encode_fact(fact)), Unreadable)
    assert done.ignored.keys() <= IGNORED.keys()
    assert {fault.reason for fault in done.parked} <= PARKED.keys()


@given(some.permutations(sorted(sample("r1-temporary-accept"))), some.booleans())
def test_the_order_of_keys_changes_no_fact(order: list[str], ascii_only: bool) -> None:
    payload = sample("r1-temporary-accept")
    shuffled = json.dumps({key: payload[key] for key in order}, ensure_ascii=ascii_only).encode()
    assert translate("meta", shuffled, RECEIVED_AT) == read(payload)


@pytest.mark.parametrize("name", WEBHOOKS)
def test_nothing_of_a_published_sample_is_ignored_or_parked(name: str) -> None:
    done = read(sample(name))
    assert (done.ignored, done.parked) == ({}, ())


@pytest.mark.parametrize("name", WEBHOOKS)
def test_a_repeated_sample_makes_the_same_ids_whenever_it_comes(name: str) -> None:
    once = translate("meta", body(sample(name)), RECEIVED_AT)
    again = translate("meta", body(sample(name)), RECEIVED_AT + 86_400)
    assert [fact.fact_id for fact in once.facts] == [fact.fact_id for fact in again.facts]
    assert len({fact.fact_id for fact in once.facts}) == len(once.facts) > 0


@given(some.binary(max_size=200))
def test_any_bytes_give_a_reason_and_never_raise(said: bytes) -> None:
    done = translate("meta", said, RECEIVED_AT)
    assert done.parked or done.ignored or not done.facts


def test_no_reason_quotes_what_was_sent() -> None:
    done = read(envelope(value(messages=[reply(timestamp="447700900123x", **ACCEPT)])))
    assert "447700900" not in repr(done.parked)


@pytest.mark.parametrize("provider", ["meta", "360dialog", "gupshup"])
@pytest.mark.parametrize("said", [{"results": []}, {"statuses": [], "type": "message"}, {"x": None}])
def test_an_object_that_is_no_envelope_is_parked_with_what_to_do(provider: str, said: dict[str, Any]) -> None:
    done = translate(provider, body(said), RECEIVED_AT)
    ((reason, path, detail),) = [(fault.reason, fault.path, fault.detail) for fault in done.parked]
    assert (done.facts, done.ignored, reason, path) == ((), {}, "not_an_envelope", "$")
    assert "entry" in detail
    assert "provider" in detail


@pytest.mark.parametrize("said", [{}, {"object": "whatsapp_business_account", "entry": []}, {"entry": []}])
def test_an_empty_envelope_is_counted(said: dict[str, Any]) -> None:
    done = translate("meta", body(said), RECEIVED_AT)
    assert (done.facts, done.ignored, done.parked) == ((), {"empty": 1}, ())


@pytest.mark.parametrize(
    ("field", "said", "ignored", "unknown"),
    [
        ("calls", {"messages": [reply(response="accept")]}, "part_unknown", {"part_unknown:messages": 1}),
        ("messages", {"calls": [{"id": "wacid.TEST1"}]}, "part_unknown", {"part_unknown:calls": 1}),
        ("messages", {"permissions": [{"x": 1}]}, "part_unknown", {"part_unknown:permissions": 1}),
        ("messages", {"permissions": {"x": 1}}, "part_unknown", {"part_unknown:permissions": 1}),
        ("messages", {USER: [1]}, "part_unknown", {}),
        ("messages", {"errors": [{"code": 131_044}]}, "errors_beside", {}),
        ("calls", {"errors": [{"code": 131_044}]}, "errors_beside", {}),
        ("messages", {"contacts": [CONTACT], "errors": [], "messages": [], "statuses": None}, "empty", {}),
    ],
)
def test_what_nobody_reads_of_a_change_is_counted(
    field: str, said: dict[str, Any], ignored: str, unknown: dict[str, int]
) -> None:
    done = read(envelope(value(**said), field=field))
    assert (done.facts, done.ignored, done.unknown, done.parked) == ((), {ignored: 1}, unknown, ())


def test_what_nobody_reads_beside_an_item_costs_the_item_nothing() -> None:
    done = read(envelope(value(messages=[reply(response="accept")], permissions=[{"x": 1}])))
    assert [fact.type for fact in told(done)] == ["permission_replied"]
    assert done.unknown == {"part_unknown:permissions": 1}

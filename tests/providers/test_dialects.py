"""Domain 4.2: every dialect sample gives the documented fact; 4.3: what a dialect cannot say is inferred and flagged.

A file in `samples/dialects/` without a row here is a fault.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from schemas.codec import Unreadable, decode_fact, encode_fact
from schemas.events import BusinessSeen, Fact, UsersLinked
from streams.providers.kinds import IGNORED, PARKED
from streams.providers.registry import PROVIDERS, translate
from streams.providers.translation import MAX_UNKNOWN, Translation
from tests.providers.payloads import (
    DISPLAY,
    NUMBER,
    RECEIVED_AT,
    SAMPLES,
    SCOPED,
    USER,
    body,
    json_values,
    known,
    places,
    sample,
)

T0 = 1_772_442_000
DIALECTS = SAMPLES / "dialects"
KNOWN: Mapping[str, str] = {DISPLAY: NUMBER}
SEVERAL: Mapping[str, str] = {DISPLAY: NUMBER, "442079460124": "700100200300401"}
REPLIED: dict[str, Any] = {
    "type": "permission_replied",
    "phone_number_id": NUMBER,
    "user": USER,
    "occurred_at": T0 + 1_800,
    "response": "accept",
    "is_permanent": False,
    "expires_at": 1_773_048_600,
    "revoked": False,
    "inferred": (),
}
STATUS: dict[str, Any] = {"type": "message_status", "user": USER, "message_id": "wamid.TESTREQ0001", "error_code": None}
IB_STATUS: dict[str, Any] = STATUS | {"message_id": "TESTIBREQ0001"}
CALL: dict[str, Any] = {"phone_number_id": NUMBER, "user": USER, "call_id": "wacid.TESTCALL0001"}
ENDED: dict[str, Any] = CALL | {"type": "call_ended", "direction": "business_initiated", "error_code": None}
PAIRED: dict[str, Any] = {"message_id": "TESTIB0001", "source": None, "context_id": "TESTIBREQ0001"}

GIVES: dict[str, list[dict[str, Any]]] = {
    "infobip-accept": [REPLIED | PAIRED],
    "infobip-accept-without-expiry": [  # scenario 48
        REPLIED | PAIRED | {"is_permanent": True, "expires_at": None, "inferred": ("is_permanent",)}
    ],
    "infobip-reject": [REPLIED | PAIRED | {"response": "reject", "expires_at": None}],
    "infobip-text": [{"type": "user_messaged", "message_id": "TESTIB0001", "occurred_at": T0 + 1_800}],
    "infobip-delivered": [IB_STATUS | {"status": "delivered", "occurred_at": T0 + 5, "inferred": ()}],
    "infobip-undeliverable": [
        IB_STATUS
        | {"status": "failed", "occurred_at": T0 + 10, "message_id": "TESTIBREQ0002", "error_code": 7014}
        | {"phone_number_id": NUMBER, "inferred": ("phone_number_id",)}
    ],
    "infobip-seen": [IB_STATUS | {"status": "read", "occurred_at": T0 + 300}],
    "gupshup-permanent": [
        REPLIED
        | {"message_id": "wamid.TESTGS0001", "is_permanent": True, "expires_at": None, "source": "user_action"}
        | {"context_id": "wamid.TESTREQ0001"}
    ],
    "gupshup-temporary": [REPLIED | {"source": None}],
    "gupshup-sip-guide": [  # scenario 47
        REPLIED | {"occurred_at": RECEIVED_AT, "source": None, "message_id": None, "context_id": None}
    ],
    "gupshup-enqueued": [],
    "gupshup-billing-event": [],
    "zernio-permission": [
        REPLIED | {"occurred_at": RECEIVED_AT, "source": "user_action", "inferred": ("phone_number_id",)}
    ],
    "zernio-permission-event": [REPLIED | {"source": "user_action", "message_id": "TESTZEVENT0001"}],
    "zernio-call-received": [
        CALL | {"type": "call_offered", "call_id": "wacid.TESTUIC0001", "direction": "user_initiated"}
    ],
    "zernio-call-ended": [
        ENDED
        | {"status": "completed", "started_at": T0 + 3_612, "ended_at": T0 + 3_668, "duration_s": 56}
        | {"occurred_at": T0 + 3_668},
        CALL | {"type": "call_connected", "occurred_at": T0 + 3_612, "exact": True},
    ],
    "zernio-call-rejected": [
        CALL | {"type": "call_rejected", "occurred_at": T0 + 3_609},
        ENDED | {"status": "completed", "started_at": None, "duration_s": None},
    ],
    "zernio-call-failed": [ENDED | {"status": "failed", "error_code": 138_020, "occurred_at": T0 + 3_609}],
    "ycloud-call-status": [
        CALL
        | {"type": "call_connected", "occurred_at": T0 + 3_612, "direction": "business_initiated", "exact": False}
        | {"aliases": (SCOPED,), "inferred": ("phone_number_id",)}
    ],
    "ycloud-call-status-of-a-number": [CALL | {"type": "call_rejected", "occurred_at": T0 + 3_612, "inferred": ()}],
    "ycloud-call-connect": [
        CALL | {"type": "call_offered", "direction": "business_initiated", "occurred_at": T0 + 3_600}
    ],
    "ycloud-call-terminate": [
        ENDED
        | {"call_id": "wacid.TESTUIC0002", "direction": "user_initiated", "status": "completed"}
        | {"started_at": 1_772_452_000, "ended_at": 1_772_452_060, "duration_s": 60, "occurred_at": 1_772_452_060},
        CALL | {"type": "call_connected", "call_id": "wacid.TESTUIC0002", "occurred_at": 1_772_452_000, "exact": True},
    ],
    "ycloud-call-terminate-failed": [
        ENDED | {"call_id": "wacid.TESTCALL0004", "status": "failed", "error_code": 138_020, "started_at": None}
    ],
    "ycloud-reply": [
        REPLIED
        | {"message_id": "wamid.TESTREPLY0001", "context_id": "wamid.TESTREQ0001", "source": "user_action"}
        | {"aliases": (SCOPED,)}
    ],
    "ycloud-message-delivered": [STATUS | {"status": "delivered", "occurred_at": T0 + 5}],
    "ycloud-message-failed": [
        STATUS | {"message_id": "wamid.TESTREQ0002", "status": "failed", "error_code": 131_026, "occurred_at": T0 + 10}
    ],
}
WEBHOOKS = sorted(path.stem for path in DIALECTS.glob("*.json") if not path.stem.endswith("-state"))


def dialect(name: str) -> dict[str, Any]:
    """One sample of a dialect."""
    return sample(f"dialects/{name}")


def read(name: str, payload: object, numbers: Mapping[str, str] = KNOWN, *ids: str) -> Translation:
    """What a payload means in the dialect its sample's name begins with."""
    return translate(name.partition("-")[0], body(payload), RECEIVED_AT, known(numbers, *ids))


def items(done: Translation) -> list[Fact]:
    """The facts of the items, without what payloads repeat beside them."""
    assert done.parked == ()
    return [fact for fact in done.facts if not isinstance(fact, UsersLinked | BusinessSeen)]


@pytest.mark.parametrize("name", WEBHOOKS)
def test_a_dialect_sample_gives_the_documented_fact(name: str) -> None:
    facts = items(read(name, dialect(name)))
    assert len(facts) == len(GIVES[name])
    for fact, expected in zip(facts, GIVES[name], strict=True):
        assert {key: getattr(fact, key) for key in expected} == expected
        assert fact.provider == name.partition("-")[0]


@pytest.mark.parametrize("name", WEBHOOKS)
def test_a_sample_that_comes_again_makes_the_same_ids(name: str) -> None:
    provider, said = name.partition("-")[0], body(dialect(name))
    once, again = (translate(provider, said, at, known(KNOWN)) for at in (RECEIVED_AT, RECEIVED_AT + 86_400))
    assert [fact.fact_id for fact in once.facts] == [fact.fact_id for fact in again.facts]


def test_what_a_wrapper_adds_is_counted_by_name() -> None:
    assert read("gupshup-enqueued", dialect("gupshup-enqueued")).ignored == {"status_enqueued": 1}
    assert read("gupshup-billing-event", dialect("gupshup-billing-event")).ignored == {"field_billing-event": 1}


@pytest.mark.parametrize(
    ("provider", "sent", "ours"),
    [("ycloud", "ycloud-reply", "wamid.TESTREPLY0001"), ("gupshup", "gupshup-permanent", "wamid.TESTGS0001")],
)
def test_one_reply_through_two_doors_is_one_fact(provider: str, sent: str, ours: str) -> None:
    (fact,) = items(read(sent, dialect(sent)))
    meta = sample("r1-temporary-accept")
    meta["entry"][0]["changes"][0]["value"]["messages"][0]["id"] = ours
    assert fact.fact_id in {one.fact_id for one in translate("meta", body(meta), RECEIVED_AT).facts}
    assert fact.provider == provider


# Whose number it is (4.3 rule 5).


@pytest.mark.parametrize("numbers", [{}, SEVERAL])
@pytest.mark.parametrize("name", ["zernio-permission", "ycloud-call-status"])
def test_an_event_without_a_number_is_parked_unless_there_is_only_one(name: str, numbers: dict[str, str]) -> None:
    done = read(name, dialect(name), numbers)
    assert (done.facts, [fault.reason for fault in done.parked]) == ((), ["unknown_number"])


@pytest.mark.parametrize("name", ["infobip-accept", "infobip-seen", "infobip-text", "ycloud-reply"])
def test_an_event_of_a_number_nobody_registered_is_never_taken_for_another_one(name: str) -> None:
    done = read(name, dialect(name), {"442079460124": "700100200300401"})
    assert (done.facts, [fault.reason for fault in done.parked]) == ((), ["unknown_number"])


def test_an_account_that_goes_by_its_number_names_it() -> None:
    (fact,) = items(read("zernio-permission-event", dialect("zernio-permission-event"), SEVERAL))
    assert (fact.phone_number_id, getattr(fact, "inferred", None)) == (NUMBER, ())


def test_what_was_inferred_is_not_passed_on_as_shown() -> None:
    done = read("ycloud-call-status", dialect("ycloud-call-status"))
    assert [fact.type for fact in done.facts] == ["call_connected"]


def test_both_forms_of_a_number_and_both_names_of_a_user_are_learned_where_they_stand_together() -> None:
    done = read("ycloud-call-terminate", dialect("ycloud-call-terminate"), {})
    assert [fact.type for fact in done.facts] == ["call_ended", "call_connected", "users_linked", "business_seen"]
    looked_up = read("ycloud-reply", dialect("ycloud-reply"))
    assert [fact.type for fact in looked_up.facts] == ["permission_replied", "users_linked"]


@pytest.mark.parametrize(
    ("name", "holder"), [("ycloud-call-connect", "callingConnect"), ("zernio-call-received", "call")]
)
def test_while_nobody_says_who_called_no_side_is_taken_for_the_business(name: str, holder: str) -> None:
    payload = dialect(name)
    del payload[holder]["direction"]
    told = read(name, payload)
    assert [fact.type for fact in told.facts] == ["call_offered"]
    assert [fact.type for fact in read(name, payload, {}).facts] == []


def test_an_account_is_never_taken_for_a_number() -> None:
    late = dialect("gupshup-enqueued")
    late["entry"][0]["changes"][0]["value"]["statuses"][0]["status"] = "delivered"
    done = read("gupshup", late)
    assert (done.facts, [fault.reason for fault in done.parked]) == ((), ["unknown_number"])


@pytest.mark.parametrize("provider", ["meta", "360dialog", "gupshup"])
def test_an_entry_that_is_a_known_number_names_it(provider: str) -> None:
    (fact,) = items(translate(provider, body(dialect("gupshup-sip-guide")), RECEIVED_AT, known(KNOWN)))
    assert fact.phone_number_id == NUMBER


@pytest.mark.parametrize("provider", ["meta", "360dialog", "gupshup", "infobip", "ycloud", "zernio"])
def test_an_entry_names_a_known_number_of_which_nobody_knows_the_display_form(provider: str) -> None:
    payload = dialect("gupshup-sip-guide")
    payload["gs_app_id"] = "test-app"  # Meta's envelope passed on: here only a known id is taken for a number
    assert [fault.reason for fault in read(provider, payload, {}, "700100200300401").parked] == ["unknown_number"]
    (fact,) = items(read(provider, payload, {}, NUMBER, "700100200300401"))
    assert fact.phone_number_id == NUMBER


@pytest.mark.parametrize("name", ["zernio-permission", "ycloud-call-status"])
def test_the_only_number_there_is_may_be_known_without_its_display_form(name: str) -> None:
    (fact,) = items(read(name, dialect(name), {}, NUMBER))
    assert (fact.phone_number_id, getattr(fact, "inferred", None)) == (NUMBER, ("phone_number_id",))
    assert [fault.reason for fault in read(name, dialect(name), KNOWN, "700100200300401").parked] == ["unknown_number"]


def test_a_delivery_report_without_sender_belongs_to_no_pair_where_several_numbers_are_known() -> None:
    done = read("infobip-undeliverable", dialect("infobip-undeliverable"), SEVERAL)
    assert (done.facts, done.ignored, done.parked) == ((), {"status_without_number": 1}, ())


def test_a_seen_report_is_read_from_either_side() -> None:
    turned = dialect("infobip-seen")
    said = turned["results"][0]
    said["from"], said["to"] = said["to"], said["from"]
    (fact,) = items(read("infobip-seen", turned))
    assert (fact.phone_number_id, getattr(fact, "user", None)) == (NUMBER, USER)


# What Infobip says and does not say.


@pytest.mark.parametrize(
    ("group", "ignored"),
    [("PENDING", {"status_enqueued": 1}), ("ACCEPTED", {"status_enqueued": 1}), ("LOST", {"status_unknown": 1})],
)
def test_a_report_that_is_no_end_is_counted(group: str, ignored: dict[str, int]) -> None:
    report = dialect("infobip-delivered")
    report["results"][0]["status"]["groupName"] = group
    assert read("infobip", report).ignored == ignored


@pytest.mark.parametrize("expiry", [0, "0", -1, "soon", "2026-03-09T09:30:00", 1_262_304_000, "2101-01-01T00:00:00Z"])
def test_an_expiry_that_cannot_be_read_never_makes_a_permission_permanent(expiry: object) -> None:
    payload = dialect("infobip-accept")
    payload["results"][0]["message"]["callPermissionReply"]["expirationTimestamp"] = expiry
    done = read("infobip", payload)
    assert done.facts == ()
    (fault,) = done.parked
    assert fault.reason in {"unreadable_time", "time_out_of_range"}
    assert fault.path == "$.results[0].message.callPermissionReply.expirationTimestamp"


def test_permanence_that_a_later_model_says_is_believed_and_not_inferred() -> None:
    payload = dialect("infobip-accept-without-expiry")
    reply = payload["results"][0]["message"]["callPermissionReply"]
    for said, expected in ((True, (True, ())), (False, (False, ()))):
        reply["isPermanent"] = said
        (fact,) = items(read("infobip", payload))
        assert (getattr(fact, "is_permanent", None), getattr(fact, "inferred", None)) == expected


def test_one_bad_result_costs_nothing_of_its_neighbours() -> None:
    payload = dialect("infobip-accept")
    bad = copy.deepcopy(payload["results"][0]) | {"receivedAt": "yesterday"}
    payload["results"] = [bad, *payload["results"], 7, {"messageId": "x"}, {"deletedAt": "2026-03-02T09:30:00Z"}]
    done = read("infobip", payload)
    assert [fact.type for fact in done.facts] == ["permission_replied"]
    assert [(fault.reason, fault.path) for fault in done.parked] == [
        ("unreadable_time", "$.results[0].receivedAt"),
        ("unreadable", "$.results[2]"),
    ]
    assert done.ignored == {"event_other": 1, "report_deleted": 1}


def test_a_state_answer_is_no_webhook_and_says_what_to_do() -> None:
    (fault,) = read("infobip", dialect("infobip-state")).parked
    assert "reading_taken" in fault.detail


# The words and forms of 4.3, in every dialect alike.


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *((word, ("accept", False)) for word in ("accept", "ACCEPT", "approve", "APPROVE", "GRANTED", "granted")),
        *((word, ("reject", False)) for word in ("reject", "REJECT", "REJECTED", "denied")),
        ("REVOKED", ("reject", True)),
    ],
)
@pytest.mark.parametrize("name", ["zernio-permission", "ycloud-reply", "infobip-accept", "gupshup-temporary"])
def test_yes_and_no_are_read_in_every_word(name: str, word: str, expected: tuple[str, bool]) -> None:
    said = json.dumps(dialect(name)).replace('"accept"', f'"{word}"').replace('"ACCEPT"', f'"{word}"')
    (fact,) = items(read(name, json.loads(said)))
    assert (getattr(fact, "response", None), getattr(fact, "revoked", None)) == expected


@pytest.mark.parametrize(
    "expiry",
    [
        1_773_048_600,
        "1773048600",
        1_773_048_600_000,
        "1773048600000",
        "2026-03-09T09:30:00Z",
        "2026-03-09T09:30:00.000+0000",
        "2026-03-09T10:30:00+01:00",
        "2026-03-09t09:30:00z",
    ],
)
@pytest.mark.parametrize("name", ["expiration_timestamp", "expiration_time", "expirationTimestamp", "expirationTime"])
def test_an_expiry_is_read_in_every_form_and_under_every_name(name: str, expiry: object) -> None:
    payload = dialect("zernio-permission")
    del payload["permission"]["expiration_timestamp"]
    payload["permission"][name] = expiry
    (fact,) = items(read("zernio", payload))
    assert getattr(fact, "expires_at", None) == 1_773_048_600


@pytest.mark.parametrize("expiry", [-1, 1_262_304_000, "4102444800", 5, "soon", "2026-03-09", True, [], 1.5])
def test_an_expiry_that_is_no_instant_of_our_time_is_parked_with_its_own_name(expiry: object) -> None:
    payload = dialect("zernio-permission")
    del payload["permission"]["expiration_timestamp"]
    payload["permission"]["expirationTime"] = expiry
    (fault,) = read("zernio", payload).parked
    assert fault.path == "$.permission.expirationTime"


@pytest.mark.parametrize("form", ["+447700900123", "+44 7700 900-123", "(44) 7700.900123", "447700900123"])
def test_a_phone_number_is_read_in_every_form(form: str) -> None:
    payload = dialect("zernio-permission")
    payload["permission"]["from"] = form
    assert [getattr(fact, "user", None) for fact in items(read("zernio", payload))] == [USER]


@pytest.mark.parametrize("form", ["07700900123", "00447700900123", "test.user", 447_700_900_123])
def test_a_country_code_is_never_guessed(form: object) -> None:
    payload = dialect("zernio-permission")
    payload["permission"]["from"] = form
    (fault,) = read("zernio", payload).parked
    assert (fault.reason in {"unreadable_user", "unreadable_id"}, fault.path) == (True, "$.permission.from")


@pytest.mark.parametrize(
    ("name", "place", "path"),
    [
        ("ycloud-call-connect", ("createTime",), "$.createTime"),
        ("ycloud-call-terminate", ("callingTerminate", "endTime"), "$.callingTerminate.endTime"),
        ("ycloud-reply", ("whatsappInboundMessage", "sendTime"), "$.whatsappInboundMessage.sendTime"),
        ("ycloud-message-delivered", ("whatsappMessage", "deliverTime"), "$.whatsappMessage.deliverTime"),
        ("ycloud-call-status-of-a-number", ("callingStatusUpdated", "phoneId"), "$.callingStatusUpdated.phoneId"),
        ("zernio-call-ended", ("call", "endedAt"), "$.call.endedAt"),
        ("infobip-delivered", ("results", 0, "doneAt"), "$.results[0].doneAt"),
    ],
)
def test_a_fault_names_the_place_in_the_payload_as_it_was_sent(name: str, place: tuple[Any, ...], path: str) -> None:
    payload = dialect(name)
    holder: Any = payload
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = "?"
    assert {fault.path for fault in read(name, payload).parked} == {path}


# What nobody documented.


def test_what_nobody_documented_is_counted_by_a_name_that_is_bounded_and_harmless() -> None:
    for provider, said in (("ycloud", {"type": "whatsapp.flow.sent"}), ("zernio", {"event": "post.published"})):
        done = translate(provider, body(said), RECEIVED_AT)
        assert (done.facts, done.ignored, done.parked) == ((), {"event_other": 1}, ())
        assert done.unknown == {f"event_other:{next(iter(said.values()))}": 1}
    payload = sample("r1-temporary-accept")
    fields = [f"new_field_{letter}" for letter in "abcdefghij"]
    payload["entry"][0]["changes"] = [{"field": name, "value": {}} for name in [*fields, "447700900123", "x" * 99, "é"]]
    done = translate("meta", body(payload), RECEIVED_AT)
    assert done.ignored == {"field_unknown": 13}
    assert done.unknown == {f"field_unknown:{name}": 1 for name in fields[:MAX_UNKNOWN]}


@pytest.mark.parametrize(
    "name",
    ["call_ringing", "DELETED", "Deleted", "v2", "post.published", "whatsapp.flow.sent", "step_2", "billing-event2"],
)
def test_a_plain_word_is_echoed(name: str) -> None:
    done = translate("zernio", body({"event": name}), RECEIVED_AT)
    assert done.unknown == {f"event_other:{name.lower()}": 1}


@pytest.mark.parametrize(
    "name",
    [
        *("wamid.HBgMNDQ3NzAwOTAwMTIzFQIA", "wamid.abc", "WACID_ABC", "HBgMNDQ3NzAwOTAwMTIzFQIA", "NjkzNjkzNjkz"),
        *("num_44_77_00_90_01_23", "num.447.700.900", "n447700900", "x4x4x7x7", "MDAwMDAwMDAw", "NDQ3NzAwOTAwMTIz"),
        *("GB.10000000000000000042", "GB.ENT.abc", "GB.abcdef", "ann smith", "x" * 41, "", "_", "\u0664\u0664", "a\n"),
    ],
)
def test_a_word_that_could_carry_a_number_or_an_id_is_withheld(name: str) -> None:
    done = translate("zernio", body({"event": name}), RECEIVED_AT)
    assert (done.ignored, done.unknown) == ({"event_other": 1}, {})


def test_a_batch_of_nothing_is_counted() -> None:
    done = translate("infobip", body({"results": []}), RECEIVED_AT)
    assert (done.facts, done.ignored, done.parked) == ((), {"empty": 1}, ())


@pytest.mark.parametrize("provider", ["infobip", "ycloud", "zernio"])
def test_a_door_of_a_flattened_dialect_reads_metas_envelope_too(provider: str) -> None:
    (fact,) = items(translate(provider, body(sample("r1-temporary-accept")), RECEIVED_AT))
    assert (fact.type, fact.provider) == ("permission_replied", provider)


@given(some.data(), some.sampled_from(sorted(PROVIDERS)), json_values)
def test_any_json_in_any_place_of_any_dialect_gives_facts_or_a_reason_and_never_raises(
    data: some.DataObject, provider: str, odd: Any
) -> None:
    names = [name for name in WEBHOOKS if name.startswith(f"{provider}-")] or WEBHOOKS
    payload: Any = {"all": dialect(data.draw(some.sampled_from(names)))}
    place = ("all", *data.draw(some.sampled_from(places(payload["all"]))))
    holder = payload
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = odd
    done = translate(
        provider, json.dumps(payload["all"]).encode(), RECEIVED_AT, known(data.draw(some.sampled_from([KNOWN, {}])))
    )
    for fact in done.facts:
        assert not isinstance(decode_fact(encode_fact(fact)), Unreadable)
    assert done.ignored.keys() <= IGNORED.keys()
    assert {fault.reason for fault in done.parked} <= PARKED.keys()
    assert "447700900" not in repr((done.parked, done.unknown))


@given(some.sampled_from(sorted(PROVIDERS)), json_values)
def test_any_json_at_any_door_never_raises(provider: str, odd: Any) -> None:
    assert isinstance(translate(provider, json.dumps(odd).encode(), RECEIVED_AT, known(KNOWN)), Translation)

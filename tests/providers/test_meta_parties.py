"""Domain 3.11, design 7 and 15: which number and which user a payload is about, and what it shows beside."""

from typing import Any

import pytest

from schemas.events import BusinessSeen, PairFact, UsersLinked
from schemas.ids import derived_id
from streams.providers.known import Known
from streams.providers.registry import translate
from tests.providers.payloads import (
    CONTACT,
    DISPLAY,
    NUMBER,
    PARENT,
    RECEIVED_AT,
    SCOPED,
    USER,
    body,
    call,
    calls,
    envelope,
    read,
    repeated,
    reply,
    sample,
    status,
    told,
    value,
    value_of,
)

OTHER, OTHER_SCOPED = "447700900777", "GB.10000000000000000077"


def links(payload: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Scoped id, digits and instant of each link of a payload."""
    return [
        (fact.user, fact.wa_id, fact.occurred_at) for fact in repeated(read(payload)) if isinstance(fact, UsersLinked)
    ]


def test_a_payload_that_shows_two_names_of_a_user_is_a_link_told_to_the_scoped_pair() -> None:
    payload = envelope(value(messages=[reply(response="accept")]))
    assert repeated(read(payload)) == [
        UsersLinked(
            fact_id=derived_id("users_linked", NUMBER, SCOPED, USER),
            phone_number_id=NUMBER,
            user=SCOPED,
            occurred_at=1_772_443_800,
            recorded_at=RECEIVED_AT,
            provider="meta",
            wa_id=USER,
        ),
        BusinessSeen(
            fact_id=derived_id("business_seen", NUMBER, DISPLAY),
            phone_number_id=NUMBER,
            display_phone_number=DISPLAY,
            occurred_at=1_772_443_800,
            recorded_at=RECEIVED_AT,
            provider="meta",
        ),
    ]


def test_the_parents_scoped_id_is_linked_too() -> None:
    assert {name for name, *_ in links(sample("r1-temporary-accept"))} == {SCOPED, PARENT}


def test_many_items_of_one_user_make_one_link_at_the_earliest_instant() -> None:
    statuses = [
        status(f"wamid.TEST{at}", "read", at, recipient_user_id=SCOPED) for at in (1_772_442_009, 1_772_442_005)
    ]
    payload = envelope(value(statuses=statuses), value(contacts=[CONTACT], messages=[reply(response="accept")]))
    assert links(payload) == [(SCOPED, USER, 1_772_442_005)]


def test_every_field_links() -> None:
    assert [wa_id for _, wa_id, _ in links(sample("c2-accepted"))] == [USER, USER]
    assert links(sample("c6-terminate-of-a-users-call")) == [(SCOPED, USER, 1_772_452_060)]


def test_one_name_alone_is_no_link() -> None:
    assert links(sample("r9-scoped-id-only")) == []
    assert links(sample("r8-before-november-2025")) == []


def test_two_users_of_one_change_are_told_apart_by_their_contacts() -> None:
    contacts = [CONTACT, {"wa_id": OTHER, "user_id": OTHER_SCOPED}]
    messages = [
        {"from": OTHER, "id": "wamid.TEST1", "type": "text"},
        {"from_user_id": SCOPED, "id": "wamid.TEST2", "type": "text"},
        {"from": "447700900999", "id": "wamid.TEST3", "type": "text"},
    ]
    facts = told(read(envelope(value(contacts=contacts, messages=messages))))
    assert [(fact.user, fact.aliases) for fact in facts if fact.type == "user_messaged"] == [
        (OTHER, (OTHER_SCOPED,)),
        (USER, (SCOPED,)),
        ("447700900999", ()),
    ]


def test_the_only_contact_names_an_item_that_names_nobody() -> None:
    message = reply(response="accept")
    del message["from"], message["from_user_id"]
    (fact,) = told(read(envelope(value(contacts=[CONTACT], messages=[message]))))
    assert fact.type == "permission_replied"
    assert fact.user == USER


def test_a_contact_that_contradicts_the_item_is_another_user() -> None:
    payload = envelope(value(contacts=[{"wa_id": OTHER, "user_id": OTHER_SCOPED}], messages=[reply(response="accept")]))
    assert links(payload) == [(SCOPED, USER, 1_772_443_800)]


def test_digits_that_were_addressed_give_way_to_those_of_the_contact_with_the_same_scoped_id() -> None:
    contacts = [{"input": "+44 7700 900777", "wa_id": USER, "user_id": SCOPED}]
    sent = status("wamid.TEST1", "sent", recipient_user_id=SCOPED) | {"recipient_id": OTHER}
    ringing = status("wacid.TEST1", "RINGING", recipient_user_id=SCOPED, type="call") | {"recipient_id": OTHER}
    begun = call("connect", to=OTHER, to_user_id=SCOPED)
    for payload in (
        envelope(value(contacts=contacts, statuses=[sent])),
        calls(begun, contacts=contacts, statuses=[ringing]),
        envelope(value(contacts=[*contacts, {"wa_id": "447700900999"}], statuses=[sent])),
    ):
        assert {(fact.user, fact.aliases) for fact in told(read(payload)) if isinstance(fact, PairFact)} == {
            (USER, (SCOPED,))
        }
        assert {link[:2] for link in links(payload)} == {(SCOPED, USER)}


def test_digits_that_were_addressed_stay_where_no_scoped_id_or_a_contact_of_their_own_says_otherwise() -> None:
    sent = status("wamid.TEST1", "sent") | {"recipient_id": OTHER}
    tied = sent | {"recipient_user_id": SCOPED}
    for contacts, item in (
        ([CONTACT], sent),
        ([{"wa_id": USER, "user_id": OTHER_SCOPED}], tied),
        ([{"wa_id": OTHER, "user_id": SCOPED}, CONTACT], tied),
    ):
        facts = told(read(envelope(value(contacts=contacts, statuses=[item]))))
        assert [fact.user for fact in facts if fact.type == "message_status"] == [OTHER]


@pytest.mark.parametrize("contacts", [5, "x", {}, [5], [{"wa_id": 5}], [{"user_id": "nobody"}], [{"wa_id": "ann"}]])
def test_contacts_nobody_can_read_cost_no_permission(contacts: object) -> None:
    done = read(envelope(value(contacts=contacts, messages=[reply(response="accept")])))
    assert [fact.type for fact in told(done)] == ["permission_replied"]
    assert done.ignored == {"contacts_unreadable": 1}


def test_an_unreadable_name_costs_nothing_while_another_can_be_read() -> None:
    done = read(envelope(value(messages=[reply(response="accept") | {"from": 447_700_900_123}])))
    (fact,) = told(done)
    assert fact.type == "permission_replied"
    assert (fact.user, done.ignored) == (SCOPED, {"user_name_unreadable": 1})


def test_a_user_of_whom_no_name_can_be_read_is_parked_with_the_place_of_the_name() -> None:
    done = read(envelope(value(messages=[reply(response="accept") | {"from": "ann", "from_user_id": None}])))
    assert [(fault.reason, fault.path) for fault in done.parked] == [
        ("unreadable_user", "$.entry[0].changes[0].value.messages[0].from")
    ]


def test_a_user_without_any_name_is_parked() -> None:
    done = read(envelope(value(messages=[{"id": "wamid.TEST1", "type": "text"}])))
    assert [fault.reason for fault in done.parked] == ["unknown_user"]


def test_digits_are_read_with_plus_and_spaces_and_a_scoped_id_where_digits_are_expected() -> None:
    statuses = [status("wamid.TEST1", "sent") | {"recipient_id": name} for name in ("+44 7700 900123", SCOPED)]
    facts = told(read(envelope(value(statuses=statuses))))
    assert [fact.user for fact in facts if fact.type == "message_status"] == [USER, SCOPED]


def test_the_two_forms_of_a_number_are_told_once_a_payload() -> None:
    payload = envelope(*[value(statuses=[status(f"wamid.TEST{place}", "sent")]) for place in range(5)])
    assert [fact.type for fact in repeated(read(payload))] == ["business_seen"]


def test_a_display_number_is_digits_whatever_its_form() -> None:
    payload = envelope(value(statuses=[status("wamid.TEST1", "sent")]))
    value_of(payload)["metadata"]["display_phone_number"] = "+44 20 7946-0123"
    assert [fact.display_phone_number for fact in read(payload).facts if fact.type == "business_seen"] == [DISPLAY]


def test_a_display_number_nobody_can_read_is_counted() -> None:
    payload = envelope(value(statuses=[status("wamid.TEST1", "sent")]))
    value_of(payload)["metadata"]["display_phone_number"] = "our hotline"
    done = read(payload)
    assert ([fact.type for fact in done.facts], done.ignored) == (["message_status"], {"display_number_unreadable": 1})


def test_a_number_named_only_by_its_display_form_is_looked_up() -> None:
    payload = sample("r1-temporary-accept")
    del value_of(payload)["metadata"]["phone_number_id"]
    (fact,) = told(read(payload, {DISPLAY: NUMBER}))
    assert fact.phone_number_id == NUMBER
    assert [fault.reason for fault in read(payload).parked] == ["unknown_number"]


def test_a_display_number_of_several_ids_is_told_as_such_with_what_settles_it() -> None:
    several = Known(ids=frozenset({NUMBER, "700100200300499"}), contested=frozenset({DISPLAY}))
    reply_of, connect, changed = sample("r1-temporary-accept"), sample("c1-connect"), sample("number-changed")
    for payload in (reply_of, changed):
        del value_of(payload)["metadata"]["phone_number_id"]
    del value_of(connect)["metadata"]
    event: dict[str, Any] = {"type": "whatsapp.inbound_message.received"}
    event |= {"whatsappInboundMessage": {"to": f"+{DISPLAY}", "from": USER, "id": "wamid.TEST1", "type": "text"}}
    for provider, payload in (("meta", reply_of), ("meta", connect), ("meta", changed), ("ycloud", event)):
        (fault,) = translate(provider, body(payload), RECEIVED_AT, several).parked
        assert fault.reason == "unknown_number"
        assert fault.detail.startswith("the display number is known under several phone_number_ids")
        assert all(way in fault.detail for way in ("business_registered", "CALLGRANT_POLICY_FILE"))
        assert DISPLAY not in fault.detail


@pytest.mark.parametrize("name", ["c1-connect", "c6-terminate-of-a-users-call"])
def test_a_call_without_metadata_names_the_number_by_its_own_side(name: str) -> None:
    payload = sample(name)
    del value_of(payload)["metadata"]
    assert {fact.phone_number_id for fact in told(read(payload, {DISPLAY: NUMBER}))} == {NUMBER}
    assert {fault.reason for fault in read(payload).parked} == {"unknown_number"}


def test_a_call_without_metadata_and_direction_is_told_by_the_registered_side() -> None:
    payload = calls(call("connect", direction=None))
    del value_of(payload)["metadata"]
    (fact,) = told(read(payload, {DISPLAY: NUMBER}))
    assert fact.type == "call_offered"
    assert (fact.direction, fact.phone_number_id) == ("business_initiated", NUMBER)


def test_a_look_up_shows_no_new_pair_of_forms() -> None:
    payload = sample("c1-connect")
    del value_of(payload)["metadata"]
    assert "business_seen" not in {fact.type for fact in read(payload, {DISPLAY: NUMBER}).facts}

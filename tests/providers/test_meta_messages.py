"""Domain 3.5, 3.7, 3.11: every sample of the field `messages`, and the shapes beside them."""

from typing import Any

import pytest

from schemas.events import MessageStatus, PermissionReplied, UserMessaged, UserNumberChanged
from schemas.ids import derived_id
from tests.providers.payloads import (
    CONTACT,
    NUMBER,
    PARENT,
    RECEIVED_AT,
    SCOPED,
    USER,
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

NEW_USER, NEW_SCOPED = "447700900456", "GB.10000000000000000099"


def replied(name: str) -> PermissionReplied:
    """The reply of a sample."""
    (fact,) = told(read(sample(name)))
    assert isinstance(fact, PermissionReplied)
    assert (fact.phone_number_id, fact.recorded_at, fact.provider) == (NUMBER, RECEIVED_AT, "meta")
    assert fact.fact_id == derived_id("permission_replied", NUMBER, str(fact.message_id))
    return fact


def said(fact: PermissionReplied) -> tuple[object, ...]:
    """What the rules ask of a reply."""
    return fact.response, fact.is_permanent, fact.expires_at, fact.source, fact.context_id, fact.occurred_at


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("r1-temporary-accept", ("accept", False, 1_773_048_600, "user_action", "wamid.TESTREQ0001", 1_772_443_800)),
        ("r2-permanent-accept", ("accept", True, None, "user_action", "wamid.TESTREQ0001", 1_772_443_800)),
        ("r3-permanent-accept-through-profile", ("accept", True, None, "user_action", None, 1_772_443_800)),
        ("r4-reject", ("reject", False, None, "user_action", "wamid.TESTREQ0001", 1_772_443_800)),
        ("r5-automatic-callback", ("accept", False, 1_773_048_600, "automatic", "wacid.TESTUIC0001", 1_772_443_800)),
        ("r6-automatic-revoke", ("reject", False, None, "automatic", None, 1_772_458_200)),
        ("r7-reject-through-profile", ("reject", False, None, "user_action", None, 1_772_443_800)),
        ("r8-before-november-2025", ("accept", False, 1_773_048_600, None, "wamid.TESTREQ0001", 1_772_443_800)),
        ("r9-scoped-id-only", ("accept", False, 1_773_048_600, "user_action", "wamid.TESTREQ0001", 1_772_443_800)),
    ],
)
def test_a_published_reply_says_what_its_documentation_says(name: str, expected: tuple[object, ...]) -> None:
    assert said(replied(name)) == expected


def test_r1_shows_all_three_names_of_the_user() -> None:
    fact = replied("r1-temporary-accept")
    assert (fact.user, fact.aliases) == (USER, (SCOPED, PARENT))


def test_r9_is_about_the_user_by_the_scoped_id() -> None:
    fact = replied("r9-scoped-id-only")
    assert (fact.user, fact.aliases) == (SCOPED, (PARENT,))


def test_an_expiry_of_zero_is_none() -> None:
    payload = sample("r1-temporary-accept")
    value_of(payload)["messages"][0]["interactive"]["call_permission_reply"]["expiration_timestamp"] = "0"
    (fact,) = told(read(payload))
    assert isinstance(fact, PermissionReplied)
    assert fact.expires_at is None


def test_an_expiry_nobody_needs_costs_no_permanent_permission() -> None:
    payload = sample("r2-permanent-accept")
    value_of(payload)["messages"][0]["interactive"]["call_permission_reply"]["expiration_timestamp"] = "never"
    (fact,) = told(read(payload))
    assert isinstance(fact, PermissionReplied)
    assert fact.is_permanent


@pytest.mark.parametrize(
    ("permanent", "expected", "ignored"),
    [
        (True, True, {}),
        ("TRUE", True, {}),
        ("false", False, {}),
        (None, False, {}),
        ("maybe", False, {"permanence_unknown": 1}),
        (1, False, {"permanence_unknown": 1}),
    ],
)
def test_permanence_is_what_is_said_and_no_word_we_do_not_know(
    permanent: object, expected: bool, ignored: dict[str, int]
) -> None:
    done = read(envelope(value(messages=[reply(response="accept", is_permanent=permanent)])))
    (fact,) = told(done)
    assert isinstance(fact, PermissionReplied)
    assert (fact.is_permanent, done.ignored) == (expected, ignored)


def test_the_source_of_a_reply_is_read_in_any_case_and_counted_when_unknown() -> None:
    said_so = [reply("wamid.TEST1", response="accept", response_source=word) for word in ("AUTOMATIC", "oracle")]
    done = read(envelope(value(messages=said_so)))
    assert [fact.source for fact in told(done) if isinstance(fact, PermissionReplied)] == ["automatic", None]
    assert done.ignored == {"source_unknown": 1}


def test_a_reply_that_says_nothing_is_parked_not_taken_for_a_message() -> None:
    message = reply() | {"interactive": {"type": "call_permission_reply"}}
    done = read(envelope(value(messages=[message])))
    assert [fact.type for fact in done.facts] == []
    assert [fault.path for fault in done.parked] == [
        "$.entry[0].changes[0].value.messages[0].interactive.call_permission_reply"
    ]


USER_MESSAGES = ["text", "image", "audio", "video", "document", "sticker", "location", "contacts", "button", "order"]


@pytest.mark.parametrize("kind", [*USER_MESSAGES, "reaction", "interactive", "unsupported", "TEXT"])
def test_every_message_of_the_user_opens_the_service_window(kind: str) -> None:
    message = {"from": USER, "id": "wamid.TESTMSG0001", "timestamp": "1772442300", "type": kind, kind.lower(): {}}
    done = read(envelope(value(messages=[message])))
    assert told(done) == [
        UserMessaged(
            fact_id=derived_id("user_messaged", NUMBER, "wamid.TESTMSG0001"),
            phone_number_id=NUMBER,
            user=USER,
            occurred_at=1_772_442_300,
            recorded_at=RECEIVED_AT,
            provider="meta",
            message_id="wamid.TESTMSG0001",
        )
    ]


def test_a_message_without_type_is_known_by_what_it_holds() -> None:
    done = read(envelope(value(messages=[{"from": USER, "id": "wamid.TESTMSG0001", "text": {"body": "hello"}}])))
    assert [fact.type for fact in told(done)] == ["user_messaged"]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "telepathy"}, "message_unknown"),
        ({}, "message_unknown"),
        ({"type": 5}, "message_unknown"),
        ({"type": "request_welcome"}, "message_request_welcome"),
        ({"type": "text", "group_id": "TESTGROUP"}, "message_group"),
        ({"type": "system", "system": {"type": "user_identity_changed"}}, "system_identity"),
        ({"type": "system", "system": {"type": "customer_identity_changed"}}, "system_identity"),
        ({"type": "system", "system": {"type": "party"}}, "system_unknown"),
    ],
)
def test_what_is_no_message_of_the_user_is_counted_and_opens_nothing(message: dict[str, Any], kind: str) -> None:
    done = read(envelope(value(messages=[{"from": USER, "id": "wamid.TESTMSG0001", **message}])))
    assert (done.facts, done.ignored) == ((), {kind: 1})


def test_a_message_without_id_has_one_made_of_its_content() -> None:
    message = {"from": USER, "timestamp": "1772442300", "type": "text", "text": {"body": "hello"}}
    once, again = (told(read(envelope(value(messages=[message])))) for _ in range(2))
    (other,) = told(read(envelope(value(messages=[message | {"text": {"body": "bye"}}]))))
    assert once == again
    assert once[0].fact_id != other.fact_id


def changed(payload: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Who became whom: user, role and other of each fact."""
    facts = [fact for fact in told(read(payload)) if isinstance(fact, UserNumberChanged)]
    assert len({fact.fact_id for fact in facts}) == len(facts)
    return [(fact.user, fact.role, fact.other) for fact in facts]


def test_a_changed_number_is_told_to_both_pairs() -> None:
    facts = told(read(sample("number-changed")))
    common: dict[str, Any] = {
        "phone_number_id": NUMBER,
        "occurred_at": 1_772_500_000,
        "recorded_at": RECEIVED_AT,
        "provider": "meta",
        "message_id": "wamid.TESTSYS0001",
    }
    assert facts == [
        UserNumberChanged(
            fact_id=derived_id("user_number_changed", NUMBER, "wamid.TESTSYS0001", "old"),
            user=USER,
            role="old",
            other=NEW_USER,
            **common,
        ),
        UserNumberChanged(
            fact_id=derived_id("user_number_changed", NUMBER, "wamid.TESTSYS0001", "new"),
            user=NEW_USER,
            role="new",
            other=USER,
            aliases=(NEW_SCOPED,),
            **common,
        ),
    ]


def test_a_changed_number_links_the_new_names_and_never_the_old_digits_to_the_new_scoped_id() -> None:
    payload = sample("number-changed")
    message = value_of(payload)["messages"][0]
    message["from_user_id"] = NEW_SCOPED
    value_of(payload)["contacts"] = [{"wa_id": USER, "user_id": NEW_SCOPED}]
    links = [(fact.user, fact.wa_id) for fact in repeated(read(payload)) if fact.type == "users_linked"]
    assert links == [(NEW_SCOPED, NEW_USER)]


def test_the_older_name_of_a_changed_number_is_read() -> None:
    payload = sample("number-changed")
    message = value_of(payload)["messages"][0]
    message["system"] = {"type": "customer_changed_number", "customer": USER, "new_wa_id": NEW_USER}
    assert changed(payload) == [(USER, "old", NEW_USER), (NEW_USER, "new", USER)]


@pytest.mark.parametrize(
    ("sender", "system"),
    [
        ({"from_user_id": NEW_SCOPED}, {"previous_user_id": SCOPED}),
        ({"from_user_id": SCOPED}, {}),
        ({"from_user_id": NEW_SCOPED}, {"body": f"User A changed from {SCOPED} to {NEW_SCOPED}"}),
        ({"from": USER}, {"previous_user_id": SCOPED}),
    ],
)
def test_a_changed_scoped_id_is_told_to_both_pairs_wherever_the_old_one_stands(
    sender: dict[str, str], system: dict[str, str]
) -> None:
    payload = sample("number-changed")
    value_of(payload)["messages"] = [
        {
            **sender,
            "id": "wamid.TESTSYS0002",
            "timestamp": "1772500000",
            "type": "system",
            "system": {"type": "user_changed_user_id", "user_id": NEW_SCOPED, **system},
        }
    ]
    assert changed(payload) == [(SCOPED, "old", NEW_SCOPED), (NEW_SCOPED, "new", SCOPED)]


@pytest.mark.parametrize("body", [f"User A changed from {SCOPED} to GB.1", "no names here", None, 5])
def test_a_text_for_people_that_does_not_name_the_new_id_is_not_believed(body: object) -> None:
    payload = sample("number-changed")
    message = value_of(payload)["messages"][0]
    del message["from"]
    message["system"] = {"type": "user_changed_user_id", "user_id": NEW_SCOPED, "body": body}
    assert [fault.reason for fault in read(payload).parked] == ["unknown_user"]


def test_a_changed_number_that_names_one_user_twice_is_counted() -> None:
    payload = sample("number-changed")
    value_of(payload)["messages"][0]["system"] = {"type": "user_changed_number", "wa_id": USER}
    assert read(payload).ignored == {"system_same_user": 1}


def test_a_new_scoped_id_of_the_same_number_is_linked_to_it_and_moves_nobody() -> None:
    payload = sample("number-changed")
    system = {"type": "user_changed_user_id", "wa_id": USER, "user_id": NEW_SCOPED, "previous_user_id": SCOPED}
    value_of(payload)["messages"][0] |= {"from": USER, "from_user_id": NEW_SCOPED, "system": system}
    done = read(payload)
    links = [(fact.user, fact.wa_id, fact.occurred_at) for fact in repeated(done) if fact.type == "users_linked"]
    assert sorted(links) == [(SCOPED, USER, 1_772_500_000), (NEW_SCOPED, USER, 1_772_500_000)]
    assert (told(done), done.ignored) == ([], {"system_same_user": 1})


@pytest.mark.parametrize("sender", [{"from": USER}, {"from": None, "from_user_id": SCOPED}])
def test_a_contact_that_shows_both_names_of_the_old_user_links_them(sender: dict[str, Any]) -> None:
    payload = sample("number-changed")
    value_of(payload)["messages"][0] |= sender
    value_of(payload)["contacts"] = [CONTACT]
    (old, new) = [fact for fact in told(read(payload)) if isinstance(fact, UserNumberChanged)]
    assert ((old.user, old.aliases), (new.user, new.aliases)) == ((USER, (SCOPED,)), (NEW_USER, (NEW_SCOPED,)))
    links = [(fact.user, fact.wa_id) for fact in repeated(read(payload)) if fact.type == "users_linked"]
    assert links == [(SCOPED, USER), (NEW_SCOPED, NEW_USER)]


def test_a_contact_that_shows_both_names_of_the_new_user_links_them() -> None:
    payload = sample("number-changed")
    del value_of(payload)["messages"][0]["system"]["user_id"]
    value_of(payload)["contacts"] = [{"wa_id": NEW_USER, "user_id": NEW_SCOPED}]
    links = [(fact.user, fact.wa_id) for fact in repeated(read(payload)) if fact.type == "users_linked"]
    assert links == [(NEW_SCOPED, NEW_USER)]


def test_a_contact_beside_the_old_digits_is_not_believed_while_the_new_scoped_id_is_not_told() -> None:
    payload = sample("number-changed")
    del value_of(payload)["messages"][0]["system"]["user_id"]
    value_of(payload)["contacts"] = [CONTACT]
    assert [fact.type for fact in repeated(read(payload))] == ["business_seen"]


def test_a_changed_number_without_the_new_one_is_parked() -> None:
    payload = sample("number-changed")
    value_of(payload)["messages"][0]["system"] = {"type": "user_changed_number"}
    assert [fault.reason for fault in read(payload).parked] == ["unknown_user"]


def test_the_statuses_of_the_sample_are_three_facts() -> None:
    facts = [fact for fact in told(read(sample("statuses"))) if isinstance(fact, MessageStatus)]
    assert [(fact.status, fact.occurred_at) for fact in facts] == [
        ("sent", 1_772_442_001),
        ("delivered", 1_772_442_005),
        ("read", 1_772_442_300),
    ]
    assert {(fact.user, fact.message_id, fact.error_code) for fact in facts} == {(USER, "wamid.TESTREQ0001", None)}


def test_a_failed_status_keeps_its_code() -> None:
    (fact,) = told(read(sample("status-failed")))
    assert fact == MessageStatus(
        fact_id=derived_id("message_status", NUMBER, "wamid.TESTREQ0002", "failed"),
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=1_772_442_010,
        recorded_at=RECEIVED_AT,
        provider="meta",
        message_id="wamid.TESTREQ0002",
        status="failed",
        error_code=131_026,
    )


@pytest.mark.parametrize("code", [131_026, "131026", 131_026.0])
def test_a_code_is_an_integer_in_whatever_form_it_came(code: object) -> None:
    (fact,) = told(read(envelope(value(statuses=[status("wamid.TESTR", "FAILED", errors=[{"code": code}])]))))
    assert isinstance(fact, MessageStatus)
    assert fact.error_code == 131_026


@pytest.mark.parametrize("before", [[{}], [{"title": "?"}, None], [{"code": "soon"}]])
def test_the_code_is_that_of_the_first_error_that_has_one(before: list[object]) -> None:
    errors = [*before, {"code": 131_026}, {"code": 131_000}]
    (fact,) = told(read(envelope(value(statuses=[status("wamid.TESTR", "failed", errors=errors)]))))
    assert isinstance(fact, MessageStatus)
    assert fact.error_code == 131_026


def test_a_status_of_a_message_to_a_group_is_counted() -> None:
    done = read(envelope(value(statuses=[status("wamid.TESTR", "read", recipient_type="group")])))
    assert (done.facts, done.ignored) == ((), {"status_group": 1})


def test_a_status_by_scoped_id_only_is_about_that_user() -> None:
    said_so = {"id": "wamid.TESTR", "status": "read", "timestamp": 1_772_442_300, "recipient_user_id": SCOPED}
    (fact,) = told(read(envelope(value(statuses=[said_so]))))
    assert isinstance(fact, MessageStatus)
    assert (fact.user, fact.aliases) == (SCOPED, ())


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"context": {"id": 5}}, "context.id"),
        ({"context": "wamid.TESTREQ0001"}, "context"),
        ({"id": "wamid.\x00"}, "id"),
        ({"interactive": [5]}, "interactive"),
    ],
)
def test_a_reply_that_cannot_be_judged_is_parked_with_its_place(changed: dict[str, Any], path: str) -> None:
    done = read(envelope(value(messages=[reply(response="accept") | changed])))
    assert "permission_replied" not in {fact.type for fact in done.facts}
    assert [fault.path for fault in done.parked] == [f"$.entry[0].changes[0].value.messages[0].{path}"]

"""Entries of a send log: what Meta was asked and what it answered (domain 3.1–3.4)."""

import json
from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import decode_fact, encode_fact
from schemas.events import CallOffered, CallRefused, Fact, Reading, ReadingTaken, RequestRefused, RequestSent, Template
from streams.providers.kinds import IGNORED, PARKED
from streams.providers.registry import translate
from streams.providers.translation import Translation
from tests.providers.payloads import NUMBER, PARENT, RECEIVED_AT, SCOPED, USER, repeated, sample, told

SENT_AT = 1_772_442_000
ALIASES = tuple(sorted((SCOPED, PARENT)))
SAMPLES = (
    "free-form", "free-form-to-scoped-id", "free-form-refused", "template", "template-refused", "reading",
    "reading-refused", "call", "call-refused", "call-refused-until",
)  # fmt: skip


def read(exchange: object) -> Translation:
    return translate("meta-sendlog", json.dumps(exchange).encode(), RECEIVED_AT)


def of(name: str) -> Translation:
    return read(sample(f"sendlog/{name}"))


def only(done: Translation) -> Fact:
    [fact] = told(done)
    return fact


def acted(**fields: Any) -> Fact:
    """The fact of the action that says the same."""
    action = {"phone_number_id": NUMBER, "user": USER, "occurred_at": SENT_AT, **fields}
    return only(translate("actions", orjson.dumps(action), RECEIVED_AT))


def changed(name: str, **parts: Any) -> dict[str, Any]:
    """A sample with other values; a key `a__b` is `b` inside `a`."""
    exchange = sample(f"sendlog/{name}")
    for path, value in parts.items():
        *holders, last = path.split("__")
        place = exchange
        for holder in holders:
            place = place[holder]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return exchange


def test_a_free_form_request_that_was_taken() -> None:
    fact = only(of("free-form"))
    assert isinstance(fact, RequestSent)
    assert (fact.phone_number_id, fact.user, fact.aliases) == (NUMBER, USER, ALIASES)
    assert (fact.message_id, fact.kind, fact.template) == ("wamid.TESTREQ0001", "free_form", None)
    assert (fact.occurred_at, fact.recorded_at, fact.provider) == (SENT_AT, RECEIVED_AT, "meta-sendlog")
    assert (fact.campaign, fact.origin, fact.reservation_id) == ("camp-42", "conversation", None)


def test_the_names_that_the_answer_shows_are_linked() -> None:
    links = [(fact.user, fact.wa_id) for fact in repeated(of("free-form")) if fact.type == "users_linked"]
    assert sorted(links) == [(SCOPED, USER), (PARENT, USER)]
    webhook = translate("meta", json.dumps(sample("r1-temporary-accept")).encode(), RECEIVED_AT)
    assert {fact.fact_id for fact in repeated(of("free-form"))} & {fact.fact_id for fact in repeated(webhook)}


def test_the_user_is_whom_the_answer_names_and_not_what_was_typed() -> None:
    exchange = changed("free-form", request__body__to="44 7700 900199")
    assert only(read(exchange)).user == USER  # type: ignore[union-attr]


def test_a_request_to_a_scoped_id_belongs_to_it_until_digits_are_shown() -> None:
    fact = only(of("free-form-to-scoped-id"))
    assert isinstance(fact, RequestSent)
    assert (fact.user, fact.aliases) == (SCOPED, ())
    assert repeated(of("free-form-to-scoped-id")) == []
    shown = changed("free-form-to-scoped-id", response__body__contacts=[{"input": SCOPED, "wa_id": USER}])
    linked = only(read(shown))
    assert isinstance(linked, RequestSent)
    assert (linked.user, linked.aliases) == (USER, (SCOPED,))
    assert [fact.user for fact in repeated(read(shown)) if fact.type == "users_linked"] == [SCOPED]


def test_when_the_answer_names_nobody_it_is_whom_the_request_names_and_to_wins() -> None:
    exchange = changed("free-form", response__body__contacts=..., request__body__to="+44 (7700) 900-123")
    exchange["request"]["body"]["recipient"] = "GB.99999999999999999999"
    fact = only(read(exchange))
    assert isinstance(fact, RequestSent)
    assert (fact.user, fact.aliases) == (USER, ())


def test_a_number_that_was_typed_with_zeros_names_nobody() -> None:
    done = read(changed("free-form-refused", request__body__to="07700900123"))
    assert [(fault.reason, fault.path) for fault in done.parked] == [("unreadable_user", "$.request.body.to")]


def test_a_template_that_its_sender_marks_is_a_request() -> None:
    fact = only(of("template"))
    assert isinstance(fact, RequestSent)
    assert (fact.kind, fact.message_id) == ("template", "wamid.TESTREQ0003")
    assert fact.template == Template(name="test_cpr_template", language="en", category="UTILITY")
    assert (fact.campaign, fact.origin, fact.reservation_id) == ("camp-42", "broadcast", "TESTRES0001")


@pytest.mark.parametrize(
    ("mark", "kind"),
    [
        (..., "sent_template_unmarked"),
        (None, "sent_template_unmarked"),
        ({"category": "UTILITY"}, "sent_template_unmarked"),
        ({"has_call_permission": False}, "sent_message_other"),
    ],
)
def test_a_template_without_the_mark_is_counted_and_ignored(mark: object, kind: str) -> None:
    done = read(changed("template", template=mark))
    assert (done.facts, done.ignored, done.parked) == ((), {kind: 1}, ())


def test_an_error_that_only_a_request_can_get_tells_that_a_template_was_one() -> None:
    fact = only(of("template-refused"))
    assert isinstance(fact, RequestRefused)
    assert fact.error_code == 138_017
    other = read(changed("template-refused", response__body__error__code=131_047))
    assert (other.facts, other.ignored) == ((), {"sent_template_unmarked": 1})


def test_a_component_of_a_template_may_show_that_it_asks() -> None:
    exchange = changed(
        "template", template=..., request__body__template__components=[{"type": "CALL_PERMISSION_REQUEST"}]
    )
    assert isinstance(only(read(exchange)), RequestSent)


def test_a_refused_request_keeps_the_code_and_metas_words() -> None:
    fact = only(of("free-form-refused"))
    assert isinstance(fact, RequestRefused)
    assert (fact.user, fact.error_code, fact.retry_at) == (USER, 138_009, None)
    assert fact.details == "sample text: request limit reached for this pair"


def test_a_refused_attempt_posted_twice_is_one_and_two_attempts_are_two() -> None:
    first, again = (only(of("call-refused")) for _ in range(2))
    other = only(read(changed("call-refused", response__body__error__fbtrace_id="TESTTRACE0009")))
    later = only(read(changed("call-refused", sent_at=SENT_AT + 1)))
    assert first == again
    assert len({first.fact_id, other.fact_id, later.fact_id}) == 3


def test_a_refused_attempt_with_an_id_of_the_senders_is_the_fact_of_that_action() -> None:
    exchange = changed("call-refused", action_id="TEST-1")
    same = acted(type="call_refused", action_id="TEST-1", error_code=138_006)
    assert only(read(exchange)).fact_id == same.fact_id


def test_a_reading_is_what_meta_answered() -> None:
    fact = only(of("reading"))
    assert isinstance(fact, ReadingTaken)
    assert (fact.phone_number_id, fact.user, fact.occurred_at) == (NUMBER, USER, SENT_AT)
    assert (fact.status, fact.expires_at) == ("temporary", 1_773_048_600)
    assert fact.requests_24h == Reading(usage=1, maximum=1)


@pytest.mark.parametrize(
    "address",
    [
        f"/v25.0/{NUMBER}/call_permissions?recipient={SCOPED}",
        f"/{NUMBER}/call_permissions?recipient={SCOPED}&fields=permission",
        f"/proxy/meta/whatsapp/v24.0/{NUMBER}/call_permissions/?recipient={SCOPED}",
    ],
)
def test_a_reading_by_a_scoped_id_belongs_to_it_wherever_the_endpoint_lies(address: str) -> None:
    assert only(read(changed("reading", request__path=address))).user == SCOPED  # type: ignore[union-attr]
    exchange = changed("reading", request__path=...)
    exchange["request"]["url"] = f"https://graph.facebook.com{address}"
    assert only(read(exchange)).user == SCOPED  # type: ignore[union-attr]


def test_an_error_instead_of_a_reading_is_counted_and_ignored() -> None:
    assert (of("reading-refused").facts, of("reading-refused").ignored) == ((), {"sent_reading_refused": 1})


def test_an_unreadable_reading_is_parked_with_the_place_in_the_exchange() -> None:
    done = read(changed("reading", response__body__permission={"status": "perhaps"}))
    assert [(fault.reason, fault.path) for fault in done.parked] == [
        ("unreadable_reading", "$.response.body.permission.status")
    ]


def test_a_call_that_was_taken_is_the_fact_of_the_action_call_started() -> None:
    fact = only(of("call"))
    assert isinstance(fact, CallOffered)
    assert (fact.call_id, fact.direction, fact.user) == ("wacid.TESTCALL0001", "business_initiated", USER)
    assert (fact.campaign, fact.origin) == ("camp-42/lead-7", "call_dialog")
    assert fact.fact_id == acted(type="call_started", call_id="wacid.TESTCALL0001").fact_id


def test_a_request_and_a_reading_are_the_facts_of_their_actions() -> None:
    sent = acted(type="request_sent", message_id="wamid.TESTREQ0001", kind="free_form")
    assert only(of("free-form")).fact_id == sent.fact_id
    taken = acted(type="reading_taken", response=sample("reading-temporary"))
    assert only(of("reading")).fact_id == taken.fact_id


def test_a_call_that_was_refused() -> None:
    fact = only(of("call-refused"))
    assert isinstance(fact, CallRefused)
    assert (fact.error_code, fact.retry_at, fact.campaign) == (138_006, None, "camp-42/lead-7")


def test_the_instant_of_the_next_call_is_taken_from_wherever_meta_puts_it() -> None:
    fact = only(of("call-refused-until"))
    assert isinstance(fact, CallRefused)
    assert (fact.error_code, fact.retry_at) == (138_012, 1_772_461_800)


@pytest.mark.parametrize(
    "data",
    [
        {"details": "1772461800"},
        {"a": 1_772_461_800, "b": "2026-03-02T15:00:00Z"},
        {"next_call_at": SENT_AT},
        {"next_call_at": SENT_AT + 8 * 86_400},
        {"seconds": 86_400},
        "1772461800",
        None,
    ],
)
def test_what_may_be_no_instant_of_the_next_call_is_not_taken_for_one(data: object) -> None:
    fact = only(read(changed("call-refused-until", response__body__error__error_data=data)))
    assert isinstance(fact, CallRefused)
    assert fact.retry_at is None


@pytest.mark.parametrize(
    ("exchange", "kind"),
    [
        (changed("free-form", request__body__type="text"), "sent_message_other"),
        (changed("free-form", request__body__interactive={"type": "button"}), "sent_message_other"),
        (changed("free-form", request__body__interactive="call_permission_request"), "sent_message_other"),
        (changed("call", request__body__action="terminate"), "sent_call_other"),
        (changed("call", request__body__action=...), "sent_call_other"),
        (changed("call", request__path="/v25.0/900100200300400/message_templates"), "sent_endpoint_other"),
        (changed("reading", request__path=f"/v25.0/{NUMBER}/settings"), "sent_endpoint_other"),
        (changed("free-form", response=None), "sent_without_answer"),
        (
            changed("free-form", response__body="<html>502 Bad Gateway</html>", response__status=502),
            "sent_without_answer",
        ),
        (changed("free-form", response__status=500, response__body={}), "sent_without_answer"),
        (changed("call-refused", response__body__error={"message": "no code"}), "sent_without_answer"),
        (changed("call-refused", response__body__error="?"), "sent_without_answer"),
        (changed("reading", response=None), "sent_without_answer"),
    ],
)
def test_what_tells_nothing_of_a_permission_is_counted_and_ignored(exchange: object, kind: str) -> None:
    done = read(exchange)
    assert (done.facts, done.ignored, done.parked) == ((), {kind: 1}, ())


@pytest.mark.parametrize(
    ("exchange", "reason", "path"),
    [
        (changed("free-form", sent_at=...), "invalid_action", "$.sent_at"),
        (changed("free-form", sent_at=SENT_AT + 8 * 86_400), "time_in_future", "$.sent_at"),
        (changed("free-form", response=...), "invalid_action", "$.response"),
        (changed("free-form", response__body__messages=...), "unreadable", "$.response.body.messages[0]"),
        (changed("free-form", response__body__messages=[{}]), "missing_id", "$.response.body.messages[0].id"),
        (changed("call", response__body__calls=[{"id": 7}]), "unreadable_id", "$.response.body.calls[0].id"),
        (changed("call", request__body__to=...), "unknown_user", "$.request"),
        (changed("call", request__body__to="ann"), "unreadable_user", "$.request.body.to"),
    ],
)
def test_what_decides_and_cannot_be_read_is_parked_with_its_place(exchange: object, reason: str, path: str) -> None:
    done = read(exchange)
    assert done.facts == ()
    assert [(fault.reason, fault.path) for fault in done.parked] == [(reason, path)]
    assert reason in PARKED


@pytest.mark.parametrize("name", SAMPLES)
def test_every_fact_of_a_sample_can_be_written_and_read_again(name: str) -> None:
    done = of(name)
    assert done.ignored.keys() <= IGNORED.keys()
    assert [decode_fact(encode_fact(fact)) for fact in done.facts] == list(done.facts)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_PLACES = (
    ("sent_at",), ("template",), ("campaign",), ("action_id",), ("phone_number_id",), ("request",), ("response",),
    ("request", "method"), ("request", "path"), ("request", "body"), ("request", "body", "to"),
    ("request", "body", "type"), ("request", "body", "template"), ("request", "body", "interactive"),
    ("response", "status"), ("response", "body"), ("response", "body", "contacts"), ("response", "body", "messages"),
    ("response", "body", "calls"), ("response", "body", "error"), ("response", "body", "permission"),
)  # fmt: skip


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.sampled_from(_PLACES), _JSON), min_size=1, max_size=4))
def test_nothing_in_an_exchange_makes_it_raise(name: str, mutations: list[tuple[tuple[str, ...], Any]]) -> None:
    exchange: Any = deepcopy(sample(f"sendlog/{name}"))
    for path, value in mutations:
        place = exchange
        for step in path[:-1]:
            place = place.get(step) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[path[-1]] = value
    done = read(exchange)
    assert done.facts or done.ignored or done.parked
    assert done.ignored.keys() <= IGNORED.keys()
    assert {fault.reason for fault in done.parked} <= PARKED.keys()


def test_no_fault_quotes_what_was_sent() -> None:
    for exchange in (changed("call", request__body__to="447700900123x"), changed("free-form", sent_at="447700900123")):
        assert "447700900" not in repr(read(exchange).parked)

"""Domain 3.6: every sample of the field `calls`, and the shapes beside them."""

from typing import Any

import pytest

from schemas.events import CallConnected, CallEnded, CallOffered, CallRejected, CallRinging, Fact
from schemas.ids import derived_id
from tests.providers.payloads import (
    CONTACT,
    DISPLAY,
    NUMBER,
    PARENT,
    RECEIVED_AT,
    SCOPED,
    USER,
    call,
    calls,
    envelope,
    read,
    sample,
    told,
    value,
)

CALL = "wacid.TESTCALL0001"


def about(at: int, **more: Any) -> dict[str, Any]:
    """What the expected facts of one call have in common."""
    return {
        "phone_number_id": NUMBER,
        "user": USER,
        "aliases": (SCOPED,),
        "occurred_at": at,
        "recorded_at": RECEIVED_AT,
        "provider": "meta",
        "call_id": CALL,
        **more,
    }


def one(facts: list[Fact], kind: type[CallEnded]) -> CallEnded:
    """The only fact of a type."""
    (found,) = [fact for fact in facts if isinstance(fact, kind)]
    return found


def test_c1_a_connect_of_a_business_call_is_an_offer_with_its_campaign() -> None:
    assert told(read(sample("c1-connect"))) == [
        CallOffered(
            fact_id=derived_id("call_offered", NUMBER, CALL),
            direction="business_initiated",
            campaign="camp-42/lead-7",
            origin=None,
            reservation_id=None,
            **about(1_772_445_600, aliases=(SCOPED, PARENT)),
        )
    ]


def test_c2_accepted_is_a_connection_whose_start_is_not_exact() -> None:
    assert told(read(sample("c2-accepted"))) == [
        CallConnected(
            fact_id=derived_id("call_connected", NUMBER, CALL),
            direction="business_initiated",
            exact=False,
            **about(1_772_445_612, aliases=(SCOPED, PARENT)),
        )
    ]


def test_c3_a_call_that_was_picked_up_ended_and_was_connected_at_its_start() -> None:
    assert told(read(sample("c3-terminate-picked-up"))) == [
        CallEnded(
            fact_id=derived_id("call_ended", NUMBER, CALL),
            direction="business_initiated",
            status="completed",
            started_at=1_772_445_612,
            ended_at=1_772_445_668,
            duration_s=56,
            error_code=None,
            **about(1_772_445_669),
        ),
        CallConnected(
            fact_id=derived_id("call_connected", NUMBER, CALL),
            direction="business_initiated",
            exact=True,
            **about(1_772_445_612),
        ),
    ]


def test_c4_completed_without_a_start_was_not_connected() -> None:
    (fact,) = told(read(sample("c4-terminate-unanswered")))
    assert isinstance(fact, CallEnded)
    assert (fact.status, fact.started_at, fact.duration_s) == ("completed", None, None)


def test_c5_a_technical_failure_keeps_the_code_that_stands_beside_the_call() -> None:
    (fact,) = told(read(sample("c5-terminate-failed")))
    assert isinstance(fact, CallEnded)
    assert (fact.status, fact.error_code, fact.started_at) == ("failed", 138_020, None)


def test_c6_a_users_call_is_about_the_one_who_called() -> None:
    ended, connected = told(read(sample("c6-terminate-of-a-users-call")))
    assert isinstance(ended, CallEnded)
    assert isinstance(connected, CallConnected)
    assert (ended.user, ended.direction, ended.duration_s) == (USER, "user_initiated", 60)
    assert (connected.user, connected.direction, connected.occurred_at) == (USER, "user_initiated", 1_772_452_000)


@pytest.mark.parametrize(("word", "kind"), [("RINGING", CallRinging), ("rejected", CallRejected)])
def test_ringing_and_rejected_are_facts_of_their_own(word: str, kind: type[CallRinging] | type[CallRejected]) -> None:
    said = {"id": CALL, "type": "call", "status": word, "timestamp": "1772445605", "recipient_id": USER}
    (fact,) = told(read(envelope(value(statuses=[said]), field="calls")))
    assert isinstance(fact, kind)
    assert fact.fact_id == derived_id(f"call_{word.lower()}", NUMBER, CALL)


def test_a_call_status_on_the_field_messages_is_one_too() -> None:
    said = {"id": CALL, "type": "call", "status": "RINGING", "timestamp": "1772445605", "recipient_id": USER}
    assert [fact.type for fact in told(read(envelope(value(statuses=[said]))))] == ["call_ringing"]


def test_a_duration_alone_tells_the_start() -> None:
    ended, connected = told(read(calls(call("terminate", status="COMPLETED", duration=56, end_time="1772445668"))))
    assert isinstance(ended, CallEnded)
    assert (ended.started_at, connected.occurred_at) == (1_772_445_612, 1_772_445_612)


def test_a_duration_without_an_end_counts_back_from_the_report() -> None:
    _ended, connected = told(read(calls(call("terminate", status="COMPLETED", duration="56"))))
    assert connected.occurred_at == 1_772_445_669 - 56


@pytest.mark.parametrize("start", [{"start_time": 1_772_445_612.0}, {"end_time": 1_772_445_668.0}])
def test_times_and_durations_with_a_fraction_of_zero_are_whole(start: dict[str, Any]) -> None:
    said = call("terminate", status="COMPLETED", timestamp=1_772_445_669.0, duration=56.0, **start)
    ended, connected = told(read(calls(said)))
    assert isinstance(ended, CallEnded)
    assert (ended.occurred_at, ended.duration_s, connected.occurred_at) == (1_772_445_669, 56, 1_772_445_612)
    assert all(type(each) is int for each in (ended.occurred_at, ended.duration_s, connected.occurred_at))


@pytest.mark.parametrize("duration", [60.5, -1, -60.0, 2_147_483_648, 1e300, True, "a minute", [], {}])
def test_an_unreadable_duration_costs_no_call_of_which_the_start_is_known(duration: object) -> None:
    said = {"status": "COMPLETED", "start_time": "1772445612", "duration": duration}
    done = read(calls(call("terminate", **said)))
    ended, connected = told(done)
    assert isinstance(ended, CallEnded)
    assert (ended.duration_s, connected.occurred_at, done.ignored) == (None, 1_772_445_612, {"duration_unreadable": 1})
    both = told(read(calls(call("terminate", **said, end_time="1772445668"))))
    assert getattr(both[0], "duration_s", None) == 56


@pytest.mark.parametrize("end", ["x", -1, True, 10**13, 5, RECEIVED_AT + 8 * 86_400, []])
def test_an_unreadable_end_costs_no_call_of_which_the_start_is_known(end: object) -> None:
    said = {"status": "COMPLETED", "start_time": "1772445612", "end_time": end, "timestamp": "1772445669"}
    for more, lasted in (({"duration": 56}, 56), ({}, None)):
        done = read(calls(call("terminate", **said, **more)))
        ended, connected = told(done)
        assert isinstance(ended, CallEnded)
        assert (ended.ended_at, ended.duration_s, connected.occurred_at) == (None, lasted, 1_772_445_612)
        assert done.ignored == {"end_unreadable": 1}


def test_a_start_without_a_duration_was_picked_up() -> None:
    ended, connected = told(
        read(calls(call("terminate", status="completed", start_time=1_772_445_612, end_time=1_772_445_668)))
    )
    assert isinstance(ended, CallEnded)
    assert (ended.duration_s, connected.type) == (56, "call_connected")


@pytest.mark.parametrize("more", [{"start_time": "1772445612"}, {"duration": 3}])
def test_a_failed_call_with_a_start_or_a_duration_was_connected(more: dict[str, Any]) -> None:
    facts = told(read(calls(call("terminate", status="FAILED", **more))))
    assert [fact.type for fact in facts] == ["call_ended", "call_connected"]


@pytest.mark.parametrize("more", [{"start_time": "0"}, {"duration": 0}, {"start_time": ""}, {"duration": None}])
def test_a_zero_is_no_start(more: dict[str, Any]) -> None:
    facts = told(read(calls(call("terminate", status="COMPLETED", **more))))
    assert [fact.type for fact in facts] == ["call_ended"]


def test_a_start_in_milliseconds_is_the_same_start() -> None:
    _ended, connected = told(read(calls(call("terminate", status="COMPLETED", start_time=1_772_445_612_000))))
    assert connected.occurred_at == 1_772_445_612


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"start_time": "yesterday"}, "start_time"),
        ({"start_time": -1}, "start_time"),
        ({"start_time": False}, "start_time"),
        ({"end_time": 10**13}, "end_time"),
        ({"duration": -1}, "duration"),
        ({"duration": 1.5}, "duration"),
        ({"duration": 1e300}, "duration"),
        ({"duration": True}, "duration"),
        ({"start_time": "yesterday", "duration": 60.0}, "start_time"),
        ({"start_time": 1_772_445_612.5, "duration": 60}, "start_time"),
        ({"duration": 2_000_000_000}, "duration"),
        ({"timestamp": "2101-01-01T00:00:00Z"}, "timestamp"),
        ({"id": 5}, "id"),
        ({"id": None}, "id"),
        ({"to": "ann"}, "to"),
        ({"to": None}, ""),
    ],
)
def test_a_call_that_cannot_be_read_is_parked_with_its_place(more: dict[str, Any], path: str) -> None:
    done = read(calls(call("terminate", status="COMPLETED", **more), call("connect", id="wacid.TESTCALL0002")))
    where = "$.entry[0].changes[0].value.calls[0]"
    assert [fault.path for fault in done.parked] == [f"{where}.{path}".rstrip(".")]
    assert [fact.type for fact in done.facts] == ["call_offered", "business_seen"]


def test_connect_terminate_and_statuses_of_one_call_have_an_id_each() -> None:
    said = [{"id": CALL, "type": "call", "status": "RINGING", "recipient_id": USER}]
    ids = [fact.fact_id for fact in told(read(calls(call("connect"), call("terminate", duration=3), statuses=said)))]
    assert len(set(ids)) == len(ids) == 4


def test_the_two_reports_of_a_connection_share_their_id() -> None:  # they are merged, the exact start wins
    (accepted,), (_ended, connected) = told(read(sample("c2-accepted"))), told(read(sample("c3-terminate-picked-up")))
    assert accepted.fact_id == connected.fact_id


@pytest.mark.parametrize(
    ("said", "shared", "expected"),
    [
        ({"from": DISPLAY, "to": USER}, {}, "business_initiated"),
        ({"from": "+44 20 7946 0123", "to": USER}, {}, "business_initiated"),
        ({"from": USER, "to": DISPLAY}, {}, "user_initiated"),
        ({"from": "442079460999", "to": USER, "to_user_id": SCOPED}, {}, "business_initiated"),
        ({"from": USER, "from_user_id": SCOPED, "to": "442079460999"}, {}, "user_initiated"),
        ({"from": "442079460999", "to": USER}, {"contacts": [CONTACT]}, "business_initiated"),
        ({"from": USER, "to": "442079460999"}, {"contacts": [CONTACT]}, "user_initiated"),
        ({"from": USER, "to": DISPLAY, "direction": "sideways"}, {}, "user_initiated"),
    ],
)
def test_a_call_without_direction_is_told_by_its_sides(
    said: dict[str, Any], shared: dict[str, Any], expected: str
) -> None:
    (fact,) = told(read(calls(call("connect", **{"direction": None, **said}), **shared)))
    assert isinstance(fact, CallOffered)
    assert (fact.direction, fact.user) == (expected, USER)


def test_a_call_whose_sides_tell_nothing_is_parked() -> None:
    done = read(calls(call("connect", direction=None, **{"from": "442079460999"})))
    assert [(fault.reason, fault.path) for fault in done.parked] == [
        ("unknown_direction", "$.entry[0].changes[0].value.calls[0].direction")
    ]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("call_created", "call_event_call_created"),
        ("call_recording_available", "call_event_call_recording_available"),
        ("call_transcription_available", "call_event_call_transcription_available"),
        ("call_permission_status", "call_event_unknown"),
        (None, "call_event_unknown"),
        (7, "call_event_unknown"),
    ],
)
def test_other_events_of_a_call_are_counted(event: Any, kind: str) -> None:
    done = read(calls(call("connect") | {"event": event}))
    assert (done.facts, done.ignored) == ((), {kind: 1})


def test_events_and_words_are_read_in_any_case() -> None:
    said = call("Terminate", direction="business_initiated", status="Failed")
    ended = one(told(read(calls(said))), CallEnded)
    assert (ended.direction, ended.status) == ("business_initiated", "failed")


def test_an_unknown_end_is_an_end_all_the_same() -> None:
    done = read(calls(call("terminate", status="VANISHED")))
    assert one(told(done), CallEnded).status == "completed"
    assert done.ignored == {"call_end_unknown": 1}


def test_an_unknown_status_of_a_call_is_counted() -> None:
    payload = envelope(value(statuses=[{"id": CALL, "type": "call", "status": "PONDERING"}]), field="calls")
    assert read(payload).ignored == {"call_status_unknown": 1}


def test_errors_beside_several_calls_go_to_the_one_that_failed() -> None:
    errors = [{"code": 138_021}]
    fine, failed = call("terminate", status="COMPLETED"), call("terminate", id="wacid.TESTCALL0002", status="FAILED")
    facts = told(read(calls(fine, failed, call("connect"), errors=errors)))
    assert [fact.error_code for fact in facts if isinstance(fact, CallEnded)] == [None, 138_021]


@pytest.mark.parametrize("events", [[], [call("connect")], [call("terminate", status="FAILED", id=i) for i in "ab"]])
def test_errors_of_which_nobody_knows_the_call_are_counted(events: list[dict[str, Any]]) -> None:
    assert read(calls(*events, errors=[{"code": 131_044}])).ignored == {"errors_beside": 1}


@pytest.mark.parametrize("said", ["x" * 513, 5, {"a": 1}])
def test_callback_data_that_is_no_short_text_costs_no_call(said: object) -> None:
    done = read(calls(call("connect", biz_opaque_callback_data=said)))
    (fact,) = told(done)
    assert isinstance(fact, CallOffered)
    assert (fact.campaign, done.ignored) == (None, {"campaign_unreadable": 1})


@pytest.mark.parametrize("campaign", ["Rückruf 42", "отзыв", "camp\n42"])
def test_callback_data_is_kept_as_it_is(campaign: str) -> None:
    (fact,) = told(read(calls(call("connect", biz_opaque_callback_data=campaign))))
    assert isinstance(fact, CallOffered)
    assert fact.campaign == campaign


def test_callback_data_that_nobody_can_write_costs_no_call() -> None:
    done = read(calls(call("connect", biz_opaque_callback_data="camp-\ud83d")))
    assert ([fact.type for fact in told(done)], done.ignored) == (["call_offered"], {"campaign_unreadable": 1})


@pytest.mark.parametrize(("word", "user"), [("BUSINESS_INITIATED", "447700900124"), ("USER_INITIATED", "447700900123")])
def test_the_direction_that_is_said_needs_no_sides(word: str, user: str) -> None:
    (fact,) = told(read(calls(call("connect", direction=word, **{"from": "447700900123", "to": "447700900124"}))))
    assert isinstance(fact, CallOffered)
    assert (fact.direction, fact.user) == (word.lower(), user)


@pytest.mark.parametrize("word", ["CANCELLED", "canceled"])
def test_a_call_is_cancelled_where_a_provider_says_so(word: str) -> None:
    assert one(told(read(calls(call("terminate", status=word)))), CallEnded).status == "cancelled"


def test_an_error_within_a_call_stands_before_one_beside_it() -> None:
    failed = call("terminate", status="FAILED", errors=[{"code": 138_019}])
    done = read(calls(failed, errors=[{"code": 138_021}]))
    assert (one(told(done), CallEnded).error_code, done.ignored) == (138_019, {"errors_beside": 1})


@pytest.mark.parametrize("errors", [[{"code": code}] for code in (True, -1, 1 << 31, 1.5, "x", "-1", None)] + [[5], 5])
def test_an_error_without_a_code_is_none(errors: object) -> None:
    assert one(told(read(calls(call("terminate", status="FAILED", errors=errors)))), CallEnded).error_code is None


@pytest.mark.parametrize(
    ("said", "unknown"),
    [("SIDEWAYS", {"call_direction_unknown:sideways": 1}), ("44 77 00", {}), (5, {}), ({}, {})],
)
def test_a_direction_that_is_no_word_we_know_is_counted_and_told_by_the_sides(
    said: object, unknown: dict[str, int]
) -> None:
    done = read(calls(call("connect", direction=said)))
    (fact,) = told(done)
    assert isinstance(fact, CallOffered)
    assert (fact.direction, done.ignored, done.unknown) == (
        "business_initiated",
        {"call_direction_unknown": 1},
        unknown,
    )


@pytest.mark.parametrize("said", [None, ""])
def test_a_direction_that_is_not_said_is_not_counted(said: object) -> None:
    assert read(calls(call("connect") | {"direction": said})).ignored == {}


AHEAD = RECEIVED_AT + 8 * 86_400


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"start_time": AHEAD, "duration": 56}, "start_time"),
        ({"start_time": AHEAD, "end_time": AHEAD + 56}, "start_time"),
        ({"end_time": AHEAD, "duration": 56}, "end_time"),
    ],
)
def test_a_call_that_began_long_after_its_receipt_is_parked_once_and_whole(said: dict[str, Any], field: str) -> None:
    done = read(calls(call("terminate", status="COMPLETED", timestamp=RECEIVED_AT, **said)))
    assert [fact.type for fact in done.facts] == ["business_seen"]
    assert [(fault.reason, fault.path) for fault in done.parked] == [
        ("time_in_future", f"$.entry[0].changes[0].value.calls[0].{field}")
    ]

"""Domain 1.4, 2.1, 6.2: the life of a request, its class and the two windows."""

import pytest

from schemas.marks import MAX_UNMATCHED
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from streams.permission.requests import counted, known
from streams.permission.standing import timeline
from tests.permission.story import (
    DAY,
    HOUR,
    MINUTE,
    PRODUCTION,
    T0,
    Told,
    accepted,
    connected,
    delivered,
    given,
    refused,
    rejected,
    replied,
    sent,
    status,
)


def _class(told: Told, message_id: str, at: int) -> str:
    lives = {life.request_id: life for life in timeline(told.state, at, DEFAULT_POLICY, PRODUCTION).lives}
    return lives[message_id].final_class


def test_one_request_a_day_may_be_sent() -> None:  # scenario 2
    told = given(sent("r1", T0), status("r1", "sent", T0 + 2), delivered("r1", T0 + 5))
    for at in (T0 + MINUTE, T0 + DAY - 1):
        assert told.at(at).label == "pending"
        assert told.at(at).asked == ((1, T0 + DAY), (1, None))
        assert told.at(at).ask_refused == ("request_limit_24h", T0 + DAY)
    assert told.at(T0 + DAY).asked == ((0, None), (1, None))
    assert told.at(T0 + DAY).may_ask


def test_two_requests_a_week_may_be_sent() -> None:  # scenario 15
    told = given(sent("r1", T0), sent("r2", T0 + DAY))
    assert told.at(T0 + DAY).asked == ((1, T0 + 2 * DAY), (2, T0 + 7 * DAY))
    assert told.at(T0 + DAY).ask_refused == ("request_limit_24h", T0 + 7 * DAY), "the day frees first, the week decides"
    assert told.at(T0 + 2 * DAY).ask_refused == ("request_limit_7d", T0 + 7 * DAY)
    assert not told.at(T0 + 7 * DAY - 1).may_ask
    assert told.at(T0 + 7 * DAY).may_ask
    assert told.at(T0 + 8 * DAY).asked == ((0, None), (0, None))


def test_a_failed_request_is_released_and_leaves_nobody_asked() -> None:  # scenario 18
    told = given(sent("r1", T0), status("r1", "failed", T0 + 9, 131_026))
    view = told.at(T0 + 10)
    assert (view.reason, view.label, view.may_ask) == ("never", "not_requested", True)
    assert view.asked == ((0, None), (0, None))
    assert told.at(T0 + 8).asked == ((1, T0 + DAY), (1, None)), "before it failed, it counted"
    row = told.rows("requests")["r1"]
    assert (row["final_class"], row["error_code"], row["expires_at"]) == ("failed", 131_026, None)


def test_failed_requests_count_where_the_policy_says_so() -> None:
    told = given(sent("r1", T0), status("r1", "failed", T0 + 9, 131_026))
    keeping = DEFAULT_POLICY.model_copy(
        update={"defaults": DEFAULT_POLICY.defaults.model_copy(update={"count_failed_requests": True})}
    )
    assert counted(told.state.requests, keeping) == [T0]


def test_requests_before_a_reset_do_not_count() -> None:
    told = given(sent("r1", T0), sent("r2", T0 + DAY))
    assert counted(told.state.requests, DEFAULT_POLICY, reset_at=T0) == [T0 + DAY]


def test_an_unanswered_request_expires_seven_days_after_delivery() -> None:  # scenario 51
    told = given(sent("r1", T0), delivered("r1", T0 + 5))
    assert _class(told, "r1", T0 + 5 + 7 * DAY - 1) == "open"
    assert _class(told, "r1", T0 + 5 + 7 * DAY) == "expired_no_response"
    assert told.at(T0 + 5 + 7 * DAY).label == "no_answer"


def test_without_a_delivery_the_seven_days_run_from_sending() -> None:
    told = given(sent("r1", T0))
    assert _class(told, "r1", T0 + 7 * DAY - 1) == "open"
    assert _class(told, "r1", T0 + 7 * DAY) == "expired_no_response"


def test_an_untouched_request_is_superseded_when_a_newer_one_is_delivered() -> None:  # A7
    told = given(sent("r1", T0), delivered("r1", T0 + 5), sent("r2", T0 + 2 * DAY))
    assert _class(told, "r1", T0 + 2 * DAY) == "open", "sent is not received"
    told = told.then(delivered("r2", T0 + 2 * DAY + 5))
    row = told.rows("requests")["r1"]
    assert (row["final_class"], row["superseded_at"], row["expires_at"]) == (
        "superseded",
        T0 + 2 * DAY + 5,
        T0 + 2 * DAY + 5,
    )


def test_an_expired_request_cannot_be_superseded_any_more() -> None:
    told = given(sent("r1", T0), delivered("r1", T0 + 5), sent("r2", T0 + 8 * DAY), delivered("r2", T0 + 8 * DAY + 5))
    assert _class(told, "r1", T0 + 9 * DAY) == "expired_no_response"


def test_first_and_last_answer_of_a_request_are_kept() -> None:  # scenario 6
    told = given(sent("r1", T0), rejected("a1", T0 + 30 * MINUTE, to="r1"), accepted("a2", T0 + 2 * DAY, to="r1"))
    row = told.rows("requests")["r1"]
    assert (row["first_response"], row["last_response"], row["final_class"]) == (
        "declined",
        "accepted_temporary",
        "declined",
    )
    assert row["expires_at"] == T0 + 9 * DAY, "seven days after the last answer"


def test_an_answered_request_ends_when_the_newer_one_is_answered() -> None:
    told = given(
        sent("r1", T0),
        rejected("a1", T0 + HOUR, to="r1"),
        sent("r2", T0 + 2 * DAY),
        delivered("r2", T0 + 2 * DAY + 5),
        rejected("a2", T0 + 3 * DAY, to="r2"),
    )
    assert told.rows("requests")["r1"]["expires_at"] == T0 + 3 * DAY
    assert told.rows("requests")["r1"]["superseded_at"] is None


def test_read_implies_delivered() -> None:
    told = given(sent("r1", T0), status("r1", "read", T0 + 5 * MINUTE))
    row = told.rows("requests")["r1"]
    assert (row["delivered_at"], row["read_at"]) == (T0 + 5 * MINUTE, T0 + 5 * MINUTE)


def test_a_request_known_only_by_its_reply_is_no_attempt_and_fills_no_window() -> None:
    told = given(accepted("a1", T0, to="r9"), sent("r1", T0 + HOUR))
    assert told.rows("requests")["r9"] | {"version": 0} == {
        "request_id": "r9",
        "phone_number_id": told.state.phone_number_id,
        "user": told.state.user,
        "kind": "",
        "template_name": None,
        "template_language": None,
        "template_category": None,
        "campaign": None,
        "origin": None,
        "attempt": 0,
        "prior": "never",
        "anchor_at": T0,
        "sent_at": None,
        "delivered_at": None,
        "read_at": None,
        "failed_at": None,
        "error_code": None,
        "first_response": "accepted_temporary",
        "first_response_at": T0,
        "last_response": "accepted_temporary",
        "last_response_at": T0,
        "superseded_at": None,
        "expires_at": T0 + 7 * DAY,
        "final_class": "accepted_temporary",
        "version": 0,
        "is_deleted": 0,
    }
    assert told.rows("requests")["r1"]["attempt"] == 1
    assert told.at(T0 + HOUR).asked == ((1, T0 + HOUR + DAY), (1, None))


def test_a_request_that_becomes_known_after_its_reply_moves_to_the_day_it_was_sent() -> None:
    told = given(accepted("a1", T0 + DAY, to="r1"), sent("r1", T0))
    assert told.rows("requests")["r1"]["anchor_at"] == T0
    assert told.at(T0 + DAY).flags == []


@pytest.mark.parametrize(
    ("before", "prior"),
    [
        ((), "never"),
        ((rejected("a0", T0 - HOUR, to="r0"),), "declined"),
        ((accepted("a0", T0 - 8 * DAY),), "expired"),
        ((accepted("a0", T0 - HOUR), rejected("b0", T0 - MINUTE)), "revoked"),
        (
            (replied("a0", T0 - HOUR, permanent=True), replied("b0", T0 - 1, "reject", source="automatic")),
            "auto_revoked",
        ),
        ((accepted("a0", T0 - HOUR),), "granted"),
    ],
)
def test_a_request_remembers_the_standing_when_it_was_sent(before: tuple[object, ...], prior: str) -> None:
    told = given(*before, sent("r1", T0))  # type: ignore[arg-type]  # parametrize erases the fact types
    assert told.rows("requests")["r1"]["prior"] == prior


def test_statuses_before_the_request_is_known_are_kept_for_it() -> None:
    told = given(delivered("r1", T0 + 5), status("r1", "read", T0 + 60))
    assert told.rows("requests") == {}
    told = told.then(sent("r1", T0))
    row = told.rows("requests")["r1"]
    assert (row["delivered_at"], row["read_at"]) == (T0 + 5, T0 + 60)


def test_the_newest_statuses_of_other_messages_are_kept_and_the_rest_is_counted() -> None:
    told = given(*[delivered(f"m{place:03}", T0 + place) for place in range(MAX_UNMATCHED + 3)])
    assert told.state.dropped == 3
    assert min(entry.message_id for entry in told.state.requests) == "m003"


def test_an_empty_pair_knows_no_request() -> None:
    assert known(PairState(phone_number_id="700100200300400", user="447700900123").requests) == []


def test_the_funnel_of_the_domain_adds_up() -> None:  # the funnel check under the scenarios, as of +30 days
    stories = {
        2: given(sent("r1", T0), delivered("r1", T0 + 5)),
        3: given(sent("r1", T0), delivered("r1", T0 + 5), accepted("a1", T0 + 30 * MINUTE, to="r1")),
        4: given(sent("r1", T0), delivered("r1", T0 + 5), replied("a1", T0 + HOUR, to="r1", permanent=True)),
        5: given(sent("r1", T0), delivered("r1", T0 + 5), rejected("a1", T0 + 30 * MINUTE, to="r1")),
        18: given(sent("r1", T0), status("r1", "failed", T0 + 9, 131_026)),
        51: given(sent("r1", T0), delivered("r1", T0 + 5)),
    }
    classes = sorted(_class(told, "r1", T0 + 30 * DAY) for told in stories.values())
    assert classes == [
        "accepted_permanent",
        "accepted_temporary",
        "declined",
        "expired_no_response",
        "expired_no_response",
        "failed",
    ]


def test_a_request_sent_in_the_second_a_call_connects_does_not_count() -> None:  # design 15, replies
    told = given(*connected(T0), sent("r1", T0))
    assert told.at(T0).asked == ((0, None), (0, None))
    assert given(*connected(T0), sent("r1", T0 + 1)).at(T0 + 1).asked[0] == (1, T0 + 1 + DAY)


def test_the_row_of_a_refused_request_says_why() -> None:
    told = given(refused("request", 131_047, T0, action_id="TESTATTEMPT1"))
    assert (
        told.rows("requests")["TESTATTEMPT1"].items()
        >= {
            "final_class": "refused",
            "error_code": 131_047,
            "anchor_at": T0,
            "attempt": 0,
            "prior": "never",
            "sent_at": T0,
            "failed_at": None,
            "expires_at": None,
            "first_response": None,
        }.items()
    )


def test_the_row_of_a_request_tells_its_whole_life() -> None:
    told = given(
        sent("r1", T0, campaign="camp-1", origin="broadcast"),
        status("r1", "sent", T0 + 2),
        delivered("r1", T0 + 5),
        status("r1", "read", T0 + 60),
        rejected("a1", T0 + HOUR, to="r1"),
        replied("a2", T0 + 2 * HOUR, to="r1", permanent=True),
    )
    row = told.rows("requests")["r1"]
    assert {name: row[name] for name in row if name not in ("version", "phone_number_id", "user")} == {
        "request_id": "r1",
        "kind": "template",
        "template_name": "test_cpr_template",
        "template_language": "en",
        "template_category": "UTILITY",
        "campaign": "camp-1",
        "origin": "broadcast",
        "attempt": 1,
        "prior": "never",
        "anchor_at": T0,
        "sent_at": T0,
        "delivered_at": T0 + 5,
        "read_at": T0 + 60,
        "failed_at": None,
        "error_code": None,
        "first_response": "declined",
        "first_response_at": T0 + HOUR,
        "last_response": "accepted_permanent",
        "last_response_at": T0 + 2 * HOUR,
        "superseded_at": None,
        "expires_at": T0 + 2 * HOUR + 7 * DAY,
        "final_class": "declined",
        "is_deleted": 0,
    }


def test_the_answer_to_a_newer_request_ends_only_what_was_answered_before_it() -> None:
    newer = (sent("r2", T0 + 2 * DAY), delivered("r2", T0 + 2 * DAY + 5))
    first = (sent("r1", T0), delivered("r1", T0 + 5))
    told = given(*first, *newer, rejected("a2", T0 + 3 * DAY, to="r2"), rejected("a1", T0 + 4 * DAY, to="r1"))
    assert told.rows("requests")["r1"]["expires_at"] == T0 + 11 * DAY, "answered after it: seven days of its own"
    assert told.rows("requests")["r2"]["expires_at"] == T0 + 10 * DAY, "the older one ends nothing of the newer"
    same = given(*first, *newer, rejected("a1", T0 + 3 * DAY, to="r1"), rejected("a2", T0 + 3 * DAY, to="r2"))
    assert same.rows("requests")["r1"]["expires_at"] == T0 + 3 * DAY, "in one second it ends"


def test_a_failed_newer_request_pushes_nothing_aside() -> None:
    told = given(sent("r1", T0), delivered("r1", T0 + 5), sent("r2", T0 + DAY), status("r2", "failed", T0 + DAY + 9))
    assert told.rows("requests")["r1"]["superseded_at"] is None


def test_the_nearest_of_several_newer_requests_pushes_an_untouched_one_aside() -> None:
    told = given(
        *(sent("r1", T0), delivered("r1", T0 + 5)),
        *(sent("r2", T0 + DAY), delivered("r2", T0 + 3 * DAY)),
        *(sent("r3", T0 + 2 * DAY), delivered("r3", T0 + 2 * DAY + 5)),
    )
    assert told.rows("requests")["r1"]["superseded_at"] == T0 + 2 * DAY + 5
    assert told.rows("requests")["r3"]["superseded_at"] is None


def test_a_request_pushed_aside_waits_for_no_answer_once_the_newer_one_was_answered() -> None:
    older = (sent("r1", T0), delivered("r1", T0 + 5))
    newer = (sent("r2", T0 + DAY), delivered("r2", T0 + DAY + 5), rejected("a1", T0 + DAY + HOUR, to="r2"))
    told = given(*older, *newer)
    assert [told.at(at).label for at in (T0 + DAY + 5, T0 + DAY + HOUR)] == ["pending", "denied"]
    assert given(*older, newer[0], newer[2]).at(T0 + DAY + HOUR).label == "pending", "it was pushed aside by nothing"
    third = (sent("r3", T0 + DAY + MINUTE), delivered("r3", T0 + DAY + 2 * HOUR), rejected("a2", T0 + 2 * DAY, to="r3"))
    assert given(*older, *newer, *third).at(T0 + 2 * DAY).label == "denied"


def test_a_request_that_failed_after_it_was_answered_says_so_beside_its_answers() -> None:
    told = given(sent("r1", T0), accepted("a1", T0 + MINUTE, to="r1"), status("r1", "failed", T0 + HOUR, 131_026))
    row = told.rows("requests")["r1"]
    assert (row["failed_at"], row["error_code"], row["final_class"]) == (T0 + HOUR, 131_026, "accepted_temporary")


def test_an_answered_request_still_says_what_the_standing_was_when_it_was_sent() -> None:
    told = given(
        sent("r1", T0),
        rejected("a1", T0 + MINUTE, to="r1"),
        sent("r2", T0 + DAY),
        accepted("a2", T0 + DAY + MINUTE, to="r2"),
        rejected("a3", T0 + 2 * DAY),
    )
    rows = told.rows("requests")
    assert [(rows[name]["prior"], rows[name]["attempt"]) for name in ("r1", "r2")] == [("never", 1), ("declined", 2)]
    whole = timeline(told.state, T0 + 2 * DAY, DEFAULT_POLICY, PRODUCTION).lives
    assert [(life.prior, life.attempt) for life in whole] == [("never", 1), ("declined", 2)]


def test_an_older_answer_that_comes_late_is_told_as_the_first_one() -> None:
    told = given(sent("r1", T0), accepted("a2", T0 + 2 * HOUR, to="r1"), rejected("a1", T0 + HOUR, to="r1"))
    row = told.rows("requests")["r1"]
    assert (row["first_response"], row["first_response_at"]) == ("declined", T0 + HOUR)
    assert (row["last_response"], row["last_response_at"]) == ("accepted_temporary", T0 + 2 * HOUR)


def test_a_status_of_a_request_known_by_its_reply_alone_is_told_with_it() -> None:
    told = given(accepted("a1", T0, to="r1"), delivered("r1", T0 - 5))
    assert told.rows("requests")["r1"]["delivered_at"] == T0 - 5


def test_whoever_answered_a_request_that_nobody_reported_was_asked() -> None:  # 1.1, 1.3
    told = given(replied("a1", T0, to="wamid.TESTUNSEEN", permanent=True), refused("call", 138_006, T0 + HOUR))
    view = told.at(T0 + HOUR)
    assert (view.reason, view.label) == ("refused_138006", "no_answer")
    called = given(replied("a1", T0, to="wacid.TESTCALL0001", permanent=True), refused("call", 138_006, T0 + HOUR))
    assert called.at(T0 + HOUR).label == "not_requested", "to answer a call is no request"

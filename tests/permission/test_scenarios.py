"""The scenarios of the domain (b), row by row. Rows about translation, identity and doors are proven in those rooms."""

from random import Random

import pytest

from schemas.policy import NumberEntry
from streams.permission.number import Number, Restriction, Setting
from tests.permission.story import (
    DAY,
    HOUR,
    MINUTE,
    T0,
    accepted,
    call,
    connected,
    delivered,
    evidence,
    given,
    moved,
    reading,
    refused,
    rejected,
    replied,
    sent,
    unanswered,
)

GRANTED = replied("a1", T0 + 30 * MINUTE, permanent=True)
SANDBOX = Number.of(NumberEntry(profile="sandbox"))
FOUR = [T0 + 90 * MINUTE + place * HOUR for place in range(4)]


def test_10_two_unanswered_calls_nudge_the_user_once() -> None:
    told = given(GRANTED, *unanswered(*FOUR[:2]))
    view = told.at(FOUR[1])
    assert (view.status, view.streak, view.may_call) == ("permanent", 2, True)
    assert told.noticed == [("user_nudged", "unanswered_calls")]


def test_11_four_unanswered_calls_revoke_before_and_after_the_webhook_says_so() -> None:
    told = given(GRANTED, *unanswered(*FOUR))
    assert (told.at(FOUR[2]).streak, told.at(FOUR[2]).may_call) == (3, True)
    view = told.at(FOUR[3])
    assert (view.status, view.reason, view.confirmed) == ("no_permission", "auto_revoke_inferred", False)
    assert not view.may_call
    assert view.may_ask
    assert told.announced[-1] == ("permission_revoked", "auto_revoke_inferred")
    told = told.then(replied("a2", FOUR[3] + 3, "reject", source="automatic"))
    view = told.at(FOUR[3] + 3)
    assert (view.reason, view.confirmed, view.streak) == ("auto_revoked", True, 0)
    assert [row["end_cause"] for row in told.rows("grants").values()] == ["auto_revoked"]


def test_12_a_connected_call_begins_a_new_row() -> None:
    told = given(GRANTED, *unanswered(*FOUR[:3]), *connected(FOUR[3]), *unanswered(FOUR[3] + HOUR))
    view = told.at(FOUR[3] + HOUR)
    assert (view.status, view.streak, view.called[:2]) == ("permanent", 1, (1, 100))


def test_13_a_connected_call_of_the_user_begins_a_new_row_and_fills_no_window() -> None:
    told = given(
        GRANTED,
        *unanswered(*FOUR[:3]),
        *connected(FOUR[3], direction="user_initiated"),
        *unanswered(FOUR[3] + HOUR),
    )
    view = told.at(FOUR[3] + HOUR)
    assert (view.status, view.streak, view.called[:2]) == ("permanent", 1, (0, 100))


def test_14_a_new_grant_after_an_automatic_revoke_begins_a_new_row() -> None:
    told = given(
        GRANTED,
        *unanswered(*FOUR),
        replied("a2", FOUR[3] + 3, "reject", source="automatic"),
        accepted("a3", T0 + 6 * HOUR + 30 * MINUTE),
        *unanswered(T0 + 7 * HOUR + 30 * MINUTE),
    )
    assert (told.at(T0 + 6 * HOUR + 30 * MINUTE).until, told.at(T0 + 6 * HOUR + 30 * MINUTE).streak) == (
        1_773_070_200,
        0,
    )
    assert (told.at(T0 + 7 * HOUR + 30 * MINUTE).status, told.at(T0 + 7 * HOUR + 30 * MINUTE).streak) == (
        "temporary",
        1,
    )


def test_16_a_connected_call_of_the_user_resets_the_request_windows_at_its_start() -> None:
    start = T0 + DAY + HOUR
    told = given(sent("r1", T0), sent("r2", T0 + DAY), *connected(start, direction="user_initiated"))
    assert not told.at(start - 1).may_ask
    assert told.at(start).asked == ((0, None), (0, None))
    assert told.at(start).may_ask


def test_17_a_connected_call_of_the_business_resets_the_request_windows() -> None:
    told = given(sent("r1", T0), accepted("a1", T0 + 30 * MINUTE, to="r1"), *connected(T0 + 40 * MINUTE))
    assert told.at(T0 + 30 * MINUTE).asked[0] == (1, T0 + DAY)
    view = told.at(T0 + 40 * MINUTE)
    assert (view.asked, view.called[:2], view.may_ask, view.may_call) == (((0, None), (0, None)), (1, 100), True, True)


def test_a_request_sent_in_the_second_a_call_connects_does_not_count() -> None:  # design 15, replies
    told = given(*connected(T0), sent("r1", T0))
    assert told.at(T0).asked == ((0, None), (0, None))


def test_19_a_hundred_connected_calls_fill_the_day() -> None:
    starts = [T0 + (31 + place) * MINUTE for place in range(100)]
    told = given(GRANTED, *connected(*starts))
    assert (told.at(starts[98]).called[:2], told.at(starts[98]).may_call) == ((99, 100), True)
    view = told.at(starts[99])
    assert (view.called, view.call_refused) == ((100, 100, 1_772_530_260), ("connected_call_limit_24h", 1_772_530_260))
    assert not told.at(T0 + DAY + 31 * MINUTE - 1).may_call
    assert told.at(T0 + DAY + 31 * MINUTE).called[:2] == (99, 100)
    assert ("limit_reached", "connected_call_limit_24h") in told.noticed


@pytest.mark.parametrize(
    ("start", "limit", "opens"), [(1_762_000_000, 10, 1_762_086_460), (1_757_000_000, 5, 1_757_086_460)]
)
def test_20_and_21_the_limit_is_the_one_of_the_date_asked(start: int, limit: int, opens: int) -> None:
    starts = [start + (place + 1) * MINUTE for place in range(limit)]
    view = given(replied("a1", start, permanent=True), *connected(*starts)).at(starts[-1])
    assert (view.may_call, view.called) == (False, (limit, limit, opens))


def test_32_a_reading_of_nothing_ends_the_grant_and_is_a_drift() -> None:
    at = T0 + 2 * DAY + 30 * MINUTE
    told = given(accepted("a1", T0 + 30 * MINUTE), reading("no_permission", at))
    assert (told.at(at).status, told.at(at).reason) == ("no_permission", "reading")
    assert [one["data"] for one in told.changes if one["type"] == "drift_detected"] == [
        {"fields": [{"field": "status", "local": "temporary", "remote": "no_permission"}]}
    ]
    assert told.announced[-1] == ("permission_revoked", "reading")


def test_33_a_request_refused_because_permission_exists_grants_unconfirmed() -> None:
    told = given(refused("request", 138_017, T0 + 30 * MINUTE))
    view = told.at(T0 + 30 * MINUTE)
    assert (view.status, view.confirmed, view.may_call) == ("permanent", False, True)
    assert (view.body["standing"]["via"], view.body["standing"]["source"]) == ("inferred", "inferred")
    assert [row["final_class"] for row in told.rows("requests").values()] == ["refused"]


def test_34_a_call_refused_without_permission_ends_the_grant_unconfirmed() -> None:
    told = given(accepted("a1", T0 + 30 * MINUTE), refused("call", 138_006, T0 + 90 * MINUTE))
    view = told.at(T0 + 90 * MINUTE)
    assert (view.status, view.reason, view.confirmed) == ("no_permission", "refused_138006", False)
    assert [row["end_cause"] for row in told.rows("grants").values()] == ["refused_138006"]


def test_35_the_providers_call_limit_blocks_until_its_instant() -> None:
    told = given(GRANTED, refused("call", 138_012, T0 + 90 * MINUTE, T0 + 5 * HOUR + 30 * MINUTE))
    assert told.at(T0 + 90 * MINUTE).call_refused == ("provider_block", T0 + 5 * HOUR + 30 * MINUTE)
    assert told.at(T0 + 5 * HOUR + 30 * MINUTE).may_call


def test_the_providers_call_limit_without_an_instant_blocks_for_a_day() -> None:  # design 15
    told = given(GRANTED, refused("call", 138_012, T0 + HOUR))
    assert told.at(T0 + HOUR).call_refused == ("provider_block", T0 + HOUR + DAY)


def test_36_decisions_during_a_restriction_stay_valid() -> None:
    until = T0 + 90 * MINUTE + 7 * DAY
    paused = Number(restrictions=(Restriction(T0 + 90 * MINUTE, "business_initiated", until),))
    told = given(GRANTED, rejected("a2", T0 + 150 * MINUTE), number=paused)
    view = told.at(T0 + 90 * MINUTE)
    assert view.status == "permanent"
    assert view.ask_refused == ("business_restricted", None), "a permanent permission stays in the way"
    assert view.call_refused == ("business_restricted", until)
    assert (told.at(T0 + 150 * MINUTE).reason, told.at(T0 + 150 * MINUTE).ask_refused) == (
        "revoked",
        ("business_restricted", until),
    )
    assert told.at(until).may_ask


def test_a_restriction_of_users_calls_blocks_nothing_of_ours() -> None:  # design 15, readings and errors
    number = Number(restrictions=(Restriction(T0, "user_initiated", T0 + DAY),))
    assert given(GRANTED, number=number).at(T0 + HOUR).may_call


def test_38_a_sandbox_number_has_wider_limits() -> None:
    asks = [sent(f"r{place:02}", T0 + 10 * HOUR + place * 2 * MINUTE) for place in range(25)]
    ends = [T0 + 90 * MINUTE + place * HOUR for place in range(5)]
    told = given(GRANTED, *unanswered(*ends[:4]), number=SANDBOX)
    assert (told.at(ends[3]).streak, told.at(ends[3]).may_call, told.noticed) == (4, True, [])
    told = told.then(*unanswered(ends[4]))
    assert told.noticed == [("user_nudged", "unanswered_calls")]
    told = given(*asks, number=SANDBOX)
    assert told.at(asks[-1].occurred_at).asked == ((25, T0 + 10 * HOUR + DAY), (25, None))


def test_39_a_changed_number_closes_the_old_pair_and_begins_a_new_one() -> None:
    old = given(GRANTED, moved("old", T0 + DAY)).at(T0 + DAY)
    assert (old.status, old.reason, old.confirmed) == ("no_permission", "number_changed", False)
    new = given(moved("new", T0 + DAY), sent("r1", T0 + DAY + HOUR))
    assert (new.at(T0 + DAY).reason, new.at(T0 + DAY).confirmed) == ("number_changed", False)
    assert new.rows("requests")["r1"]["prior"] == "never"


def test_40_calling_switched_off_blocks_both() -> None:
    off = Number(settings=(Setting(T0, False),))
    view = given(GRANTED, number=off).at(T0 + HOUR)
    assert view.status == "permanent"
    assert (view.call_refused, view.ask_refused[0]) == (("calling_disabled", None), "calling_disabled")
    assert given(GRANTED).at(T0 + HOUR, Number(settings=(Setting(T0, False), Setting(T0 + 1, True)))).may_call


def test_42_a_rejected_call_counts_once() -> None:
    facts = (
        call("c1", ("offered", FOUR[0]), ("ringing", FOUR[0] + 2), ("rejected", FOUR[0] + 9), ("ended", FOUR[0] + 9))
        * 2
    )
    Random(7).shuffle(facts)
    told = given(GRANTED, *facts)
    assert told.at(FOUR[1]).streak == 1
    assert [row["outcome"] for row in told.rows("calls").values()] == ["rejected"]


def test_43_a_technical_failure_is_nobodys_refusal() -> None:
    told = given(GRANTED, *call("c1", ("offered", FOUR[0]), ("ended", FOUR[0] + 9), status="failed"))
    assert (told.at(FOUR[1]).streak, told.at(FOUR[1]).called[0]) == (0, 0)
    assert [row["outcome"] for row in told.rows("calls").values()] == ["technical_failure"]


def test_44_a_call_is_counted_once_from_its_start_whatever_came_first() -> None:
    start = 1_772_445_612
    told = given(*call("c1", ("ended", start + 56), ("offered", start - 12), ("accepted", start + 1), start=start))
    row = told.rows("calls")["c1"]
    assert (row["connected_at"], row["pulses"], row["duration_s"], row["outcome"]) == (start, 10, 56, "connected")
    assert told.at(start).called[0] == 1
    assert told.at(start - 1).called[0] == 0


def test_46_another_business_number_knows_nothing_of_it() -> None:
    told = given(GRANTED)
    assert told.at(T0 + HOUR).status == "permanent"
    assert given().at(T0 + HOUR).reason == "never"


def test_50_three_orders_of_arrival_give_the_same_evidence() -> None:
    facts = [
        sent("r1", T0),
        delivered("r1", T0 + 5),
        accepted("a1", T0 + HOUR, to="r1"),
        *unanswered(*FOUR),
        *connected(T0 + 2 * DAY),
        reading("permanent", T0 + 3 * DAY),
        refused("call", 138_012, T0 + 4 * DAY),
    ]
    orders = [list(facts) for _ in range(3)]
    for seed, order in enumerate(orders):
        Random(seed).shuffle(order)
    assert len({repr(evidence(given(*order).state)) for order in orders}) == 1


def test_one_action_id_at_both_doors_is_two_refusals() -> None:
    call_refused = refused("call", 138_006, T0, action_id="TESTATTEMPT1")
    request_refused = refused("request", 138_017, T0 + 60, action_id="TESTATTEMPT1")
    told = given(call_refused, request_refused)
    assert (told.at(T0 + HOUR).status, told.at(T0 + HOUR).confirmed) == ("permanent", False)
    assert [row["final_class"] for row in told.rows("requests").values()] == ["refused"]


def test_a_reading_without_an_expiry_only_confirms_a_temporary_grant() -> None:  # design 15, readings
    told = given(accepted("a1", T0), reading("temporary", T0 + 6 * DAY))
    assert told.at(T0 + 6 * DAY).until == T0 + 7 * DAY


def test_a_number_that_changed_hands_starts_without_the_grant_of_its_earlier_owner() -> None:  # G20
    told = given(GRANTED, moved("new", T0 + DAY))
    assert (told.at(T0 + DAY).status, told.at(T0 + DAY).reason) == ("no_permission", "number_changed")
    assert [row["end_cause"] for row in told.rows("grants").values()] == ["number_changed"]

"""The 52 scenarios of the domain (b), a test a row, every instant of the row to the letter, and the funnel check.

Words are those of `story`. `ships.holds` says that the shipped history (`scenarios/`) tells the same story and is
judged the same by `callgrant replay`. `SCENARIOS=write` writes these files anew.
"""

from random import Random
from typing import Any

import orjson

from schemas.policy import NumberEntry
from streams.permission.number import Number, Restriction, Setting
from streams.providers.registry import translate
from tests.permission.shipped import Shipped, histories, judged
from tests.permission.story import (
    DAY,
    HOUR,
    MINUTE,
    NUMBER,
    T0,
    USER,
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
    status,
    unanswered,
)
from tests.replay.written import DISPLAY, SANDBOX, SANDBOX_DISPLAY, WABA, Line, action, at_text, restricted, value
from tests.replay.written import ended as call_ended
from tests.replay.written import reply as told_by_meta
from tests.replay.written import status as status_told

HALF = T0 + 30 * MINUTE
WEEK = 7 * DAY
EXPIRY = HALF + WEEK
ASKED = (sent("r1", T0), delivered("r1", T0 + 5))
TEMPORARY = accepted("a1", HALF)
PERMANENT = replied("a1", HALF, permanent=True)
ENDS = [T0 + 90 * MINUTE + place * HOUR for place in range(5)]  # +1h30m, +2h30m, …
NO_REQUESTS = ((0, 1, None), (0, 2, None))


def registered(**said: Any) -> Line:
    """The operator tells what the number is."""
    told = {"type": "business_registered", "phone_number_id": NUMBER, "occurred_at": at_text(T0), **said}
    return {"received_at": at_text(T0 + 1), "action": told}


def test_scenario_1_nobody_who_was_never_asked_has_permission(ships: Shipped) -> None:
    told = given()
    view = told.at(T0)
    assert (view.status, view.reason, view.label) == ("no_permission", "never", "not_requested")
    assert (view.day, view.week, view.called) == (*NO_REQUESTS, (0, 100, None))
    assert (view.may_ask, view.may_call) == (True, False)
    ships.holds(told, T0)


def test_scenario_2_one_request_a_day(ships: Shipped) -> None:
    told = given(sent("r1", T0), status("r1", "sent", T0 + 2), delivered("r1", T0 + 5))
    for at in (T0 + MINUTE, T0 + DAY - 1):
        view = told.at(at)
        assert (view.status, view.label) == ("no_permission", "pending")
        assert (view.day, view.week, view.may_ask) == ((1, 1, 1_772_528_400), (1, 2, None), False)
    view = told.at(T0 + DAY)
    assert (view.day, view.week, view.may_ask) == ((0, 1, None), (1, 2, None), True)
    ships.holds(told, T0 + MINUTE, T0 + DAY - 1, T0 + DAY)


def test_scenario_3_a_temporary_accept_holds_until_the_second_before_its_expiry(ships: Shipped) -> None:
    told = given(*ASKED, accepted("a1", HALF, to="r1", until=EXPIRY))
    view = told.at(HALF)
    assert (view.status, view.until, view.may_call, view.may_ask) == ("temporary", 1_773_048_600, True, False)
    assert view.ask_refused == ("request_limit_24h", T0 + DAY)
    assert told.at(EXPIRY - 1).status == "temporary"
    view = told.at(EXPIRY)
    assert (view.status, view.reason, view.may_ask, view.may_call) == ("no_permission", "expired", True, False)
    ships.holds(told, HALF, EXPIRY - 1, EXPIRY)


def test_scenario_4_a_permanent_accept_has_no_end(ships: Shipped) -> None:
    told = given(*ASKED, replied("a1", HALF, to="r1", permanent=True))
    for at in (HALF, T0 + 400 * DAY):
        view = told.at(at)
        assert (view.status, view.until, view.may_call, view.may_ask) == ("permanent", None, True, False)
        assert view.ask_refused == ("permanent_permission_exists", None)
    ships.holds(told, HALF, T0 + 400 * DAY)


def test_scenario_5_a_reject_of_a_request_declines(ships: Shipped) -> None:
    told = given(*ASKED, rejected("a1", HALF, to="r1"))
    view = told.at(HALF)
    assert (view.status, view.reason, view.label) == ("no_permission", "declined", "denied")
    assert (view.may_ask, view.ask_refused) == (False, ("request_limit_24h", T0 + DAY))
    view = told.at(T0 + DAY)
    assert (view.may_ask, view.week) == (True, (1, 2, None))
    ships.holds(told, HALF, T0 + DAY)


def test_scenario_6_a_user_may_accept_after_a_decline_on_the_same_request(ships: Shipped) -> None:
    told = given(*ASKED, rejected("a1", HALF, to="r1"), accepted("a2", T0 + 2 * DAY, to="r1", until=T0 + 9 * DAY))
    assert told.at(T0 + DAY).reason == "declined"
    assert (told.at(T0 + 2 * DAY).status, told.at(T0 + 2 * DAY).until) == ("temporary", 1_773_219_600)
    row = told.rows("requests")["r1"]
    changed_mind = row["first_response"] != row["last_response"]
    assert (row["first_response"], row["last_response"], changed_mind) == ("declined", "accepted_temporary", True)
    ships.holds(told, T0 + DAY, T0 + 2 * DAY)


def test_scenario_7_an_accept_without_context_comes_through_the_profile(ships: Shipped) -> None:
    told = given(PERMANENT)
    view = told.at(HALF)
    assert (view.status, view.via, view.may_ask, view.may_call) == ("permanent", "profile", False, True)
    assert told.rows("requests") == {}
    ships.holds(told, HALF)


def test_scenario_8_an_automatic_accept_after_a_users_call_comes_through_the_callback(ships: Shipped) -> None:
    ring = [("offered", T0 + 20 * MINUTE), ("ended", T0 + 21 * MINUTE)]
    uic = call("wacid.TESTUIC0001", *ring, direction="user_initiated")
    told = given(*uic, replied("a1", HALF, to="wacid.TESTUIC0001", until=EXPIRY, source="automatic"))
    view = told.at(HALF)
    assert (view.status, view.via, view.day, view.may_ask, view.may_call) == (
        "temporary",
        "callback",
        (0, 1, None),
        True,
        True,
    )
    assert told.at(EXPIRY).reason == "expired"
    ships.holds(told, HALF, EXPIRY)


def test_scenario_9_a_reject_without_context_revokes_through_the_profile(ships: Shipped) -> None:
    at = T0 + 2 * DAY + 30 * MINUTE
    told = given(TEMPORARY, rejected("a2", at))
    assert told.at(at - 1).status == "temporary"
    assert (told.at(at).status, told.at(at).reason) == ("no_permission", "revoked")
    assert told.announced[-1] == ("permission_revoked", "revoked_via_profile")
    ships.holds(told, at - 1, at)


def test_scenario_10_two_unanswered_calls_nudge_the_user_once(ships: Shipped) -> None:
    told = given(PERMANENT, *unanswered(*ENDS[:2]))
    view = told.at(ENDS[1])
    assert (view.status, view.streak, view.may_call) == ("permanent", 2, True)
    assert told.noticed == [("user_nudged", "unanswered_calls")]
    ships.holds(told, ENDS[1])


def test_scenario_11_four_unanswered_calls_revoke_before_and_after_the_webhook_says_so(ships: Shipped) -> None:
    told = given(PERMANENT, *unanswered(*ENDS[:4]))
    assert (told.at(ENDS[2]).streak, told.at(ENDS[2]).may_call) == (3, True)
    view = told.at(ENDS[3])
    assert (view.status, view.reason, view.confirmed) == ("no_permission", "auto_revoke_inferred", False)
    assert (view.may_call, view.may_ask) == (False, True)
    assert told.announced[-1] == ("permission_revoked", "auto_revoke_inferred")
    told = told.then(replied("a2", ENDS[3] + 3, "reject", source="automatic"))
    assert told.at(ENDS[3]) == view, "what was inferred stays what it was until the webhook"
    view = told.at(ENDS[3] + 3)
    assert (view.reason, view.confirmed, view.streak) == ("auto_revoked", True, 0)
    assert [row["end_cause"] for row in told.rows("grants").values()] == ["auto_revoked"]
    ships.holds(told, ENDS[2], ENDS[3], ENDS[3] + 3)


def test_scenario_12_a_connected_call_begins_a_new_row(ships: Shipped) -> None:
    told = given(PERMANENT, *unanswered(*ENDS[:3]), *connected(ENDS[3]), *unanswered(ENDS[4]))
    view = told.at(ENDS[4])
    assert (view.status, view.streak, view.called) == ("permanent", 1, (1, 100, None))
    ships.holds(told, ENDS[4])


def test_scenario_13_a_connected_call_of_the_user_begins_a_new_row_and_fills_no_window(ships: Shipped) -> None:
    by_user = connected(ENDS[3], direction="user_initiated")
    told = given(PERMANENT, *unanswered(*ENDS[:3]), *by_user, *unanswered(ENDS[4]))
    view = told.at(ENDS[4])
    assert (view.status, view.streak, view.called) == ("permanent", 1, (0, 100, None))
    ships.holds(told, ENDS[4])


def test_scenario_14_a_new_grant_after_an_automatic_revoke_begins_a_new_row(ships: Shipped) -> None:
    again, last = T0 + 6 * HOUR + 30 * MINUTE, T0 + 7 * HOUR + 30 * MINUTE
    told = given(
        PERMANENT,
        *unanswered(*ENDS[:4]),
        replied("a2", ENDS[3] + 3, "reject", source="automatic"),
        accepted("a3", again, until=again + WEEK),
        *unanswered(last),
    )
    view = told.at(again)
    assert (view.status, view.until, view.streak) == ("temporary", 1_773_070_200, 0)
    assert (told.at(last).status, told.at(last).streak) == ("temporary", 1)
    ships.holds(told, again, last)


def test_scenario_15_two_requests_a_week(ships: Shipped) -> None:
    told = given(sent("r1", T0, kind="free_form", template=None), sent("r2", T0 + DAY))
    view = told.at(T0 + DAY)
    assert (view.day, view.week, view.may_ask) == ((1, 1, T0 + 2 * DAY), (2, 2, T0 + WEEK), False)
    view = told.at(T0 + 2 * DAY)
    assert (view.day, view.week, view.may_ask) == ((0, 1, None), (2, 2, T0 + WEEK), False)
    assert not told.at(T0 + WEEK - 1).may_ask
    assert (told.at(T0 + WEEK).week, told.at(T0 + WEEK).may_ask) == ((1, 2, None), True)
    assert told.at(T0 + 8 * DAY).week == (0, 2, None)
    ships.holds(told, T0 + DAY, T0 + 2 * DAY, T0 + WEEK - 1, T0 + WEEK, T0 + 8 * DAY)


def test_scenario_16_a_connected_call_of_the_user_resets_the_request_windows(ships: Shipped) -> None:
    start = T0 + DAY + HOUR
    told = given(sent("r1", T0), sent("r2", T0 + DAY), *connected(start, direction="user_initiated"))
    assert not told.at(start - 1).may_ask
    assert ((told.at(start).day, told.at(start).week), told.at(start).may_ask) == (NO_REQUESTS, True)
    ships.holds(told, start - 1, start)


def test_scenario_17_a_connected_call_reopens_the_request_window(ships: Shipped) -> None:
    start = T0 + 40 * MINUTE
    told = given(sent("r1", T0), accepted("a1", HALF, to="r1"), *connected(start))
    assert told.at(HALF).day == (1, 1, T0 + DAY)
    view = told.at(start)
    assert (view.day, view.week, view.called) == (*NO_REQUESTS, (1, 100, None))
    assert (view.may_ask, view.may_call) == (True, True)
    ships.holds(told, HALF, start)


def test_scenario_18_a_failed_request_is_released(ships: Shipped) -> None:
    told = given(sent("r1", T0), status("r1", "failed", T0 + 9, 131_026))
    view = told.at(T0 + 10)
    assert (view.status, view.reason, view.day, view.may_ask) == ("no_permission", "never", (0, 1, None), True)
    row = told.rows("requests")["r1"]
    assert (row["final_class"], row["error_code"]) == ("failed", 131_026)
    ships.holds(told, T0 + 10)


def test_scenario_19_a_hundred_connected_calls_fill_the_day(ships: Shipped) -> None:
    starts = [T0 + (31 + place) * MINUTE for place in range(100)]
    told = given(PERMANENT, *connected(*starts))
    free = T0 + DAY + 31 * MINUTE
    assert (told.at(starts[98]).called, told.at(starts[98]).may_call) == ((99, 100, None), True)
    view = told.at(starts[99])
    assert (view.called, view.may_call) == ((100, 100, 1_772_530_260), False)
    assert view.call_refused == ("connected_call_limit_24h", 1_772_530_260)
    assert not told.at(free - 1).may_call
    assert (told.at(free).called, told.at(free).may_call) == ((99, 100, None), True)
    assert ("limit_reached", "connected_call_limit_24h") in told.noticed
    ships.holds(told, starts[98], starts[99], free - 1, free)


def test_scenario_20_in_november_2025_ten_connected_calls_fill_the_day(ships: Shipped) -> None:
    given_at = 1_762_000_000
    starts = [given_at + (place + 1) * MINUTE for place in range(10)]
    told = given(replied("a1", given_at, permanent=True), *connected(*starts))
    view = told.at(starts[9])
    assert (view.may_call, view.called) == (False, (10, 10, 1_762_086_460))
    ships.holds(told, starts[9])


def test_scenario_21_in_september_2025_five_connected_calls_fill_the_day(ships: Shipped) -> None:
    given_at = 1_757_000_000
    starts = [given_at + (place + 1) * MINUTE for place in range(5)]
    told = given(accepted("a1", given_at), *connected(*starts))
    view = told.at(starts[4])
    assert (view.may_call, view.called) == (False, (5, 5, 1_757_086_460))
    ships.holds(told, starts[4])


def test_scenario_22_an_accept_delivered_three_times_is_one_grant(ships: Shipped) -> None:
    accept = accepted("a1", HALF, to="r1", until=EXPIRY)
    told = given(*ASKED, accept, accept, status("r1", "read", HALF), accept, delivered("r1", T0 + 5))
    view = told.at(HALF)
    assert (view.status, view.until, view.may_call, view.may_ask) == ("temporary", 1_773_048_600, True, False)
    assert [one.repeated for one in told.steps] == [False, False, False, True, False, True, True]
    assert told.announced == [("permission_granted", "request")]
    assert len(told.rows("grants")) == 1
    alone = told_by_meta(USER, "a1", HALF, to="r1", until=EXPIRY)
    (change,) = alone["body"]["entry"][0]["changes"]
    batches = [
        _batch(alone, change, _changes(status_told(USER, "r1", "read", HALF))[0]),
        _batch(alone, *_changes(status_told(USER, "r1", "delivered", T0 + 5)), change),
    ]
    first = [_sent("r1", T0), status_told(USER, "r1", "delivered", T0 + 5)]
    ships.holds(told, HALF, lines=[*first, alone, *batches])


def test_scenario_23_a_late_accept_reclassifies_the_reject_that_came_first(ships: Shipped) -> None:
    told = given(sent("r1", T0), rejected("a2", ENDS[0], to="r1"))
    assert told.announced == [("permission_declined", "declined")]
    told = told.then(accepted("a1", HALF, to="r1"))
    assert told.at(HALF).status == "temporary"
    assert (told.at(ENDS[0]).status, told.at(ENDS[0]).reason) == ("no_permission", "revoked")
    assert [row["end_cause"] for row in told.rows("grants").values()] == ["revoked_via_request"]
    ships.holds(told, HALF, ENDS[0])


def test_scenario_24_in_one_second_a_reject_wins_over_an_accept_and_both_are_flagged(ships: Shipped) -> None:
    words = (accepted("a1", T0), rejected("a0", T0))
    for told in (given(*words), given(*reversed(words))):
        view = told.at(T0)
        assert (view.status, view.reason, view.flags) == ("no_permission", "revoked", ["same_second_conflict"])
        assert not view.confirmed, "a reading is wished for"
    ships.holds(given(*words), T0)


def test_scenario_25_a_temporary_accept_by_the_user_downgrades_a_permanent_grant(ships: Shipped) -> None:
    at = HALF + DAY
    told = given(PERMANENT, accepted("a2", at, until=T0 + 8 * DAY + 30 * MINUTE))
    view = told.at(at)
    assert (view.status, view.until, view.flags) == ("temporary", 1_773_135_000, ["downgrade"])
    assert told.at(HALF + 8 * DAY).reason == "expired"
    ships.holds(told, at, HALF + 8 * DAY)


def test_scenario_26_an_automatic_accept_does_not_touch_a_permanent_grant(ships: Shipped) -> None:
    at = HALF + DAY
    told = given(PERMANENT, replied("a2", at, to="wacid.TESTUIC0001", until=at + WEEK, source="automatic"))
    assert (told.at(at).status, told.at(HALF + 9 * DAY).status) == ("permanent", "permanent")
    ships.holds(told, at, HALF + 9 * DAY)


def test_scenario_27_an_automatic_accept_extends_a_temporary_grant(ships: Shipped) -> None:
    at = HALF + 4 * DAY
    told = given(TEMPORARY, replied("a2", at, to="wacid.TESTUIC0001", until=HALF + 11 * DAY, source="automatic"))
    assert (told.at(HALF + 8 * DAY).status, told.at(HALF + 8 * DAY).until) == ("temporary", 1_773_394_200)
    assert told.announced == [("permission_granted", "profile"), ("permission_extended", "automatic")]
    ships.holds(told, HALF + 8 * DAY)


def test_scenario_28_a_reject_of_an_older_request_revokes_through_it(ships: Shipped) -> None:
    at = HALF + DAY
    told = given(*ASKED, PERMANENT, rejected("a2", at, to="r1"))
    assert (told.at(at).status, told.at(at).reason) == ("no_permission", "revoked")
    assert told.announced[-1] == ("permission_revoked", "revoked_via_request")
    ships.holds(told, at)


def test_scenario_29_an_expiry_of_sixteen_days_is_believed(ships: Shipped) -> None:
    told = given(accepted("a1", 1_767_168_000, until=1_768_550_400))
    at = 1_767_168_000 + 8 * DAY
    assert (told.at(at).status, told.at(at).until) == ("temporary", 1_768_550_400)
    ships.holds(told, at)


def test_scenario_30_an_accept_without_expiry_ends_after_seven_days_and_says_so(ships: Shipped) -> None:
    told = given(replied("a1", HALF))
    view = told.at(HALF)
    assert (view.status, view.until, view.flags) == ("temporary", 1_773_048_600, ["expiry_inferred"])
    ships.holds(told, HALF)


def test_scenario_31_a_reply_to_a_superseded_request_grants_and_is_flagged(ships: Shipped) -> None:
    at = T0 + 2 * DAY + HOUR
    newer = (sent("r2", T0 + 2 * DAY), delivered("r2", T0 + 2 * DAY + 5))
    asked = given(*ASKED, *newer)
    row = asked.rows("requests")["r1"]
    assert (row["final_class"], row["superseded_at"]) == ("superseded", T0 + 2 * DAY + 5)
    told = asked.then(accepted("a1", at, to="r1", until=T0 + 9 * DAY + HOUR))
    view = told.at(at)
    assert (view.status, view.until, view.flags) == ("temporary", 1_773_223_200, ["reply_to_expired_request"])
    assert (view.day[:2], view.week[:2]) == ((1, 1), (2, 2))
    assert told.rows("requests")["r2"]["final_class"] == "open"
    ships.holds(told, at)


def test_scenario_32_a_reading_of_nothing_ends_the_grant_and_is_a_drift(ships: Shipped) -> None:
    at = HALF + 2 * DAY
    told = given(TEMPORARY, reading("no_permission", at))
    assert (told.at(at).status, told.at(at).reason) == ("no_permission", "reading")
    assert [one["data"] for one in told.changes if one["type"] == "drift_detected"] == [
        {"fields": [{"field": "status", "local": "temporary", "remote": "no_permission"}]}
    ]
    ships.holds(told, at)


def test_scenario_33_a_request_refused_because_permission_exists_grants_unconfirmed(ships: Shipped) -> None:
    told = given(refused("request", 138_017, HALF))
    view = told.at(HALF)
    assert (view.status, view.confirmed, view.may_call) == ("permanent", False, True)
    assert [row["final_class"] for row in told.rows("requests").values()] == ["refused"]
    ships.holds(told, HALF)


def test_scenario_34_a_call_refused_without_permission_ends_the_grant_unconfirmed(ships: Shipped) -> None:
    told = given(TEMPORARY, refused("call", 138_006, ENDS[0]))
    view = told.at(ENDS[0])
    assert (view.status, view.reason, view.confirmed) == ("no_permission", "refused_138006", False)
    ships.holds(told, ENDS[0])


def test_scenario_35_the_providers_call_limit_blocks_until_its_instant(ships: Shipped) -> None:
    opens = T0 + 5 * HOUR + 30 * MINUTE
    told = given(PERMANENT, refused("call", 138_012, ENDS[0], opens))
    assert (told.at(ENDS[0]).may_call, told.at(ENDS[0]).call_refused) == (False, ("provider_block", opens))
    assert told.at(opens).may_call
    ships.holds(told, ENDS[0], opens)


def test_scenario_36_decisions_during_a_restriction_stay_valid(ships: Shipped) -> None:
    until, decided = ENDS[0] + WEEK, ENDS[1]
    paused = Number(restrictions=(Restriction(ENDS[0], "business_initiated", until),))
    told = given(PERMANENT, rejected("a2", decided), number=paused)
    view = told.at(ENDS[0])
    assert (view.status, view.may_ask, view.may_call) == ("permanent", False, False)
    assert view.call_refused == ("business_restricted", until)
    view = told.at(decided)
    assert (view.status, view.reason, view.may_ask) == ("no_permission", "revoked", False)
    assert told.at(until).may_ask
    ships.holds(told, ENDS[0], decided, until, beside=[restricted(ENDS[0], until)])


def test_scenario_37_a_blocked_country_of_the_business_forbids_both_and_shows_the_permission(ships: Shipped) -> None:
    told = given(PERMANENT, number=Number(country="NG"))
    for at in (HALF, T0 + 400 * DAY):
        view = told.at(at)
        assert (view.status, view.may_call, view.may_ask) == ("permanent", False, False)
        assert (view.call_refused[0], view.ask_refused[0]) == ("country_not_supported", "country_not_supported")
    ships.holds(told, HALF, T0 + 400 * DAY, beside=[registered(country="NG")])


def test_scenario_38_a_sandbox_number_has_wider_limits(ships: Shipped) -> None:
    asks = [sent(f"r{place:02}", T0 + 10 * HOUR + place * 2 * MINUTE) for place in range(25)]
    told = given(PERMANENT, *unanswered(*ENDS[:4]), number=Number.of(NumberEntry(profile="sandbox")))
    assert (told.at(ENDS[3]).streak, told.at(ENDS[3]).may_call, told.noticed) == (4, True, [])
    told = told.then(*unanswered(ENDS[4]))
    assert told.noticed == [("user_nudged", "unanswered_calls")]
    told, last = told.then(*asks), asks[-1].occurred_at
    assert last < T0 + 11 * HOUR
    assert (told.at(last).day, told.at(last).week) == ((25, 25, T0 + 10 * HOUR + DAY), (25, 100, None))
    assert told.at(last).status == "permanent"
    ships.holds(told, ENDS[3], ENDS[4], last, beside=[registered(profile="sandbox")])


def test_scenario_39_a_changed_number_closes_the_old_pair_and_begins_a_new_one(ships: Shipped) -> None:
    other, at = "447700900456", T0 + DAY
    old, new = given(PERMANENT, moved("old", at, other)), given(moved("new", at))
    ships.holds(old, at)
    for view in (old.at(at), new.at(at), ships.at(at, other)):
        assert (view.status, view.reason, view.confirmed) == ("no_permission", "number_changed", False)
    assert [row["end_cause"] for row in old.rows("grants").values()] == ["number_changed"]
    assert new.rows("grants") == {}


def test_scenario_40_calling_switched_off_forbids_both(ships: Shipped) -> None:
    told = given(PERMANENT, number=Number(settings=(Setting(T0, enabled=False),)))
    for at in (HALF, T0 + 400 * DAY):
        view = told.at(at)
        assert (view.status, view.may_call, view.may_ask) == ("permanent", False, False)
        assert (view.call_refused[0], view.ask_refused[0]) == ("calling_disabled", "calling_disabled")
    said = {"phone_number_id": NUMBER, "calling": {"status": "DISABLED"}}
    settings = {"timestamp": str(T0), "type": "phone_number_settings", "phone_number_settings": said}
    ships.holds(told, HALF, T0 + 400 * DAY, beside=[_line(T0 + 1, _change(settings, "account_settings_update"))])


def test_scenario_41_every_part_of_a_post_is_read_and_the_unknown_one_kept_raw(ships: Shipped) -> None:
    post = _post_of_three()
    done = translate("meta", orjson.dumps(post["body"]), HALF + 1)
    kinds = [fact.type for fact in done.facts if fact.type != "business_seen"]
    assert (kinds, done.parked) == (["message_status", "permission_replied", "call_ended"], ())
    assert dict(done.ignored) == {"field_unknown": 1}
    ships.holds(None, HALF, lines=[_sent("r1", T0), post])
    assert ships.at(HALF).status == "temporary"
    (request,) = ships.rows("requests", HALF)
    assert request["delivered_at"] == T0 + 5
    assert ships.at(HALF, "447700900124", SANDBOX).streak == 1


async def test_scenario_41_and_the_gateway_answers_the_post_with_200_and_stores_it_whole() -> None:
    from tests.gateway.asgi import ask, gateway, signed
    from tests.kafka.sessions import Cluster

    body, cluster = orjson.dumps(_post_of_three()["body"]), Cluster()
    async with gateway(cluster=cluster) as app:
        answer = await ask(app, "POST", "/webhooks/meta", signed(body), body)
    assert answer is not None
    assert answer.status == 200
    assert [record.value for _, _, records in cluster.log for record in records] == [body]


def test_scenario_42_a_rejected_call_counts_once_however_often_it_is_told(ships: Shipped) -> None:
    at = ENDS[0]
    facts = call("c1", ("offered", at - 30), ("ringing", at - 28), ("rejected", at), ("ended", at)) * 2
    Random(7).shuffle(facts)
    told = given(PERMANENT, *facts)
    assert told.at(at).streak == 1
    assert [row["outcome"] for row in told.rows("calls").values()] == ["rejected"]
    ships.holds(told, at)


def test_scenario_43_a_technical_failure_is_nobodys_refusal(ships: Shipped) -> None:
    told = given(PERMANENT, *call("c1", ("offered", ENDS[0]), ("ended", ENDS[0] + 9), status="failed"))
    (row,) = told.rows("calls").values()
    assert (row["outcome"], row["connected_at"]) == ("technical_failure", None)
    assert (told.at(ENDS[1]).streak, told.at(ENDS[1]).called[0]) == (0, 0)
    ships.holds(told, ENDS[1])


def test_scenario_44_a_call_is_counted_once_from_its_start_whatever_came_first(ships: Shipped) -> None:
    start = 1_772_445_612
    facts = call("c1", ("ended", start + 56), ("offered", start - 12), ("accepted", start + 1), start=start)
    told = given(*facts)
    (row,) = told.rows("calls").values()
    assert (row["connected_at"], row["pulses"], row["duration_s"], row["outcome"]) == (start, 10, 56, "connected")
    assert (told.at(start - 1).called[0], told.at(start).called[0], told.at(start + 56).called[0]) == (0, 1, 1)
    ships.holds(told, start - 1, start, start + 56)


def test_scenario_45_two_names_of_one_user_are_one_pair(ships: Shipped) -> None:
    scoped = "GB.10000000000000000042"
    both = status_told(USER, "r1", "read", T0 + 2 * HOUR, recipient_user_id=scoped)
    lines = [_sent("r1", T0), told_by_meta(scoped, "a1", HALF, to="r1", until=EXPIRY), both]
    ships.holds(None, HALF, T0 + 2 * HOUR, lines=lines)
    view = ships.at(T0 + 2 * HOUR)
    assert (view.status, view.until, view.body["standing"]["request_id"]) == ("temporary", 1_773_048_600, "r1")
    assert {row["user"] for row in judged(ships.path).judged("standings")} == {USER}, "one pair, not two"
    (request,) = ships.rows("requests", T0 + 2 * HOUR)
    marks = [request[name] for name in ("sent_at", "first_response_at", "read_at")]
    assert marks == [T0, HALF, T0 + 2 * HOUR], "the history of both names, in the order of time"


def test_scenario_46_another_business_number_knows_nothing_of_it(ships: Shipped) -> None:
    other = status_told(USER, "m1", "delivered", HALF)
    _changes(other)[0]["value"]["metadata"] = {"display_phone_number": SANDBOX_DISPLAY, "phone_number_id": SANDBOX}
    asked = _sent("r1", T0)
    lines = [asked, told_by_meta(USER, "a1", HALF, to="r1", permanent=True), other]
    ships.holds(given(sent("r1", T0), replied("a1", HALF, to="r1", permanent=True)), HALF, lines=lines)
    view = ships.at(HALF, number=SANDBOX)
    assert (view.status, view.reason, (view.day, view.week)) == ("no_permission", "never", NO_REQUESTS)
    assert (ships.at(HALF).status, ships.at(HALF).day) == ("permanent", (1, 1, T0 + DAY))


def test_scenario_47_gupshups_own_words_for_an_accept_count_for_the_number_of_the_entry(ships: Shipped) -> None:
    said = {"type": "call_permission_reply", "call_permission_reply": {"response": "APPROVE"}}
    said["call_permission_reply"] |= {"expiration_time": str(EXPIRY)}  # type: ignore[operator]  # a dict of dicts
    message = {"type": "interactive", "interactive": said}
    told = {"messaging_product": "whatsapp", "contacts": [{"wa_id": USER}], "messages": [message]}
    line = _line(HALF, _change(told), waba=NUMBER) | {"webhook": "gupshup"}
    ships.holds(None, HALF, lines=[line])
    assert (ships.at(HALF).status, ships.at(HALF).until) == ("temporary", 1_773_048_600)


def test_scenario_48_infobips_accept_without_expiry_is_permanent_and_unconfirmed(ships: Shipped) -> None:
    result = {
        "from": USER,
        "to": DISPLAY,
        "integrationType": "WHATSAPP",
        "messageId": "TESTIB0001",
        "receivedAt": "2026-03-02T09:30:00.000+0000",
        "message": {"type": "INTERACTIVE_CALL_PERMISSION_REPLY", "callPermissionReply": {"response": "ACCEPT"}},
    }
    body = {"results": [result], "messageCount": 1, "pendingMessageCount": 0}
    line = {"received_at": at_text(HALF + 1), "webhook": "infobip", "body": body}
    ships.holds(None, HALF, lines=[registered(display_phone_number=DISPLAY), line])
    assert (ships.at(HALF).status, ships.at(HALF).confirmed) == ("permanent", False)


async def test_scenario_49_what_is_not_signed_by_meta_is_refused_and_nothing_is_stored() -> None:
    from tests.gateway.asgi import ask, gateway, signature, signed
    from tests.kafka.sessions import Cluster

    body, cluster = orjson.dumps(_post_of_three()["body"]), Cluster()
    wrong = [("X-Hub-Signature-256", signature(body, "another"))]
    async with gateway(cluster=cluster) as app:
        for headers, sent_body in ((wrong, body), ([], body), (signed(body), body + b" ")):
            answer = await ask(app, "POST", "/webhooks/meta", headers, sent_body)
            assert answer is not None
            assert answer.status == 401
    assert cluster.log == []


def test_scenario_50_three_orders_of_arrival_give_the_same_bytes(ships: Shipped) -> None:
    facts = [
        sent("r1", T0),
        delivered("r1", T0 + 5),
        accepted("a1", T0 + HOUR, to="r1"),
        *unanswered(*[T0 + 90 * MINUTE + place * HOUR for place in range(4)]),
        *connected(T0 + 2 * DAY),
        reading("permanent", T0 + 3 * DAY),
        refused("call", 138_012, T0 + 4 * DAY),
    ]
    end = T0 + 4 * DAY
    answers: set[bytes] = set()
    marks: set[str] = set()
    for seed in range(3):
        order = list(facts)
        Random(seed).shuffle(order)
        told = given(*order)
        answers |= {b"".join(orjson.dumps(told.at(at).body) for at in range(T0, end + 1, 6 * HOUR))}
        marks |= {repr(evidence(told.state))}
    assert (len(answers), len(marks)) == (1, 1)
    ships.holds(given(*facts), T0 + DAY, end)


def test_scenario_51_a_request_nobody_answers_expires_seven_days_after_its_delivery(ships: Shipped) -> None:
    told, end = given(*ASKED), T0 + 5 + WEEK
    assert (told.at(end - 1).label, told.at(end).label) == ("pending", "no_answer")
    ships.holds(told, end - 1, end)
    assert (ships.final_class("r1", end - 1), ships.final_class("r1", end)) == ("open", "expired_no_response")


def test_scenario_52_a_voicemail_is_no_permission_although_its_id_is_that_of_a_call(ships: Shipped) -> None:
    voice = {"from": USER, "id": "wacid.TESTVOICE0001", "timestamp": str(T0), "type": "audio"}
    line = _line(T0 + 1, _change(value(messages=[voice | {"audio": {"id": "TESTMEDIA", "voice": True}}])))
    done = translate("meta", orjson.dumps(line["body"]), T0 + 1)
    assert [fact.type for fact in done.facts if fact.type != "business_seen"] == ["user_messaged"]
    ships.holds(None, T0, lines=[line])
    assert (ships.at(T0).status, ships.at(T0).reason) == ("no_permission", "never")
    assert ships.rows("grants", T0) == []


def test_the_funnel_of_six_scenarios_adds_up() -> None:
    """Domain (b), below the table: scenarios 2, 3, 4, 5, 18 and 51 as one cohort, as of 30 days later."""
    cohort = [path for path in histories() if int(path.name[:2]) in {2, 3, 4, 5, 18, 51}]
    rows = [row for path in cohort for row in judged(path, T0 + 30 * DAY).judged("requests")]
    classes = sorted(row["final_class"] for row in rows)
    delivered_ones = [row for row in rows if row["delivered_at"] is not None]
    responded = [row for row in rows if row["first_response"] is not None]
    approved = [row for row in responded if row["first_response"] != "declined"]
    permanent = [row for row in approved if row["first_response"] == "accepted_permanent"]
    assert classes == [
        "accepted_permanent",
        "accepted_temporary",
        "declined",
        "expired_no_response",
        "expired_no_response",
        "failed",
    ]
    assert [len(some) for some in (rows, delivered_ones, responded, approved, permanent)] == [6, 5, 3, 2, 1]


def _sent(message_id: str, at: int) -> Line:
    return action("request_sent", USER, at, message_id=message_id, kind="free_form")


def _changes(line: Line) -> list[Any]:
    changes: list[Any] = line["body"]["entry"][0]["changes"]
    return changes


def _change(told: dict[str, Any], field: str = "messages") -> dict[str, Any]:
    return {"field": field, "value": told}


def _line(received_at: int, *changes: dict[str, Any], waba: str = WABA) -> Line:
    body = {"object": "whatsapp_business_account", "entry": [{"id": waba, "changes": list(changes)}]}
    return {"received_at": at_text(received_at), "webhook": "meta", "body": body}


def _batch(like: Line, *changes: dict[str, Any]) -> Line:
    return _line(HALF + 1, *changes) | {"received_at": like["received_at"]}


def _post_of_three() -> Line:
    """One POST: statuses and a reply under one account, the end of a call under another, a field nobody knows."""
    ours = [
        *_changes(status_told(USER, "r1", "delivered", T0 + 5)),
        *_changes(told_by_meta(USER, "a1", HALF, to="r1", until=EXPIRY)),
        _change({"anything": 1}, "nothing_we_know"),
    ]
    theirs = _changes(call_ended("447700900124", "wacid.TESTCALL0001", HALF, number=SANDBOX))
    post = _line(HALF + 1, *ours)
    post["body"]["entry"].append({"id": "900100200300401", "changes": theirs})
    return post

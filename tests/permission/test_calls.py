"""Domain 1.6, 2.1, 3.6: what became of a call, which ones stand in the row of unanswered ones or fill the day."""

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given as forall
from hypothesis import strategies as some

from schemas.events import CallEnded, CallOffered, EndStatus, PairFact
from schemas.mark_lists import marks_of
from schemas.marks import Call
from streams.permission.calls import begun_at, connected_at, connected_in, connected_starts, offered_at
from tests.permission.story import (
    DAY,
    HOUR,
    T0,
    Told,
    call,
    connected,
    given,
    replied,
    switched,
    unanswered,
)

GRANTED = replied("a0", T0 - HOUR, permanent=True)
END = T0 + 40


def ended(status: EndStatus = "completed", **said: Any) -> CallEnded:
    """The end of a call of the business, without a sign of a pick-up unless told."""
    return replace(cast(CallEnded, call("c1", ("ended", END), status=status)[-1]), **said)


def row(told: Told) -> dict[str, Any]:
    """The only call."""
    (found,) = told.rows("calls").values()
    return found


INSTANT = some.none() | some.integers(0, 99)


@forall(
    some.builds(
        Call,
        some.just("c1"),
        some.just(T0),
        some.sampled_from([None, "business_initiated", "user_initiated"]),
        accepted_at=INSTANT,
        started_at=INSTANT,
        terminated_at=INSTANT,
        ended_at=INSTANT,
        duration_s=INSTANT,
    )
)
def test_a_call_that_is_stored_counts_as_the_call_that_is_made_of_it(made: Call) -> None:
    stored, at = marks_of(Call, [made]), connected_at(made)
    assert connected_in(stored.raw[0]) == at
    for calls in (stored, [made]):
        assert connected_starts(calls) == ([] if at is None else [at])
        for direction in ("business_initiated", "user_initiated"):
            assert connected_starts(calls, direction) == (
                [at] if at is not None and made.direction == direction else []
            )


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        (call("c1", ("offered", T0)), "open"),
        (call("c1", ("offered", T0), ("ringing", T0 + 2)), "open"),
        (call("c1", ("offered", T0), ("accepted", T0 + 5)), "connected"),
        (call("c1", ("offered", T0), ("ended", END)), "unanswered"),
        (call("c1", ("offered", T0), ("rejected", T0 + 9)), "rejected"),
        (call("c1", ("offered", T0), ("rejected", T0 + 9), ("ended", END)), "rejected"),
        (call("c1", ("rejected", T0 + 9), ("ended", END), status="failed"), "rejected"),
        (call("c1", ("rejected", T0 + 9), ("ended", END), start=T0, status="failed"), "technical_failure"),
        (call("c1", ("accepted", T0), ("rejected", T0 + 9), ("ended", END), status="failed"), "technical_failure"),
        (call("c1", ("ended", END), status="cancelled"), "cancelled"),
        (call("c1", ("ended", END), status="failed"), "technical_failure"),
        (call("c1", ("ended", END), start=T0), "connected"),
        (call("c1", ("accepted", T0), ("ended", END), status="failed"), "technical_failure"),
    ],
)
def test_the_outcome_of_a_call_follows_from_what_was_told_of_it(facts: list[PairFact], outcome: str) -> None:
    assert row(given(*facts))["outcome"] == outcome


def test_the_row_of_a_call_tells_all_of_it() -> None:
    offered = cast(CallOffered, call("c1", ("offered", T0 - 12))[0])
    told = given(replace(offered, campaign="camp-1"), *call("c1", ("ended", T0 + 57), start=T0))
    assert (
        row(told).items()
        >= {
            "call_id": "c1",
            "direction": "business_initiated",
            "outcome": "connected",
            "anchor_at": T0 - 12,
            "started_at": T0 - 12,
            "connected_at": T0,
            "ended_at": T0 + 57,
            "duration_s": 57,
            "pulses": 10,
            "campaign": "camp-1",
            "disposition": None,
        }.items()
    )


@pytest.mark.parametrize(("duration_s", "pulses"), [(None, 0), (0, 0), (1, 1), (6, 1), (7, 2), (56, 10), (60, 10)])
def test_a_call_is_billed_in_pulses_of_six_seconds_rounded_up(duration_s: int | None, pulses: int) -> None:
    assert row(given(ended(duration_s=duration_s)))["pulses"] == pulses


def test_a_call_that_is_not_over_has_no_end() -> None:
    assert row(given(*call("c1", ("offered", T0), ("rejected", T0 + 9))))["ended_at"] is None
    assert row(given(ended()))["ended_at"] == END


def test_a_call_is_connected_since_its_start_else_the_report_of_the_pick_up_else_its_end_less_its_duration() -> None:
    (report,) = call("c1", ("accepted", T0 + 3))
    assert row(given(report, *call("c1", ("ended", END), start=T0)))["connected_at"] == T0
    assert row(given(report, ended()))["connected_at"] == T0 + 3
    assert row(given(ended(duration_s=30)))["connected_at"] == END - 30
    assert row(given(ended(duration_s=30, ended_at=END - 5)))["connected_at"] == END - 35
    assert row(given(ended(duration_s=0)))["connected_at"] is None


def test_a_call_of_which_only_a_status_is_known_is_the_businesss_and_begins_at_its_first_sign() -> None:
    told = given(*call("c1", ("ringing", T0 + 2), ("accepted", T0 + 5)))
    found = row(told)
    assert (found["direction"], found["anchor_at"], found["started_at"]) == ("business_initiated", T0 + 2, T0 + 2)
    assert told.at(T0 + 5).called[0] == 1, "and it fills the window"


def test_a_call_of_which_only_a_rejection_is_known_counts_at_that_instant() -> None:
    told = given(GRANTED, *call("c1", ("rejected", T0)))
    assert (told.at(T0 - 1).streak, told.at(T0).streak) == (0, 1)


def test_a_rejected_call_counts_when_it_was_rejected_and_not_again_when_it_ended() -> None:
    statuses: tuple[EndStatus, ...] = ("completed", "cancelled", "failed")
    for status in statuses:
        told = given(GRANTED, *call("c1", ("rejected", T0), ("ended", T0 + 30), status=status))
        assert [told.at(at).streak for at in (T0 - 1, T0, T0 + 30)] == [0, 1, 1], status


def test_a_rejection_of_a_call_that_was_picked_up_counts_nothing() -> None:
    told = given(GRANTED, *call("c1", ("rejected", T0 + 1), ("ended", END), start=T0))
    assert (told.at(END).streak, row(told)["outcome"]) == (0, "connected")


def test_a_users_call_that_nobody_took_counts_nothing() -> None:
    told = given(GRANTED, *call("c1", ("offered", T0), ("ended", END), direction="user_initiated"))
    assert told.at(END).streak == 0


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_call_nobody_took_counts_whoever_hung_up(status: EndStatus) -> None:
    assert given(GRANTED, ended(status)).at(END).streak == 1


@pytest.mark.parametrize(
    ("switch", "status", "streak"),
    [
        ({"count_business_cancelled_in_streak": False}, "cancelled", 0),
        ({"count_business_cancelled_in_streak": False}, "completed", 1),
        ({"count_failed_calls_in_streak": True}, "failed", 1),
        ({"count_failed_calls_in_streak": True, "count_business_cancelled_in_streak": False}, "cancelled", 0),
        ({"count_failed_calls_in_streak": False}, "failed", 0),
    ],
)
def test_the_policy_says_which_ends_count(switch: dict[str, bool], status: EndStatus, streak: int) -> None:
    assert given(GRANTED, ended(status), policy=switched(**switch)).at(END).streak == streak


@pytest.mark.parametrize(
    ("directions", "by_business", "by_user"),
    [
        (("BUSINESS_INITIATED", "USER_INITIATED"), 0, 0),
        (("BUSINESS_INITIATED",), 0, 1),
        (("USER_INITIATED",), 1, 0),
        ((), 1, 1),
    ],
)
def test_the_policy_says_whose_connected_call_begins_a_new_row(
    directions: tuple[str, ...], by_business: int, by_user: int
) -> None:
    policy = switched(streak_reset_directions=directions)
    told = given(GRANTED, *unanswered(T0), policy=policy)
    assert told.then(*connected(T0 + HOUR)).at(T0 + HOUR).streak == by_business
    assert told.then(*connected(T0 + HOUR, direction="user_initiated")).at(T0 + HOUR).streak == by_user
    of_no_known_direction = call("c9", ("accepted", T0 + HOUR))
    assert told.then(*of_no_known_direction).at(T0 + HOUR).streak == by_business


def test_a_technical_failure_that_had_been_picked_up_is_a_connected_call_for_every_rule() -> None:
    told = given(GRANTED, *unanswered(T0), *call("c1", ("ended", T0 + HOUR), start=T0 + 60, status="failed"))
    view = told.at(T0 + HOUR)
    assert (view.streak, view.called[0]) == (0, 1)


def test_three_in_a_row_are_told_as_a_risk_and_the_second_as_a_nudge() -> None:
    ends = [T0 + place * HOUR for place in range(4)]
    told = given(GRANTED, *unanswered(*ends))
    notices = [
        (one["type"], one["occurred_at"], one["data"]["streak"]) for one in told.changes if "streak" in one["data"]
    ]
    assert notices[:2] == [("user_nudged", ends[1], 2), ("streak_at_risk", ends[2], 3)]


def test_nobody_is_nudged_where_nothing_is_held_and_the_row_goes_on() -> None:
    ends = [T0 + place * HOUR for place in range(5)]
    told = given(*unanswered(*ends))
    assert (told.at(ends[4]).streak, told.at(ends[4]).reason, told.noticed, told.announced) == (5, "never", [], [])
    late = told.then(replied("a1", ends[4] + 1, permanent=True))
    assert (late.at(ends[4] + 1).streak, late.at(ends[4] + 1).status) == (0, "permanent"), "an accept begins a new row"


def test_after_an_inferred_revoke_the_row_goes_on_and_nothing_more_is_announced() -> None:
    ends = [T0 + place * HOUR for place in range(9)]
    told = given(GRANTED, *unanswered(*ends))
    assert told.at(ends[8]).streak == 9
    assert [kind for kind, _ in told.announced] == ["permission_granted", "permission_revoked"]


def test_calls_of_the_last_day_fill_the_window_and_are_free_again_to_the_second() -> None:
    told = given(GRANTED, *connected(T0, T0 + HOUR))
    assert [told.at(at).called[0] for at in (T0 - 1, T0, T0 + HOUR, T0 + DAY - 1, T0 + DAY)] == [0, 1, 2, 2, 1]
    assert told.at(T0 + HOUR + DAY).called[0] == 0


@pytest.mark.parametrize(
    ("offered", "reported", "placed"),
    [(None, None, None), (T0, None, T0), (None, T0, T0), (T0, T0 + 5, T0), (T0 + 5, T0, T0)],
)
def test_a_call_was_placed_by_the_word_of_the_provider_or_of_the_business_whichever_is_earlier(
    offered: int | None, reported: int | None, placed: int | None
) -> None:
    mark = Call("c1", T0 + 99, offered_at=offered, reported_at=reported, ringing_at=T0 + 60)
    assert offered_at(mark) == placed
    assert begun_at(mark) == (T0 + 60 if placed is None else placed)


def test_a_call_of_which_no_sign_is_known_begins_with_its_receipt() -> None:
    assert begun_at(Call("c1", T0)) == T0

"""Domain 3.9, design 15: what an error of the provider forbids, for how long, and what takes it back."""

import pytest

from schemas.events import PairFact
from streams.permission.number import Number, Restriction, Setting
from tests.permission.story import (
    DAY,
    HOUR,
    T0,
    call,
    connected,
    given,
    reading,
    refused,
    rejected,
    replied,
)

GRANTED = replied("a0", T0 - HOUR, permanent=True)
WEEK = 7 * DAY


@pytest.mark.parametrize(
    ("code", "reason", "until"),
    [
        (138_000, "calling_disabled", None),
        (138_013, "country_not_supported", None),
        (138_014, "business_restricted", T0 + WEEK),
    ],
)
def test_an_error_of_the_number_closes_both_doors(code: int, reason: str, until: int | None) -> None:
    for door in ("call", "request"):
        told = given(refused(door, code, T0))
        view = told.at(T0)
        assert (view.ask_refused, view.call_refused[0], view.may_ask) == ((reason, until), reason, False)
        assert told.at(T0 - 1).may_ask


def test_a_restriction_by_error_ends_after_a_week() -> None:
    told = given(GRANTED, refused("call", 138_014, T0))
    assert told.at(T0 + WEEK - 1).call_refused == ("business_restricted", T0 + WEEK)
    assert told.at(T0 + WEEK).may_call


@pytest.mark.parametrize("told_at", [T0, T0 + HOUR])
def test_a_webhook_about_a_restriction_knows_better_than_the_error(told_at: int) -> None:
    number = Number(restrictions=(Restriction(told_at, "business_initiated", told_at + 2 * HOUR),))
    told = given(GRANTED, refused("call", 138_014, T0), number=number)
    assert told.at(told_at).call_refused == ("business_restricted", told_at + 2 * HOUR)
    assert told.at(told_at + 2 * HOUR).may_call


@pytest.mark.parametrize("until", [T0 + 1, T0 + HOUR, T0 + WEEK + HOUR])
def test_an_error_within_a_restriction_that_a_webhook_told_of_prolongs_nothing(until: int) -> None:
    number = Number(restrictions=(Restriction(T0 - DAY, "both", until),))
    for errors in ([T0], [T0 - HOUR, T0]):
        told = given(GRANTED, *[refused("call", 138_014, at) for at in errors], number=number)
        assert told.at(T0).call_refused == ("business_restricted", until)
        assert told.at(until).may_call


@pytest.mark.parametrize(
    "told",
    [
        Restriction(T0 - DAY, "business_initiated", T0 - HOUR),
        Restriction(T0 - DAY, "business_initiated", T0),
        Restriction(T0 - DAY, "user_initiated", T0 + HOUR),
    ],
    ids=["over long ago", "over in that second", "of users' calls"],
)
def test_an_older_webhook_whose_restriction_does_not_cover_the_error_takes_nothing_back(told: Restriction) -> None:
    number = Number(restrictions=(told,))
    view = given(GRANTED, refused("call", 138_014, T0), number=number).at(T0)
    assert view.call_refused == ("business_restricted", T0 + WEEK)


@pytest.mark.parametrize("code", [138_000, 138_013])
@pytest.mark.parametrize(
    "denial",
    [
        connected(T0 + HOUR),
        [reading("permanent", T0 + HOUR, can_call=True)],
        [reading("permanent", T0 + HOUR, can_request=True)],
    ],
    ids=["a call that came about", "a reading: calls", "a reading: requests"],
)
def test_what_shows_that_calling_works_takes_the_error_back(code: int, denial: list[PairFact]) -> None:
    told = given(GRANTED, refused("call", code, T0), *denial)
    assert (told.at(T0 + HOUR - 1).may_call, told.at(T0 + HOUR).may_call) == (False, True)


@pytest.mark.parametrize("code", [138_000, 138_013])
@pytest.mark.parametrize(
    "other",
    [
        [reading("permanent", T0 + HOUR, can_call=False, can_request=False)],
        [reading("permanent", T0 + HOUR)],
        connected(T0),
        call("c1", ("offered", T0 + HOUR), ("ended", T0 + HOUR + 9)),
    ],
    ids=["a reading that says no", "a reading that says nothing", "in the same second", "no pick-up"],
)
def test_what_shows_nothing_of_the_kind_does_not(code: int, other: list[PairFact]) -> None:
    assert not given(GRANTED, refused("call", code, T0), *other).at(T0 + 2 * HOUR).may_call


def test_an_accepted_call_of_the_user_shows_that_calling_is_on_but_not_from_where_we_may_call() -> None:
    theirs = connected(T0 + HOUR, direction="user_initiated")
    assert given(GRANTED, refused("call", 138_000, T0), *theirs).at(T0 + HOUR).may_call
    assert not given(GRANTED, refused("call", 138_013, T0), *theirs).at(T0 + 2 * HOUR).may_call


def test_a_settings_webhook_takes_back_that_calling_is_off_and_only_that() -> None:
    on = Number(settings=(Setting(T0 + HOUR, enabled=True),))
    told = given(GRANTED, refused("call", 138_000, T0), number=on)
    assert (told.at(T0 + HOUR - 1).may_call, told.at(T0 + HOUR).may_call) == (False, True)
    assert not given(GRANTED, refused("call", 138_013, T0), number=on).at(T0 + HOUR).may_call
    before = Number(settings=(Setting(T0, enabled=True),))
    assert not given(GRANTED, refused("call", 138_000, T0), number=before).at(T0 + HOUR).may_call


def test_the_error_counts_again_when_it_comes_again() -> None:
    told = given(GRANTED, refused("call", 138_000, T0), *connected(T0 + HOUR), refused("call", 138_000, T0 + 2 * HOUR))
    assert [told.at(at).may_call for at in (T0, T0 + HOUR, T0 + 2 * HOUR)] == [False, True, False]


@pytest.mark.parametrize(("retry_at", "opens"), [(None, T0 + DAY), (T0 + HOUR, T0 + HOUR), (T0 + WEEK, T0 + WEEK)])
def test_the_providers_call_limit_blocks_calls_alone(retry_at: int | None, opens: int) -> None:
    told = given(refused("call", 138_012, T0, retry_at), replied("a1", T0, until=T0 + 30 * DAY))
    assert (told.at(T0).call_refused, told.at(T0).may_ask) == (("provider_block", opens), True)
    assert (told.at(opens - 1).may_call, told.at(opens).may_call) == (False, True)


def test_the_latest_of_several_blocks_holds() -> None:
    blocks = (refused("call", 138_012, T0, T0 + 5 * HOUR), refused("call", 138_012, T0 + 1, T0 + 2 * HOUR))
    assert given(GRANTED, *blocks).at(T0 + HOUR).call_refused == ("provider_block", T0 + 5 * HOUR)


def test_the_providers_request_limit_blocks_requests_until_the_instant_it_names() -> None:
    told = given(refused("request", 138_009, T0, T0 + HOUR))
    assert told.at(T0).ask_refused == ("provider_block", T0 + HOUR)
    assert told.at(T0 + HOUR).may_ask
    assert given(refused("request", 138_009, T0)).at(T0).may_ask, "without an instant nothing is known"
    called = given(GRANTED, refused("request", 138_009, T0, T0 + HOUR))
    assert called.at(T0).may_call, "a limit of requests stops no call"


def test_a_reading_that_says_a_door_is_open_takes_its_block_back_and_not_the_others() -> None:
    call_block = refused("call", 138_012, T0, T0 + DAY)
    temporary = replied("a1", T0 - 1, until=T0 + 30 * DAY)
    for said, may in (({"can_call": True}, True), ({"can_request": True}, False), ({"can_call": False}, False)):
        told = given(temporary, call_block, reading("temporary", T0 + HOUR, **said))
        assert told.at(T0 + HOUR).may_call is may
    request_block = refused("request", 138_009, T0, T0 + DAY)
    for said, may in (({"can_request": True}, True), ({"can_call": True}, False)):
        assert given(request_block, reading("no_permission", T0 + HOUR, **said)).at(T0 + HOUR).may_ask is may


def test_an_error_we_do_not_know_forbids_nothing() -> None:
    told = given(GRANTED, refused("call", 138_001, T0), refused("request", 131_047, T0))
    assert told.at(T0).may_call
    assert given(refused("request", 131_047, T0)).at(T0).may_ask


def test_an_error_of_no_permission_where_none_is_held_leaves_the_reason() -> None:
    for held, reason in (((), "never"), ((replied("a0", T0 - HOUR), rejected("b0", T0 - 60)), "revoked")):
        view = given(*held, refused("call", 138_006, T0)).at(T0)
        assert (view.reason, view.confirmed) == (reason, True)


def test_an_error_that_permission_exists_leaves_a_confirmed_permanent_one_as_it_is() -> None:
    told = given(GRANTED, refused("request", 138_017, T0))
    assert (told.at(T0).confirmed, told.at(T0).via) == (True, "profile")
    assert len(told.rows("grants")) == 1


def test_an_error_that_permission_exists_replaces_a_temporary_one_unconfirmed() -> None:
    told = given(replied("a0", T0 - HOUR), refused("request", 138_017, T0))
    view = told.at(T0)
    assert (view.status, view.confirmed, view.via, view.flags) == ("permanent", False, "inferred", [])
    assert sorted(row["end_cause"] or "" for row in told.rows("grants").values()) == ["", "replaced"]


def test_a_block_stands_among_other_refusals_whatever_their_order() -> None:
    temporary = replied("a1", T0 - 1, until=T0 + 30 * DAY)
    others = [
        refused("request", 138_009, T0, T0 + HOUR),
        refused("call", 138_001, T0 + 1),
        refused("call", 138_012, T0 + 2),
    ]
    for order in (others, others[::-1], [others[2], others[0], others[1]]):
        view = given(temporary, *order).at(T0 + 2)
        assert (view.ask_refused, view.call_refused) == (
            ("provider_block", T0 + HOUR),
            ("provider_block", T0 + 2 + DAY),
        )


def test_a_block_that_a_reading_took_back_leaves_a_later_one() -> None:
    blocks = [refused("call", 138_012, T0, T0 + DAY), refused("call", 138_012, T0 + 2 * HOUR, T0 + 3 * HOUR)]
    told = given(GRANTED, *blocks, reading("permanent", T0 + HOUR, can_call=True))
    assert told.at(T0 + HOUR).may_call
    assert told.at(T0 + 2 * HOUR).call_refused == ("provider_block", T0 + 3 * HOUR)


def test_a_restriction_of_users_calls_blocks_nothing_of_ours() -> None:  # design 15, readings and errors
    number = Number(restrictions=(Restriction(T0, "user_initiated", T0 + DAY),))
    assert given(GRANTED, number=number).at(T0 + HOUR).may_call


def test_one_action_id_at_both_doors_is_two_refusals() -> None:
    call_refused = refused("call", 138_006, T0, action_id="TESTATTEMPT1")
    request_refused = refused("request", 138_017, T0 + 60, action_id="TESTATTEMPT1")
    told = given(call_refused, request_refused)
    assert (told.at(T0 + HOUR).status, told.at(T0 + HOUR).confirmed) == ("permanent", False)
    assert [row["final_class"] for row in told.rows("requests").values()] == ["refused"]

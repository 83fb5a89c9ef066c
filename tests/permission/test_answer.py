"""Domain 2.3, 3.3; design 8, 13: what keeps us from asking or calling, in its order, and when the way is free."""

from typing import Any

import pytest

from schemas.events import PairFact
from streams.permission.answer import Obstacle, answerable_from, may_call, may_request, usage_of
from streams.permission.number import Number, Restriction, Setting
from streams.permission.standing import timeline
from tests.permission.story import (
    DAY,
    HOUR,
    PRODUCTION,
    SANDBOX,
    T0,
    Told,
    accepted,
    connected,
    given,
    reading,
    refused,
    replied,
    sent,
)

WEEK = 7 * DAY
OFF = Number(settings=(Setting(T0, False),))
PAUSED = Number(restrictions=(Restriction(T0, "both", T0 + 3 * DAY),))
IN_NIGERIA = Number(country="NG")
GRANTED = replied("a0", T0 - DAY, permanent=True)


def obstacles(told: Told, at: int, number: Number = PRODUCTION) -> tuple[list[Obstacle], list[Obstacle]]:
    """All that keeps from asking, and from calling."""
    line = timeline(told.state, at, told.policy, number)
    used = usage_of(line, told.policy, number)
    return may_request(line, used, told.policy, number), may_call(line, used, told.policy, number)


def test_the_answer_about_a_pair_nobody_knows_is_whole() -> None:
    assert given().at(T0).body == {
        "as_of": T0,
        "permission": {"status": "no_permission"},
        "actions": [
            {
                "action_name": "send_call_permission_request",
                "can_perform_action": True,
                "reason": None,
                "retry_at": None,
                "limits": [
                    {"time_period": "PT24H", "max_allowed": 1, "current_usage": 0},
                    {"time_period": "P7D", "max_allowed": 2, "current_usage": 0},
                ],
            },
            {
                "action_name": "start_call",
                "can_perform_action": False,
                "reason": "no_permission",
                "retry_at": None,
                "limits": [{"time_period": "PT24H", "max_allowed": 100, "current_usage": 0}],
            },
        ],
        "standing": given().at(T0).body["standing"],
    }


def test_every_obstacle_is_named_in_the_order_of_reasons() -> None:
    number = Number(country="NG", settings=(Setting(T0, False),), restrictions=(Restriction(T0, "both", T0 + WEEK),))
    told = given(
        *(sent(f"r{at}", at) for at in (T0, T0 + 1)),
        refused("request", 138_009, T0, T0 + 2 * DAY),
        refused("call", 138_012, T0, T0 + 3 * DAY),
    )
    of_the_number = [
        Obstacle("calling_disabled", None),
        Obstacle("country_not_supported", None),
        Obstacle("business_restricted", T0 + WEEK),
    ]
    asking, calling = obstacles(told, T0 + HOUR, number)
    assert asking == [
        *of_the_number,
        Obstacle("provider_block", T0 + 2 * DAY),
        Obstacle("request_limit_24h", T0 + 1 + DAY),
        Obstacle("request_limit_7d", T0 + WEEK),
    ]
    assert calling == [*of_the_number, Obstacle("no_permission", None), Obstacle("provider_block", T0 + 3 * DAY)]


def test_a_full_day_of_calls_comes_after_what_the_provider_blocks_and_a_permanent_grant_needs_no_request() -> None:
    told = given(
        GRANTED,
        *connected(*(T0 + minute * 60 for minute in range(100))),
        refused("request", 138_009, T0 + 2 * HOUR, T0 + 2 * DAY),
        refused("call", 138_012, T0 + 2 * HOUR, T0 + 3 * DAY),
    )
    asking, calling = obstacles(told, T0 + 2 * HOUR)
    assert asking == [Obstacle("permanent_permission_exists", None), Obstacle("provider_block", T0 + 2 * DAY)]
    assert calling == [Obstacle("provider_block", T0 + 3 * DAY), Obstacle("connected_call_limit_24h", T0 + DAY)]


@pytest.mark.parametrize(
    ("number", "reason", "opens"),
    [
        (OFF, "calling_disabled", None),
        (IN_NIGERIA, "country_not_supported", None),
        (PAUSED, "business_restricted", T0 + 3 * DAY),
    ],
)
def test_what_the_number_forbids_it_forbids_at_both_doors(number: Number, reason: str, opens: int | None) -> None:
    assert obstacles(given(GRANTED), T0 + HOUR, number) == (
        [Obstacle(reason, opens), Obstacle("permanent_permission_exists", None)],
        [Obstacle(reason, opens)],
    )


@pytest.mark.parametrize(("until", "opens"), [(T0 + 3 * DAY, None), (T0 + 3 * DAY + 1, T0 + 3 * DAY)])
def test_where_the_permission_runs_out_before_the_way_is_free_the_way_never_is(until: int, opens: int | None) -> None:
    told = given(accepted("a1", T0 - DAY, until=until), refused("call", 138_012, T0, T0 + 2 * DAY))
    assert obstacles(told, T0 + HOUR, PAUSED)[1] == [
        Obstacle("business_restricted", opens),
        Obstacle("provider_block", None if opens is None else T0 + 2 * DAY),
    ]
    assert told.at(T0 + HOUR, PAUSED).call_refused == ("business_restricted", opens)


def test_the_action_is_possible_when_the_last_obstacle_is_gone_and_never_where_one_stays() -> None:
    blocked = given(GRANTED, refused("call", 138_012, T0, T0 + WEEK))
    assert blocked.at(T0, PAUSED).call_refused == ("business_restricted", T0 + WEEK)
    assert given(refused("call", 138_012, T0, T0 + WEEK)).at(T0, PAUSED).call_refused == ("business_restricted", None)
    assert given(GRANTED, refused("call", 138_012, T0, T0 + DAY)).at(T0, PAUSED).call_refused == (
        "business_restricted",
        T0 + 3 * DAY,
    )


@pytest.mark.parametrize(("code", "number"), [(138_000, Number()), (138_013, Number(country="GB"))])
@pytest.mark.parametrize(
    ("denial", "denies"),
    [
        (connected(T0 + HOUR), {138_000, 138_013}),
        (connected(T0 + HOUR, direction="user_initiated"), {138_000}),
        ([reading("no_permission", T0 + HOUR, can_request=True)], {138_000, 138_013}),
        ([reading("no_permission", T0 + HOUR, can_request=False, can_call=False)], set[int]()),
    ],
)
def test_an_error_about_the_number_holds_until_something_newer_shows_that_calls_are_possible(
    code: int, number: Number, denial: list[PairFact], denies: set[int]
) -> None:
    told = given(GRANTED, refused("call", code, T0), *denial)
    reasons = [one.reason for one in obstacles(told, T0 + 2 * HOUR, number)[1]]
    named = {138_000: "calling_disabled", 138_013: "country_not_supported"}[code]
    assert (named in reasons) == (code not in denies)


def test_a_settings_webhook_takes_back_that_calling_is_off_and_not_that_the_country_is_not_supported() -> None:
    switched_on = Number(settings=(Setting(T0 + HOUR, True),))
    for code, opens in ((138_000, True), (138_013, False)):
        told = given(GRANTED, refused("call", code, T0))
        assert not told.at(T0 + HOUR - 1, switched_on).may_call
        assert told.at(T0 + HOUR, switched_on).may_call is opens


def test_of_a_webhook_and_an_error_that_tell_of_a_restriction_the_webhook_says_until_when() -> None:
    told = given(GRANTED, refused("call", 138_014, T0))
    for until in (T0 + DAY, T0 + 30 * DAY):
        number = Number(restrictions=(Restriction(T0 - DAY, "both", until),))
        assert told.at(T0, number).call_refused == ("business_restricted", until)
    over = Number(restrictions=(Restriction(T0 - DAY, "both", T0 - 1),))
    assert told.at(T0, over).call_refused == ("business_restricted", T0 + WEEK)


def test_the_limits_are_those_of_the_profile_at_the_instant_and_usage_counts_what_lies_in_the_window() -> None:
    told = given(sent("r1", T0), *connected(T0 + DAY), sent("r2", T0 + DAY + HOUR))
    view: list[dict[str, Any]] = told.at(T0 + DAY + 2 * HOUR).body["actions"]
    assert view[0]["limits"] == [
        {
            "time_period": "PT24H",
            "max_allowed": 1,
            "current_usage": 1,
            "limit_expiration_time": T0 + 2 * DAY + HOUR,
        },
        {"time_period": "P7D", "max_allowed": 2, "current_usage": 1},
    ]
    assert view[1]["limits"] == [{"time_period": "PT24H", "max_allowed": 100, "current_usage": 1}]
    wide: list[dict[str, Any]] = told.at(T0 + DAY + 2 * HOUR, SANDBOX).body["actions"]
    assert [limit["max_allowed"] for action in wide for limit in action["limits"]] == [25, 100, 100]


def test_a_call_of_the_user_resets_the_request_windows_and_fills_no_window_of_calls() -> None:
    told = given(GRANTED, sent("r1", T0), *connected(T0 + HOUR, direction="user_initiated"))
    used = usage_of(timeline(told.state, T0 + 2 * HOUR, told.policy, PRODUCTION), told.policy, PRODUCTION)
    assert (used.requests, used.calls) == ([], [])


def test_any_instant_can_be_asked_of_a_pair_of_which_nothing_was_settled() -> None:
    assert answerable_from(given(GRANTED).state) == 0

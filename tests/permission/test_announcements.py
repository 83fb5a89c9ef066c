"""Design 13, changes: which announcement a fact makes, and everything that stands in it."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.changes import change_id
from schemas.events import PairFact, Reading
from schemas.policy import NumberEntry
from streams.permission.number import Number
from tests.permission.story import (
    DAY,
    HOUR,
    NUMBER,
    T0,
    USER,
    Told,
    accepted,
    connected,
    delivered,
    given,
    reading,
    refused,
    rejected,
    replied,
    sent,
    unanswered,
)

GRANTED = replied("a0", T0, permanent=True)
WEEK = 7 * DAY


def last(told: Told) -> dict[str, Any]:
    """The last announcement."""
    return told.changes[-1]


def side(told: Told, at: int) -> dict[str, Any]:
    """A standing as an announcement carries it."""
    body = told.at(at).body
    return {"permission": body["permission"], **body["standing"]}


def test_an_announcement_tells_the_pair_the_fact_and_both_sides_of_it() -> None:
    before = given(sent("r1", T0), delivered("r1", T0 + 5))
    word = accepted("a1", T0 + HOUR, to="r1")
    told = before.then(word)
    (grant,) = told.rows("grants")
    fields = {
        "type": "permission_granted",
        "phone_number_id": NUMBER,
        "user": USER,
        "occurred_at": T0 + HOUR,
        "cause": "request",
        "before": side(before, T0 + HOUR),
        "after": side(told, T0 + HOUR),
        "fact_id": word.fact_id,
        "version": 3,
        "data": {"grant_id": grant},
    }
    assert last(told) == {"change_id": change_id(fields), **fields}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (None, GRANTED, ("permission_granted", "profile")),
        (None, replied("a1", T0, to="r1", until=T0 + DAY), ("permission_granted", "request")),
        (
            None,
            replied("a1", T0, to="wacid.TESTUIC0001", until=T0 + DAY, source="automatic"),
            ("permission_granted", "callback"),
        ),
        (None, reading("permanent", T0), ("permission_granted", "reading")),
        (None, refused("request", 138_017, T0), ("permission_granted", "inferred")),
        (None, rejected("a1", T0, to="r1"), ("permission_declined", "declined")),
        (None, rejected("a1", T0), ("permission_revoked", "revoked")),
        (GRANTED, rejected("a1", T0 + HOUR), ("permission_revoked", "revoked_via_profile")),
        (GRANTED, rejected("a1", T0 + HOUR, to="r1"), ("permission_revoked", "revoked_via_request")),
        (GRANTED, replied("a1", T0 + HOUR, "reject", source="automatic"), ("permission_revoked", "auto_revoked")),
        (GRANTED, reading("no_permission", T0 + HOUR), ("permission_revoked", "reading")),
        (GRANTED, refused("call", 138_006, T0 + HOUR), ("permission_revoked", "refused_138006")),
        (GRANTED, accepted("a1", T0 + HOUR), ("permission_granted", "profile")),
        (accepted("a0", T0), replied("a1", T0 + HOUR, permanent=True), ("permission_granted", "profile")),
        (
            accepted("a0", T0),
            replied("a1", T0 + HOUR, to="wacid.TESTUIC0001", until=T0 + 8 * DAY, source="automatic"),
            ("permission_extended", "automatic"),
        ),
    ],
)
def test_what_is_announced_of_a_word(first: PairFact | None, second: PairFact, expected: tuple[str, str]) -> None:
    told = given(*([first] if first else []))
    already = len(told.announced)
    assert told.then(second).announced[already:] == [expected]


@pytest.mark.parametrize(
    "word",
    [
        reading("permanent", T0 + HOUR),
        replied("a1", T0 + HOUR, permanent=True),
        replied("a1", T0 + HOUR, to="wacid.TESTUIC0001", until=T0 + WEEK, source="automatic"),
        refused("request", 138_017, T0 + HOUR),
        sent("r1", T0 + HOUR),
    ],
)
def test_what_leaves_a_permanent_permission_as_it_is_announces_nothing_of_it(word: PairFact) -> None:
    assert given(GRANTED, word).announced == [("permission_granted", "profile")]


def test_confirming_alone_is_no_news() -> None:
    told = given(refused("request", 138_017, T0), reading("permanent", T0 + HOUR))
    assert told.announced == [("permission_granted", "inferred")]


def test_the_end_of_a_grant_names_it() -> None:
    told = given(GRANTED, rejected("a1", T0 + HOUR))
    (grant,) = told.rows("grants")
    assert (last(told)["data"], last(told)["after"]["reason"]) == ({"grant_id": grant}, "revoked")


def test_an_expiry_is_announced_at_its_instant_with_the_standing_before_and_after() -> None:
    told = given(accepted("a1", T0))
    (grant,) = told.rows("grants")
    done = told.when_time_reaches(T0 + 30 * DAY)
    change = last(done)
    assert (change["type"], change["cause"], change["occurred_at"]) == ("permission_expired", "expired", T0 + WEEK)
    assert (change["fact_id"], change["data"], change["version"]) == (None, {"grant_id": grant}, 1)
    assert change["before"] == side(told, T0)
    assert change["after"] == side(told, T0 + WEEK)


def test_a_nudge_and_a_row_at_risk_name_the_call_and_the_row() -> None:
    ends = [T0 + place * HOUR for place in range(1, 4)]
    told = given(GRANTED, *unanswered(*ends))
    found = [(change["type"], change["cause"], change["occurred_at"], change["data"]) for change in told.changes[1:]]
    assert found == [
        ("user_nudged", "unanswered_calls", ends[1], {"call_id": f"c{ends[1]}", "streak": 2}),
        ("streak_at_risk", "unanswered_calls", ends[2], {"call_id": f"c{ends[2]}", "streak": 3}),
    ]


def test_a_nudge_is_announced_once_whatever_comes_after_it() -> None:
    told = given(GRANTED, *unanswered(T0 + 1, T0 + 2), sent("r1", T0 + HOUR), delivered("r1", T0 + HOUR + 5))
    assert [kind for kind, _ in told.noticed].count("user_nudged") == 1


def test_on_a_sandbox_number_nudge_and_risk_come_later() -> None:
    sandbox = Number.of(NumberEntry(profile="sandbox"))
    told = given(GRANTED, *unanswered(*[T0 + place for place in range(1, 11)]), number=sandbox)
    found = [(change["type"], change["data"].get("streak")) for change in told.changes[1:]]
    assert found == [("user_nudged", 5), ("streak_at_risk", 9), ("permission_revoked", None)]


def test_a_request_that_fills_a_window_is_told_with_its_release() -> None:
    told = given(sent("r1", T0), sent("r2", T0 + DAY))
    found = [(change["type"], change["cause"], change["data"]) for change in told.changes]
    day, week = "request_limit_24h", "request_limit_7d"
    assert found == [
        ("limit_reached", day, {"limit": day, "retry_at": T0 + DAY}),
        ("limit_reached", day, {"limit": day, "retry_at": T0 + 2 * DAY}),
        ("limit_reached", week, {"limit": week, "retry_at": T0 + WEEK}),
    ]


def test_a_call_that_fills_the_window_of_its_date_is_told_with_its_release() -> None:
    at = 1_757_000_000
    told = given(replied("a0", at, permanent=True), *connected(*[at + place for place in range(1, 7)]))
    limit = "connected_call_limit_24h"
    found = [(change["occurred_at"], change["data"]) for change in told.changes if change["type"] == "limit_reached"]
    assert found == [(at + 5, {"limit": limit, "retry_at": at + 1 + DAY})], "the sixth fills nothing more"


def test_a_late_request_that_fills_no_window_of_today_is_not_told() -> None:
    told = given(sent("r2", T0 + 20 * DAY), sent("r1", T0))
    assert [change["occurred_at"] for change in told.changes if change["type"] == "limit_reached"] == [T0 + 20 * DAY]


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ([GRANTED, accepted("a1", T0 + HOUR)], "downgrade"),
        ([accepted("a1", T0, to="r9")], "unknown_request"),
        ([rejected("a1", T0)], "revoke_without_grant"),
        ([replied("a1", T0, "reject", source="automatic")], "revoke_without_grant"),
        ([accepted("a1", T0), rejected("a2", T0)], "same_second_conflict"),
        (
            [sent("r1", T0), delivered("r1", T0), replied("a1", T0 + 8 * DAY, to="r1", permanent=True)],
            "reply_to_expired_request",
        ),
    ],
)
def test_what_is_odd_is_told_with_the_word_it_is_about(facts: list[PairFact], kind: str) -> None:
    told = given(*facts)
    odd = [change for change in told.changes if change["type"] == "anomaly_raised" and change["cause"] == kind]
    word = getattr(facts[-1], "message_id", None)
    assert odd
    assert (odd[-1]["data"], odd[-1]["fact_id"]) == ({"kind": kind, "decision_id": word}, facts[-1].fact_id)


def odd(told: Told) -> list[tuple[str, str]]:
    """Kind and word of every oddity that was told, in order."""
    return [
        (change["cause"], change["data"]["decision_id"])
        for change in told.changes
        if change["type"] == "anomaly_raised"
    ]


LONGER = replied("a2", T0 + DAY, to="wacid.TESTUIC0001", until=T0 + 9 * DAY, source="automatic")
FOR_EVER = replied("a1", T0, to="r9", permanent=True)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([accepted("a1", T0, to="r9"), LONGER], [("unknown_request", "a1")]),
        ([FOR_EVER, LONGER], [("unknown_request", "a1")]),
        ([FOR_EVER, replied("a2", T0 + DAY, permanent=True)], [("unknown_request", "a1")]),
        ([GRANTED, replied("a1", T0 + DAY, to="r9", permanent=True)], [("unknown_request", "a1")]),
        (
            [
                sent("r1", T0 - WEEK),
                delivered("r1", T0 - WEEK),
                GRANTED,
                replied("a1", T0 + 1, to="r1", permanent=True),
            ],
            [("reply_to_expired_request", "a1")],
        ),
        (
            [accepted("a1", T0, to="r9"), replied("a2", T0 + DAY, to="r8", until=T0 + 9 * DAY, source="automatic")],
            [("unknown_request", "a1"), ("unknown_request", "a2")],
        ),
        ([FOR_EVER, accepted("a2", T0 + DAY)], [("unknown_request", "a1"), ("downgrade", "a2")]),
        ([FOR_EVER, reading("permanent", T0 + DAY)], [("unknown_request", "a1")]),
    ],
    ids=[
        "an extension",
        "a callback of a permanent one",
        "permanent once more",
        "permanent once more, to an unknown request",
        "permanent once more, to an expired request",
        "an extension to an unknown request",
        "another grant",
        "a reading that agrees",
    ],
)
def test_a_word_that_leaves_the_grant_tells_what_is_odd_about_itself_and_not_about_the_grant(
    facts: list[PairFact], expected: list[tuple[str, str]]
) -> None:
    assert odd(given(*facts)) == expected


def test_a_reading_tells_every_figure_in_which_it_differs() -> None:
    said = reading(
        "temporary",
        T0 + 2 * HOUR,
        T0 + DAY,
        requests_24h=Reading(usage=0, maximum=1),
        requests_7d=Reading(usage=1, maximum=3),
        connected_calls_24h=Reading(usage=2, maximum=10),
    )
    told = given(sent("r1", T0 + 2), accepted("a1", T0 + HOUR), said)
    (drift,) = [change for change in told.changes if change["type"] == "drift_detected"]
    assert (drift["cause"], drift["occurred_at"], drift["fact_id"]) == ("reading", T0 + 2 * HOUR, said.fact_id)
    assert drift["data"]["fields"] == [
        {"field": "expires_at", "local": T0 + HOUR + WEEK, "remote": T0 + DAY},
        {"field": "requests_24h.usage", "local": 1, "remote": 0},
        {"field": "requests_7d.maximum", "local": 2, "remote": 3},
        {"field": "connected_calls_24h.usage", "local": 0, "remote": 2},
        {"field": "connected_calls_24h.maximum", "local": 100, "remote": 10},
    ]


LIMIT = refused("request", 138_009, T0 + HOUR)


def drifts(told: Told) -> list[dict[str, Any]]:
    """Every drift that was told."""
    return [change for change in told.changes if change["type"] == "drift_detected"]


@pytest.mark.parametrize(
    "before",
    [
        (),
        (sent("r1", T0 - DAY),),
        (sent("r1", T0), *connected(T0 + 60)),
        (sent("r1", T0 + HOUR - DAY),),
        (accepted("a1", T0),),
        (refused("request", 138_009, T0),),
        (refused("request", 138_009, T0, T0 + HOUR),),
    ],
    ids=[
        "never asked",
        "asked once, long ago",
        "a connected call gave the windows free",
        "free to the second",
        "while a temporary permission holds",
        "refused before, until nobody knows when",
        "refused before, until then",
    ],
)
def test_a_request_refused_at_a_limit_that_we_hold_unreached_is_a_drift(before: tuple[PairFact, ...]) -> None:
    told = given(*before, LIMIT)
    drift = drifts(told)[-1]
    assert (drift["cause"], drift["occurred_at"], drift["fact_id"]) == ("refused_138009", T0 + HOUR, LIMIT.fact_id)
    assert drift["data"]["fields"] == [
        {"field": "send_call_permission_request.can_perform_action", "local": True, "remote": False}
    ]
    assert (drift["before"], drift["after"]) == (side(given(*before), T0 + HOUR), side(told, T0 + HOUR))


@pytest.mark.parametrize(
    "before",
    [
        (sent("r1", T0),),
        (sent("r1", T0 - 3 * DAY), sent("r2", T0 - 2 * DAY)),
        (refused("request", 138_009, T0, T0 + DAY),),
        (GRANTED,),
        (refused("request", 138_014, T0),),
    ],
    ids=["the day is full", "the week is full", "refused until later", "needless: permanent", "restricted"],
)
def test_a_request_refused_at_its_limit_that_we_would_not_have_sent_is_no_drift(before: tuple[PairFact, ...]) -> None:
    earlier = given(*before)
    assert drifts(earlier.then(LIMIT)) == drifts(earlier)


def test_only_the_limit_of_requests_tells_of_a_drift() -> None:
    for door, code in (("request", 131_047), ("request", 138_017), ("call", 138_009), ("call", 138_012)):
        assert drifts(given(refused(door, code, T0))) == []  # type: ignore[arg-type]  # of a tuple
    assert len(drifts(given(LIMIT, LIMIT))) == 1, "told again it is no news"


def test_a_refusal_told_late_is_held_against_what_held_at_its_instant() -> None:
    assert len(drifts(given(sent("r1", T0 + 2 * HOUR), LIMIT))) == 1
    assert drifts(given(sent("r1", T0), *connected(T0 + 2 * HOUR), LIMIT)) == []


@pytest.mark.parametrize("said", [reading("temporary", T0 + HOUR), reading("temporary", T0 + HOUR, T0 + WEEK)])
def test_a_reading_that_agrees_is_no_drift(said: PairFact) -> None:
    assert given(accepted("a1", T0), said).noticed == []


def test_a_reading_is_held_against_what_held_at_its_instant_not_against_what_came_later() -> None:
    told = given(accepted("a1", T0), rejected("a2", T0 + DAY), reading("temporary", T0 + HOUR, T0 + WEEK))
    assert [kind for kind, _ in told.noticed if kind == "drift_detected"] == []
    told = given(accepted("a1", T0), rejected("a2", T0 + DAY), reading("no_permission", T0 + HOUR))
    assert [kind for kind, _ in told.noticed if kind == "drift_detected"] == ["drift_detected"]


def test_a_reading_that_does_not_tell_which_permission_is_held_drifts_only_where_one_of_us_knows_of_none() -> None:
    unsure = replace(reading("permanent", T0 + HOUR), inferred=("status",))
    assert given(accepted("a1", T0), unsure).noticed == []
    for facts in (
        (rejected("a1", T0, to="r1"), unsure),
        (accepted("a1", T0), replace(reading("no_permission", T0 + HOUR), inferred=("status",))),
    ):
        (drift,) = [one for one in given(*facts).changes if one["type"] == "drift_detected"]
        assert [one["field"] for one in drift["data"]["fields"]] == ["status"]


def test_a_grant_is_told_to_last_longer_by_whatsapp_or_by_a_reading() -> None:
    for word, cause in (
        (replied("a2", T0 + DAY, until=T0 + 9 * DAY, source="automatic"), "automatic"),
        (reading("temporary", T0 + DAY, T0 + 9 * DAY), "reading"),
    ):
        assert given(accepted("a1", T0), word).announced[1:] == [("permission_extended", cause)]


def test_a_window_that_a_connected_call_had_emptied_is_told_full_again() -> None:
    told = given(sent("r1", T0), *connected(T0 + HOUR), sent("r2", T0 + 2 * HOUR))
    full = [one["data"] for one in told.changes if one["type"] == "limit_reached"]
    assert full == [
        {"limit": "request_limit_24h", "retry_at": T0 + DAY},
        {"limit": "request_limit_24h", "retry_at": T0 + 2 * HOUR + DAY},
    ]

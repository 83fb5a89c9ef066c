"""The histories that are shipped: scenarios of the domain (b), each with its own user, as one would write them."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.replay.playing import HISTORIES, KINDS, lines_of, play
from tests.replay.written import DAY, HOUR, MINUTE, NUMBER, SANDBOX, T0, scoped, user

EARLY, LATER = T0 + 30 * MINUTE, T0 + DAY + 30 * MINUTE
FOURTH = T0 + 270 * MINUTE
WEEK = 7 * DAY

# scenario, instant, (status, expiry, reason, may ask, may call)
EXPECTED: list[tuple[int, int, tuple[str, int | None, str | None, bool, bool]]] = [
    (2, T0 + MINUTE, ("no_permission", None, "never", False, False)),
    (2, T0 + DAY, ("no_permission", None, "never", True, False)),
    (3, EARLY, ("temporary", 1_773_048_600, None, False, True)),
    (3, 1_773_048_599, ("temporary", 1_773_048_600, None, True, True)),
    (3, 1_773_048_600, ("no_permission", None, "expired", True, False)),
    (4, T0 + 400 * DAY, ("permanent", None, None, False, True)),
    (5, EARLY, ("no_permission", None, "declined", False, False)),
    (5, T0 + DAY, ("no_permission", None, "declined", True, False)),
    (6, T0 + DAY, ("no_permission", None, "declined", True, False)),
    (6, T0 + 2 * DAY, ("temporary", 1_773_219_600, None, True, True)),
    (7, EARLY, ("permanent", None, None, False, True)),
    (8, EARLY, ("temporary", 1_773_048_600, None, True, True)),
    (9, T0 + 2 * DAY + 30 * MINUTE - 1, ("temporary", 1_773_048_600, None, True, True)),
    (9, T0 + 2 * DAY + 30 * MINUTE, ("no_permission", None, "revoked", True, False)),
    (10, T0 + 150 * MINUTE, ("permanent", None, None, False, True)),
    (11, FOURTH - HOUR, ("permanent", None, None, False, True)),
    (11, FOURTH, ("no_permission", None, "auto_revoke_inferred", True, False)),
    (11, FOURTH + 3, ("no_permission", None, "auto_revoked", True, False)),
    (14, T0 + 450 * MINUTE, ("temporary", 1_773_070_200, None, True, True)),
    (15, T0 + 2 * DAY, ("no_permission", None, "never", False, False)),
    (15, T0 + WEEK, ("no_permission", None, "never", True, False)),
    (16, T0 + DAY + HOUR - 1, ("no_permission", None, "never", False, False)),
    (16, T0 + DAY + HOUR, ("no_permission", None, "never", True, False)),
    (17, T0 + 40 * MINUTE, ("temporary", 1_773_048_600, None, True, True)),
    (18, T0 + 10, ("no_permission", None, "never", True, False)),
    (22, EARLY, ("temporary", 1_773_048_600, None, True, True)),
    (23, EARLY, ("temporary", 1_773_048_600, None, False, True)),
    (23, T0 + 90 * MINUTE, ("no_permission", None, "revoked", False, False)),
    (24, T0, ("no_permission", None, "revoked", True, False)),
    (25, LATER, ("temporary", 1_773_135_000, None, True, True)),
    (27, T0 + 8 * DAY + 30 * MINUTE, ("temporary", 1_773_394_200, None, True, True)),
    (30, EARLY, ("temporary", 1_773_048_600, None, True, True)),
    (31, T0 + 2 * DAY + HOUR, ("temporary", 1_773_223_200, None, False, True)),
    (33, EARLY, ("permanent", None, None, False, True)),
    (34, T0 + 90 * MINUTE, ("no_permission", None, "refused_138006", True, False)),
    (35, T0 + 90 * MINUTE, ("permanent", None, None, False, False)),
    (35, T0 + 330 * MINUTE, ("permanent", None, None, False, True)),
    (36, T0 + 90 * MINUTE, ("permanent", None, None, False, False)),
    (36, T0 + 150 * MINUTE, ("no_permission", None, "revoked", False, False)),
    (36, T0 + WEEK + 90 * MINUTE, ("no_permission", None, "revoked", True, False)),
    (39, T0 + DAY, ("no_permission", None, "number_changed", False, False)),
    (45, T0 + HOUR, ("temporary", 1_773_048_600, None, False, True)),
    (47, T0, ("temporary", T0 + WEEK, None, True, True)),
    (52, T0, ("no_permission", None, "never", True, False)),
]
BY_SCENARIO = {name: path for path in HISTORIES for name in range(60) if user(name).encode() in path.read_bytes()}


@pytest.mark.parametrize(("scenario", "at", "expected"), EXPECTED)
def test_a_scenario_gives_the_expected_answer(tmp_path: Path, scenario: int, at: int, expected: Any) -> None:
    line = play(tmp_path, lines_of(BY_SCENARIO[scenario]), as_of=at).standing(user(scenario))
    ask, call = line["actions"]
    told = (
        line["permission"]["status"],
        line["permission"].get("expiration_time"),
        line["standing"]["reason"],
        ask["can_perform_action"],
        call["can_perform_action"],
    )
    assert told == expected


@pytest.mark.parametrize(
    ("number", "scenario", "reason"),
    [("700100200300402", 40, "calling_disabled"), ("700100200300403", 37, "country_not_supported")],
)
def test_what_a_number_forbids_is_known_whenever_it_was_told(
    tmp_path: Path, number: str, scenario: int, reason: str
) -> None:
    line = play(tmp_path, lines_of(BY_SCENARIO[scenario])).standing(user(scenario), number)
    assert line["permission"]["status"] == "permanent"
    assert [action["reason"] for action in line["actions"]] == [reason, reason]


def test_a_sandbox_number_is_judged_as_one_although_it_is_registered_last(tmp_path: Path) -> None:
    played = play(tmp_path, lines_of(BY_SCENARIO[38]))
    line = played.standing(user(38), SANDBOX)
    assert (line["permission"]["status"], line["standing"]["unanswered_streak"]) == ("permanent", 5)
    mine = [change["type"] for change in played.changes if change["user"] == user(38)]
    assert mine == ["permission_granted", "user_nudged"]


def test_the_two_numbers_of_a_business_are_two_pairs(tmp_path: Path) -> None:
    played = play(tmp_path, lines_of(BY_SCENARIO[46]))
    assert played.standing(user(46))["permission"]["status"] == "permanent"
    assert played.standing(user(46), SANDBOX)["permission"]["status"] == "no_permission"


def test_a_call_told_in_any_order_is_one_call(tmp_path: Path) -> None:
    done = play(tmp_path, lines_of(BY_SCENARIO[42])).done
    calls = {row["user"]: row for row in done.judged("calls")}
    assert calls[user(42)]["outcome"] == "rejected"
    assert calls[user(43)]["outcome"] == "technical_failure"
    assert {
        name: calls[user(44)][name] for name in ("outcome", "connected_at", "pulses", "campaign", "disposition")
    } == {
        "outcome": "connected",
        "connected_at": T0 + HOUR + 13,
        "pulses": 10,
        "campaign": "camp-44",
        "disposition": "sold",
    }


def test_one_accept_delivered_three_times_is_one_grant(tmp_path: Path) -> None:
    played = play(tmp_path, lines_of(BY_SCENARIO[22]))
    assert played.done.counts.repeated == 2
    granted = [one for one in played.changes if one["user"] == user(22) and one["type"] == "permission_granted"]
    assert len(granted) == 1
    assert sum(row["user"] == user(22) for row in played.done.judged("grants")) == 1


def test_the_funnel_of_the_domain_comes_out(tmp_path: Path) -> None:
    rows = play(tmp_path, lines_of(BY_SCENARIO[2]), as_of=T0 + 30 * DAY).done.judged("requests")
    cohort = {row["user"]: row for row in rows if row["user"] in {user(name) for name in (2, 3, 4, 5, 18, 51)}}
    assert {who: row["final_class"] for who, row in cohort.items()} == {
        user(2): "expired_no_response",
        user(3): "accepted_temporary",
        user(4): "accepted_permanent",
        user(5): "declined",
        user(18): "failed",
        user(51): "expired_no_response",
    }


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_ten_random_orders_give_the_same_bytes(tmp_path: Path, path: Path) -> None:
    lines, chance = lines_of(path), Random(7)
    wanted = {kind: play(tmp_path, lines).output(kind) for kind in KINDS}
    assert all(wanted[kind] for kind in KINDS[:3:2])
    for _ in range(10):
        mixed = [*lines, *chance.sample(lines, 5)]  # some come once more
        chance.shuffle(mixed)
        played = play(tmp_path, mixed)
        assert {kind: played.output(kind) for kind in KINDS} == wanted


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_grant_that_ran_out_is_announced_once_whatever_the_order(tmp_path: Path, path: Path) -> None:
    lines, chance = lines_of(path), Random(7)
    at = T0 + 30 * DAY
    expired = [
        {one["change_id"] for one in play(tmp_path, mixed, as_of=at).changes if one["type"] == "permission_expired"}
        for mixed in (lines, chance.sample(lines, len(lines)))
    ]
    assert expired[0] == expired[1]
    ran_out = [row for row in play(tmp_path, lines, as_of=at).done.judged("grants") if row["end_cause"] == "expired"]
    assert len(expired[0]) == len(ran_out)


def test_a_link_holds_for_every_instant_asked(tmp_path: Path) -> None:
    lines = lines_of(BY_SCENARIO[45])
    line = play(tmp_path, lines, as_of=T0 + HOUR).standing(scoped(45))  # the link was shown an hour later
    assert (line["user"], line["asked_as"], line["permission"]["status"]) == (user(45), scoped(45), "temporary")
    pairs = [row["user"] for row in play(tmp_path, lines).done.judged("standings") if row["phone_number_id"] == NUMBER]
    assert scoped(45) not in pairs

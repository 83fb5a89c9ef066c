from pathlib import Path

import pytest

from schemas.ids import Pair
from schemas.policy import DEFAULT_POLICY, NumberEntry
from streams.permission.horizon import HORIZON_S
from streams.replay.replay import NothingToJudgeAt
from tests.replay.playing import KINDS, play
from tests.replay.written import (
    DAY,
    DISPLAY,
    HOUR,
    MINUTE,
    NUMBER,
    T0,
    Line,
    action,
    reply,
    restricted,
    scoped,
    sent,
    status,
    unanswered,
    user,
)

OTHER = "700100200300409"


def without_id(line: Line) -> Line:
    """The webhook as a dialect sends it that names the number by its display form alone."""
    del line["body"]["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"]
    return line


def permanent(place: int, at: int = T0) -> Line:
    return reply(user(place), f"wamid.TESTREPLY{place:02d}", at, permanent=True)


def test_the_latest_fact_says_when_to_judge(tmp_path: Path) -> None:
    assert play(tmp_path, [permanent(1, T0 + DAY), permanent(2, T0)]).standing(user(2))["as_of"] == T0 + DAY


def test_as_of_an_instant_is_the_same_as_leaving_out_what_came_later(tmp_path: Path) -> None:
    history = [
        sent(user(1), "wamid.TESTREQ01", T0),
        reply(user(1), "wamid.TESTREPLY01", T0 + HOUR, until=T0 + 2 * DAY, to="wamid.TESTREQ01"),
        *unanswered(user(1), "wacid.TESTCALL01", *[T0 + place * HOUR for place in range(2, 6)]),
    ]
    for place in range(1, len(history) + 1):
        at = T0 + (place - 1) * HOUR
        asked, cut = play(tmp_path, history, as_of=at), play(tmp_path, history[:place], as_of=at)
        assert {kind: asked.output(kind) for kind in KINDS} == {kind: cut.output(kind) for kind in KINDS}
        number_shown_later = place == 1
        assert asked.done.counts.left_out == len(history) - place + number_shown_later


def test_a_pair_whose_facts_all_came_later_has_no_line(tmp_path: Path) -> None:
    played = play(tmp_path, [permanent(1, T0), permanent(2, T0 + DAY)], as_of=T0)
    assert [row["user"] for row in played.done.judged("standings")] == [user(1)]


def test_a_deadline_that_passed_by_the_end_is_announced_last_and_in_order(tmp_path: Path) -> None:
    history = [
        reply(user(1), "wamid.TESTREPLY01", T0, until=T0 + 2 * DAY),
        reply(user(2), "wamid.TESTREPLY02", T0, until=T0 + DAY),
        reply(user(3), "wamid.TESTREPLY03", T0, until=T0 + 3 * DAY + 1),
    ]
    told = [
        (one["type"], one["user"], one["occurred_at"]) for one in play(tmp_path, history, as_of=T0 + 3 * DAY).changes
    ]
    assert told[3:] == [("permission_expired", user(2), T0 + DAY), ("permission_expired", user(1), T0 + 2 * DAY)]
    assert [one["type"] for one in play(tmp_path, history).changes] == ["permission_granted"] * 3


def test_a_fact_that_outruns_a_deadline_announces_it_on_its_way(tmp_path: Path) -> None:
    history = [reply(user(1), "wamid.TESTREPLY01", T0, until=T0 + DAY), permanent(1, T0 + 2 * DAY)]
    history[1] = reply(user(1), "wamid.TESTREPLY02", T0 + 2 * DAY, permanent=True)
    kinds = [one["type"] for one in play(tmp_path, history).changes]
    assert kinds == ["permission_granted", "permission_expired", "permission_granted"]


@pytest.mark.parametrize("link_at", [0, 1, 2])
def test_evidence_reaches_the_canonical_pair_whenever_the_link_is_learned(tmp_path: Path, link_at: int) -> None:
    by_scoped = [
        reply(scoped(1), "wamid.TESTREPLY01", T0, until=T0 + 7 * DAY),
        reply(scoped(1), "wamid.TESTREPLY02", T0 + HOUR, permanent=True),
    ]
    link = status(user(1), "wamid.TESTMSG01", "read", T0 + 2 * HOUR, recipient_user_id=scoped(1))
    played = play(tmp_path, [*by_scoped[:link_at], link, *by_scoped[link_at:]])
    line = played.standing(user(1))
    assert (line["permission"]["status"], line["standing"]["granted_at"]) == ("permanent", T0 + HOUR)
    assert played.standing(scoped(1)) == {
        "phone_number_id": NUMBER,
        "user": user(1),
        "asked_as": scoped(1),
        **{name: said for name, said in line.items() if name not in ("phone_number_id", "user")},
    }
    assert [row["user"] for row in played.done.judged("standings")] == [user(1)]
    asked = list(played.done.judged("grants", [Pair(NUMBER, scoped(1)), Pair(NUMBER, user(1))]))
    assert [row["user"] for row in asked] == [user(1), user(1)]
    assert asked == list(played.done.judged("grants"))


def test_a_pair_that_was_never_seen_has_a_line_when_it_is_asked_for(tmp_path: Path) -> None:
    line = play(tmp_path, [permanent(1)]).standing(user(9))
    assert (line["user"], line["standing"]["reason"], line["standing"]["label"]) == (user(9), "never", "not_requested")


def test_without_a_fact_and_without_an_instant_there_is_nothing_to_judge_at(tmp_path: Path) -> None:
    assert list(play(tmp_path, []).done.judged("standings")) == []
    with pytest.raises(NothingToJudgeAt):
        play(tmp_path, []).standing(user(1))
    assert play(tmp_path, [], as_of=T0).standing(user(1))["as_of"] == T0


def test_broken_lines_are_parked_with_their_number_and_cost_nothing_of_the_others(tmp_path: Path) -> None:
    good = [permanent(1), permanent(2)]
    bad: Line = {"received_at": T0, "webhook": "nobody", "body": {}}
    played = play(tmp_path, [good[0], "", "{", bad, b"\xff\xfe", good[1], "   ", "[1]"])
    assert [(number, fault.reason) for number, fault in played.parked] == [
        (3, "not_json"),
        (4, "unknown_provider"),
        (5, "not_json"),
        (8, "unreadable_line"),
    ]
    assert len(list(played.done.judged("standings"))) == 2
    assert (played.done.counts.lines, played.done.counts.parked) == (6, 4)
    assert played.done.counts.parked_by_reason == {"not_json": 2, "unknown_provider": 1, "unreadable_line": 1}


def test_a_part_of_a_webhook_that_cannot_be_judged_costs_nothing_of_its_neighbours(tmp_path: Path) -> None:
    line = permanent(1)
    line["body"]["entry"][0]["changes"][0]["value"]["messages"].insert(0, 7)
    played = play(tmp_path, [line])
    assert [fault.path for _, fault in played.parked] == ["$.entry[0].changes[0].value.messages[0]"]
    assert played.standing(user(1))["permission"]["status"] == "permanent"


def test_a_display_number_is_known_by_a_line_that_comes_later(tmp_path: Path) -> None:
    played = play(tmp_path, [without_id(permanent(1)), permanent(2, T0 + 1)])
    assert played.parked == []
    assert played.standing(user(1))["permission"]["status"] == "permanent"


def test_an_entry_id_is_the_number_once_it_is_registered_without_a_display_number(tmp_path: Path) -> None:
    line = permanent(1)
    entry = line["body"]["entry"][0]
    entry["id"] = NUMBER
    del entry["changes"][0]["value"]["metadata"]
    assert [fault.reason for _, fault in play(tmp_path, [line]).parked] == ["unknown_number"]
    told = action("business_registered", "", T0 + HOUR, country="GB")
    del told["action"]["user"]
    played = play(tmp_path, [line, told])
    assert played.parked == []
    assert played.standing(user(1))["permission"]["status"] == "permanent"


def test_a_display_number_that_nothing_names_is_parked(tmp_path: Path) -> None:
    played = play(tmp_path, [without_id(permanent(1))])
    assert [fault.reason for _, fault in played.parked] == ["unknown_number"]


def test_a_display_number_of_two_ids_is_resolved_by_the_operator_and_never_guessed(tmp_path: Path) -> None:
    other = permanent(2)
    other["body"]["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = OTHER
    history = [without_id(permanent(1)), other, permanent(3)]
    assert [fault.reason for _, fault in play(tmp_path, history).parked] == ["unknown_number"]
    told = action("business_registered", "", T0, number=OTHER, display_phone_number=f"+{DISPLAY}")
    del told["action"]["user"]
    played = play(tmp_path, [*history, told])
    assert played.parked == []
    assert played.standing(user(1), OTHER)["permission"]["status"] == "permanent"
    numbers = {NUMBER: NumberEntry(display_phone_number="+44 20 7946 0123")}
    played = play(tmp_path, [*history, told], DEFAULT_POLICY.model_copy(update={"numbers": numbers}))
    assert played.standing(user(1))["permission"]["status"] == "permanent"


def test_a_restriction_told_by_display_number_and_last_holds_for_the_pairs_of_that_number(tmp_path: Path) -> None:
    history = [permanent(1), restricted(T0 - HOUR, T0 + DAY)]
    held = play(tmp_path, history).standing(user(1))["actions"]
    assert [one["reason"] for one in held] == ["business_restricted"] * 2
    assert play(tmp_path, history, as_of=T0 + DAY).standing(user(1))["actions"][1]["can_perform_action"]


def test_the_country_of_a_number_never_registered_is_that_of_its_display_number(tmp_path: Path) -> None:
    line = permanent(1)
    line["body"]["entry"][0]["changes"][0]["value"]["metadata"]["display_phone_number"] = "12025550123"
    assert [one["reason"] for one in play(tmp_path, [line]).standing(user(1))["actions"]] == [
        "country_not_supported"
    ] * 2
    assert play(tmp_path, [permanent(1)]).standing(user(1))["actions"][1]["reason"] is None


def test_everything_is_kept_unless_a_horizon_is_named(tmp_path: Path) -> None:
    history = [
        permanent(1, T0 + 60 * DAY),
        reply(user(1), "wamid.TESTREPLY02", T0 + DAY, "reject", received_at=T0 + 61 * DAY),
    ]
    kept, settled = play(tmp_path, history), play(tmp_path, history, horizon_s=HORIZON_S)
    assert (kept.done.counts.late, settled.done.counts.late) == (0, 1)
    assert settled.standing(user(1))["permission"] == kept.standing(user(1))["permission"] == {"status": "permanent"}


def test_what_every_payload_repeats_is_counted_once(tmp_path: Path) -> None:
    lines = [
        status(user(1), f"wamid.TESTMSG{place}", "read", T0 + place * MINUTE, recipient_user_id=scoped(1))
        for place in range(5)
    ]
    counts = play(tmp_path, [*lines, *lines[:2]]).done.counts
    assert (counts.facts, counts.repeated) == (5 + 2 + 1 + 1, 2)  # statuses, two of them twice; one link, one number


def test_memory_grows_with_pairs_and_not_with_lines(tmp_path: Path) -> None:
    """A line that says nothing new leaves nothing behind: neither in a state nor beside it."""
    lines = [status(user(1), "wamid.TESTMSG1", "read", T0, recipient_user_id=scoped(1)), permanent(1)]
    once, often = play(tmp_path, lines).done.fold, play(tmp_path, lines * 50).done.fold
    assert [state._replace(version=0) for state in once.states.values()] == [
        state._replace(version=0) for state in often.states.values()
    ]

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.ids import Pair
from schemas.policy import DEFAULT_POLICY
from streams.replay.explained import explain, text_of
from streams.replay.rules import RULES
from streams.replay.sentences import utc
from streams.replay.sources import Sources
from tests.replay.playing import HISTORIES
from tests.replay.written import (
    DAY,
    DISPLAY,
    HOUR,
    MINUTE,
    NUMBER,
    SANDBOX,
    T0,
    Line,
    action,
    reply,
    scoped,
    sent,
    user,
    webhook,
    write,
)

ROOT = Path(__file__).parents[2]
CALLS, NAMES, REPLIES = HISTORIES


def story(path: Path, who: str, **asked: Any) -> dict[str, Any]:
    with Sources([str(path)]) as sources:
        number = asked.pop("number", NUMBER)
        return explain(sources, Pair(number, who), DEFAULT_POLICY, lambda *_: None, **asked).told


def told(path: Path, who: str, **asked: Any) -> str:
    lines = text_of(story(path, who, **asked))
    return "\n".join("".join(text for text, _ in line) for line in lines)


def of(tmp_path: Path, *lines: Line | str) -> Path:
    return write(tmp_path / "history.jsonl", *lines)


def deciding(told: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(entry["at"], entry["then"][-1], entry["rule"]["domain"]) for entry in told["story"] if entry["then"]]


def test_every_rule_that_a_story_names_stands_where_it_says() -> None:
    for rule in RULES.values():
        assert (ROOT / rule.file).is_file(), rule


def test_four_unanswered_calls_and_the_webhook_that_confirms_them() -> None:
    assert deciding(story(CALLS, user(11))) == [
        (T0 + 30 * MINUTE, "permission permanent, through the business profile", "1.2 G3"),
        (T0 + 90 * MINUTE, "unanswered in a row: 1 of 4", "1.6"),
        (T0 + 150 * MINUTE, "WhatsApp asks the user whether these calls are still wanted", "1.6"),
        (T0 + 210 * MINUTE, "one more unanswered call takes the permission away", "1.6"),
        (
            T0 + 270 * MINUTE,
            "no permission: too many unanswered calls in a row; no webhook has said so yet",
            "1.2 G16, 1.6",
        ),
        (T0 + 270 * MINUTE + 3, "no permission: WhatsApp took it back after unanswered calls", "1.2 G10"),
    ]


@pytest.mark.parametrize(
    ("path", "scenario", "rows"),
    [
        (REPLIES, 3, ["1.2 G1", "1.2 G12"]),
        (REPLIES, 4, ["1.2 G2"]),
        (REPLIES, 5, ["1.2 G7"]),
        (REPLIES, 6, ["1.2 G7", "1.2 G1", "1.2 G12"]),
        (REPLIES, 7, ["1.2 G3"]),
        (REPLIES, 9, ["1.2 G3", "1.2 G9"]),
        (REPLIES, 23, ["1.2 G1", "1.2 G8"]),
        (REPLIES, 25, ["1.2 G3", "1.2 G13", "1.2 G12"]),
        (REPLIES, 27, ["1.2 G3", "1.2 G5", "1.2 G12"]),
        (CALLS, 8, ["1.2 G4", "1.2 G12"]),
        (CALLS, 33, ["1.2 G19"]),
        (CALLS, 34, ["1.2 G3", "1.2 G18"]),
        (NAMES, 39, ["1.2 G3", "1.2 G20"]),
    ],
)
def test_each_word_names_the_row_of_the_domain_that_decided(path: Path, scenario: int, rows: list[str]) -> None:
    found = [domain for _, _, domain in deciding(story(path, user(scenario), as_of=T0 + 20 * DAY))]
    assert found == rows


def test_what_was_learned_much_later_says_so() -> None:
    entries = {entry["what"]: entry for entry in story(REPLIES, user(23))["story"] if entry["at"] == T0 + 30 * MINUTE}
    assert entries["permission_replied"]["learned_late"]
    assert entries["permission_replied"]["learned_at"] == T0 + 5 * HOUR
    assert "learned 4h 30m later, at 2026-03-02 14:00:00 UTC" in told(REPLIES, user(23))


def test_why_names_every_obstacle_and_ahead_when_it_is_gone() -> None:
    said = story(REPLIES, user(15), as_of=T0 + DAY + HOUR)
    assert [(one["what"], one["rule"]["domain"], one["at"]) for one in said["why"]] == [
        ("permission", "1.1", None),
        ("send_call_permission_request", "2.1", T0 + 2 * DAY),
        ("send_call_permission_request", "2.1", T0 + 7 * DAY),
        ("start_call", "2.3", None),
    ]
    opens = [one["at"] for one in said["ahead"] if one["what"] == "opens"]
    assert (
        opens == [action["retry_at"] for action in said["actions"] if action["retry_at"] is not None] == [T0 + 7 * DAY]
    )
    assert [one["at"] for one in said["ahead"] if one["what"] == "request_expires"] == [T0 + 7 * DAY, T0 + 8 * DAY]


def test_what_lies_ahead_comes_in_order_and_never_lies_behind() -> None:
    for path in HISTORIES:
        for scenario in [name for name in range(60) if name % 3 == 0 and user(name) in path.read_text("utf-8")]:
            said = story(path, user(scenario))
            instants = [one["at"] for one in said["ahead"] if one["at"] is not None]
            assert instants == sorted(instants)
            assert all(at > said["as_of"] for at in instants)
            assert [entry["at"] for entry in said["story"]] == sorted(entry["at"] for entry in said["story"])


def test_a_row_at_risk_is_said_before_it_is_too_late() -> None:
    ahead = story(CALLS, user(11), as_of=T0 + 4 * HOUR)["ahead"]
    assert "at risk: one more unanswered call takes the permission away (now 3 of 4)" in [one["text"] for one in ahead]
    sandbox = story(CALLS, user(38), number=SANDBOX)["ahead"]
    assert any("(now 5 of 10; the user is asked at 5)" in one["text"] for one in sandbox)


def test_a_user_is_explained_by_any_name(tmp_path: Path) -> None:
    by_scoped, by_number = story(NAMES, scoped(45)), story(NAMES, user(45))
    assert by_scoped.pop("asked_as") == scoped(45)
    assert by_scoped == by_number
    assert any("handed on" in note for entry in by_number["story"] for note in entry["notes"])


def test_what_concerns_the_number_is_part_of_the_story() -> None:
    kinds = {entry["what"] for entry in story(NAMES, user(36))["story"]}
    assert "business_restricted" in kinds


def test_facts_beyond_the_horizon_and_parked_lines_are_mentioned(tmp_path: Path) -> None:
    path = of(
        tmp_path,
        reply(user(1), "wamid.TESTREPLY01", T0 + 60 * DAY, permanent=True),
        reply(user(1), "wamid.TESTREPLY02", T0, "reject", received_at=T0 + 61 * DAY),
        "{",
    )
    said = story(path, user(1), horizon_s=30 * DAY)
    assert said["input"]["late"] == 1
    assert said["input"]["why_parked"] == [
        {"line": 3, "reason": "not_json", "path": "$", "detail": "the line is not JSON"}
    ]
    late = next(entry for entry in said["story"] if entry["at"] == T0)
    assert late["then"] == []
    assert "later than the horizon" in late["notes"][0]
    text = told(path, user(1), horizon_s=30 * DAY)
    assert "1 came later than the horizon and changed nothing" in text
    assert "line 3: not_json" in text


def refused(door: str, code: int, at: int, **said: Any) -> Line:
    return action(f"{door}_refused", user(1), at, action_id=f"test-{code}-{at}", error_code=code, **said)


def switched(at: int, status: str) -> Line:
    settings = {"phone_number_id": NUMBER, "calling": {"status": status}}
    return webhook(at + 1, "account_settings_update", {"timestamp": str(at), "phone_number_settings": settings})


PERMANENT = reply(user(1), "wamid.TESTREPLY01", T0, permanent=True)
REFUSALS = {"file": "streams/permission/refusals.py", "domain": "3.9"}


@pytest.mark.parametrize(
    ("door", "code", "said", "reason", "doors", "until", "lifted_by"),
    [
        ("call", 138_000, {}, "calling is switched off", "no request and no call", None, "settings webhook, a reading"),
        ("request", 138_000, {}, "calling is switched off", "no request and no call", None, "a call that is picked up"),
        ("call", 138_013, {}, "business number's country", "no request and no call", None, "a reading that allows"),
        (
            "call",
            138_014,
            {},
            "Meta restricts",
            "no request and no call",
            T0 + HOUR + 7 * DAY,
            "tells of a restriction",
        ),
        ("call", 138_012, {}, "its limit is reached", "no call", T0 + HOUR + DAY, "a reading that allows a call"),
        (
            "call",
            138_012,
            {"retry_at": T0 + 5 * HOUR},
            "its limit",
            "no call",
            T0 + 5 * HOUR,
            "reading that allows a call",
        ),
        ("request", 138_009, {"retry_at": T0 + 9 * HOUR}, "its limit", "no request", T0 + 9 * HOUR, "allows a request"),
    ],
)
def test_an_error_that_blocks_names_its_rule_and_what_lifts_it(
    tmp_path: Path,
    door: str,
    code: int,
    said: dict[str, Any],
    reason: str,
    doors: str,
    until: int | None,
    lifted_by: str,
) -> None:
    path = of(tmp_path, PERMANENT, refused(door, code, T0 + HOUR, **said))
    found = story(path, user(1))
    entry = next(entry for entry in found["story"] if entry["what"] == f"{door}_refused")
    assert entry["rule"] == REFUSALS
    (then,) = entry["then"]
    assert then.startswith(f"{doors}: ")
    assert reason in then
    assert then.partition(", until ")[2] == (utc(until) if until is not None else "")
    because = [one for one in found["why"] if f"(error {code})" in one["text"]]
    assert len(because) == (1 if doors.count("no") == 1 else 2)
    assert all(one["rule"] == REFUSALS for one in because)
    lifts = [one for one in found["ahead"] if one["what"] == "lifts"]
    assert [one["at"] for one in lifts] == ([until] if until is not None else []) + [None]
    assert lifted_by in lifts[-1]["text"]
    assert all(f"error {code}" in one["text"] and one["rule"] == REFUSALS for one in lifts)
    text = told(path, user(1)).splitlines()
    (line,) = [line for line in text if f"with error {code}" in line]
    assert line.endswith("[streams/permission/refusals.py, domain 3.9]")


@pytest.mark.parametrize("code", [100, 138_001, 138_009])
def test_an_error_that_blocks_nothing_names_its_rule_and_lifts_nothing(tmp_path: Path, code: int) -> None:
    path = of(tmp_path, PERMANENT, refused("request", code, T0 + HOUR))
    found = story(path, user(1))
    entry = next(entry for entry in found["story"] if entry["what"] == "request_refused")
    assert (entry["then"], entry["rule"]) == ([], REFUSALS)
    assert bool(entry["notes"]) is (code == 138_009)
    assert not [one for one in found["ahead"] if one["what"] == "lifts"]
    assert f"with error {code}  [streams/permission/refusals.py, domain 3.9]" in told(path, user(1))


def test_what_lifted_an_error_leaves_nothing_ahead(tmp_path: Path) -> None:
    error = refused("call", 138_000, T0 + HOUR)
    lifted = story(of(tmp_path, PERMANENT, error, switched(T0 + 2 * HOUR, "ENABLED")), user(1))
    assert [len(entry["then"]) for entry in lifted["story"] if entry["what"] == "call_refused"] == [1]
    assert [one["text"] for one in lifted["why"]][-1] == "A call may be started"
    assert not [one for one in lifted["ahead"] if one["what"] == "lifts"]


def test_what_a_webhook_and_an_error_forbid_is_the_webhooks(tmp_path: Path) -> None:
    off = switched(T0 + MINUTE, "DISABLED")
    found = story(of(tmp_path, PERMANENT, off, refused("call", 138_000, T0 + HOUR)), user(1))
    assert [one["rule"]["file"] for one in found["why"] if "switched off" in one["text"]] == [
        "streams/permission/number.py"
    ] * 2
    assert [one["text"] for one in found["ahead"] if one["what"] == "lifts"] == [
        "a settings webhook switches calling on"
    ]
    assert [entry["then"] for entry in found["story"] if entry["what"] == "call_refused"] == [[]]


def test_an_error_says_its_instant_also_where_the_permission_runs_out_before(tmp_path: Path) -> None:
    short = reply(user(1), "wamid.TESTREPLY01", T0, until=T0 + 2 * DAY)
    found = story(of(tmp_path, short, refused("call", 138_014, T0 + HOUR)), user(1))
    assert found["actions"][1]["retry_at"] is None
    assert [one["at"] for one in found["ahead"] if one["what"] == "lifts"] == [T0 + HOUR + 7 * DAY, None]


def test_a_later_block_of_the_same_kind_tells_its_own_instant(tmp_path: Path) -> None:
    errors = [refused("call", 138_012, T0 + HOUR), refused("call", 138_012, T0 + 2 * HOUR, retry_at=T0 + 3 * DAY)]
    found = story(of(tmp_path, PERMANENT, *errors), user(1))
    instants = [entry["then"][0].rpartition("until ")[2] for entry in found["story"] if entry["what"] == "call_refused"]
    assert instants == [utc(T0 + HOUR + DAY), utc(T0 + 3 * DAY)]


def test_a_pair_that_was_never_seen_is_told_so_too() -> None:
    text = told(REPLIES, "447700900999")
    assert "nothing that we know of" in text
    assert "nothing was ever granted" in text


def test_no_other_pair_is_named() -> None:
    for path, who in ((CALLS, user(11)), (NAMES, user(45)), (REPLIES, user(23))):
        said = json.dumps(story(path, who))
        assert not [name for name in range(60) if user(name) != who and user(name) in said]


def test_a_word_that_fell_into_the_second_of_another_is_told_by_itself() -> None:
    assert deciding(story(REPLIES, user(24), as_of=T0))[-1][1] == "no permission: the user took it back"


def test_a_request_that_a_newer_one_pushed_aside_is_told(tmp_path: Path) -> None:
    history = []
    for place, at in ((1, T0), (2, T0 + DAY)):
        history.append(sent(user(1), f"wamid.TESTREQ0{place}", at))
        line = reply(user(1), "x", at)
        one = {"id": f"wamid.TESTREQ0{place}", "status": "delivered", "timestamp": str(at + 5), "recipient_id": user(1)}
        value = line["body"]["entry"][0]["changes"][0]["value"]
        del value["messages"]
        value["statuses"] = [one]
        history.append(line)
    entries = story(of(tmp_path, *history), user(1))["story"]
    assert [entry["at"] for entry in entries if entry["what"] == "request_superseded"] == [T0 + DAY + 5]
    assert DISPLAY not in json.dumps(entries)

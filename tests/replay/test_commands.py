import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from deploy.cli import history
from streams.replay.explained import text_of
from tests.replay.playing import HISTORIES
from tests.replay.written import DAY, HOUR, NUMBER, T0, action, reply, scoped, user, write

CALLS, NAMES, REPLIES = map(str, HISTORIES)
SAMPLES = Path(__file__).parents[1] / "providers" / "samples"
ROOT = Path(__file__).parents[2]
REQUEST = """
    request_id phone_number_id user kind template_name template_language category campaign origin attempt prior sent_at
    delivered_at read_at failed_at error_code first_response first_response_at last_response last_response_at
    superseded_at expires_at final_class
"""
GRANT = """
    grant_id phone_number_id user request_id kind via source confirmed granted_at expires_at ended_at end_cause flags
"""
CALL = """
    call_id phone_number_id user direction outcome started_at connected_at ended_at duration_s pulses campaign
    disposition
"""
APP = typer.Typer(rich_markup_mode=None)
history.add_to(APP)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without settings."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, said: bytes = b"") -> Result:
    return CliRunner().invoke(APP, list(arguments), input=said)


def rows(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_standings_come_sorted_by_pair_with_exit_0() -> None:
    done = run("replay", REPLIES)
    assert (done.exit_code, done.stderr) == (0, "")
    pairs = [(row["phone_number_id"], row["user"]) for row in rows(done)]
    assert pairs == sorted(pairs)
    assert len(pairs) == len(set(pairs)) == 17
    assert list(rows(done)[0]) == ["phone_number_id", "user", "as_of", "permission", "actions", "standing"]


@pytest.mark.parametrize(("kind", "fields"), [("requests", REQUEST), ("grants", GRANT), ("calls", CALL)])
def test_rows_have_the_fields_that_were_promised_and_no_others(kind: str, fields: str) -> None:
    done = run("replay", CALLS, REPLIES, "--emit", kind)
    assert done.exit_code == 0
    assert rows(done)
    assert all(list(row) == fields.split() for row in rows(done))


@pytest.mark.parametrize("instant", ["2026-03-02T09:30:00Z", "2026-03-02T10:30:00+01:00", "1772443800"])
def test_an_instant_is_rfc_3339_or_epoch_seconds(instant: str) -> None:
    (line,) = rows(run("replay", REPLIES, "--as-of", instant, "--pair", f"{NUMBER}/{user(3)}"))
    assert (line["as_of"], line["permission"]) == (
        1_772_443_800,
        {"status": "temporary", "expiration_time": 1_773_048_600},
    )


def test_pairs_are_asked_for_by_any_name_and_have_a_line_each() -> None:
    asked = [f"{NUMBER}/{scoped(45)}", f"{NUMBER}/{user(45)}", f"{NUMBER}/{user(199)}", f"{NUMBER}/+44 7700 900045"]
    told = rows(run("replay", NAMES, *[word for pair in asked for word in ("--pair", pair)]))
    assert [(row["user"], row.get("asked_as")) for row in told] == [
        (user(45), None),
        (user(45), scoped(45)),
        (user(199), None),
    ]
    assert told[2]["standing"]["reason"] == "never"


def test_changes_come_in_the_order_of_announcements() -> None:
    told = rows(run("replay", NAMES, "--emit", "changes", "--pair", f"{NUMBER}/{scoped(45)}"))
    assert [(row["type"], row["user"]) for row in told] == [
        ("limit_reached", user(45)),
        ("permission_granted", scoped(45)),
        ("anomaly_raised", scoped(45)),
        ("pair_merged", scoped(45)),
        ("permission_granted", user(45)),
    ]
    assert {row["user"] for row in told} == {user(45), scoped(45)}
    everything = rows(run("replay", NAMES, "--emit", "changes"))
    assert [row for row in everything if row["user"] in (user(45), scoped(45))] == told


def test_changes_as_of_an_instant_tell_nothing_later() -> None:
    told = rows(run("replay", NAMES, REPLIES, "--emit", "changes", "--as-of", str(T0 + HOUR)))
    assert told
    assert max(row["occurred_at"] for row in told) <= T0 + HOUR


def test_facts_come_once_each_and_sorted_by_pair() -> None:
    told = rows(run("replay", REPLIES, "--emit", "facts"))
    assert len({(row["fact_id"], row.get("user")) for row in told}) == len(told) == 43
    keys = [(row["phone_number_id"], row.get("user", ""), row["occurred_at"]) for row in told]
    assert keys == sorted(keys)
    connected = rows(run("replay", CALLS, "--emit", "facts", "--pair", f"{NUMBER}/{user(17)}"))
    assert [row["type"] for row in connected] == [
        "request_sent",
        "permission_replied",
        "call_connected",
        "call_ended",
    ]


def test_stdin_and_files_are_one_history() -> None:
    both = run("replay", REPLIES, CALLS)
    assert run("replay", "-", CALLS, said=Path(REPLIES).read_bytes()).stdout_bytes == both.stdout_bytes
    assert both.exit_code == 0


def test_counts_are_one_object_on_stderr() -> None:
    done = run("replay", REPLIES, "--stats")
    counts = json.loads(done.stderr)
    assert {name: counts[name] for name in ("lines", "facts", "repeated", "late", "ignored", "parked")} == {
        "lines": 43,
        "facts": 45,
        "repeated": 2,
        "late": 0,
        "ignored": {},
        "parked": 0,
    }


def test_parked_lines_end_with_3_and_dead_letters_tell_where_and_why_but_never_what(tmp_path: Path) -> None:
    path = write(
        tmp_path / "h.jsonl", *Path(REPLIES).read_bytes().splitlines(), "", '{"447700900123', b'{"webhook": 1}'
    )
    done = run("replay", str(path), "--dead-letters", "letters.jsonl")
    assert done.exit_code == 3
    assert done.stdout_bytes == run("replay", REPLIES).stdout_bytes
    assert "2 parts of the input could not be judged" in done.stderr
    letters = [json.loads(line) for line in Path("letters.jsonl").read_text("utf-8").splitlines()]
    assert [(letter["line"], letter["reason"], letter["path"]) for letter in letters] == [
        (45, "not_json", "$"),
        (46, "unreadable_line", "$.received_at"),
    ]
    assert all(list(letter) == ["line", "reason", "path", "detail"] for letter in letters)
    assert "447700900123" not in Path("letters.jsonl").read_text("utf-8") + done.stderr


def test_a_history_is_never_overwritten_by_its_own_dead_letters(tmp_path: Path) -> None:
    path = write(tmp_path / "h.jsonl", *Path(REPLIES).read_bytes().splitlines())
    before = path.read_bytes()
    done = run("replay", CALLS, str(path), "--dead-letters", f"../{tmp_path.name}/h.jsonl")
    assert (done.exit_code, path.read_bytes()) == (2, before)
    assert "would be overwritten" in done.stderr


def test_dead_letters_of_several_files_name_the_file_and_a_clean_run_leaves_an_empty_one(tmp_path: Path) -> None:
    path = write(tmp_path / "h.jsonl", "{")
    assert run("replay", str(path), REPLIES, "--dead-letters", "letters.jsonl").exit_code == 3
    assert json.loads(Path("letters.jsonl").read_bytes())["file"] == str(path)
    assert run("replay", REPLIES, "--dead-letters", "letters.jsonl").exit_code == 0
    assert Path("letters.jsonl").read_bytes() == b""


def test_the_policy_file_decides(tmp_path: Path) -> None:
    from schemas.policy import DEFAULT_POLICY

    policy = json.loads(DEFAULT_POLICY.model_dump_json(by_alias=True))
    policy["profiles"]["production"]["requests_24h"][0]["value"] = 3
    write(tmp_path / "policy.json", policy)
    asked = ("replay", REPLIES, "--as-of", str(T0 + HOUR), "--pair", f"{NUMBER}/{user(2)}")
    (line,) = rows(run(*asked, "--policy", "policy.json"))
    assert line["actions"][0]["limits"][0]["max_allowed"] == 3
    (line,) = rows(run(*asked))
    assert line["actions"][0]["limits"][0]["max_allowed"] == 1


def test_a_horizon_counts_what_came_too_late(tmp_path: Path) -> None:
    late = reply(user(1), "wamid.TESTREPLY01", T0, received_at=T0 + 40 * DAY)
    path = str(write(tmp_path / "h.jsonl", late))
    for span, count in (("30d", 1), ("720h", 1), ("2592000", 1), ("6w", 0)):
        assert json.loads(run("replay", path, "--horizon", span, "--stats").stderr)["late"] == count


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["replay", "missing.jsonl"],
        ["replay", "."],
        ["replay", REPLIES, "--as-of", "yesterday"],
        ["replay", REPLIES, "--as-of", "2026-03-02T09:00:00"],
        ["replay", REPLIES, "--pair", "447700900123"],
        ["replay", REPLIES, "--pair", f"{NUMBER}/nobody"],
        ["replay", REPLIES, "--emit", "everything"],
        ["replay", REPLIES, "--horizon", "long"],
        ["replay", REPLIES, "--policy", "missing.json"],
        ["replay", REPLIES, "--policy", REPLIES],
        ["replay", REPLIES, "--dead-letters", "missing/letters.jsonl"],
        ["replay", "-", "--pair", f"{NUMBER}/{user(1)}"],
        ["replay", "-", "-"],
        ["translate", REPLIES],
        ["translate", REPLIES, "--provider", "nobody"],
        ["translate", "missing.json", "--provider", "meta"],
        ["explain", REPLIES],
        ["explain", "-", "--pair", f"{NUMBER}/{user(1)}"],
        ["explain", "missing.jsonl", "--pair", f"{NUMBER}/{user(1)}"],
    ],
    ids=" ".join,
)
def test_a_wrong_use_ends_with_2_and_says_what_is_allowed(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error" in done.stderr or "Usage" in done.stderr


def test_an_empty_history_has_no_pair_and_is_no_fault() -> None:
    assert (run("replay", "-").exit_code, run("replay", "-").stdout) == (0, "")
    (line,) = rows(run("replay", "-", "--pair", f"{NUMBER}/{user(1)}", "--as-of", str(T0)))
    assert line["standing"]["label"] == "not_requested"


def test_one_body_is_translated_whatever_its_layout() -> None:
    sample = SAMPLES / "r1-temporary-accept.json"
    done = run("translate", str(sample), "--provider", "meta")
    assert done.exit_code == 0
    assert [row["type"] for row in rows(done)] == [
        "permission_replied",
        "users_linked",
        "users_linked",
        "business_seen",
    ]
    compact = json.dumps(json.loads(sample.read_bytes())).encode()
    at = "2026-03-02T10:00:00Z"
    one = run("translate", "-", "--provider", "meta", "--received-at", at, said=compact)
    two = run("translate", "-", "--provider", "meta", "--received-at", at, said=b"\xef\xbb\xbf" + sample.read_bytes())
    assert one.stdout_bytes == two.stdout_bytes
    assert {row["recorded_at"] for row in rows(one)} == {1_772_445_600}
    many = run("translate", "-", "--provider", "meta", "--received-at", at, said=compact + b"\n\n" + compact + b"\n")
    assert many.stdout_bytes == one.stdout_bytes * 2


def test_history_lines_bring_their_own_provider_and_time() -> None:
    done = run("translate", NAMES, "--provider", "meta")
    assert done.exit_code == 0
    assert {"gupshup", "actions", "meta"} == {row["provider"] for row in rows(done)}
    assert json.loads(done.stderr)["facts"] == len(rows(done))


def test_what_was_ignored_and_parked_is_told_on_stderr_with_its_reason() -> None:
    body = json.loads((SAMPLES / "r1-temporary-accept.json").read_bytes())
    changes = body["entry"][0]["changes"]
    changes[0]["value"]["messages"][0]["timestamp"] = "soon"
    changes.append({"field": "nothing_we_know", "value": {}})
    done = run("translate", "-", "--provider", "meta", said=json.dumps(body).encode())
    told = json.loads(done.stderr)
    assert done.exit_code == 3
    assert (told["parked"], told["ignored"]) == (1, {"field_unknown": 1})
    assert told["why_ignored"]["field_unknown"]
    assert told["why_parked"][0]["path"] == "$.entry[0].changes[0].value.messages[0].timestamp"
    assert "soon" not in done.stderr


@pytest.mark.parametrize("said", [b"{\n  nothing\n}", b"\xff", b"7", b"[]", b"null"])
def test_a_document_that_is_no_body_is_parked_once(said: bytes) -> None:
    done = run("translate", "-", "--provider", "meta", said=said)
    assert (done.exit_code, done.stdout) == (3, "")
    assert json.loads(done.stderr)["parked"] == 1


@pytest.mark.parametrize(
    ("misspelt", "path", "said"),
    [
        ({"received_at": "recieved_at"}, "$.received_at", "missing"),
        ({"webhook": "webook"}, "$", "neither webhook nor action"),
        ({"received_at": "recieved_at", "webhook": "webook"}, "$", "nothing of that"),
        ({"received_at": "recieved_at", "body": "body_base64"}, "$.received_at", "missing"),
    ],
)
def test_a_history_line_with_a_misspelt_key_is_told_as_such_and_never_read_as_a_body(
    misspelt: dict[str, str], path: str, said: str
) -> None:
    line = {"received_at": T0, "webhook": "meta", "body": {"object": "whatsapp_business_account", "entry": []}}
    raw = json.dumps({misspelt.get(key, key): held for key, held in line.items()}).encode()
    for done in (run("translate", "-", "--provider", "meta", said=raw + end) for end in (b"", b"\n" + raw)):
        told = json.loads(done.stderr)
        assert (done.exit_code, done.stdout, told["ignored"]) == (3, "", {})
        assert {(why["reason"], why["path"]) for why in told["why_parked"]} == {("unreadable_line", path)}
        assert all(why["detail"].startswith(said) for why in told["why_parked"])


def test_an_action_without_the_rest_of_its_line_is_told_as_a_line() -> None:
    done = run("translate", "-", "--provider", "actions", said=b'{"action": {"type": "request_sent"}}')
    assert json.loads(done.stderr)["why_parked"][0]["reason"] == "unreadable_line"


def test_a_story_is_plain_text_or_json_with_the_same_exit_codes(tmp_path: Path) -> None:
    asked = ("--pair", f"{NUMBER}/{user(11)}")
    text, told = run("explain", CALLS, *asked), run("explain", CALLS, *asked, "--json")
    assert (text.exit_code, told.exit_code) == (0, 0)
    assert "\x1b" not in text.stdout
    assert "streams/permission/streak.py, domain 1.2 G16" in text.stdout
    (line,) = rows(run("replay", CALLS, *asked))
    said = json.loads(told.stdout)
    assert {name: said[name] for name in line} == line
    broken = write(tmp_path / "h.jsonl", *Path(CALLS).read_bytes().splitlines(), "{")
    assert run("explain", str(broken), *asked).exit_code == 3


def test_what_a_terminal_would_act_upon_stands_in_a_story_as_an_escape(tmp_path: Path) -> None:
    told = {"template": {"name": "test_cpr", "language": "en", "category": "UTILITY"}}
    line = action(
        "request_sent", user(1), T0, message_id="wamid.TESTREQ01", kind="template", campaign="camp-42", **told
    )
    shown = list(sentences_of(write(tmp_path / "h.jsonl", line), "camp-42", "a\x1b[2J\x9b31m\u202e"))
    assert any("a\\x1b[2J\\x9b31m\\u202e" in text for text in shown)
    assert all(text.isprintable() for text in shown)
    assert json.loads(history._escaped('{"a":"b\x9b\u202eü"}'.encode())) == {"a": "b\x9b\u202eü"}
    assert history._escaped("ü\x9b\u202e".encode()).decode() == "ü\\u009b\\u202e"


def sentences_of(path: Path, name: str, other: str) -> Iterator[str]:
    """A story's text, with another name in the place of one: the translation refuses such names for itself."""
    told = json.loads(run("explain", str(path), "--pair", f"{NUMBER}/{user(1)}", "--json").stdout)
    renamed = json.loads(json.dumps(told).replace(name, json.dumps(other)[1:-1]))
    for line in text_of(renamed):
        yield "".join(text for text, _ in line)


def test_a_story_of_many_broken_lines_shows_some_and_says_how_many_more(tmp_path: Path) -> None:
    path = write(tmp_path / "h.jsonl", reply(user(1), "wamid.TESTREPLY01", T0, permanent=True), *["{"] * 25)
    text = run("explain", str(path), CALLS, "--pair", f"{NUMBER}/{user(1)}").stdout
    assert f"{path}, line 2: not_json at $" in text
    assert "and 5 more" in text


@pytest.mark.parametrize(
    "asked",
    [f"replay {REPLIES} {CALLS} {NAMES}", f"explain {CALLS} --pair {NUMBER}/{user(11)}"],
    ids=["replay", "explain"],
)
def test_a_reader_who_has_enough_ends_it_without_a_fault(asked: str) -> None:
    code = "import typer; from deploy.cli import history; app = typer.Typer(); history.add_to(app); app()"
    command = f"{sys.executable} -c '{code}' {asked} | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1

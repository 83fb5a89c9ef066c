import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app, main
from tests.conftest import ROOT
from tests.ports import free_pair, free_port

COMMANDS = [
    ["up"], ["demo"], ["gateway"], ["worker"], ["api"], ["projection"], ["migrate"], ["simulate"], ["funnel"],
    ["revocations"], ["config"], ["doctor"], ["topics", "create"], ["topics", "check"], ["topics", "list"],
    ["topics", "generations"], ["topics", "drop-generation"],
    ["schemas", "list"], ["schemas", "print"], ["schemas", "write"], ["replay"], ["translate"], ["explain"],
    ["feed"], ["import"], ["deadletters", "list"], ["deadletters", "show"], ["deadletters", "stats"],
    ["deadletters", "retry"], ["deadletters", "drop"], ["verify"],
]  # fmt: skip


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Callgrant = Callable[..., Done]


@pytest.fixture
def callgrant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callgrant:
    """The console script in this process, in an empty folder, with these settings and no other."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CALLGRANT_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str, **settings: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["callgrant", *arguments])
        for name, value in settings.items():
            monkeypatch.setenv(f"CALLGRANT_{name}", value)
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(command: list[str]) -> None:
    told = CliRunner().invoke(app, [*command, "--help"])
    assert told.exit_code == 0
    assert f"Example: callgrant {' '.join(command)}" in " ".join(told.output.split())


def test_help_lists_no_command_that_has_no_example_here() -> None:
    listed = CliRunner().invoke(app, ["--help"]).output.partition("Commands:")[2].splitlines()
    names = {
        line.split()[0] for line in listed if line.startswith("  ") and not line.startswith("   ") and line.split()
    }
    assert names - {"Example:"} == {command[0] for command in COMMANDS}


def test_help_imports_no_engine() -> None:
    code = (
        "import sys, deploy.cli.main; print([m for m in ('faust', 'chdb', 'aiokafka', 'fastapi') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_a_generation_is_not_dropped_unasked(callgrant: Callgrant) -> None:
    done = callgrant("topics", "drop-generation", "2", KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}")
    assert (done.returncode, "there is nobody to ask: say --yes" in done.stderr) == (2, True)


def test_topics_are_listed_as_another_generation_calls_them(callgrant: Callgrant) -> None:
    names = [one["name"] for one in json.loads(callgrant("topics", "list", "--generation", "3", "--json").stdout)]
    assert {"callgrant.permission.events", "callgrant.permission.state.g3"} < set(names)


def test_a_wrong_setting_ends_with_code_2_and_one_line(callgrant: Callgrant) -> None:
    done = callgrant("config", PARTITION="3")
    assert (done.returncode, done.stdout) == (2, "")
    said = "CALLGRANT_PARTITION (in environment) is no setting of callgrant: did you mean CALLGRANT_PARTITIONS?"
    assert done.stderr == f"callgrant: {said}\n"


def test_a_wrong_option_ends_with_code_2(callgrant: Callgrant) -> None:
    done = callgrant("worker", "--number", "0")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_config_shows_every_setting_with_its_origin_and_no_secret(callgrant: Callgrant) -> None:
    done = callgrant("config", "--json", API_KEYS="ops:hush", PARTITIONS="4")
    shown = {row["setting"]: row for row in json.loads(done.stdout)}
    assert shown["CALLGRANT_PARTITIONS"]["value"] == 4
    assert shown["CALLGRANT_PARTITIONS"]["from"] == "environment"
    assert shown["CALLGRANT_API_KEYS"]["value"] == "ops:********"
    assert shown["CALLGRANT_KAFKA_PORT"]["from"] == "default"
    assert "hush" not in done.stdout


def test_the_table_of_settings_shows_no_secret_either(callgrant: Callgrant) -> None:
    done = callgrant("config", META_APP_SECRETS="hush", CLICKHOUSE_URL="http://u:hush@ch:8123")
    assert done.returncode == 0
    assert "hush" not in done.stdout
    assert "http://********@ch:8123" in done.stdout


def test_topics_list_asks_no_cluster(callgrant: Callgrant) -> None:
    done = callgrant("topics", "list", "--json", TOPIC_PREFIX="acme.", GENERATION="2")
    names = {row["topic"]: row["name"] for row in json.loads(done.stdout)}
    assert names["webhooks.raw"] == "acme.webhooks.raw"
    assert names["permission.state"] == "acme.permission.state.g2"


def test_a_schema_is_printed_as_it_is_checked_in_and_a_misspelt_one_is_suggested(callgrant: Callgrant) -> None:
    done = callgrant("schemas", "print", "change.v1")
    assert done.stdout == (ROOT / "schemas" / "jsonschema" / "change.v1.json").read_text("utf-8")
    wrong = callgrant("schemas", "print", "chance.v1")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "callgrant: there is no schema 'chance.v1': did you mean change.v1?\n",
    )


def test_simulate_writes_a_history_and_its_books_without_any_network(callgrant: Callgrant, tmp_path: Path) -> None:
    arguments = ("--pairs", "5", "--to-file", "history.jsonl", "--ledger", "books.json", "--json")
    done = callgrant("simulate", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    books = json.loads((tmp_path / "books.json").read_text())
    assert json.loads(done.stdout)["funnel"] == books["funnel"]
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert {"webhook" in line or "action" in line for line in lines} == {True}


def test_simulate_without_secrets_says_which_to_set(callgrant: Callgrant) -> None:
    done = callgrant("simulate", "--pairs", "1")
    assert done.returncode == 2
    assert done.stderr.startswith("callgrant: CALLGRANT_META_APP_SECRETS is not set")


@pytest.mark.parametrize("command", [["up"], ["demo", "--once"]], ids=" ".join)
def test_what_would_kill_every_process_is_told_before_any_is_started(command: list[str], callgrant: Callgrant) -> None:
    done = callgrant(*command, POLICY_FILE="none.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("callgrant: CALLGRANT_POLICY_FILE: none.json cannot be read")


@pytest.mark.parametrize("command", [["up"], ["demo", "--once"]], ids=" ".join)
def test_a_port_that_is_taken_is_told_with_its_setting_before_anything_is_started(
    command: list[str], callgrant: Callgrant
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = str(held.getsockname()[1])
        ports = {f"{name}_PORT": str(free_port()) for name in ("GATEWAY", "ANALYTICS", "WORKER")}
        done = callgrant(*command, KAFKA_PORT=str(free_pair()), API_PORT=port, **ports)
    assert done.returncode == 1
    assert f"port {port} (CALLGRANT_API_PORT) cannot be used" in done.stderr
    assert "starting" not in done.stdout


@pytest.mark.parametrize("command", [["up"], ["demo", "--once"]], ids=" ".join)
def test_a_named_cluster_that_does_not_answer_is_told_in_one_line(command: list[str], callgrant: Callgrant) -> None:
    ports = {f"{name}_PORT": str(free_port()) for name in ("GATEWAY", "API", "ANALYTICS", "WORKER")}
    done = callgrant(*command, KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}", **ports)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "CALLGRANT_KAFKA_BOOTSTRAP" in done.stderr


@pytest.mark.parametrize("question", ["funnel", "revocations"])
def test_a_question_without_a_projection_or_a_store_says_what_to_run(question: str, callgrant: Callgrant) -> None:
    done = callgrant(question, ANALYTICS_PORT=str(free_port()))
    assert done.returncode == 1
    assert "callgrant up" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_names_what_is_wrong_and_what_mends_it(callgrant: Callgrant) -> None:
    done = callgrant("doctor", "--json", KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}", POLICY_FILE="none")
    findings = {(row["check"], row["verdict"]): row for row in json.loads(done.stdout)}
    assert done.returncode == 1
    assert "CALLGRANT_KAFKA_BOOTSTRAP" in findings["Kafka", "bad"]["mend"]
    assert "CALLGRANT_POLICY_FILE" in findings["policy", "bad"]["found"]
    assert "CALLGRANT_API_KEYS" in findings["secrets", "warning"]["mend"]

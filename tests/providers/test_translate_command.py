"""Every dialect sample through `callgrant translate --provider P FILE`, with the numbers of a policy file."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from deploy.cli import history
from schemas.policy import DEFAULT_POLICY, NumberEntry
from tests.providers.payloads import DISPLAY, NUMBER, USER, sample
from tests.providers.test_dialects import DIALECTS, GIVES, WEBHOOKS

APP = typer.Typer(rich_markup_mode=None)
history.add_to(APP)
AT = "2026-03-02T09:30:01Z"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A policy file that names the one business number."""
    path = tmp_path_factory.mktemp("policy") / "policy.json"
    numbers = {NUMBER: NumberEntry(display_phone_number=f"+{DISPLAY}")}
    path.write_bytes(DEFAULT_POLICY.model_copy(update={"numbers": numbers}).model_dump_json(by_alias=True).encode())
    return str(path)


def run(*arguments: str, said: bytes = b"") -> Result:
    return CliRunner().invoke(APP, ["translate", *arguments], input=said)


@pytest.mark.parametrize("name", WEBHOOKS)
def test_a_dialect_sample_is_translated_on_the_command_line(
    name: str, policy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("--provider", name.partition("-")[0], "--received-at", AT, "--policy", policy, f"{DIALECTS}/{name}.json")
    assert done.exit_code == 0, done.stderr
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    told = [fact for fact in facts if fact["type"] not in ("users_linked", "business_seen")]
    assert len(told) == len(GIVES[name])
    for fact, expected in zip(told, GIVES[name], strict=True):
        assert {key: fact[key] for key in expected} == json.loads(orjson.dumps(expected))


@pytest.mark.parametrize("name", ["infobip-state", "8x8-state", "doubletick-state"])
def test_a_state_answer_is_translated_as_the_action_it_is_reported_by(name: str) -> None:
    action: dict[str, Any] = {"type": "reading_taken", "phone_number_id": NUMBER, "user": USER, "occurred_at": AT}
    action |= {"provider": name.removesuffix("-state"), "response": sample(f"dialects/{name}")}
    line = {"received_at": AT, "action": action}
    done = run("--provider", "actions", "-", said=json.dumps(line).encode())
    assert done.exit_code == 0, done.stderr
    (fact,) = [json.loads(said) for said in done.stdout.splitlines()]
    assert (fact["type"], fact["user"]) == ("reading_taken", USER)


def test_without_the_number_a_sample_is_parked_with_the_reason_and_exit_3() -> None:
    done = run("--provider", "infobip", f"{DIALECTS}/infobip-accept.json")
    assert (done.exit_code, done.stdout) == (3, "")
    why = json.loads(done.stderr)["why_parked"][0]
    assert why["reason"] == "unknown_number"
    assert all(way in why["detail"] for way in ("POST /v1/actions", "business_registered", "numbers", "policy file"))


def test_an_entry_id_is_the_number_once_the_policy_file_or_a_registration_names_it(tmp_path: Path) -> None:
    payload = sample("r1-temporary-accept")
    payload["entry"][0]["id"] = NUMBER
    del payload["entry"][0]["changes"][0]["value"]["metadata"]
    reply = {"received_at": AT, "webhook": "meta", "body": payload}
    told: dict[str, Any] = {"type": "business_registered", "phone_number_id": NUMBER, "occurred_at": AT}
    assert run("--provider", "meta", "-", said=json.dumps(reply).encode()).exit_code == 3

    numbers = {NUMBER: NumberEntry(country="GB")}
    path = tmp_path / "policy.json"
    path.write_bytes(DEFAULT_POLICY.model_copy(update={"numbers": numbers}).model_dump_json(by_alias=True).encode())
    named = run("--provider", "meta", "--policy", str(path), "-", said=json.dumps(reply).encode())
    lines = [reply, {"received_at": AT, "action": told | {"profile": "production"}}]
    registered = run("--provider", "meta", "-", said="\n".join(map(json.dumps, lines)).encode())
    for done in (named, registered):
        assert done.exit_code == 0, done.stderr
        (fact,) = [
            fact for said in done.stdout.splitlines() if (fact := json.loads(said))["type"] == "permission_replied"
        ]
        assert fact["phone_number_id"] == NUMBER


def test_what_nobody_documented_is_named_on_stderr() -> None:
    done = run("--provider", "ycloud", "-", said=b'{"type": "whatsapp.flow.sent"}')
    assert json.loads(done.stderr)["unknown"] == {"event_other:whatsapp.flow.sent": 1}


def test_every_provider_by_its_name() -> None:
    for provider in ("meta", "gupshup", "infobip", "360dialog", "ycloud", "zernio"):
        assert run("--provider", provider, "-", said=b"{}").exit_code in (0, 3)
    assert run("--provider", "pigeon", "-", said=b"{}").exit_code == 2

"""`callgrant feed` and `callgrant import` as they are typed, on a real gateway and a real broker."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.feed_lines import arrivals
from deploy.feed_sender import FeedEnded
from deploy.topics import create_topics
from schemas.envelope import header, received_at_of
from schemas.events import Fact
from schemas.topics import TopicNames
from streams.providers.registry import translate
from streams.replay.lines import Arrival
from streams.replay.sources import Sources
from tests.conftest import ROOT
from tests.gateway.asgi import KEY, SECRET
from tests.gateway.process import Running, started, stored, until, until_ready
from tests.gateway.test_actions import sent
from tests.gateway.test_sendlog import exchange
from tests.ports import free_port

AT = "2026-03-02T09:00:01Z"
GOOD = [
    {"received_at": AT, "webhook": "meta", "body": {"object": "whatsapp_business_account", "entry": []}},
    {"received_at": AT, "action": sent()},
    {"received_at": AT, "webhook": "meta-sendlog", "body": exchange()},
]
BAD = [b"{broken", json.dumps({"received_at": AT, "action": sent(user="?")}).encode()]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.stdout)
        return told


def callgrant(folder: Path, *words: str, names: Mapping[str, str], stdin: bytes = b"") -> Done:
    """The console script in a process and a folder of its own, with these settings and no other."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("CALLGRANT_")}
    environ |= {f"CALLGRANT_{name}": text for name, text in names.items()} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *words],
        check=False,
        cwd=folder,
        env=environ,
        input=stdin,
        capture_output=True,
        timeout=600,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def written(folder: Path, *lines: dict[str, Any] | bytes) -> Path:
    path = folder / "history.jsonl"
    path.write_bytes(b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in lines))
    return path


def test_feed_without_a_gateway_says_which_setting_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["feed", str(written(tmp_path, *GOOD))]
    done = CliRunner().invoke(app, words, env={"CALLGRANT_GATEWAY_PORT": str(free_port())})
    assert isinstance(done.exception, FeedEnded)
    assert done.exception.exit_code == 1
    assert "CALLGRANT_GATEWAY_PORT" in str(done.exception)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["none.jsonl"], "none.jsonl cannot be read"),
        (["-", "-"], "stdin can be read once"),
        (["-", "--rate", "fast"], "lines a second"),
        (["-", "--rate", "0"], "lines a second"),
        (["-", "--gateway", "127.0.0.1:8080"], "http(s)://host"),
    ],
)
def test_feed_asks_for_what_it_can_use(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["feed", *words], input="")
    assert (done.exit_code, says in done.output) == (2, True)


@pytest.mark.parametrize("command", ["feed", "import"])
def test_a_history_is_never_overwritten_by_the_file_of_its_refused_lines(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("structlog.configure", lambda **_: None)  # it would hold for all tests of this process
    path = written(tmp_path, *GOOD)
    before = path.read_bytes()
    done = CliRunner().invoke(app, [command, str(path), "--dead-letters", "history.jsonl"])
    assert (done.exit_code, "would be overwritten" in done.output) == (2, True)
    assert path.read_bytes() == before


def test_a_send_log_and_the_webhooks_of_one_pair_tell_one_story(tmp_path: Path) -> None:
    samples = ROOT / "tests" / "providers" / "samples"

    def line(provider: str, name: str) -> dict[str, Any]:
        return {
            "received_at": "2026-03-02T10:00:01Z",
            "webhook": provider,
            "body": json.loads((samples / name).read_text()),
        }

    path = written(
        tmp_path,
        line("meta-sendlog", "sendlog/free-form.json"),
        line("meta", "statuses.json"),
        line("meta", "r1-temporary-accept.json"),
        line("meta-sendlog", "sendlog/call.json"),
    )
    done = CliRunner().invoke(app, ["replay", str(path), "--emit", "requests"])
    assert done.exit_code == 0
    [row] = [json.loads(one) for one in done.stdout.splitlines()]
    told = (row["request_id"], row["user"], row["campaign"], row["attempt"], row["sent_at"], row["first_response"])
    assert told == ("wamid.TESTREQ0001", "447700900123", "camp-42", 1, 1_772_442_000, "accepted_temporary")


@pytest.fixture(scope="module")
def prefix(broker: str) -> str:
    names = TopicNames(f"test-{secrets.token_hex(4)}.")
    asyncio.run(create_topics(broker, names, 3))
    return names.prefix


@pytest.fixture(scope="module")
def running(broker: str, prefix: str) -> Iterator[Running]:
    with started(broker, prefix) as found:
        asyncio.run(until_ready(found))
        yield found


def records(broker: str, prefix: str) -> Counter[tuple[str, bytes]]:
    """Provider and bytes of every record on the two raw topics."""
    found: Counter[tuple[str, bytes]] = Counter()
    for topic in ("webhooks.raw", "actions.raw"):
        for record in asyncio.run(stored(broker, prefix + topic)):
            found[header(list(record.headers), "provider") or "", record.value or b""] += 1
    return found


def expected(path: Path) -> Counter[tuple[str, bytes]]:
    with Sources([str(path)]) as sources:
        return Counter((found.provider, found.body) for _, found in arrivals(sources) if isinstance(found, Arrival))


@pytest.mark.broker
def test_feed_brings_every_good_line_onto_the_topics_and_names_the_broken_ones(
    broker: str, prefix: str, running: Running, tmp_path: Path
) -> None:
    path = written(tmp_path, GOOD[0], BAD[0], GOOD[1], BAD[1], GOOD[2])
    before = records(broker, prefix)
    owner = {"META_APP_SECRETS": SECRET, "API_KEYS": KEY}
    words = ("feed", "--gateway", running.url, "--json", "--dead-letters", "refused.jsonl")
    done = callgrant(tmp_path, *words, str(path), names=owner)
    assert done.returncode == 3
    counts = {key: value for key, value in done.told.items() if key != "elapsed_s"}
    assert counts == {
        "lines": 5, "sent": 3, "accepted": 3, "repeated": 0, "refused": {"invalid_action": 1, "not_json": 1},
    }  # fmt: skip
    letters = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert [(one["line"], one["reason"], one["path"]) for one in letters] == [
        (2, "not_json", "$"), (4, "invalid_action", "$.user"),
    ]  # fmt: skip
    assert records(broker, prefix) - before == expected(path)
    by_pipe = callgrant(
        tmp_path, "feed", "-", names=owner | {"GATEWAY_PORT": str(running.port)}, stdin=path.read_bytes()
    )
    assert by_pipe.returncode == 3
    assert by_pipe.stdout.startswith("3 of 5 lines accepted, 2 refused")
    assert "line 2: not_json" in by_pipe.stderr


def answered(gateway: Running) -> float:
    """How many webhooks it has answered."""
    lines = httpx.get(f"{gateway.url}/metrics", timeout=30, trust_env=False).text.splitlines()
    webhooks = (one for one in lines if one.startswith("callgrant_gateway_requests_total{") and '"webhook"' in one)
    return sum(float(one.rpartition(" ")[2]) for one in webhooks)


@pytest.mark.broker
@pytest.mark.timeout(900)
def test_feed_goes_on_when_the_gateway_was_killed_and_came_back(broker: str, prefix: str, tmp_path: Path) -> None:
    lines = [{"received_at": AT, "webhook": "meta", "body": {"killed": number}} for number in range(1_000)]
    path, port = written(tmp_path, *lines), free_port()
    environ = {"META_APP_SECRETS": SECRET, "GATEWAY_PORT": str(port)}
    with ThreadPoolExecutor(1) as beside:
        with started(broker, prefix, port=port) as first:
            asyncio.run(until_ready(first))
            words = ("feed", str(path), "--rate", "250", "--patience", "300", "--json")
            feeding = beside.submit(callgrant, tmp_path, *words, names=environ)
            asyncio.run(until(lambda: answered(first) >= 50))
            first.end(signal.SIGKILL)
        with started(broker, prefix, port=port):
            done = feeding.result(600)
    assert (done.returncode, done.stderr) == (0, "")
    assert (done.told["accepted"], done.told["refused"]) == (1_000, {})
    assert done.told["repeated"] > 0
    assert expected(path).keys() <= records(broker, prefix).keys()


@pytest.mark.broker
def test_feed_with_a_wrong_secret_says_which_setting_to_compare(running: Running, tmp_path: Path) -> None:
    path = written(tmp_path, *GOOD)
    done = callgrant(
        tmp_path,
        "feed",
        str(path),
        names={"GATEWAY_PORT": str(running.port), "META_APP_SECRETS": "x", "API_KEYS": KEY},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "CALLGRANT_META_APP_SECRETS" in done.stderr


@pytest.mark.broker
def test_import_keeps_the_receipt_times_and_gives_the_facts_of_the_file(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    path = tmp_path / "history.jsonl"
    made = callgrant(tmp_path, "simulate", "--pairs", "12", "--seed", "5", "--to-file", str(path), names={})
    assert made.returncode == 0
    with path.open("ab") as file:
        file.write(b"".join(json.dumps(one).encode() + b"\n" for one in GOOD) + BAD[0] + b"\n")
        file.write(json.dumps({**GOOD[0], "received_at": "2099-01-01T00:00:00Z"}).encode() + b"\n")
    where = {"KAFKA_BOOTSTRAP": broker, "TOPIC_PREFIX": topic_prefix}
    assert "callgrant topics create" in callgrant(tmp_path, "import", str(path), names=where).stderr
    asyncio.run(create_topics(broker, TopicNames(topic_prefix), 3))
    done = callgrant(tmp_path, "import", str(path), "--json", names=where)
    assert (done.returncode, done.told["refused"]) == (3, {"not_json": 1, "time_in_future": 1})
    facts: set[Fact] = set()
    count = 0
    for topic in ("webhooks.raw", "actions.raw"):
        for record in asyncio.run(stored(broker, topic_prefix + topic)):
            headers, count = list(record.headers), count + 1
            received_at = received_at_of(header(headers, "received_at") or "")
            assert received_at is not None
            assert record.timestamp // 1000 >= received_at
            assert [name for name, _ in headers] == [
                "provider", "received_at", "delivery_id", "secret_slot", "content-type",
            ]  # fmt: skip
            facts.update(translate(header(headers, "provider") or "", record.value or b"", received_at).facts)
    assert count == sum(done.told["written"].values()) == done.told["lines"] - 2
    with Sources([str(path)]) as sources:
        in_file = {
            fact
            for line, found in arrivals(sources)
            if isinstance(found, Arrival) and found.received_at < 4_000_000_000
            for fact in translate(found.provider, found.body, found.received_at).facts
        }
    assert facts == in_file
    assert len(facts) > 100


@pytest.mark.broker
def test_import_without_a_cluster_says_which_setting_to_change(tmp_path: Path) -> None:
    done = callgrant(
        tmp_path, "import", str(written(tmp_path, *GOOD)), names={"KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}"}
    )
    assert done.returncode == 1
    assert "CALLGRANT_KAFKA_BOOTSTRAP" in done.stderr

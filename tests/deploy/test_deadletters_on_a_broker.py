"""`callgrant deadletters` against a real cluster: what it prints, sends and remembers."""

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer

from deploy.cli.main import main
from deploy.topics import create_topics
from schemas.envelope import Headers, dead_letter
from schemas.ids import partition_of
from schemas.topics import MAX_RECORD_BYTES, TopicNames
from tests.deploy.letters import NUMBER, REPLY, USER, Record, parked, webhook
from tests.integration.log import Record as Stood
from tests.integration.log import log_of
from tests.ports import free_port

PARTITIONS = 2


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What `--json` printed, one object a line."""
        return [json.loads(row) for row in self.out.splitlines()]


class Cluster:
    """Topics of one test, and the command against them, in this process."""

    def __init__(self, bootstrap: str, names: TopicNames, capsys: pytest.CaptureFixture[str]) -> None:
        self.bootstrap, self.names, self._capsys = bootstrap, names, capsys

    def run(self, *words: str) -> Done:
        settings = {
            "CALLGRANT_KAFKA_BOOTSTRAP": self.bootstrap,
            "CALLGRANT_TOPIC_PREFIX": self.names.prefix,
            "CALLGRANT_PARTITIONS": str(PARTITIONS),
        }
        with pytest.MonkeyPatch.context() as patched:
            for name in [name for name in os.environ if name.startswith("CALLGRANT_")]:
                patched.delenv(name)
            for name, value in settings.items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["callgrant", "deadletters", *words])
            self._capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *self._capsys.readouterr())

    def put(self, letters: Iterable[Record]) -> None:
        """Write the letters where and with what they say."""
        asyncio.run(
            self._put([("deadletters", one.partition, one.key, one.value, list(one.headers)) for one in letters])
        )

    def put_at_origin(self, value: bytes) -> None:
        asyncio.run(self._put([("webhooks.raw", 0, None, value, [])]))

    def on(self, topic: str) -> list[Stood]:
        async def read() -> list[Stood]:
            async with log_of(self.bootstrap) as log:
                return await log.everything_on(self.names.of(topic))

        return asyncio.run(read())

    async def _put(self, records: Iterable[tuple[str, int, bytes | None, bytes | None, Headers]]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_request_size=MAX_RECORD_BYTES)
        await producer.start()
        try:
            for topic, partition, key, value, headers in records:
                await producer.send_and_wait(
                    self.names.of(topic), key=key, value=value, headers=headers, partition=partition
                )
        finally:
            await producer.stop()


@pytest.fixture
def cluster(
    broker: str,
    topic_prefix: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Cluster:
    monkeypatch.chdir(tmp_path)
    names = TopicNames(topic_prefix)
    asyncio.run(create_topics(broker, names, PARTITIONS))
    return Cluster(broker, names, capsys)


def of(cluster: Cluster, name: str, offset: int) -> tuple[str, int, int]:
    return cluster.names.of(name), 0, offset


def mixed(cluster: Cluster) -> list[Record]:
    """A webhook that can be read today, one that cannot, one that can in part, and a command."""
    late = {**REPLY, "id": "wamid.TESTREPLY2", "timestamp": "soon"}
    return [
        parked((0, 0), webhook(REPLY), reason="unknown_provider", origin=of(cluster, "webhooks.raw", 0)),
        parked((1, 0), b"{", origin=of(cluster, "webhooks.raw", 1), provider="gupshup"),
        parked((0, 1), webhook(REPLY, late), reason="unreadable_time", origin=of(cluster, "webhooks.raw", 2)),
        parked(
            (1, 1), b"{}", reason="commands_not_supported", origin=of(cluster, "permission.commands", 0), arrived=[]
        ),
    ]


@pytest.mark.broker
def test_a_retry_sends_what_can_be_read_and_tells_what_became_of_each(cluster: Cluster) -> None:
    letters = mixed(cluster)
    cluster.put(letters)

    look = cluster.run("retry", "--all", "--dry-run", "--json")
    assert cluster.on("webhooks.raw") == []
    done = cluster.run("retry", "--all", "--json")

    fates = {"0:0": "sent", "0:1": "partly readable", "1:0": "still unreadable", "1:1": "never sent"}
    assert {row["address"]: row["fate"] for row in done.rows} == fates
    assert {row["address"]: row["fate"] for row in look.rows} == fates | {"0:0": "would be sent"}
    assert (look.code, done.code) == (3, 3)
    (back,) = cluster.on("webhooks.raw")
    assert back.value == letters[0].value
    arrived = {name: text.decode() for name, text in letters[0].headers[7:]}
    assert back.headers == {**arrived, "retried": "0:0"}
    became = {row["address"]: row["became"] for row in cluster.run("list", "--json", "--done").rows}
    assert became == {"0:0": "retried", "0:1": "open", "1:0": "open", "1:1": "open"}
    told = cluster.run("retry", "--all")
    assert "1 never sent, 1 partly readable, 1 still unreadable" in told.out
    assert len(cluster.on("webhooks.raw")) == 1, "a letter that went back is not sent again"


@pytest.mark.broker
def test_what_can_be_read_in_part_goes_back_when_asked_and_a_named_letter_goes_back_again(cluster: Cluster) -> None:
    cluster.put(mixed(cluster))

    assert cluster.run("retry", "--reason", "unreadable_time", "--partly").code == 0
    assert cluster.run("retry", "0:1", "--partly").code == 0

    assert [each.headers["retried"] for each in cluster.on("webhooks.raw")] == ["0:1", "0:1"]


@pytest.mark.broker
def test_a_record_parked_for_two_reasons_goes_back_once_and_both_letters_are_done(cluster: Cluster) -> None:
    origin = of(cluster, "webhooks.raw", 0)
    cluster.put([parked((0, 0), webhook(REPLY), origin=origin)])
    cluster.put([parked((0, 1), webhook(REPLY), origin=origin, reason="unknown_number")])

    assert cluster.run("retry", "--reason", "unknown_number").code == 0

    assert len(cluster.on("webhooks.raw")) == 1
    assert cluster.run("list").out == "no open letter\n"


@pytest.mark.broker
def test_a_fact_goes_back_to_the_partition_of_its_pair(cluster: Cluster) -> None:
    fact: dict[str, Any] = {"type": "user_messaged", "fact_id": "f1", "phone_number_id": NUMBER, "user": USER}
    fact |= {"occurred_at": 1_772_443_800, "recorded_at": 1_772_443_801, "provider": "meta", "message_id": "m1"}
    key = f"{NUMBER}/{USER}".encode()
    origin = of(cluster, "permission.events", 3)
    cluster.put([parked((0, 0), json.dumps(fact).encode(), key=key, origin=origin, reason="fold_failed", arrived=[])])

    done = cluster.run("retry", "0:0", "--json")

    assert [row["fate"] for row in done.rows] == ["sent"], done
    assert done.code == 0, done
    (back,) = cluster.on("permission.events")
    assert (back.key, back.partition) == (key, partition_of(key, PARTITIONS))


@pytest.mark.broker
def test_bytes_that_stayed_at_their_origin_are_read_there(cluster: Cluster) -> None:
    whole = webhook({**REPLY, "note": "x" * (MAX_RECORD_BYTES - 100_000)})
    cluster.put_at_origin(whole)
    for offset, reason in ((0, "unknown_number"), (7, "not_json")):
        headers = dead_letter(
            reason=reason,
            path="$",
            detail="",
            topic=cluster.names.of("webhooks.raw"),
            partition=0,
            offset=offset,
            left_bytes=len(whole),
        )
        letter = parked((0, offset), b"")
        cluster.put([letter._replace(headers=[*headers, ("provider", b"meta")])])

    done = cluster.run("retry", "--all", "--json")

    assert {row["parked_for"]: row["fate"] for row in done.rows} == {"unknown_number": "sent", "not_json": "gone"}
    assert sorted(len(each.value) for each in cluster.on("webhooks.raw")) == [len(whole), len(whole)]


@pytest.mark.broker
def test_dropping_asks_first_marks_and_deletes_nothing(cluster: Cluster) -> None:
    cluster.put(mixed(cluster))

    refused = cluster.run("drop", "--reason", "not_json")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert cluster.run("drop").code == 2, "all only when that is said"
    assert cluster.run("drop", "--reason", "not_json", "--yes").out == "1 dropped\n"

    assert len(cluster.on("deadletters")) == 5
    mark = cluster.on("deadletters")[-1]
    assert (mark.partition, mark.headers) == (1, {"marks": "1:0", "outcome": "dropped"})
    counts = json.loads(cluster.run("stats", "--by", "reason", "--json").out)
    assert {row["reason"]: (row["open"], row["dropped"]) for row in counts}["not_json"] == (0, 1)
    assert cluster.run("drop", "--all", "--yes").out == "3 dropped\n"
    assert cluster.run("retry", "--all").out == "no open letter\n"


@pytest.mark.broker
def test_nothing_but_show_with_bytes_tells_a_number(cluster: Cluster) -> None:
    key = f"{NUMBER}/{USER}".encode()
    origin = of(cluster, "webhooks.raw", 0)
    cluster.put(
        [parked((0, 0), webhook(REPLY), key=key, origin=origin, path="$.entry[0].changes[0].value.messages[0].from")]
    )

    for words in (["list"], ["list", "--json"], ["stats"], ["show", "0:0"], ["retry", "--all", "--dry-run"]):
        said = cluster.run(*words)
        assert said.code == 0, said
        assert USER not in said.out + said.err
        assert "wamid" not in said.out + said.err
    shown = cluster.run("show", "0:0", "--bytes", "--json")
    assert json.loads(shown.out)["at_the_path"] == USER
    assert "may hold phone numbers" in shown.err
    assert f'"from": "{USER}"' in cluster.run("show", "0:0", "--bytes").out


@pytest.mark.broker
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["show", "0:99"], 1, "no letter at 0:99"),
        (["show", "x"], 2, "is no address"),
        (["retry"], 2, "--all"),
        (["retry", "0:0", "--reason", "not_json"], 2, "not both"),
        (["stats", "--by", "colour"], 2, "reason, provider, origin, day"),
        (["list", "--since", "yesterday"], 2, "RFC 3339"),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_right(
    cluster: Cluster, words: list[str], code: int, says: str
) -> None:
    done = cluster.run(*words)

    assert (done.code, says in " ".join(done.err.replace("│", " ").split())) == (code, True), done


@pytest.mark.broker
def test_a_cluster_without_our_topics_says_which_command_makes_them(
    broker: str, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Cluster(broker, TopicNames(topic_prefix), capsys).run("list")

    assert (done.code, "callgrant topics create" in done.err) == (1, True)


def test_a_cluster_that_does_not_answer_is_named_with_its_setting(capsys: pytest.CaptureFixture[str]) -> None:
    done = Cluster(f"127.0.0.1:{free_port()}", TopicNames("t."), capsys).run("stats")

    assert (done.code, "CALLGRANT_KAFKA_BOOTSTRAP" in done.err) == (1, True)

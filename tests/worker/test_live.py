"""The worker as a process on a real broker: exact through kills, a wiped store, joins and quiet partitions."""

import asyncio
import dataclasses
import shutil
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.codec import encode_fact
from schemas.envelope import header
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from streams.permission.answer import answer
from streams.worker.exits import Code
from tests.permission.story import NUMBER, PRODUCTION, USER, replied
from tests.ports import free_port
from tests.providers.payloads import body, envelope, reply, value
from tests.worker.live import PARTITIONS, PATIENCE_S, Process, Scene, bare, scene, until
from tests.worker.seeded import RECEIVED_MS, Raw, raw_past, straight_fold

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]


@pytest.fixture
async def stage(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(broker, topic_prefix, tmp_path) as made:
        yield made


async def test_two_kills_under_way_lose_and_double_nothing(stage: Scene) -> None:
    raws = raw_past(seed=11, facts=2_000)
    wanted = straight_fold(raws)
    worker = stage.worker(session_timeout_s=6.0)  # the least a broker allows: a killed member is waited for this long
    await worker.ready()
    async with stage.reader("permission.state") as state:
        for part in (raws[:700], raws[700:1_400]):
            seen = len(state.records)
            await stage.send(part)
            while len(state.records) == seen:  # under way: some of this part is in the changelog
                await state.more()
            worker.kill()
            worker.start()
        await stage.send(raws[1_400:])
        await state.until_states_are(wanted, 90)
        assert worker.terminate() == Code.STOPPED

        await state.to_the_end()
        assert bare(worker.stored()) == bare(state.states()) == bare(wanted)
        assert worker.stored() == state.states(), "bookkeeping too: the store is the changelog"

    contents = defaultdict(set)
    last: dict[bytes, dict[str, Any]] = {}
    for record in await stage.all_on("permission.changes"):
        change = orjson.loads(record.value)
        contents[change["change_id"]].add(record.value)
        last[record.key] = change
        assert header(record.headers, "ce_id") == change["change_id"]
    assert {len(each) for each in contents.values()} == {1}
    for key, change in last.items():
        assert said(change["after"]) == judged(wanted[key], state.states()[key].judged_at)
    assert await stage.all_on("deadletters") == []


def said(after: Any) -> tuple[object, ...]:
    """What an announcement says of the permission; requests and calls move the rest without one."""
    return after["permission"], after["reason"], after["granted_at"], after["via"]


def judged(state: PairState, at: int) -> tuple[object, ...]:
    told = answer(state, at, DEFAULT_POLICY, PRODUCTION)
    return said({"permission": told["permission"], **told["standing"]})


async def test_a_wiped_store_is_recovered_equal_and_goes_on(stage: Scene) -> None:
    raws = raw_past(seed=12, facts=1_000)
    worker = stage.worker()
    async with stage.reader("permission.state") as state:
        await stage.send(raws[:900])
        await state.until_states_are(straight_fold(raws[:900]))
        assert worker.terminate() == Code.STOPPED
        before = worker.stored()
        shutil.rmtree(worker.settings.folder)

        worker.start()
        await worker.ready()
        await stage.send(raws[900:])
        await state.until_states_are(straight_fold(raws))
        assert worker.terminate() == Code.STOPPED

    after = worker.stored()
    assert after.keys() >= before.keys()
    assert bare(after) == bare(straight_fold(raws))


async def test_workers_that_join_and_leave_stay_exact(stage: Scene) -> None:
    raws = raw_past(seed=13, facts=1_500)
    first = stage.worker("1")
    await first.ready()
    async with stage.reader("permission.state") as state:
        await stage.send(raws[:500])
        second = stage.worker("2")
        await second.ready()
        await stage.send(raws[500:1_000])
        await state.until_states_are(straight_fold(raws[:1_000]))
        assert shares_work(second.ask("metrics")[1])
        assert first.terminate() == Code.STOPPED
        await stage.send(raws[1_000:])
        await state.until_states_are(straight_fold(raws))
        assert second.terminate() == Code.STOPPED

        assert bare(second.stored()) == bare(straight_fold(raws))


def shares_work(metrics: str) -> bool:
    facts = [line for line in metrics.splitlines() if line.startswith("callgrant_worker_facts_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in facts) > 0


async def test_a_tick_announces_an_expiry_on_a_quiet_partition(stage: Scene) -> None:
    worker = stage.worker(tick_every_s=2.0)
    await worker.ready()
    now = int(time.time())  # noqa: TID251 - the worker's leader reads it too
    fact = replied("wamid.TESTREPLY1", now - 100, until=now + 3)
    await stage.send_to("permission.events", encode_fact(fact), f"{NUMBER}/{USER}".encode())
    async with stage.reader("permission.changes") as changes:
        began_at = time.monotonic()
        while len(changes.records) < 2:
            assert time.monotonic() - began_at < PATIENCE_S
            await changes.more()
    told = [orjson.loads(record.value) for record in changes.records]
    assert [(change["type"], change["occurred_at"]) for change in told] == [
        ("permission_granted", now - 100),
        ("permission_expired", now + 3),
    ]
    assert worker.terminate() == Code.STOPPED


async def test_no_grant_expires_whose_renewal_was_received_and_waits_to_be_translated(
    stage: Scene, tmp_path: Path
) -> None:
    then, opened = RECEIVED_MS // 1000, tmp_path / "translate"
    grant = replied("wamid.TESTREPLY1", then - 100, until=then - 20)
    renewal = reply("wamid.TESTREPLY2", timestamp=str(then - 50), response="accept", is_permanent=True)
    await stage.send_to("permission.events", encode_fact(grant), f"{NUMBER}/{USER}".encode())
    await stage.send([Raw("webhooks.raw", body(envelope(value(messages=[renewal]))))])
    worker = stage.worker(tick_every_s=0.5, environment={"TEST_WORKER_HOLDS": str(opened)})
    await worker.ready()
    async with stage.reader("permission.changes") as changes:
        while len(changes.records) < 1:
            await changes.more()
        await asyncio.sleep(3.0)  # several ticks, each of which would announce it; that none comes is no condition
        opened.touch()
        while len(changes.records) < 2:
            await changes.more()
        await until(lambda: tick_age_s(worker.ask("metrics")[1]) < 60)
        await changes.to_the_end()
    told = [orjson.loads(record.value) for record in changes.records]
    assert [(change["type"], change["occurred_at"]) for change in told] == [
        ("permission_granted", then - 100),
        ("permission_granted", then - 50),
    ]
    assert worker.terminate() == Code.STOPPED


def tick_age_s(metrics: str) -> float:
    [age] = [line for line in metrics.splitlines() if line.startswith("callgrant_worker_last_tick_age_seconds")] or [
        "none inf"
    ]
    return float(age.split()[1])


async def test_an_expiry_on_a_quiet_partition_is_announced_within_fifteen_seconds_by_default_ticks(
    stage: Scene,
) -> None:
    worker = stage.worker()
    await worker.ready()
    now = int(time.time())  # noqa: TID251 - likewise
    deadlines = {now + 4 + 3 * place for place in range(4)}
    for place, deadline in enumerate(sorted(deadlines)):
        fact = dataclasses.replace(
            replied(f"wamid.TESTREPLY{place}", now - 100, until=deadline), user=f"44770090012{place}"
        )
        await stage.send_to("permission.events", encode_fact(fact), f"{NUMBER}/{fact.user}".encode())
    async with stage.reader("permission.changes") as changes:
        while len(changes.records) < 2 * len(deadlines):
            await changes.more()
    found = [(orjson.loads(record.value), record.timestamp) for record in changes.records]
    expired = {told["occurred_at"]: stamp / 1000 for told, stamp in found if told["type"] == "permission_expired"}
    assert expired.keys() == deadlines
    assert max(stamp - deadline for deadline, stamp in expired.items()) < 15
    assert worker.terminate() == Code.STOPPED


async def test_what_cannot_be_judged_is_parked_and_health_tells_the_rest(stage: Scene) -> None:
    worker = stage.worker()
    await worker.ready()
    assert worker.ask("livez")[0] == 200
    await stage.send_to("webhooks.raw", b"{not json")
    await stage.send_to("permission.events", b"[]", f"{NUMBER}/{USER}".encode())
    await stage.send_to("permission.commands", b"{}", f"{NUMBER}/{USER}".encode())
    async with stage.reader("deadletters") as letters:
        began_at = time.monotonic()
        while len(letters.records) < 3:
            assert time.monotonic() - began_at < PATIENCE_S
            await letters.more()
    reasons = {header(record.headers, "reason"): record.value for record in letters.records}
    assert reasons == {"unknown_provider": b"{not json", "not_an_object": b"[]", "commands_not_supported": b"{}"}
    parked = 'callgrant_worker_deadletters_total{reason="not_an_object"} 1.0'
    await until(lambda: parked in worker.ask("metrics")[1])  # counted once the batch is done

    again = stage.worker()  # the same instance: its folder is held
    assert again.running is not None
    await until(lambda: again.running is not None and again.running.poll() is not None)
    assert again.running.returncode == Code.FOLDER_HELD
    assert worker.terminate() == Code.STOPPED


async def test_a_worker_that_can_judge_almost_nothing_halts_through_joins_and_leaves_on_term(stage: Scene) -> None:
    worker = stage.worker()
    await worker.ready()
    bad = Raw("webhooks.raw", b"{not json")
    for _ in range(40):  # one partition's thousandth in a row is what halts; until then each is put aside
        if worker.ask("readyz")[0] == 503:
            break
        await stage.send([bad] * 200)
    await until(lambda: worker.alive() and worker.ask("readyz")[1].startswith("halted: "))
    assert "callgrant_worker_halted 1.0" in worker.ask("metrics")[1]
    assert "start the worker again" in worker.log.read_text()

    second = stage.worker("2")  # the group must not wait for batches that nobody will acknowledge
    # It gets partitions of its own, and what waits there: it may well halt before anybody saw it ready.
    await until(lambda: second.alive() and second.ask("readyz")[1].startswith(("ready", "halted: ")))
    before = counted(worker)
    assert second.terminate() == Code.STOPPED
    await stage.send([bad] * 200)
    third = stage.worker("2")
    await until(lambda: third.alive() and third.ask("readyz")[1].startswith(("ready", "halted: ")))

    assert (worker.ask("livez")[0], worker.ask("readyz")[0]) == (200, 503)
    assert counted(worker) == before, "through two more assignments nothing was worked"
    assert [third.terminate(), worker.terminate()] == [Code.STOPPED, Code.STOPPED]


def counted(worker: Process) -> list[str]:
    return [line for line in worker.ask("metrics")[1].splitlines() if line.startswith("callgrant_worker_records_total")]


async def test_a_worker_without_a_broker_says_so_lives_and_leaves_on_term(stage: Scene) -> None:
    worker = dataclasses.replace(stage, bootstrap=f"127.0.0.1:{free_port()}").worker()
    await until(lambda: worker.alive() and "CALLGRANT_KAFKA_BOOTSTRAP" in worker.log.read_text())
    assert (worker.ask("livez")[0], worker.ask("readyz")[0]) == (200, 503)
    assert worker.terminate() == Code.STOPPED


async def test_a_worker_refuses_topics_of_another_count(stage: Scene) -> None:
    worker = stage.worker(partitions=PARTITIONS + 2)
    assert worker.running is not None
    assert worker.running.wait(PATIENCE_S) == Code.TOPICS_UNFIT
    assert f"CALLGRANT_PARTITIONS is {PARTITIONS + 2}" in worker.log.read_text()

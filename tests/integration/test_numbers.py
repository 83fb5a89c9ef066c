"""What is told of a business number reaches the answers: worker and api on a real broker, the worker killed on the way.

The same history replayed in one process says the same, field by field.
"""

import asyncio
import dataclasses
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaProducer

from schemas.actions import instant
from schemas.business import decode_business
from schemas.envelope import header, raw_record
from schemas.policy import DEFAULT_POLICY
from schemas.state_row import version_of
from schemas.topics import TopicNames
from streams.api.app import build
from streams.api.freshness import Freshness
from streams.countries import country_of
from streams.kafka.replica import Replica
from streams.permission.directory import Directory
from streams.worker.exits import Code
from tests.api.door import KEYS, SETTINGS, asking
from tests.replay.playing import play
from tests.replay.written import DAY, DISPLAY, HOUR, NUMBER, T0, WABA, Line, action, reply, restricted, user, webhook
from tests.worker.live import Scene, scene

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]
WEEK = 7 * DAY
PAUSED = [("business_restricted", None), ("business_restricted", T0 + HOUR + WEEK)]
"""A permanent permission: there is never a reason to ask again, so only the call has an instant to come."""


def settings(at: int, status: str, **calling: Any) -> Line:
    told = {"phone_number_id": NUMBER, "calling": {"status": status, **calling}}
    value = {"messaging_product": "whatsapp", "timestamp": str(at), "type": "phone_number_settings"}
    return webhook(at + 1, "account_settings_update", value | {"phone_number_settings": told})


def template_status(at: int, status: str) -> Line:
    told = {"event": status, "message_template_name": "test_cpr_template", "message_template_language": "en"}
    return webhook(at + 1, "message_template_status_update", told, time=at)


def by_display_alone(line: Line) -> Line:
    """The webhook without the number's id."""
    del line["body"]["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"]
    return line


def registered(at: int, **said: Any) -> Line:
    line = action("business_registered", "", at, **said)
    del line["action"]["user"]
    return line


def permanent(place: int, at: int = T0) -> Line:
    return reply(user(place), f"wamid.TESTREPLY{place:02d}", at, permanent=True)


@pytest.fixture
async def stage(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(broker, topic_prefix, tmp_path) as made:
        yield made


async def send(stage: Scene, lines: list[Line]) -> None:
    """The lines as the gateway stores them."""
    producer = AIOKafkaProducer(bootstrap_servers=stage.bootstrap)
    await producer.start()
    try:
        for place, line in enumerate(lines):
            topic, provider = ("actions.raw", "actions") if "action" in line else ("webhooks.raw", line["webhook"])
            received_ms = instant(line["received_at"]) * 1000  # what occurred later would be put aside
            headers = raw_record(
                provider=provider, received_at_ms=received_ms, delivery_id=f"d{place}", secret_slot="test"
            )
            body = orjson.dumps(line.get("action", line.get("body")))
            await producer.send_and_wait(stage.names.of(topic), body, headers=headers)
    finally:
        await producer.stop()


@dataclasses.dataclass(slots=True)
class Asked:
    """The api over the topics of a test."""

    client: httpx.AsyncClient

    async def pair(self, place: int, at: int) -> dict[str, Any]:
        return await self._get(f"/{NUMBER}/call_permissions", user_wa_id=user(place), at=str(at))

    async def number(self, at: int, name: str = NUMBER) -> dict[str, Any]:
        return await self._get(f"/v1/numbers/{name}", at=str(at))

    async def _get(self, url: str, **params: str) -> dict[str, Any]:
        async with asyncio.timeout(120):
            while (got := await self.client.get(url, params=params)).status_code == 503:  # noqa: ASYNC110 - another process works on it
                await asyncio.sleep(0.05)
        assert got.status_code == 200, got.text
        said: dict[str, Any] = got.json()
        return said

    async def until(self, true: Callable[[dict[str, Any]], bool], place: int, at: int) -> dict[str, Any]:
        async with asyncio.timeout(120):
            while not true(said := await self.pair(place, at)):  # noqa: ASYNC110 - another process works on it
                await asyncio.sleep(0.05)
        return said


@asynccontextmanager
async def api_over(bootstrap: str, names: TopicNames) -> AsyncIterator[Asked]:
    """Bounded by half a minute of lag; a worker that is down for longer is 503."""
    pairs, directory = (
        Replica(bootstrap, names.of("permission.state"), version_of),
        Directory(DEFAULT_POLICY, country_of),
    )
    rows = Replica(bootstrap, names.of("business.state"), version_of, directory.hear)
    freshness = Freshness(bootstrap, names, pairs, rows, every_s=0.2)
    parts = [asyncio.create_task(part.run()) for part in (pairs, rows, freshness)]
    try:
        async with asking(build(SETTINGS, KEYS, pairs, freshness, directory)) as client:
            yield Asked(client)
        assert not any(part.done() for part in parts), "a part ended by itself"
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


def refused(said: dict[str, Any]) -> list[tuple[str | None, int | None]]:
    return [(one["reason"], one["retry_at"]) for one in said["actions"]]


async def test_what_is_told_of_a_number_is_judged_in_the_answers_through_a_kill_and_as_replay_says(
    stage: Scene, tmp_path: Path
) -> None:
    history = [
        permanent(1),
        restricted(T0 + HOUR, T0 + HOUR + WEEK),
        settings(T0 + 9 * DAY, "DISABLED"),
        settings(T0 + 10 * DAY, "ENABLED", sip={"status": "ENABLED"}, call_icon_visibility="DEFAULT"),
        template_status(T0, "APPROVED"),
        by_display_alone(permanent(2, T0 + DAY)),
    ]
    worker = stage.worker(session_timeout_s=6.0)
    await worker.ready()
    async with api_over(stage.bootstrap, stage.names) as asked:
        await send(stage, history[:2])
        paused = await asked.until(lambda said: said["actions"][1]["reason"] == "business_restricted", 1, T0 + DAY)
        assert refused(paused) == PAUSED
        assert paused["permission"] == {"status": "permanent"}

        worker.kill()
        await send(stage, history[2:3])  # nobody reads it yet
        worker.start()
        off = await asked.until(lambda said: said["actions"][1]["reason"] == "calling_disabled", 1, T0 + 9 * DAY)
        assert refused(off) == [("calling_disabled", None)] * 2
        assert refused(await asked.pair(1, T0 + DAY)) == PAUSED

        await send(stage, history[3:])
        on = await asked.until(lambda said: said["actions"][1]["reason"] is None, 1, T0 + 10 * DAY)
        assert refused(on) == [("permanent_permission_exists", None), (None, None)]
        named = await asked.until(lambda said: said["permission"]["status"] == "permanent", 2, T0 + 10 * DAY)
        assert named["standing"]["label"] == "granted", "its number was named by the display form alone"

        shown = await asked.number(T0 + 11 * DAY)
        assert (shown["display_phone_numbers"], shown["country"]) == ([DISPLAY], "GB")
        assert (shown["calling_enabled"], shown["sip_enabled"], shown["call_icon_visibility"]) == (
            True,
            True,
            "DEFAULT",
        )
        assert [one["until"] for one in shown["restrictions"]] == [T0 + HOUR + WEEK]
        [template] = (await asked.number(T0 + 11 * DAY, WABA))["templates"]
        assert (template["name"], template["status"]) == ("test_cpr_template", "APPROVED")

        for at in (T0, T0 + DAY, T0 + HOUR + WEEK, T0 + 9 * DAY, T0 + 10 * DAY):
            played = play(tmp_path, history, as_of=at)
            for place in (1, 2):
                line = played.standing(user(place))
                said = {name: line[name] for name in ("as_of", "permission", "actions", "standing")}
                assert await asked.pair(place, at) == {"messaging_product": "whatsapp", **said}
    assert worker.terminate() == Code.STOPPED


async def test_the_state_of_numbers_survives_kills_a_wiped_store_and_a_second_worker(stage: Scene) -> None:
    first = stage.worker("1", session_timeout_s=6.0)
    await first.ready()
    await send(stage, [permanent(1), settings(T0, "DISABLED")])
    async with stage.reader("business.state") as rows:

        async def until_settings(count: int) -> None:
            async with asyncio.timeout(120):
                while len(newest(rows.records, NUMBER)) < count:
                    await rows.more()

        await until_settings(1)
        first.kill()
        first.start()
        second = stage.worker("2", session_timeout_s=6.0)
        await second.ready()
        await send(stage, [settings(T0 + HOUR, "ENABLED")])
        await until_settings(2)
        second.kill()
        assert first.terminate() == Code.STOPPED
        shutil.rmtree(first.settings.folder)
        first.start()
        await first.ready()
        await send(stage, [settings(T0 + 2 * HOUR, "DISABLED"), settings(T0, "DISABLED")])
        await until_settings(3)
        assert [mark.calling_enabled for mark in newest(rows.records, NUMBER)] == [False, True, False]
        versions = [version_of(record.value) for record in rows.records if record.key == NUMBER.encode()]
        assert versions == sorted(versions)
    assert first.terminate() == Code.STOPPED


def newest(records: list[Any], name: str) -> tuple[Any, ...]:
    """The settings in the row a reader keeps: the higher version."""
    values = [record.value for record in records if record.key == name.encode()]
    return decode_business(max(values, key=version_of)).settings if values else ()


async def test_a_fact_by_display_number_alone_is_put_aside_until_the_number_is_registered(stage: Scene) -> None:
    worker = stage.worker()
    await worker.ready()
    await send(stage, [by_display_alone(permanent(1))])
    async with stage.reader("deadletters") as letters:
        async with asyncio.timeout(120):
            while not letters.records:
                await letters.more()
        assert [header(record.headers, "reason") for record in letters.records] == ["unknown_number"]
    async with api_over(stage.bootstrap, stage.names) as asked:
        await send(stage, [registered(T0, display_phone_number=f"+{DISPLAY}", profile="sandbox")])
        async with asyncio.timeout(120):
            while (shown := await asked.number(T0 + DAY))["profile"] != "sandbox":  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.05)
        assert shown["display_phone_numbers"] == [DISPLAY]
        await send(stage, [by_display_alone(permanent(1))])
        said = await asked.until(lambda said: said["permission"]["status"] == "permanent", 1, T0 + DAY)
        assert said["actions"][0]["limits"][0]["max_allowed"] == 25, "the profile that was registered"
    assert worker.terminate() == Code.STOPPED

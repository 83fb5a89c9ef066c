"""Promise 7 over a whole run: what processes write and answer in error leads to no user.

One run of every process with everything odd that can be sent at their doors and put on their topics, each of it full of
phone numbers; then everything they wrote is searched: logs, error answers, metrics, what commands print unasked. On the
way a letter that was parked because nobody knew its number is sent back once the number is registered.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from deploy.progress import Stage, stages, until_caught_up
from schemas.envelope import REASON, raw_record
from schemas.topics import TopicNames
from tests.integration.house import API_KEY, APP_SECRET, PORTS, House
from tests.integration.log import Record, log_of

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse, pytest.mark.timeout(900)]

NUMBER: Final = "700100200300400"
UNHEARD_OF: Final = "700100200300499"
DISPLAY: Final = "442079460123"
USERS: Final = tuple(f"447700900{last:03d}" for last in range(900, 930))
SCOPED: Final = "GB.1000000000000900900"
TOKEN: Final = "TEST-token"
AUTHORIZED: Final = {"authorization": f"Bearer {API_KEY}"}
CAUGHT_UP_WITHIN_S: Final = 180.0
SETTLED_WITHIN_S: Final = 180.0


def encoded(digits: str) -> Iterator[str]:
    """The digits as they look inside base64, at each of the three places they may begin: as in a real message id."""
    for shift in range(3):
        text = base64.b64encode(b"\x00" * shift + digits.encode()).decode().rstrip("=")
        yield text[4 if shift else 0 : -2]


TELLTALES: Final = re.compile(
    "|".join(
        [r"\+?44[ -]?\(?0?\)?7700[ -]?900[ -]?9\d\d", r"44[ -]?20[ -]?7946[ -]?0123", r"wam?cid\.|wamid\.|wacid\."]
        + [re.escape(SCOPED)]
        + [re.escape(text) for text in encoded("447700900900")]
    )
)


def letters_of(text: str) -> list[str]:
    """Where a text leads to a user, with some of what stands around it."""
    return [text[max(0, found.start() - 120) : found.end() + 40] for found in TELLTALES.finditer(text)]


@dataclass
class Seen:
    """Everything that was said."""

    texts: dict[str, str] = field(default_factory=dict)
    """By where it was said: error answers, metrics, health, output of commands."""
    logs: dict[str, str] = field(default_factory=dict)
    raw: list[Record] = field(default_factory=list)
    letters: list[Record] = field(default_factory=list)
    retried: list[dict[str, Any]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)


def value(**parts: object) -> dict[str, object]:
    metadata = {"display_phone_number": f"+{DISPLAY}", "phone_number_id": NUMBER}
    return {"messaging_product": "whatsapp", "metadata": metadata, **parts}


def body(*changes: dict[str, object]) -> bytes:
    entry = [{"id": "900100200300400", "changes": list(changes)}]
    return json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()


def messages(*found: object, **more: object) -> dict[str, object]:
    return {"field": "messages", "value": value(messages=list(found), **more)}


def reply(user: str, **odd: object) -> dict[str, object]:
    said = {"response": "accept", "is_permanent": True, "response_source": "user_action"}
    return {
        "from": user,
        "id": f"wamid.{base64.b64encode(user.encode()).decode()}",
        "timestamp": str(int(time.time()) - 3_600),
        "type": "interactive",
        "interactive": {"type": "call_permission_reply", "call_permission_reply": said},
        **odd,
    }


def odd_webhooks() -> Iterator[bytes]:
    """Authentic ones: some good, most of them bad in a way that tempts a program to quote what it met."""
    user = USERS[0]
    yield body(messages(*[reply(each) for each in USERS]))
    for odd in (
        {"timestamp": user},
        {"timestamp": f"+{user}"},
        {"type": user},
        {"type": f"call_{user}"},
        {"id": {user: user}},
        {"id": f"wamid.{user}\u0000\r\n{user}"},
        {"from": f"+{user} ext {user}"},
        {"from": [user], "from_user_id": SCOPED},
        {"context": {"id": [f"wamid.{user}"]}},
        {"interactive": {"type": "call_permission_reply", "call_permission_reply": {"response": user}}},
        {"interactive": {"type": "call_permission_reply", "call_permission_reply": user}},
        {"interactive": {"type": user}},
        {user: user, "errors": [{"code": user, "title": user, "details": f"wamid.{user}"}]},
    ):
        yield body(messages(reply(user, **odd), reply(USERS[1], **odd)))
    yield body({"field": user, "value": value(messages=[reply(user)])})
    yield body({"field": f"a_field_of_{user}", "value": {}}, {"field": "a_field_of_tomorrow", "value": {}})
    yield body({"field": "account_update", "value": {"event": user, "violation_info": {"violation_type": user}}})
    yield body({"field": "calls", "value": value(calls=[{"id": f"wacid.{user}", "event": user, "from": user}])})
    yield body({"field": "messages", "value": {"metadata": {"phone_number_id": f"+{user}"}, "messages": [reply(user)]}})
    statuses = [{"id": f"wamid.{user}", "status": user, "timestamp": "1", "recipient_id": f"{user}x"}]
    yield body({"field": "messages", "value": value(statuses=statuses)})
    yield f'{{"object": "whatsapp_business_account", "entry": [{{"from": "{user}", "id": "wamid.{user}"'.encode()
    yield f'"{user}"'.encode()
    yield user.encode()
    yield f"[{user}, NaN, 1e400]".encode()
    yield b'{"' + user.encode() + b'": "\xff\xfe"}'
    yield b'{"a":' * 1_100 + f'"{user}"'.encode() + b"}" * 1_100


def unknown_number(user: str) -> bytes:
    """A webhook that names its number by a display form that nobody told us of yet."""
    parts = {"messaging_product": "whatsapp", "metadata": {"display_phone_number": "442079460999"}}
    return body({"field": "messages", "value": {**parts, "messages": [reply(user)]}})


def odd_actions() -> Iterator[bytes]:
    """Each refused with 422, or by its key."""
    user = USERS[2]
    good = {"type": "request_sent", "phone_number_id": NUMBER, "user": user, "message_id": f"wamid.{user}"}
    good |= {"kind": "free_form", "occurred_at": str(int(time.time()) - 600)}
    for odd in (
        {"type": user},
        {"user": f"+{user} call me"},
        {"user": {user: user}},
        {"phone_number_id": f"+{user}"},
        {"message_id": [f"wamid.{user}"]},
        {"occurred_at": user},
        {"kind": user},
        {"origin": user},
        {"template": {user: user}},
        {"campaign": {user: 1}},
    ):
        yield json.dumps([good | odd]).encode()
    yield json.dumps({user: good, f"wamid.{user}": user}).encode()
    yield f'{{"type": "request_sent", "user": "{user}"'.encode()
    yield json.dumps({**good, "type": "reading_taken", "response": {user: user}, "provider": user}).encode()


def signed(raw: bytes, secret: str = APP_SECRET) -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()}"}


class Run:
    """The course of the run."""

    def __init__(self, house: House, bootstrap: str, names: TopicNames) -> None:
        self._house, self._bootstrap, self._names = house, bootstrap, names
        self.seen = Seen()

    def drive(self) -> Seen:
        house = self._house
        try:
            house.command("topics", "create")
            for name in PORTS:
                house.start(name)
            for name in PORTS:
                house.until_ready(name)
            asyncio.run(self._at_the_doors())
            asyncio.run(self._on_the_topics())
            asyncio.run(self._health("before the worker was killed"))
            house.kill("worker")
            house.start("worker")
            house.until_ready("worker")
            asyncio.run(self._retried())
            asyncio.run(self._health("at the end"))
            for name in PORTS:
                house.stop(name)
                self.seen.logs[name] = house.log(name)
            asyncio.run(self._left())
            return self.seen
        finally:
            house.end()

    async def _at_the_doors(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=120.0) as client:
            await self._gateway(client)
            await self._api(client)
            await self._projection(client)

    async def _gateway(self, client: httpx.AsyncClient) -> None:
        user, door = USERS[3], self._house.url("gateway")
        for raw in [*odd_webhooks(), unknown_number(USERS[4])]:
            await self._post(client, f"{door}/webhooks/meta", raw, signed(raw), takes={200})
        for raw in list(odd_webhooks())[:3]:
            await self._post(client, f"{door}/webhooks/meta", raw, signed(raw, "not ours"))
            await self._post(client, f"{door}/webhooks/meta", raw, {"x-hub-signature-256": f"sha256={user}"})
            await self._post(client, f"{door}/webhooks/meta", raw, {"x-hub-signature": f"sha1={user}"})
            for provider in ("gupshup", "infobip", "360dialog", "ycloud", "zernio"):
                await self._post(client, f"{door}/webhooks/{provider}?token={user}", raw, {})
                await self._post(client, f"{door}/webhooks/{provider}?from={user}", raw, {"x-callgrant-token": TOKEN})
        for raw in odd_actions():
            await self._post(client, f"{door}/v1/actions", raw, AUTHORIZED)
            await self._post(client, f"{door}/v1/actions", raw, {"authorization": f"Bearer {user}:{user}"})
            await self._post(client, f"{door}/v1/actions", raw, {**AUTHORIZED, "content-type": f"text/{user}"})
            await self._post(client, f"{door}/v1/actions/meta", raw, AUTHORIZED)
        verified = f"/webhooks/meta?hub.mode=subscribe&hub.verify_token={user}&hub.challenge={user}"
        for path in (f"/webhooks/{user}", f"/{user}", f"/v1/actions/wamid.{user}", verified):
            await self._get(client, door + path, {"x-forwarded-for": user, "user-agent": f"wamid.{user}"})
        with contextlib.suppress(httpx.TransportError):  # told and closed before all of it was sent
            await self._post(client, f"{door}/webhooks/meta", user.encode() * (5 << 20), signed(b""))

    async def _api(self, client: httpx.AsyncClient) -> None:
        user, door = USERS[5], self._house.url("api")
        for path in (
            f"/{NUMBER}/call_permissions?user_wa_id={user}x",
            f"/{NUMBER}/call_permissions?user_wa_id={user}&at={user}",
            f"/{NUMBER}/call_permissions?user_wa_id={user}&recipient={user}&{user}={user}",
            f"/{NUMBER}/call_permissions?{user}",
            f"/+{user}/call_permissions?user_wa_id={user}",
            f"/{UNHEARD_OF}/call_permissions?user_wa_id={user}",
            f"/{NUMBER}/call_permissions?recipient={SCOPED}",
            f"/v1/pairs/{NUMBER}/{user}x/history",
            f"/v1/numbers/{user}x",
            f"/{user}/{user}/{user}",
        ):
            await self._get(client, door + path, AUTHORIZED)
            await self._get(client, door + path, {"authorization": f"Bearer {user}"})
        pairs = {"pairs": [{"phone_number_id": user, "user": f"wamid.{user}"}], user: user}
        for raw in (json.dumps(pairs).encode(), f'{{"{user}"'.encode()):
            await self._post(client, f"{door}/v1/call_permissions/lookup", raw, AUTHORIZED)
            await self._post(client, f"{door}/v1/{user}/reservations", raw, AUTHORIZED)

    async def _projection(self, client: httpx.AsyncClient) -> None:
        user, door = USERS[6], self._house.url("projection")
        for path in (
            f"/v1/analytics/{user}",
            f"/v1/analytics/funnel?since={user}&by={user}",
            f"/v1/analytics/funnel?{user}={user}",
            f"/v1/analytics/funnel?number=+{user}'--&until=wamid.{user}",
            f"/v1/export/{user}",
            f"/{user}",
        ):
            await self._get(client, door + path, AUTHORIZED)
            await self._get(client, door + path, {"authorization": f"Basic {user}"})

    async def _on_the_topics(self) -> None:
        """Poison behind the doors, as a foreign writer would leave it."""
        user, now_ms = USERS[7], int(time.time() * 1000)
        pair = f"{NUMBER}/{user}".encode()
        raw = raw_record(provider=user, received_at_ms=now_ms, delivery_id=user, secret_slot=user)
        row = {"phone_number_id": NUMBER, "user": user, "version": f"wamid.{user}", "requests": [{user: user}]}
        fact = {"type": "user_messaged", "fact_id": user, "phone_number_id": NUMBER, "user": user, "provider": "meta"}
        poison: list[tuple[str, bytes | None, bytes, list[tuple[str, bytes]]]] = [
            ("webhooks.raw", None, body(messages(reply(user))), raw),
            ("webhooks.raw", pair, body(messages(reply(user))), [("received_at", user.encode())]),
            ("actions.raw", None, f'{{"type": "{user}"}}'.encode(), [("provider", b"actions")]),
            ("permission.events", pair, f'{{"{user}"'.encode(), []),
            ("permission.events", pair, json.dumps({"type": user}).encode(), []),
            ("permission.events", pair, json.dumps(fact | {"occurred_at": user, "recorded_at": 1}).encode(), []),
            ("permission.events", f"{user}/{user}".encode(), json.dumps(fact | {"occurred_at": 1_772_443_800,
             "recorded_at": 1_772_443_800, "message_id": f"wamid.{user}"}).encode(), []),
            ("permission.ticks", user.encode(), json.dumps({"at": user}).encode(), []),
            ("permission.commands", pair, json.dumps({"type": user}).encode(), []),
            ("business.events", user.encode(), json.dumps({"type": user}).encode(), []),
            ("permission.records", pair, f'["{user}"]'.encode(), []),
            ("permission.records", pair, json.dumps(row).encode(), []),
            ("permission.records", pair, b'{"phone_number_id":' + pair + b"}", []),
        ]  # fmt: skip
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap)
        await producer.start()
        try:
            for topic, key, poisoned, headers in poison:
                await producer.send_and_wait(self._names.of(topic), poisoned, key, headers=headers)
        finally:
            await producer.stop()
        await self._caught_up()

    async def _retried(self) -> None:
        """The letter nobody could judge, once its number is registered: sent back, and the answer knows it."""
        user, house = USERS[4], self._house
        told = {"type": "business_registered", "phone_number_id": UNHEARD_OF, "display_phone_number": "442079460999"}
        told |= {"profile": "production", "country": "GB", "occurred_at": str(int(time.time()) - 60)}
        async with httpx.AsyncClient(trust_env=False, timeout=120.0) as client:
            await self._post(client, f"{house.url('gateway')}/v1/actions", json.dumps(told).encode(), AUTHORIZED, {202})
            await self._caught_up()
            only = ("--reason", "unknown_number", "--provider", "meta")
            url = f"{house.url('api')}/{UNHEARD_OF}/call_permissions"
            give_up_at = time.monotonic() + SETTLED_WITHIN_S
            # A worker that has not yet heard of the number parks it anew: then that letter is sent back.
            while self.seen.answer.get("permission", {}).get("status") != "permanent":
                assert time.monotonic() < give_up_at, (self.seen.retried, self.seen.answer)
                _, said = await asyncio.to_thread(house.asked, "deadletters", "retry", *only, "--json")
                self.seen.retried += [json.loads(line) for line in said.splitlines()]
                await self._caught_up()
                answer = await client.get(url, params={"user_wa_id": user}, headers=AUTHORIZED)
                self.seen.answer = answer.json()
        for words in (
            ["list"], ["list", "--json", "--done"], ["stats"], ["retry", "--all", "--dry-run"], ["show", "0:0"],
            ["show", USERS[0]], ["show", f"{USERS[0]}:1"], ["list", "--reason", USERS[0]],
        ):  # fmt: skip
            code, said = await asyncio.to_thread(house.asked, "deadletters", *words)
            assert code in (0, 1, 2, 3), said
            if USERS[0] not in " ".join(words):  # what a person typed may come back to that person
                self.seen.texts[f"deadletters {' '.join(words)}"] = said
        _, self.seen.texts["doctor"] = await asyncio.to_thread(house.asked, "doctor")

    async def _caught_up(self) -> None:
        ticks = Stage(self._names.group("worker"), (self._names.of("permission.ticks"),))
        await until_caught_up(self._bootstrap, [*stages(self._names), ticks], CAUGHT_UP_WITHIN_S)

    async def _health(self, when: str) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=120.0) as client:
            for name in PORTS:
                for path in ("metrics", "readyz", "livez"):
                    answer = await client.get(f"{self._house.url(name)}/{path}")
                    self.seen.texts[f"{name} /{path} {when}"] = answer.text
                    self.seen.statuses[f"{name} /{path} {when}"] = answer.status_code

    async def _left(self) -> None:
        async with log_of(self._bootstrap) as log:
            self.seen.raw = await log.everything_on(self._names.of("webhooks.raw"))
            self.seen.letters = await log.everything_on(self._names.of("deadletters"))

    async def _post(
        self, client: httpx.AsyncClient, url: str, raw: bytes, headers: dict[str, str], takes: Iterable[int] = ()
    ) -> None:
        answer = await client.post(url, content=raw, headers={"content-type": "application/json", **headers})
        if takes:
            assert answer.status_code in takes, (url.partition("?")[0], answer.status_code, answer.text)
        self._answered(f"POST {url} {len(self.seen.statuses)}", answer)

    async def _get(self, client: httpx.AsyncClient, url: str, headers: dict[str, str]) -> None:
        self._answered(f"GET {url} {len(self.seen.statuses)}", await client.get(url, headers=headers))

    def _answered(self, asked: str, answer: httpx.Response) -> None:
        self.seen.statuses[asked] = answer.status_code
        if answer.status_code >= 400:
            self.seen.texts[asked] = answer.text + repr(dict(answer.headers))


@pytest.fixture(scope="module")
def seen(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    prefix = f"quiet-{secrets.token_hex(4)}."
    tokens = {f"{name}_TOKENS": TOKEN for name in ("GUPSHUP", "INFOBIP", "D360", "YCLOUD", "ZERNIO")}
    house = House(tmp_path_factory.mktemp("quiet"), broker, prefix, **tokens)
    return Run(house, broker, TopicNames(prefix)).drive()


def test_the_search_finds_what_was_sent(seen: Seen) -> None:
    """The search itself works: nearly every record that came in leads to somebody."""
    found = [record for record in seen.raw if letters_of(record.value.decode("utf-8", "replace"))]
    assert len(found) > 40
    assert letters_of(f"wamid.{base64.b64encode(b'HBgM' + b'447700900900').decode()}".removeprefix("wamid."))
    assert letters_of("+44 7700 900 912")


def test_no_log_line_leads_to_a_user(seen: Seen) -> None:
    for name, lines in seen.logs.items():
        assert lines, f"{name} said nothing"
        assert not letters_of(lines), name


def test_no_error_answer_metric_or_command_leads_to_a_user(seen: Seen) -> None:
    refused = [code for code in seen.statuses.values() if code >= 400]
    assert len(refused) > 80
    assert not [code for code in refused if code >= 500], "odd input is the sender's fault"
    for where, said in seen.texts.items():
        assert not letters_of(said), where


def test_the_run_met_what_tempts_a_program_to_quote(seen: Seen) -> None:
    """Bad things of every room were put aside, by worker and projection alike."""
    reasons = {record.headers.get(REASON) for record in seen.letters}
    wanted = {"not_json", "unknown_provider", "unknown_number", "unreadable_time", "unreadable_user", "invalid_action"}
    wanted |= {"unknown_fact_type", "unreadable_fact", "key_mismatch", "unreadable_tick", "not_an_object"}
    assert wanted <= reasons
    metrics = seen.texts["worker /metrics before the worker was killed"]
    for counted in ("translated_total", "ignored_total", "unknown_total", "deadletters_total"):
        assert f"callgrant_worker_{counted}{{" in metrics
    assert 'kind="field_unknown",name="a_field_of_tomorrow"' in metrics


def test_a_letter_sent_back_after_its_number_was_registered_changes_the_answer(seen: Seen) -> None:
    assert {row["fate"] for row in seen.retried} == {"sent"}
    assert seen.answer["permission"]["status"] == "permanent"

"""`callgrant doctor`: the common mistakes, looked for one by one, each finding with what mends it.

Owns the checks. Refuses to mend anything. To compare clocks it writes to a topic of its own that lives for the moment
of the check, because Kafka tells its time only by stamping a record.
"""

import asyncio
import importlib.util
import re
import secrets
import shutil
import stat
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, requires, version
from time import monotonic
from typing import Final

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from deploy import clock
from deploy.cluster import ClusterAway, ClusterUnusable, admin_of
from deploy.config import SECRETS_FILE, Config
from deploy.data_folder import FolderUnusable, made_private, open_to_others
from deploy.doctor_worker import lives, state, topics
from deploy.drawn_secrets import DRAWN
from deploy.findings import Finding, bad, warning
from deploy.sources import ConfigError
from deploy.supervisor.premises import taken

CLOCK_APART_S: Final = 5
LEAST_FREE_BYTES: Final = 1 << 30
PROBED_WITHIN_S: Final = 3.0
LOOK_THERE: Final = "look at the broker's log and its permissions"


async def examine(config: Config) -> list[Finding]:
    """Every finding, in the order in which one would mend them."""
    findings = [
        *_versions(),
        *_secrets(config),
        *_folder(config),
        *_policy(config),
        *await _ports(config),
        *_engine(config),
        *lives(config),
    ]
    broker = await _told_by(_broker, config)
    findings += broker
    if broker[0].verdict == "ok":
        findings += await _told_by(topics, config)
        findings += await _told_by(state, config)
        findings += await _told_by(_clocks, config)
    return findings


def _versions() -> list[Finding]:
    """Every package that is pinned exactly is there in that version."""
    try:
        pins = [re.fullmatch(r"([\w.-]+)==([\w.]+)", one) for one in requires("callgrant") or ()]
    except PackageNotFoundError:
        return [bad("versions", "callgrant is not installed as a package", "run `make setup`")]
    wrong = [
        f"{pin[1]} is {found or 'missing'}, wanted {pin[2]}"
        for pin in pins
        if pin and (found := _installed(pin[1])) != pin[2]
    ]
    if wrong:
        return [bad("versions", "; ".join(wrong), "run `make setup`")]
    return [
        Finding(check="versions", verdict="ok", found=f"callgrant {version('callgrant')}, pinned packages as pinned")
    ]


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _secrets(config: Config) -> list[Finding]:
    findings = []
    for field in DRAWN:
        setting = f"CALLGRANT_{field.upper()}"
        if getattr(config.names, field):
            findings.append(Finding(check="secrets", verdict="ok", found=f"{setting} from {config.origins[field]}"))
        else:
            mend = f"set {setting}; `callgrant up` draws it into {config.data_dir / SECRETS_FILE}"
            findings.append(warning("secrets", f"{setting} is not set: that door is closed (401)", mend))
    drawn = config.data_dir / SECRETS_FILE
    if drawn.exists() and stat.S_IMODE(drawn.stat().st_mode) & 0o077:
        findings.append(bad("secrets", f"{drawn} can be read by others", f"chmod 600 {drawn}"))
    return findings


def _folder(config: Config) -> list[Finding]:
    folder = config.data_dir
    mend = "set CALLGRANT_DATA_DIR to a folder you may write to"
    try:
        made_private(folder)
        probe = folder / f".doctor-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except FolderUnusable as fault:
        return [bad("data folder", str(fault), mend)]
    except OSError as fault:
        return [bad("data folder", f"{folder} cannot be written ({fault.strerror})", mend)]
    if open_to_others(folder):
        return [
            warning("data folder", f"{folder}, which holds phone numbers, is open to others", f"chmod 700 {folder}")
        ]
    if free < LEAST_FREE_BYTES:
        return [warning("data folder", f"{folder} has {free >> 20} MiB left", "free some, or set CALLGRANT_DATA_DIR")]
    return [Finding(check="data folder", verdict="ok", found=f"{folder}, {free >> 30} GiB free")]


def _policy(config: Config) -> list[Finding]:
    try:
        config.policy()
    except ConfigError as fault:
        return [bad("policy", str(fault), "correct the file, or unset CALLGRANT_POLICY_FILE")]
    return [Finding(check="policy", verdict="ok", found=str(config.names.policy_file or "built in"))]


async def _ports(config: Config) -> list[Finding]:
    names = config.names
    ports = {
        "CALLGRANT_GATEWAY_PORT": names.gateway_port,
        "CALLGRANT_API_PORT": names.api_port,
        "CALLGRANT_ANALYTICS_PORT": names.analytics_port,
        "CALLGRANT_WORKER_PORT": names.worker_port,
    }
    return [await _port(config, setting, port) for setting, port in ports.items()]


async def _port(config: Config, setting: str, port: int) -> Finding:
    if (why := taken(config.names.bind, port)) is None:
        return Finding(check="ports", verdict="ok", found=f"{port} is free ({setting})")
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=PROBED_WITHIN_S) as client:
            ours = "callgrant_" in (await client.get(f"{config.url(port)}/metrics")).text
    except httpx.HTTPError:
        ours = False
    if ours:
        return Finding(check="ports", verdict="ok", found=f"{port} is held by a process of ours ({setting})")
    return bad("ports", f"{port} cannot be used ({why})", f"end what listens there, or set {setting} to another port")


def _engine(config: Config) -> list[Finding]:
    if config.names.clickhouse_url is not None:
        url = config.names.clickhouse_url.get_secret_value()
        try:
            answer = httpx.get(f"{url.rstrip('/')}/ping", timeout=PROBED_WITHIN_S, trust_env=False)
        except httpx.HTTPError as fault:
            return [
                bad("ClickHouse", f"no answer ({type(fault).__name__})", "start it, or set CALLGRANT_CLICKHOUSE_URL")
            ]
        if answer.status_code != httpx.codes.OK:
            return [bad("ClickHouse", f"answered {answer.status_code} to /ping", "set CALLGRANT_CLICKHOUSE_URL")]
        return [Finding(check="ClickHouse", verdict="ok", found="the server answers")]
    if importlib.util.find_spec("chdb") is None:
        mend = "install callgrant[embedded], or set CALLGRANT_CLICKHOUSE_URL to a server"
        return [bad("ClickHouse", "the embedded engine is not installed", mend)]
    return [Finding(check="ClickHouse", verdict="ok", found=f"embedded, chdb {_installed('chdb')}")]


async def _broker(config: Config) -> list[Finding]:
    async with admin_of(config.bootstrap) as admin:
        brokers = (await admin.describe_cluster())["brokers"]
    return [Finding(check="Kafka", verdict="ok", found=f"{config.bootstrap} answers, {len(brokers)} broker(s)")]


async def _clocks(config: Config) -> list[Finding]:
    topic = f"{config.names.topic_prefix}doctor-{secrets.token_hex(4)}"
    async with admin_of(config.bootstrap) as admin:
        stamped = {"message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=stamped)])
        producer = AIOKafkaProducer(bootstrap_servers=config.bootstrap, acks="all", request_timeout_ms=10_000)
        try:
            await producer.start()
            await producer.send_and_wait(topic, b"first")  # the first one waits for the topic's leader
            before, began = clock.now(), monotonic()
            sent = await producer.send_and_wait(topic, b"clock")
            took_s = monotonic() - began
        finally:
            await producer.stop()
            await admin.delete_topics([topic])
    apart_s = max(0.0, abs(sent.timestamp / 1000 - before) - took_s - 1)  # a second is lost to whole seconds
    if apart_s > CLOCK_APART_S:
        found = f"this machine and the broker are {apart_s:.0f} s apart"
        return [bad("clocks", found, "synchronise both clocks (NTP): retention, freshness and expiry count by them")]
    return [Finding(check="clocks", verdict="ok", found="this machine and the broker agree")]


async def _told_by(check: Callable[[Config], Awaitable[list[Finding]]], config: Config) -> list[Finding]:
    name = {"_broker": "Kafka", "topics": "topics", "state": "state", "_clocks": "clocks"}[check.__name__]
    try:
        async with asyncio.timeout(60):
            return await check(config)
    except ClusterAway as fault:
        return [bad(name, str(fault), "start the cluster, or set CALLGRANT_KAFKA_BOOTSTRAP")]
    except ClusterUnusable as fault:
        return [bad(name, str(fault), LOOK_THERE)]
    except (KafkaError, TimeoutError) as fault:
        return [bad(name, f"the check failed ({type(fault).__name__})", LOOK_THERE)]

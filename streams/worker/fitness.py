"""Are the topics set up so that nothing is lost, and do the broker's clock and ours agree?

Owns which differences from the registry a worker refuses to start over and why; the rest `callgrant topics check`
tells. Refuses to change a topic. Kafka tells its time only by stamping a record: ticks of the instant 0, by which
nothing is due, are written to `permission.ticks`, which the broker stamps.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from schemas.topics import (
    BY_NAME,
    FORMAT_SETTINGS,
    MAX_RECORD_BYTES,
    OLDEST_FORMAT,
    REGISTRY,
    Topic,
    TopicNames,
    keeps_headers,
)
from streams.worker.clock import now_ms
from streams.worker.codes import Code
from streams.worker.settings import WorkerSettings
from streams.worker.startup import Unfit
from streams.worker.ticks import tick_row

log = logging.getLogger(__name__)

CLOCK_APART_S: Final = 5.0
"""Behind by more, the broker would soon refuse every state row (`message.timestamp.before.max.ms`); ahead by more,
grants would be announced as expired before they are."""
STATE: Final = ("permission.state", "business.state")
TRUTH: Final = ("permission.events", "business.events")
STAMPED: Final = "permission.ticks"

Settings = Mapping[str, Mapping[str, str]]
"""The settings of each topic as the broker tells them, by full name."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the broker told. `untold`: by full name of a topic, why its settings were not."""

    settings: Settings
    untold: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A setting of a topic that a worker must not run with. `harm`: what would happen."""

    topic: str
    setting: str
    found: str
    wanted: str
    harm: str

    def __str__(self) -> str:
        return f"{self.topic} has {self.setting}={self.found}, wanted {self.wanted}: {self.harm}"


def worked() -> list[Topic]:
    """The topics that a worker reads or writes."""
    return [topic for topic in REGISTRY if "worker" in topic.readers or "worker" in topic.writers]


def faults(names: TopicNames, found: Settings) -> list[Fault]:
    """Every setting that would lose something. A setting that the broker does not tell is passed over."""
    told: list[Fault] = []
    for topic in worked():
        settings = found.get(names.of(topic.name), {})
        for setting, wanted, harm in _demands(topic):
            value = settings.get(setting)
            if value is not None and not _meets(setting, value, wanted):
                told.append(Fault(topic=names.of(topic.name), setting=setting, found=value, wanted=wanted, harm=harm))
    return told


def _demands(topic: Topic) -> list[tuple[str, str, str]]:
    demands = [
        ("max.message.bytes", str(MAX_RECORD_BYTES), "a large record would be refused and end the worker"),
        *((setting, OLDEST_FORMAT, "records could not carry headers") for setting in FORMAT_SETTINGS),
    ]
    if topic.name in STATE:
        demands += [
            ("cleanup.policy", "compact", "rows would be deleted by age, and recovery could not know them"),
            ("message.timestamp.type", "CreateTime", "the broker could not refuse the rows of a worker that froze"),
        ]
    else:
        demands.append(("cleanup.policy", "delete", "records without a successor in time would vanish"))
    if topic.name == STAMPED:
        demands.append(("message.timestamp.type", "LogAppendTime", "the clocks could not be compared"))
    if topic.name in TRUTH:
        demands += [
            (setting, "-1", "it is the log of facts; what is deleted there can never be folded again")
            for setting in ("retention.ms", "retention.bytes")
        ]
    return demands


def _meets(setting: str, value: str, wanted: str) -> bool:
    if setting in FORMAT_SETTINGS:
        return keeps_headers(value)
    return int(value) >= int(wanted) if setting == "max.message.bytes" else value == wanted


async def settings_of(bootstrap: str, topics: list[str]) -> Answered:
    """What the broker tells of them, and why it does not tell of the others."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    found: dict[str, dict[str, str]] = {}
    untold = dict.fromkeys(topics, "no answer")
    try:
        await admin.start()
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
        for answer in await admin.describe_configs(asked):
            for code, _message, _kind, name, entries in answer.resources:
                if code:
                    untold[name] = for_code(code).__name__
                else:
                    found[name] = {entry[0]: entry[1] for entry in entries}
                    untold.pop(name, None)
    except (KafkaError, OSError) as fault:
        return Answered({}, dict.fromkeys(topics, type(fault).__name__))
    finally:
        await admin.close()
    return Answered(found, untold)


async def clock_apart_s(settings: WorkerSettings) -> float | str:
    """By how much the broker's clock is ahead of ours (negative: behind), or why that cannot be told."""
    topic = settings.names.of(STAMPED)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, acks="all", enable_idempotence=True, request_timeout_ms=10_000
    )
    try:
        await producer.start()
        tick: Any = tick_row(0, 0)
        place = {"partition": 0, "headers": tick.headers}
        await producer.send_and_wait(topic, tick.value, tick.key, **place)  # the first one also finds the leader
        before_ms, began_at = now_ms(), time.monotonic()
        sent = await producer.send_and_wait(topic, tick.value, tick.key, **place)
        took_ms = (time.monotonic() - began_at) * 1000
    except (KafkaError, OSError) as fault:
        return type(fault).__name__
    finally:
        await producer.stop()
    if sent.timestamp_type != 1:
        return f"{topic} has no message.timestamp.type=LogAppendTime; callgrant topics check names the command"
    return apart_s(sent.timestamp, before_ms, before_ms + took_ms)


def apart_s(stamped_ms: float, before_ms: float, after_ms: float) -> float:
    """How far a stamp lies outside the time in which it must have been made."""
    if stamped_ms < before_ms:
        return (stamped_ms - before_ms) / 1000
    return max(0.0, stamped_ms - after_ms) / 1000


async def check_fitness(settings: WorkerSettings) -> float | None:
    """Raise `Unfit` over topics or a clock that would lose something; answers how far the clocks are apart, if told."""
    names = settings.names
    answered = await settings_of(settings.kafka_bootstrap, [names.of(topic.name) for topic in worked()])
    if answered.untold:
        log.warning(
            "the settings of %s cannot be read and are not checked; callgrant topics check looks at them too",
            ", ".join(f"{topic} ({why})" for topic, why in sorted(answered.untold.items())),
        )
    check_settings(names, answered.settings)
    _warn_of_nets(settings, answered.settings)
    apart = await clock_apart_s(settings)
    if isinstance(apart, str):
        log.warning("the broker's clock cannot be compared with ours: %s", apart)
        return None
    check_clock(apart)
    return apart


def check_settings(names: TopicNames, found: Settings) -> None:
    """Raise `Unfit` naming every fault."""
    if told := faults(names, found):
        raise Unfit(
            Code.TOPICS_UNFIT,
            f"{'; '.join(map(str, told))}. callgrant topics check names the command that mends each; a topic that may "
            "be made anew is made right by callgrant topics create",
        )


def check_clock(apart: float) -> None:
    """Raise `Unfit` when the clocks are too far apart."""
    if abs(apart) > CLOCK_APART_S:
        ours = "behind" if apart > 0 else "ahead of"
        raise Unfit(
            Code.CLOCK_APART,
            f"the clock of this machine is {abs(apart):.0f} s {ours} the broker's, at most {CLOCK_APART_S:.0f} s may "
            "be: synchronise both (NTP). The broker refuses rows that seem old, and expiry is announced by this clock. "
            "callgrant doctor measures it too",
        )


def _warn_of_nets(settings: WorkerSettings, found: Settings) -> None:
    key = "message.timestamp.before.max.ms"
    for name in STATE:
        topic = settings.names.of(name)
        value = found.get(topic, {}).get(key)
        if value is not None and int(value) > int(BY_NAME[name].settings[key]):
            log.warning(
                "%s has %s=%s: the broker takes rows of a worker that froze; callgrant topics check names the command",
                topic,
                key,
                value,
            )

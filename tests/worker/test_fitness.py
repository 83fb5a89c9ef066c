import dataclasses
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.topics import create_topics, wanted_topics
from schemas.topics import BY_NAME, COMMON_SETTINGS, TopicNames
from streams.worker import fitness
from streams.worker.codes import NEEDS_A_PERSON, Code
from streams.worker.fitness import apart_s, check_clock, check_fitness, check_settings, faults, worked
from streams.worker.settings import WorkerSettings
from streams.worker.startup import Unfit, member_of

NAMES = TopicNames("t.")


def as_registered(**other: dict[str, str]) -> dict[str, dict[str, str]]:
    found = {
        NAMES.of(topic.name): {"message.timestamp.type": "CreateTime", **COMMON_SETTINGS, **topic.settings}
        for topic in worked()
    }
    for name, settings in other.items():
        found[NAMES.of(name.replace("_", "."))] |= settings
    return found


def test_topics_as_registered_are_fit() -> None:
    assert faults(NAMES, as_registered()) == []
    assert {topic.name for topic in worked()} == BY_NAME.keys(), "a worker reads or writes every topic"
    check_settings(NAMES, as_registered())


def test_what_create_makes_is_what_a_worker_takes() -> None:
    made = {one.name: one.settings for one in wanted_topics(NAMES, 8)}
    assert faults(NAMES, made) == []


@pytest.mark.parametrize(
    ("topic", "setting", "value"),
    [
        ("permission.state", "cleanup.policy", "delete"),
        ("permission.state", "cleanup.policy", "compact,delete"),
        ("business.state", "message.timestamp.type", "LogAppendTime"),
        ("permission.events", "retention.ms", "604800000"),
        ("permission.events", "retention.bytes", "1000000"),
        ("permission.events", "cleanup.policy", "compact"),
        ("business.events", "retention.ms", "1"),
        ("permission.records", "max.message.bytes", "1048588"),
        ("permission.ticks", "message.timestamp.type", "CreateTime"),
        ("permission.events", "message.format.version", "0.10.2-IV0"),
        ("deadletters", "log.message.format.version", "0.9.0"),
    ],
)
def test_a_setting_that_would_lose_something_is_refused_with_what_would_happen(
    topic: str, setting: str, value: str
) -> None:
    found = as_registered(**{topic.replace(".", "_"): {setting: value}})

    with pytest.raises(Unfit, match="callgrant topics check") as told:
        check_settings(NAMES, found)
    assert told.value.code == Code.TOPICS_UNFIT
    assert f"t.{topic} has {setting}={value}, wanted " in str(told.value)


def test_larger_records_and_longer_retention_are_the_operators_choice() -> None:
    other = as_registered(permission_changes={"max.message.bytes": "9000000", "retention.ms": "-1"})
    assert faults(NAMES, other) == []


@pytest.mark.parametrize("version", ["0.11.0", "0.11.0-IV2", "1.0-IV0", "2.8-IV1", "3.0", "", "none"])
def test_a_format_that_keeps_headers_or_that_nobody_knows_is_fit(version: str) -> None:
    assert faults(NAMES, as_registered(permission_state={"message.format.version": version})) == []


def test_a_clock_that_could_not_be_compared_is_said_to_be_the_harm() -> None:
    [fault] = faults(NAMES, as_registered(permission_ticks={"message.timestamp.type": "CreateTime"}))
    assert "the clocks could not be compared" in str(fault)


def test_what_the_broker_does_not_tell_is_passed_over() -> None:
    assert faults(NAMES, {}) == []


def test_clocks_are_apart_by_what_lies_outside_the_time_of_asking() -> None:
    assert apart_s(1_000, 900, 1_100) == 0
    assert apart_s(9_100, 900, 1_100) == 8
    assert apart_s(-7_100, 900, 1_100) == -8


@pytest.mark.parametrize(("apart", "says"), [(8.0, "8 s behind"), (-3_600.0, "3600 s ahead of")])
def test_a_clock_too_far_off_is_refused_with_how_to_mend_it(apart: float, says: str) -> None:
    with pytest.raises(Unfit, match=rf"{says} the broker's.*NTP") as told:
        check_clock(apart)
    assert told.value.code == Code.CLOCK_APART
    check_clock(4.0)
    check_clock(-4.0)


def test_codes_that_need_a_person_are_no_accidents() -> None:
    assert NEEDS_A_PERSON.isdisjoint(
        {Code.STOPPED, Code.STALLED, Code.BROKER_UNREACHABLE, Code.STORE_FULL, Code.STORE_DAMAGED, Code.EXPELLED}
    )


def test_a_member_keeps_its_name_as_long_as_its_folder(settings: WorkerSettings) -> None:
    settings.folder.mkdir(parents=True)
    first = member_of(settings)

    assert member_of(settings) == first
    assert first.startswith("1-")
    other = dataclasses.replace(settings, data_dir=settings.data_dir / "elsewhere")
    other.folder.mkdir(parents=True)
    assert member_of(other) != first


UNAUTHORIZED = 29


class Admin:
    """A broker's admin side that tells the settings of some topics and an error code for others."""

    def __init__(self, told: dict[str, dict[str, str]], refused: dict[str, int]) -> None:
        self.told, self.refused = told, refused

    async def start(self) -> None: ...
    async def close(self) -> None: ...

    async def describe_configs(self, asked: list[Any]) -> list[Any]:
        answers: list[Any] = []
        for name in (each.name for each in asked):
            if code := self.refused.get(name, 0):
                answers.append((code, "", 2, name, []))
            elif name in self.told:
                answers.append((0, "", 2, name, [(key, value, False) for key, value in self.told[name].items()]))
        return [SimpleNamespace(resources=answers)]


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Admin:
    stand_in = Admin(as_registered(), {})

    async def agrees(_settings: WorkerSettings) -> float:
        return 0.0

    monkeypatch.setattr(fitness, "AIOKafkaAdminClient", lambda **_: stand_in)
    monkeypatch.setattr(fitness, "clock_apart_s", agrees)
    return stand_in


async def test_a_topic_that_is_not_told_hides_no_fault_of_another(admin: Admin, settings: WorkerSettings) -> None:
    admin.refused = {"t.webhooks.raw": UNAUTHORIZED}
    admin.told["t.business.state"]["cleanup.policy"] = "compact,delete"

    with pytest.raises(Unfit, match=r"t\.business\.state has cleanup\.policy=compact,delete") as told:
        await check_fitness(settings)
    assert told.value.code == Code.TOPICS_UNFIT


async def test_topics_that_are_not_told_are_named_with_the_reason(
    admin: Admin, settings: WorkerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    admin.refused = {"t.permission.outcomes": UNAUTHORIZED}
    del admin.told["t.deadletters"]

    with caplog.at_level(logging.WARNING):
        assert await check_fitness(settings) == 0.0

    [said] = caplog.messages
    assert "t.deadletters (no answer), t.permission.outcomes (TopicAuthorizationFailedError) cannot be read" in said


async def test_nothing_is_said_where_everything_is_told(
    admin: Admin, settings: WorkerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    await check_fitness(settings)

    assert admin.told
    assert not caplog.messages


async def test_a_broker_that_tells_no_settings_at_all_is_named_for_each_topic(settings: WorkerSettings) -> None:
    answered = await fitness.settings_of(settings.kafka_bootstrap, ["t.a", "t.b"])

    assert not answered.settings
    assert answered.untold.keys() == {"t.a", "t.b"}


@pytest.mark.broker
async def test_topics_just_created_and_this_machines_clock_are_fit(
    broker: str, topic_prefix: str, settings: Any
) -> None:
    ours = dataclasses.replace(settings, kafka_bootstrap=broker, topic_prefix=topic_prefix)
    await create_topics(broker, ours.names, 1)

    apart = await check_fitness(ours)

    assert apart is not None, "the broker stamped a tick"
    assert abs(apart) < 1

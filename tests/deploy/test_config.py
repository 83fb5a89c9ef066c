import json
from pathlib import Path

import pytest

from deploy.config import (
    SECRETS_FILE,
    api_settings,
    child_environment,
    gateway_settings,
    load,
    projection_settings,
    worker_settings,
)
from deploy.drawn_secrets import DRAWN, secrets_or_drawn
from deploy.names import SECRETS, Names, shown
from deploy.sources import ConfigError
from schemas.policy import DEFAULT_POLICY
from streams.countries import country_of
from streams.gateway.keys import ApiKeys
from streams.permission.directory import Directory


def test_without_any_setting_the_documented_defaults_hold(tmp_path: Path) -> None:
    names = load({}, tmp_path).names
    ports = (names.kafka_port, names.gateway_port, names.api_port, names.analytics_port, names.worker_port)
    assert ports == (9092, 8080, 8081, 8082, 8090)
    assert (names.data_dir, names.bind, names.topic_prefix) == (Path("var"), "127.0.0.1", "callgrant.")
    assert (names.partitions, names.generation, names.kafka_bootstrap) == (8, 1, "")
    assert load({}, tmp_path).bootstrap == "127.0.0.1:9092"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("CALLGRANT_KAFKA_BOOTSTRAPS", "CALLGRANT_KAFKA_BOOTSTRAP"),
        ("CALLGRANT_API_KEY", "CALLGRANT_API_KEYS"),
        ("CALLGRANT_GATEWAYPORT", "CALLGRANT_GATEWAY_PORT"),
        ("CALLGRANT_META_APP_SECRET_FILE", "CALLGRANT_META_APP_SECRETS_FILE"),
        ("CALLGRANT_partitions", "CALLGRANT_PARTITIONS"),
        ("CALLGRANT_PARTITIONS_FILE", "CALLGRANT_PARTITIONS"),
    ],
)
@pytest.mark.parametrize("origin", ["environment", ".env"])
def test_an_unknown_name_is_an_error_that_suggests_the_nearest(
    wrong: str, right: str, origin: str, tmp_path: Path
) -> None:
    if origin == ".env":
        (tmp_path / ".env").write_text(f"{wrong}=1\n")
    with pytest.raises(ConfigError) as fault:
        load({} if origin == ".env" else {wrong: "1"}, tmp_path)
    assert str(fault.value) == f"{wrong} (in {origin}) is no setting of callgrant: did you mean {right}?"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PARTITIONS", "0", "1 to 1024"),
        ("PARTITIONS", "many", "1 to 1024"),
        ("GENERATION", "0", "from 1"),
        ("GATEWAY_PORT", "65536", "1 to 65535"),
        ("KAFKA_PORT", "65535", "1 to 65534"),
        ("BIND", "everywhere", "an IP address or localhost"),
        ("KAFKA_BOOTSTRAP", "kafka", "host:port"),
        ("KAFKA_BOOTSTRAP", "kafka:9092,other", "host:port"),
        ("TOPIC_PREFIX", "call grant", "letters, digits"),
        ("CLICKHOUSE_URL", "ch:9000", "http(s)://"),
        ("API_KEYS", "no-colon", "id:secret"),
        ("API_KEYS", "a:1,b:1,a:2,a:3", "an id at most twice"),
        ("API_KEYS", "a:1,:2", "id:secret"),
        ("META_APP_SECRETS", "hush:", "[app:]secret"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_with_its_setting_and_what_is(
    name: str, value: str, allowed: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as fault:
        load({f"CALLGRANT_{name}": value}, tmp_path)
    assert str(fault.value).startswith(f"CALLGRANT_{name} (from environment): ")
    assert allowed in str(fault.value)
    assert (value in str(fault.value)) is (name.lower() not in SECRETS)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as fault:
        load({"CALLGRANT_PARTITIONS": "x", "CALLGRANT_BIND": "y"}, tmp_path)
    assert [line.partition(" ")[0] for line in str(fault.value).splitlines()] == [
        "CALLGRANT_BIND",
        "CALLGRANT_PARTITIONS",
    ]


def test_two_settings_with_one_port_are_refused_by_both_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CALLGRANT_API_PORT and CALLGRANT_ANALYTICS_PORT are both 9000"):
        load({"CALLGRANT_API_PORT": "9000", "CALLGRANT_ANALYTICS_PORT": "9000"}, tmp_path)


def test_the_environment_wins_over_the_file_and_an_empty_value_means_the_default(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "CALLGRANT_PARTITIONS=4\nCALLGRANT_API_PORT=9001\nCALLGRANT_GATEWAY_PORT=9002\nOTHER=1\n"
    )
    config = load({"CALLGRANT_PARTITIONS": "16", "CALLGRANT_API_PORT": ""}, tmp_path)
    assert (config.names.partitions, config.names.api_port, config.names.gateway_port) == (16, 8081, 9002)
    assert config.origins == {"partitions": "environment", "gateway_port": ".env"}


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("ops:one\ndialer:two\n")
    config = load({"CALLGRANT_API_KEYS_FILE": "keys"}, tmp_path)
    assert gateway_settings(config).api_keys == (("ops", "one"), ("dialer", "two"))
    assert config.origins["api_keys"] == "file keys"


def test_a_secret_given_twice_and_a_file_that_is_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CALLGRANT_API_KEYS_FILE: nowhere cannot be read"):
        load({"CALLGRANT_API_KEYS_FILE": "nowhere"}, tmp_path)
    (tmp_path / "keys").write_text("a:1")
    with pytest.raises(ConfigError, match="CALLGRANT_API_KEYS_FILE and CALLGRANT_API_KEYS are both set"):
        load({"CALLGRANT_API_KEYS_FILE": "keys", "CALLGRANT_API_KEYS": "a:1"}, tmp_path)


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    told = {f"CALLGRANT_{name.upper()}": f"id:hush-{name}" for name in SECRETS - {"clickhouse_url"}}
    told["CALLGRANT_CLICKHOUSE_URL"] = "https://user:hush@ch.example:8443"
    config = load(told, tmp_path)
    seen = [
        str(config),
        repr(config),
        repr(config.names),
        *(str(shown(config.names, name)) for name in Names.model_fields),
    ]
    seen += [repr(gateway_settings(config)), repr(api_settings(config)), repr(projection_settings(config))]
    assert not [text for text in seen if "hush" in text]
    assert shown(config.names, "clickhouse_url") == "https://********@ch.example:8443"
    assert shown(config.names, "api_keys") == "id:********"


def test_app_secrets_keep_their_order_and_their_app(tmp_path: Path) -> None:
    config = load({"CALLGRANT_META_APP_SECRETS": "only, 123:new ,123:old"}, tmp_path)
    assert gateway_settings(config).meta_app_secrets == (("", "only"), ("123", "new"), ("123", "old"))


def test_a_key_that_is_being_replaced_stands_twice_the_current_secret_before_the_previous(tmp_path: Path) -> None:
    config = load({"CALLGRANT_API_KEYS": "crm:new, dialer:only, crm:old"}, tmp_path)
    assert api_settings(config).api_keys == (("crm", "new"), ("dialer", "only"), ("crm", "old"))
    keys = ApiKeys(gateway_settings(config).api_keys)
    slots = [keys.check(f"Bearer {key}".encode()) for key in ("crm:new", "crm:old", "dialer:only", "crm:only")]
    assert slots == ["crm/current", "crm/previous", "dialer/current", None]


def test_missing_secrets_are_drawn_once_into_a_file_for_our_eyes_only(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CALLGRANT_API_KEYS=mine:key\n")
    config, drawn, path = secrets_or_drawn(
        load({"CALLGRANT_DATA_DIR": "data"}, tmp_path).changed("test", data_dir=str(tmp_path / "data"))
    )
    assert drawn == ["CALLGRANT_META_APP_SECRETS", "CALLGRANT_META_VERIFY_TOKENS"]
    assert path == tmp_path / "data" / SECRETS_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    again = load({"CALLGRANT_DATA_DIR": str(tmp_path / "data")}, tmp_path)
    assert again.names == config.names.model_copy(update={"data_dir": tmp_path / "data"})
    assert again.origins["meta_app_secrets"] == SECRETS_FILE
    assert secrets_or_drawn(again)[1] == []
    assert again.api_key == "mine:key"


def test_a_further_missing_secret_is_added_and_the_drawn_ones_stay(tmp_path: Path) -> None:
    first, _, path = secrets_or_drawn(load({"CALLGRANT_DATA_DIR": str(tmp_path)}, tmp_path))
    kept = [line for line in path.read_text().splitlines() if "API_KEYS" not in line]
    path.write_text("\n".join(kept) + "\n")
    second, drawn, _ = secrets_or_drawn(load({"CALLGRANT_DATA_DIR": str(tmp_path)}, tmp_path))
    assert drawn == ["CALLGRANT_API_KEYS"]
    assert second.names.meta_app_secrets == first.names.meta_app_secrets
    assert {field for field in DRAWN if getattr(second.names, field)} == set(DRAWN)


def test_a_child_sees_exactly_what_we_see_whatever_its_env_file_says(tmp_path: Path) -> None:
    own = {"CALLGRANT_DATA_DIR": str(tmp_path / "var")}  # else the secrets drawn in this folder would be found
    config = load({"CALLGRANT_PARTITIONS": "3", "CALLGRANT_API_KEYS": "a:b", **own}, tmp_path)
    environment = child_environment(config, {"PATH": "/bin", "CALLGRANT_API_PORT": "1"})
    (tmp_path / ".env").write_text(
        "CALLGRANT_PARTITIONS=5\nCALLGRANT_KAFKA_BOOTSTRAP=else:1\nCALLGRANT_GATEWAY_PORT=7\n"
    )
    seen = load(environment, tmp_path)
    assert seen.names == config.names.model_copy(update={"data_dir": config.data_dir})
    assert environment["PATH"] == "/bin"


def test_further_workers_have_a_store_and_a_port_of_their_own(tmp_path: Path) -> None:
    config = load({}, tmp_path)
    first, third = worker_settings(config, 1), worker_settings(config, 3)
    assert (first.port, third.port) == (8090, 8092)
    assert first.folder != third.folder


def test_a_number_without_a_country_gets_that_of_its_display_number(tmp_path: Path) -> None:
    numbers = {
        "700100200300400": {"display_phone_number": "+44 20 7946 0123"},
        "700100200300401": {"display_phone_number": "442079460124", "country": "NG"},
        "700100200300402": {"display_phone_number": "+1 555-0100"},
        "700100200300403": {"display_phone_number": "+800 1234 5678"},
        "700100200300404": {"profile": "sandbox"},
    }
    policy = DEFAULT_POLICY.model_dump(mode="json", by_alias=True) | {"numbers": numbers}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    config = load({"CALLGRANT_POLICY_FILE": str(tmp_path / "policy.json")}, tmp_path)
    for told in (worker_settings(config).policy, api_settings(config).policy):
        known = Directory(told, country_of)
        assert [known.of(number).country for number in numbers] == ["GB", "NG", None, None, None]
        assert known.of("700100200300404").profile == "sandbox"


def test_a_policy_file_that_cannot_be_used_names_its_setting(tmp_path: Path) -> None:
    config = load({"CALLGRANT_POLICY_FILE": str(tmp_path / "none.json")}, tmp_path)
    with pytest.raises(ConfigError, match="CALLGRANT_POLICY_FILE"):
        worker_settings(config)

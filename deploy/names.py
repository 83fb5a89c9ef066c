"""Every setting: its name, what it means, what is allowed and what holds when nobody sets it.

Owns that list, as one model: a field `kafka_port` is the setting `CALLGRANT_KAFKA_PORT`, its description is what an
error and `callgrant config` say. Refuses to know where values come from (`deploy.config`).
"""

import ipaddress
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

GENERATION_MOST: Final = 100_000


class Named(BaseModel):
    """A secret that says whose it is: a key's id, or the app a Meta secret belongs to (empty: any)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    secret: SecretStr


def _list(text: Any) -> Any:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


def _app_secrets(text: Any) -> Any:
    return [{"id": app, "secret": _whole(secret)} for app, _, secret in (_app(part) for part in _list(text))]


def _app(part: str) -> tuple[str, str, str]:
    return part.partition(":") if ":" in part else ("", "", part)


def _keys(text: Any) -> Any:
    parts = [part.partition(":") for part in _list(text)]
    ids = Counter(key for key, _, _ in parts)
    if "" in ids or any(times > 2 for times in ids.values()):
        raise ValueError("every key has an id, and an id has a current and a previous secret at most")
    return [{"id": key, "secret": _whole(secret)} for key, _, secret in parts]


def _whole(secret: str) -> str:
    if not secret:
        raise ValueError("a secret is empty")
    return secret


def _bootstrap(text: str) -> str:
    for server in text.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
            raise ValueError("host:port")
    return ",".join(server.strip() for server in text.split(","))


def _topic_prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", text):
        raise ValueError("not the beginning of a topic's name")
    return text


def _instant(text: Any) -> Any:
    if not isinstance(text, str) or (text.isascii() and text.isdigit() and len(text) <= 10):
        return text
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return int(moment.timestamp())


def _address(text: str) -> str:
    return text if text == "localhost" else str(ipaddress.ip_address(text))


def _url(secret: SecretStr) -> SecretStr:
    url = urlsplit(secret.get_secret_value())
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("not an HTTP address")
    return secret


Port = Annotated[int, Field(gt=0, lt=65_536)]
Tokens = Annotated[tuple[SecretStr, ...], BeforeValidator(_list)]
TOKENS_OF: Final = (
    "shared secrets, comma-separated, that {} sends in the header X-Callgrant-Token or the query parameter token; "
    "without one its door is closed"
)
PORT_OF: Final = "the port of {}: a number from 1 to 65535"


class Names(BaseModel):
    """The settings. Texts in, typed values out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(Path("var"), description="the folder for everything that is kept: a path")
    bind: Annotated[str, AfterValidator(_address)] = Field(
        "127.0.0.1", description="the address every process listens on: an IP address or localhost"
    )
    kafka_bootstrap: Annotated[str, AfterValidator(_bootstrap)] = Field(
        "", description="the Kafka cluster, host:port[,host:port…]; empty: `callgrant up` starts a broker of its own"
    )
    kafka_port: Annotated[int, Field(gt=0, lt=65_535)] = Field(
        9092,
        description="the port of the broker that `callgrant up` starts (its controller takes the next): 1 to 65534",
    )
    topic_prefix: Annotated[str, AfterValidator(_topic_prefix)] = Field(
        "callgrant.", description="what every topic and group begins with: 1 to 100 letters, digits, dots, _ or -"
    )
    partitions: Annotated[int, Field(gt=0, le=1_024)] = Field(
        8, description="the one partition count of all permission topics: 1 to 1024, never changed once there are facts"
    )
    generation: Annotated[int, Field(gt=0, le=GENERATION_MOST)] = Field(
        1, description="the generation of the fold that is read, and that alone translates: a whole number from 1"
    )
    gateway_port: Port = Field(8080, description=PORT_OF.format("the gateway"))
    api_port: Port = Field(8081, description=PORT_OF.format("the api"))
    analytics_port: Port = Field(8082, description=PORT_OF.format("the projection and its page"))
    worker_port: Port = Field(8090, description=PORT_OF.format("the first worker (further ones count up)"))
    clickhouse_url: Annotated[SecretStr, AfterValidator(_url)] | None = Field(
        None,
        description="a ClickHouse server, http(s)://[user:password@]host[:port] without a database; empty: embedded",
    )
    policy_file: Path | None = Field(None, description="Meta's numbers as a JSON file; empty: the built-in ones")
    park_until: Annotated[int | None, BeforeValidator(_instant)] = Field(
        None,
        description="the way out for a halted worker or projection: what came in up to this instant is put aside "
        "however much of it is bad; RFC 3339 with a zone or epoch seconds",
    )
    worker_static: bool = Field(
        False,
        description="whether workers keep their partitions through a restart within the session (10 s), at the price "
        "that one that is not started again is missed for as long: true or false",
    )
    meta_app_secrets: Annotated[tuple[Named, ...], BeforeValidator(_app_secrets)] = Field(
        (), description="Meta's app secrets, comma-separated [app:]secret, per app the current before the previous"
    )
    meta_verify_tokens: Tokens = Field((), description="tokens of Meta's webhook verification, comma-separated")
    api_keys: Annotated[tuple[Named, ...], BeforeValidator(_keys)] = Field(
        (),
        description="keys of those who may ask and report, comma-separated id:secret, "
        "an id at most twice: its current secret before the previous",
    )
    gupshup_tokens: Tokens = Field((), description=TOKENS_OF.format("Gupshup"))
    infobip_tokens: Tokens = Field((), description=TOKENS_OF.format("Infobip"))
    d360_tokens: Tokens = Field((), description=TOKENS_OF.format("360dialog"))
    ycloud_tokens: Tokens = Field((), description=TOKENS_OF.format("YCloud"))
    zernio_tokens: Tokens = Field((), description=TOKENS_OF.format("Zernio"))

    @model_validator(mode="after")
    def _no_port_twice(self) -> Self:
        seen: dict[int, str] = {}
        for field in ("kafka_port", "gateway_port", "api_port", "analytics_port", "worker_port"):
            port = getattr(self, field)
            if port in seen:
                first, second = f"CALLGRANT_{seen[port].upper()}", f"CALLGRANT_{field.upper()}"
                raise ValueError(f"{first} and {second} are both {port}: give each a port of its own")
            seen[port] = field
        return self


SECRETS: Final = frozenset(
    {
        "clickhouse_url",
        "meta_app_secrets",
        "meta_verify_tokens",
        "api_keys",
        "gupshup_tokens",
        "infobip_tokens",
        "d360_tokens",
        "ycloud_tokens",
        "zernio_tokens",
    }
)
"""Never shown, and readable from a file (`…_FILE`)."""


def shown(names: Names, field: str) -> Any:
    """A value as `callgrant config` may show it: of secrets only how many there are and whose."""
    value = getattr(names, field)
    if field == "clickhouse_url" and value is not None:
        url = urlsplit(value.get_secret_value())
        place = url.hostname + (f":{url.port}" if url.port else "")
        return f"{url.scheme}://{'********@' if url.username or url.password else ''}{place}{url.path}"
    if field in SECRETS:
        many = value or ()
        return ",".join(f"{one.id}:********" if isinstance(one, Named) and one.id else "********" for one in many)
    return str(value) if isinstance(value, Path) else "" if value is None else value

"""What the operator set, and the small settings class of each process built from it.

Owns where every value came from: the environment and `.env` (read by `deploy.sources`), and the secrets `up` has drawn.
Refuses a name it does not know (a typing error must not become a default), a value that is not allowed, and to show a
secret. Order of belief: environment, `.env` in the working directory, `DATA_DIR/secrets.env` (secrets only), default.
In each of them a secret may instead be named by a file (`…_FILE`). An empty value means the default.
"""

import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploy.names import SECRETS, Names
from deploy.secret_files import (
    OPENS_THE_GATEWAY,
    PROVIDER_OF,
    ApiKeys,
    keys_kept_in,
    pairs,
    provider_tokens,
    texts,
    with_secrets_of,
)
from deploy.sources import PREFIX, ConfigError, Found, believed, dotenv, known, understood

if TYPE_CHECKING:
    from projections.settings import ProjectionSettings
    from schemas.policy import Policy
    from schemas.topics import TopicNames
    from streams.api.settings import ApiSettings
    from streams.gateway.settings import GatewaySettings
    from streams.worker.settings import WorkerSettings

SECRETS_FILE: Final = "secrets.env"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings in effect. `origins`: by field name, for those that are not the default. `files`: by field name, for
    secrets that were read from one."""

    names: Names
    origins: Mapping[str, str]
    texts: Mapping[str, str]
    files: Mapping[str, Path]

    def __repr__(self) -> str:
        return f"Config({', '.join(sorted(self.origins))})"

    @property
    def data_dir(self) -> Path:
        return self.names.data_dir.absolute()

    @property
    def bootstrap(self) -> str:
        """The cluster everyone talks to: the one that was named, or the one `up` starts on this machine."""
        return self.names.kafka_bootstrap or f"127.0.0.1:{self.names.kafka_port}"

    @property
    def here(self) -> str:
        """The address under which this machine reaches what listens on `BIND`."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.names.bind, self.names.bind)  # noqa: S104 - read, not bound
        return f"[{host}]" if ":" in host else host

    def url(self, port: int) -> str:
        return f"http://{self.here}:{port}"

    @property
    def topics(self) -> "TopicNames":
        """The topics as the generation that is read calls them."""
        return self.topics_of(self.names.generation)

    def topics_of(self, generation: int) -> "TopicNames":
        from schemas.topics import TopicNames

        return TopicNames(self.names.topic_prefix, generation)

    @property
    def api_key(self) -> str | None:
        """The first key, as a request carries it (`id:secret`)."""
        keys = self.names.api_keys
        return f"{keys[0].id}:{keys[0].secret.get_secret_value()}" if keys else None

    def policy(self) -> "Policy":
        from schemas.policy import DEFAULT_POLICY, PolicyUnusable, read_policy

        path = self.names.policy_file
        if path is None:
            return DEFAULT_POLICY
        try:
            return read_policy(path.read_bytes(), str(path))
        except PolicyUnusable as fault:
            raise ConfigError(str(fault)) from fault
        except OSError as fault:
            raise ConfigError(f"CALLGRANT_POLICY_FILE: {path} cannot be read ({fault.strerror})") from fault

    def changed(self, origin: str, **texts: str) -> "Config":
        """The same settings but for these, e.g. the folder and the secrets of a demo."""
        found = {
            field: Found(text, self.origins.get(field, ""), self.files.get(field)) for field, text in self.texts.items()
        }
        return _config(found | {field: Found(text, origin) for field, text in texts.items()})

    def environment(self) -> dict[str, str]:
        """The variables that make a child process see exactly this. Every name: what is not set here must not be found
        in a `.env` there either. A secret that is kept in a file is named by it, so that the child too can read it
        again."""
        told = dict.fromkeys(Names.model_fields, "") | dict(self.texts) | {"data_dir": str(self.data_dir)}
        values = {PREFIX + field.upper(): text for field, text in told.items() if field not in self.files}
        return values | {f"{PREFIX}{field.upper()}_FILE": str(path) for field, path in self.files.items()}


def load(environ: Mapping[str, str] = os.environ, cwd: Path | None = None) -> Config:
    """The settings in effect. Raises `ConfigError` with one line per fault."""
    folder = cwd or Path.cwd()
    found = believed(environ, folder)
    data_dir = folder / (found["data_dir"].text if "data_dir" in found and found["data_dir"].text else "var")
    drawn = known(dotenv(data_dir / SECRETS_FILE), SECRETS_FILE, folder)
    for field in SECRETS & drawn.keys():
        if field not in found or not found[field].text:
            found[field] = drawn[field]
    return _config(found)


def child_environment(config: Config, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The whole environment of a child process: ours without the names of `config`, and those as they are in effect."""
    return {name: text for name, text in environ.items() if not name.startswith(PREFIX)} | config.environment()


def _config(found: Mapping[str, Found]) -> Config:
    given = {field: one for field, one in found.items() if one.text}
    return Config(
        names=understood(found),
        origins={field: one.origin for field, one in given.items()},
        texts={field: one.text for field, one in given.items()},
        files={field: one.path for field, one in found.items() if one.path is not None},
    )


def gateway_settings(config: Config) -> "GatewaySettings":
    from streams.gateway.settings import GatewaySettings
    from streams.rotation import SecretFile

    names = config.names
    return GatewaySettings(
        kafka_bootstrap=config.bootstrap,
        topic_prefix=names.topic_prefix,
        bind=names.bind,
        port=names.gateway_port,
        meta_app_secrets=pairs(names.meta_app_secrets),
        meta_verify_tokens=texts(names.meta_verify_tokens),
        api_keys=_keys(config),
        provider_tokens=tuple(chain.from_iterable(provider_tokens(names, field) for field in sorted(PROVIDER_OF))),
        secret_files=tuple(
            SecretFile(setting=f"{PREFIX}{field.upper()}_FILE", path=path, read=with_secrets_of(field))
            for field, path in config.files.items()
            if field in OPENS_THE_GATEWAY
        ),
    )


def worker_settings(config: Config, number: int = 1, generation: int | None = None) -> "WorkerSettings":
    """`number`: the how-manieth worker of this machine, from 1. It names the local store and counts the port up.
    `generation`: which one it folds; by default the one that is read, and then it translates too."""
    from streams.worker.settings import WorkerSettings

    names = config.names
    return WorkerSettings(
        kafka_bootstrap=config.bootstrap,
        topic_prefix=names.topic_prefix,
        partitions=names.partitions,
        generation=generation or names.generation,
        reading_generation=names.generation,
        data_dir=config.data_dir,
        bind=names.bind,
        port=names.worker_port + number - 1,
        policy=config.policy(),
        instance=str(number),
        park_until_at=names.park_until,
        static=names.worker_static,
    )


def api_settings(config: Config) -> "ApiSettings":
    from streams.api.settings import ApiSettings

    names = config.names
    return ApiSettings(
        kafka_bootstrap=config.bootstrap,
        topic_prefix=names.topic_prefix,
        generation=names.generation,
        bind=names.bind,
        port=names.api_port,
        api_keys=_keys(config),
        keys_again=_keys_again(config),
        policy=config.policy(),
    )


def projection_settings(config: Config, generation: int | None = None) -> "ProjectionSettings":
    """`generation`: whose database; by default the one that is read."""
    from projections.settings import ProjectionSettings

    names = config.names
    return ProjectionSettings(
        kafka_bootstrap=config.bootstrap,
        topic_prefix=names.topic_prefix,
        generation=generation or names.generation,
        data_dir=config.data_dir,
        clickhouse_url=names.clickhouse_url.get_secret_value() if names.clickhouse_url else None,
        bind=names.bind,
        port=names.analytics_port,
        api_keys=_keys(config),
        keys_again=_keys_again(config),
        park_until_at=names.park_until,
    )


def _keys(config: Config) -> ApiKeys:
    return pairs(config.names.api_keys)


def _keys_again(config: Config) -> Callable[[Callable[[ApiKeys], None]], Coroutine[Any, Any, None]] | None:
    path = config.files.get("api_keys")
    return None if path is None else keys_kept_in(path, _keys(config))

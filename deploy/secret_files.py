"""What a file of secrets says to a process that runs.

Owns how the text of such a file becomes what a shell holds, the same way as at its start. Refuses to read files and to
watch them (`streams.rotation`), and to quote what they say.
"""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from deploy.names import Named, Names
from deploy.sources import PREFIX, ConfigError, Found, one_line, understood

if TYPE_CHECKING:
    from streams.gateway.settings import GatewaySettings

ApiKeys = tuple[tuple[str, str], ...]
"""(id, secret)"""

PROVIDER_OF: Final = {
    "gupshup_tokens": "gupshup",
    "infobip_tokens": "infobip",
    "d360_tokens": "360dialog",
    "ycloud_tokens": "ycloud",
    "zernio_tokens": "zernio",
}
"""By setting: whose shared secrets these are."""
OPENS_THE_GATEWAY: Final = frozenset({"meta_app_secrets", "meta_verify_tokens", "api_keys", *PROVIDER_OF})
"""Secrets a running gateway reads again when their file changes."""


def with_secrets_of(field: str) -> Callable[["GatewaySettings", str], "GatewaySettings"]:
    """What a file of secrets does to the settings of a gateway that is running. ValueError, which quotes nothing, when
    what it says is not allowed."""

    def read(settings: "GatewaySettings", said: str) -> "GatewaySettings":
        names = _said_by(field, said)
        if field == "meta_app_secrets":
            return replace(settings, meta_app_secrets=pairs(names.meta_app_secrets))
        if field == "meta_verify_tokens":
            return replace(settings, meta_verify_tokens=texts(names.meta_verify_tokens))
        if field == "api_keys":
            return replace(settings, api_keys=pairs(names.api_keys))
        by_field = {
            other: tuple(one for one in settings.provider_tokens if one[0] == provider)
            for other, provider in sorted(PROVIDER_OF.items())
        }
        by_field[field] = provider_tokens(names, field)
        return replace(settings, provider_tokens=tuple(chain.from_iterable(by_field.values())))

    return read


def _said_by(field: str, said: str) -> Names:
    try:
        return understood({field: Found(one_line(said), "the file")})
    except ConfigError as fault:
        raise ValueError(str(fault)) from None


def keys_kept_in(path: Path, keys: ApiKeys) -> Callable[[Callable[[ApiKeys], None]], Coroutine[Any, Any, None]]:
    """Hands on the API keys whenever their file has changed them, until cancelled. `keys`: what it said before."""

    async def keep(take: Callable[[ApiKeys], None]) -> None:
        from streams.rotation import Rotation, SecretFile

        def read(_before: ApiKeys, said: str) -> ApiKeys:
            return pairs(_said_by("api_keys", said).api_keys)

        file = SecretFile(setting=f"{PREFIX}API_KEYS_FILE", path=path, read=read)
        await Rotation([file], keys, take).keep()

    return keep


def pairs(secrets: tuple[Named, ...]) -> ApiKeys:
    return tuple((one.id, one.secret.get_secret_value()) for one in secrets)


def texts(secrets: tuple[SecretStr, ...]) -> tuple[str, ...]:
    return tuple(one.get_secret_value() for one in secrets)


def provider_tokens(names: Names, field: str) -> tuple[tuple[str, str], ...]:
    return tuple((PROVIDER_OF[field], token) for token in texts(getattr(names, field)))

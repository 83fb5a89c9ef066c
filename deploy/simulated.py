"""What the simulator must be told to post a week at our gateway and be believed.

Owns that translation of our settings. Refuses to post without secrets: the door would be closed.
"""

from typing import TYPE_CHECKING

from deploy.config import Config
from deploy.sources import ConfigError

if TYPE_CHECKING:
    from streams.simulator import SimulatorConfig


def week(end_at: int, *, seed: int, pairs: int, config: Config | None = None) -> "SimulatorConfig":
    """A simulated week up to `end_at` (epoch seconds); with `config`, one that can be posted to its gateway."""
    from dataclasses import replace

    from streams.simulator import SimulatorConfig

    world = replace(SimulatorConfig.week_ending(end_at), seed=seed, pairs=pairs)
    if config is None:
        return world
    names, key = config.names, config.api_key
    if not names.meta_app_secrets or key is None:
        missing = "CALLGRANT_META_APP_SECRETS" if not names.meta_app_secrets else "CALLGRANT_API_KEYS"
        raise ConfigError(
            f"{missing} is not set, and without it the gateway's door is closed: set it, or let `callgrant up` draw it"
        )
    return replace(
        world,
        gateway_url=config.url(names.gateway_port),
        app_secret=names.meta_app_secrets[0].secret.get_secret_value(),
        api_key=key,
    )

"""What the api is told at its start. Built by `deploy/config.py` from the environment; read nowhere else."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from schemas.policy import Policy

ApiKeys = tuple[tuple[str, str], ...]
"""(id, secret); of one id the current before the previous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Settings of one api process.

    `api_keys`: (id, secret); without one the door is closed. `keys_again` hands on what they have become, until
    cancelled, where they are kept in a file. `max_lag_s`: an answer that may lack what the gateway
    acknowledged longer ago than this is not given (503). 30 s covers a rebalance of the workers (10 s session, some
    seconds of recovery) without a gap.
    `check_every_s`: how often the distance is measured, and so the least age an answer can prove.
    """

    kafka_bootstrap: str
    topic_prefix: str
    generation: int
    bind: str
    port: int
    api_keys: ApiKeys = field(repr=False)
    policy: Policy = field(repr=False)
    max_lag_s: float = 30.0
    check_every_s: float = 1.0
    keys_again: Callable[[Callable[[ApiKeys], None]], Coroutine[Any, Any, None]] | None = field(
        default=None, repr=False
    )

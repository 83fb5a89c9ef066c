"""What the projection must be told. Owns defaults and their units; refuses to read the environment (deploy does)."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ApiKeys = tuple[tuple[str, str], ...]
"""(id, secret); of one id the current before the previous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionSettings:
    """Settings of one projection process. Secrets stay out of its `repr`."""

    kafka_bootstrap: str
    topic_prefix: str
    generation: int
    data_dir: Path
    clickhouse_url: str | None = field(default=None, repr=False)  # may carry a password
    bind: str = "127.0.0.1"
    port: int = 8082
    api_keys: ApiKeys = field(default=(), repr=False)
    keys_again: Callable[[Callable[[ApiKeys], None]], Coroutine[Any, Any, None]] | None = field(
        default=None, repr=False
    )
    """Hands on what the keys have become, until cancelled, where they are kept in a file."""
    flush_rows: int = 10_000
    flush_bytes: int = 32 * 1024 * 1024
    flush_after_s: float = 1.0
    retry_first_s: float = 0.5
    retry_most_s: float = 30.0
    session_timeout_s: float = 10.0
    stop_within_s: float = 8.0
    embedded_memory_bytes: int = 2_000_000_000  # the engine's own default would be 90 % of the machine
    readers: int = 2
    park_until_at: int | None = None

    @property
    def database(self) -> str:
        """The database of this generation of the fold: `callgrant`, or `callgrant_gN` from the second on."""
        return "callgrant" if self.generation == 1 else f"callgrant_g{self.generation}"

    @property
    def store_folder(self) -> Path:
        """Where the embedded store of this generation lives."""
        return self.data_dir / ("clickhouse" if self.generation == 1 else f"clickhouse.g{self.generation}")

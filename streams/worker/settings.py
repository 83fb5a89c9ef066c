"""What a worker is told. Owns the names and their defaults; refuses to read the environment (`deploy.config` does)."""

from dataclasses import dataclass
from pathlib import Path

from schemas.policy import DEFAULT_POLICY, Policy
from schemas.topics import TopicNames


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """One worker. `instance` names its store folder under `data_dir/worker/`: one folder, one process."""

    kafka_bootstrap: str
    topic_prefix: str = "callgrant."
    partitions: int = 8
    generation: int = 1
    reading_generation: int = 1
    """The one that readers read, and that translates, decides commands and writes ticks; another only folds."""
    data_dir: Path
    bind: str = "127.0.0.1"
    port: int = 8090
    policy: Policy = DEFAULT_POLICY
    instance: str = "1"
    tick_every_s: float = 10.0
    session_timeout_s: float = 10.0
    static: bool = False
    """Whether the group knows this worker by name: back within the session it gets its partitions without a rebalance,
    and ending does not give them away."""
    broker_patience_s: float = 120.0
    """How long a starting worker waits for the broker before it gives its place back to the supervisor."""
    park_until_at: int | None = None
    """What came in up to this instant is put aside however much of it is bad: a person has seen that it is."""

    @property
    def names(self) -> TopicNames:
        """The topics as this deployment and generation call them."""
        return TopicNames(self.topic_prefix, self.generation)

    @property
    def only_folds(self) -> bool:
        """Whether this worker reads the log and writes nothing to it."""
        return self.generation != self.reading_generation

    @property
    def folder(self) -> Path:
        """Where this worker keeps its local store."""
        return self.data_dir / "worker" / self.instance

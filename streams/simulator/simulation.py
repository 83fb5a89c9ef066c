"""One simulation from its settings to its report.

Owns the settings and the order of work: draw the world, keep its books, make the deliveries, post them (`run`) or
write them down (`Simulation.to_history`). Refuses a clock: the caller says when the world ends.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from streams.simulator import history, sender
from streams.simulator.deliveries import Delivery, deliveries
from streams.simulator.happenings import DAY_S
from streams.simulator.ledger import Ledger
from streams.simulator.sender import Door, Progress, Tally
from streams.simulator.world import World, draw_world

# A living system may forget what is a month old: a world that is posted must be younger, or the books could not agree.
LONGEST_LIVE_S = 28 * DAY_S
# Two days more than a request or a temporary permission lives: some of both have run out by the end of "a week".
WEEK_AND_BEFORE_S = 9 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """What to simulate and where to send it. `duplicates` and `disorder` are shares between 0 and 1.

    The last block matters to `run` only. Secrets stay out of the repr.
    """

    start_at: int
    end_at: int
    seed: int = 1
    pairs: int = 1_250
    numbers: int = 2
    hush_s: int = 1_800
    duplicates: float = 0.10
    disorder: float = 0.15

    gateway_url: str = ""
    app_secret: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    concurrency: int = 16
    rate_per_s: float | None = None
    timeout_s: float = 20.0
    patience_s: float = 120.0
    sent_log: Path | None = None

    def __post_init__(self) -> None:
        if self.start_at >= self.end_at:
            raise ValueError("start_at must be before end_at")
        if self.start_at <= 0:
            raise ValueError("start_at must be a positive number of epoch seconds")
        for name in ("pairs", "numbers", "concurrency"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("duplicates", "disorder"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1")
        for name in ("timeout_s", "patience_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0")
        if self.rate_per_s is not None and self.rate_per_s <= 0:
            raise ValueError("rate_per_s must be more than 0, or None for as fast as it goes")
        if not 0 <= self.hush_s < DAY_S:
            raise ValueError("hush_s must be less than a day and not negative")

    @classmethod
    def week_ending(cls, end_at: int) -> "SimulatorConfig":
        """A lively week up to `end_at`, with enough before it for things to have run out by then."""
        return cls(start_at=end_at - WEEK_AND_BEFORE_S, end_at=end_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A world, its books and its deliveries: a pure function of the settings."""

    world: World
    ledger: Ledger
    deliveries: list[Delivery]

    def to_history(self, path: Path) -> int:
        """Writes the deliveries as a history file; answers its number of lines."""
        return history.write(path, self.deliveries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was caused (`ledger`) and what became of its sending (`tally`)."""

    ledger: Ledger
    tally: Tally

    @property
    def complete(self) -> bool:
        """Everything was acknowledged: only then must a system that was posted to agree with the ledger."""
        return self.tally.counts.acked == self.tally.counts.total

    def summary(self) -> str:
        counts = self.tally.counts
        took = f"in {self.tally.elapsed_s:.1f} s, {counts.repeated} repeated attempts"
        said = f"{counts.acked} of {counts.total} deliveries acknowledged {took}"
        if self.complete:
            return said
        return "\n  ".join([f"{said}; {counts.refused} refused, {counts.unknown} unknown", *self.tally.examples])


def simulate(config: SimulatorConfig) -> Simulation:
    world = draw_world(
        seed=config.seed,
        start_at=config.start_at,
        end_at=config.end_at,
        pairs=config.pairs,
        numbers=config.numbers,
        hush_s=config.hush_s,
    )
    posts = deliveries(world, seed=config.seed, duplicates=config.duplicates, disorder=config.disorder)
    return Simulation(world=world, ledger=Ledger.of(world), deliveries=posts)


async def run(config: SimulatorConfig, progress: Callable[[Progress], None] | None = None) -> Report:
    """Simulates and posts everything to the gateway. Raises `NotAccepted` when the gateway does not believe us."""
    if not config.gateway_url.startswith(("http://", "https://")):
        raise ValueError("gateway_url must start with http:// or https://")
    if not config.app_secret:
        raise ValueError("app_secret is empty: give one of the gateway's CALLGRANT_META_APP_SECRETS")
    if not config.api_key:
        raise ValueError("api_key is empty: give one of the gateway's CALLGRANT_API_KEYS, as id:secret")
    if config.end_at - config.start_at > LONGEST_LIVE_S:
        raise ValueError(
            f"at most {LONGEST_LIVE_S // DAY_S} days can be posted; write a longer world to a history file"
        )
    simulation = simulate(config)
    door = Door(
        gateway_url=config.gateway_url,
        app_secret=config.app_secret,
        api_key=config.api_key,
        concurrency=config.concurrency,
        rate_per_s=config.rate_per_s,
        timeout_s=config.timeout_s,
        patience_s=config.patience_s,
        sent_log=config.sent_log,
    )
    tally = await sender.send(simulation.deliveries, door, dice=Random(f"pauses {config.seed}"), progress=progress)
    return Report(ledger=simulation.ledger, tally=tally)

"""Every topic: its name, its key, who writes and reads it, and the settings it needs. The one registry (design 3).

Owns names and settings. Refuses to talk to a broker: `deploy.topics` creates and checks what stands here.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

MAX_RECORD_BYTES: Final = 4_718_592
"""4.5 MiB: Meta may send 3 MB; the gateway takes 4 MiB; the rest is room for headers and the batch (kafka.md)."""

DAY_MS: Final = 86_400_000
STALE_STATE_MS: Final = 9_000
"""The broker refuses a state row stamped longer ago than this: just under the worker's session of 10 s (faust.md
3.2).
"""

Spread = Literal["pairs", "free", "one"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. `spread`: `pairs` shares the one partition count of all pair topics, `free` takes any, `one` has
    one.
    """

    name: str
    key: str
    value: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    spread: Spread
    settings: dict[str, str] = field(default_factory=dict)
    derived: bool = False
    """Whether the topic belongs to a generation of the fold and carries its suffix."""


def _kept(ms: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(ms), "retention.bytes": "-1"}


_COMPACTED: Final = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.2",
    "segment.ms": str(DAY_MS),
    "max.compaction.lag.ms": str(DAY_MS),
    "delete.retention.ms": str(7 * DAY_MS),
}
FORMAT_SETTINGS: Final = ("message.format.version", "log.message.format.version")
"""By these names brokers before 4.0 tell in which form they keep records. We ask for none: newer ones know neither."""
OLDEST_FORMAT: Final = "0.11.0"
COMMON_SETTINGS: Final = {"max.message.bytes": str(MAX_RECORD_BYTES), "compression.type": "producer"}

REGISTRY: Final[tuple[Topic, ...]] = (
    Topic(
        name="webhooks.raw",
        key="none",
        value="bytes of a webhook as received; headers: provider, received_at, delivery_id, secret_slot",
        writers=("gateway",),
        readers=("worker",),
        spread="free",
        settings=_kept(30 * DAY_MS),
    ),
    Topic(
        name="actions.raw",
        key="none",
        value="one validated action as sent; headers as on webhooks.raw",
        writers=("gateway",),
        readers=("worker",),
        spread="free",
        settings=_kept(30 * DAY_MS),
    ),
    Topic(
        name="permission.events",
        key="pair",
        value="one fact, JSON: the truth",
        writers=("worker",),
        readers=("worker",),
        spread="pairs",
        settings=_kept(-1),
    ),
    Topic(
        name="permission.commands",
        key="pair",
        value="one wish, JSON",
        writers=("api",),
        readers=("worker",),
        spread="pairs",
        settings=_kept(DAY_MS),
    ),
    Topic(
        name="permission.outcomes",
        key="pair",
        value="what became of a command, JSON, by command id",
        writers=("worker",),
        readers=("api",),
        spread="pairs",
        settings=_kept(DAY_MS),
    ),
    Topic(
        name="permission.ticks",
        key="partition",
        value="an instant, JSON",
        writers=("worker",),
        readers=("worker",),
        spread="pairs",
        # Stamped by the broker: by this a worker compares its clock when it starts.
        settings={**_kept(DAY_MS), "message.timestamp.type": "LogAppendTime"},
    ),
    Topic(
        name="permission.state",
        key="pair",
        value="PairState, JSON; the changelog of the worker's table",
        writers=("worker",),
        readers=("worker", "api", "others"),
        spread="pairs",
        settings={**_COMPACTED, "message.timestamp.before.max.ms": str(STALE_STATE_MS)},
        derived=True,
    ),
    Topic(
        name="permission.changes",
        key="pair",
        value="one announcement, JSON: before, after, cause",
        writers=("worker",),
        readers=("others",),
        spread="pairs",
        settings=_kept(30 * DAY_MS),
        derived=True,
    ),
    Topic(
        name="permission.records",
        key="pair",
        value="the rows one step touched, JSON, each with a version",
        writers=("worker",),
        readers=("projection",),
        spread="pairs",
        settings=_kept(400 * DAY_MS),
        derived=True,
    ),
    Topic(
        name="business.events",
        key="business number",
        value="one fact about a number, JSON",
        writers=("worker",),
        readers=("worker",),
        spread="pairs",
        settings=_kept(-1),
    ),
    Topic(
        name="business.state",
        key="business number",
        value="BusinessState, JSON; the changelog of the worker's table of numbers",
        writers=("worker",),
        readers=("worker", "api"),
        spread="pairs",
        settings={**_COMPACTED, "message.timestamp.before.max.ms": str(STALE_STATE_MS)},
        derived=True,
    ),
    Topic(
        name="deadletters",
        key="as the origin",
        value="letters: the original bytes, headers: reason, path, detail, origin topic, partition, offset and time, "
        "then those it came with; marks: empty, headers: marks (a letter's partition:offset), outcome",
        writers=("worker", "projection", "operator"),
        readers=("operator",),
        spread="free",
        settings=_kept(30 * DAY_MS),
    ),
)


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names as one deployment and one generation of the fold sees them: prefix before, `.gN` behind derived
    ones.
    """

    prefix: str = "callgrant."
    generation: int = 1

    def of(self, name: str) -> str:
        """The full name of a registered topic, e.g. `callgrant.permission.state.g2`."""
        topic = BY_NAME[name]
        suffix = f".g{self.generation}" if topic.derived and self.generation > 1 else ""
        return f"{self.prefix}{name}{suffix}"

    def group(self, name: str) -> str:
        """A consumer group id: carries the prefix, and the generation from the second on."""
        return f"{self.prefix}{name}" if self.generation == 1 else f"{self.prefix}{name}.g{self.generation}"


def keeps_headers(version: str) -> bool:
    """Whether a form of records has headers: that of 0.11 was the first. What is no version counts as one that has."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is None or (int(found[1]), int(found[2])) >= (0, 11)


READ_BY_ONE: Final = ("webhooks.raw", "actions.raw", "permission.commands")
"""What only the reading generation consumes. These belong to no generation: a switch hands their offsets on."""

BY_NAME: Final = {topic.name: topic for topic in REGISTRY}

"""What this process knows of business numbers: a small replica of `business.state` beside the agents (design 5).

Owns when that is fresh enough to work by: before the first batch, and while the worker runs. Refuses to judge: the
directory joins policy file and rows. A batch waits here rather than be folded by what was known long ago; a replica
that never catches up is a worker without progress, which the watchdog ends.
"""

import asyncio
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from schemas.state_row import version_of
from streams.countries import country_of
from streams.kafka.replica import Replica
from streams.permission.directory import Directory
from streams.permission.number import Number
from streams.worker.exits import Code, die, told
from streams.worker.settings import WorkerSettings

STALE_S: Final = 15.0
"""Beyond the sessions of brokers and workers, far below the watchdog's patience."""
LOOK_EVERY_S: Final = 0.02


class Numbers:
    """The replica and the directory over it. To be followed in the worker's loop."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._directory = Directory(settings.policy, country_of)
        topic = settings.names.of("business.state")
        self._replica = Replica(settings.kafka_bootstrap, topic, version_of, self._directory.hear)

    @property
    def is_fresh(self) -> bool:
        """Whether everything that was written until lately has been read."""
        age_s = self._replica.age_s()
        return age_s is not None and age_s < STALE_S

    async def fresh(self) -> None:
        """Return when it is."""
        while not self.is_fresh:  # noqa: ASYNC110 - the replica has no event for growing old
            await asyncio.sleep(LOOK_EVERY_S)

    def of(self, number: str) -> Number:
        """What is known of a number."""
        return self._directory.of(number)

    def by_display(self) -> Mapping[str, str]:
        """The id of each display number that has exactly one, or one the operator names."""
        return self._directory.by_display()

    def contested(self) -> AbstractSet[str]:
        """Each display number that has several ids, while the operator names none."""
        return self._directory.contested()

    def ids(self) -> AbstractSet[str]:
        """Every id that is known, whether or not its display number is."""
        return self._directory.ids()

    async def follow(self) -> None:
        """Follow the topic until cancelled. Any other end would leave the agents waiting: the process ends."""
        try:
            await self._replica.run()
        except Exception as fault:  # noqa: BLE001 - the replica survives the broker; this is a defect
            die(Code.LANE_FAILED, "the replica of business.state failed: %s", told(fault))

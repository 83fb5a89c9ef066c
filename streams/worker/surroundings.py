"""What an agent finds around it once Faust has started: the gate, the producer, what is known of numbers.

Owns the names of these seams, so that agents can be tried without Faust. Refuses to hold anything.
"""

from typing import Protocol

from faust.types import TP

from streams.permission.number import Number
from streams.providers.known import KnowsNumbers
from streams.worker.outputs import Sender


class Gate(Protocol):
    """What an agent asks of the transport."""

    async def lease(self) -> None:
        """Return while the partitions are provably ours."""

    def committed(self, tp: TP) -> int:
        """The committed offset."""

    def end_of(self, tp: TP) -> int | None:
        """The end of a partition as of the last fetch."""

    async def end_now(self, tp: TP) -> int | None:
        """The same, asked of the broker."""


class Surroundings(Protocol):
    """What exists only once Faust has started."""

    @property
    def gate(self) -> Gate: ...
    @property
    def sender(self) -> Sender: ...


class KnownNumbers(KnowsNumbers, Protocol):
    """What this process knows of business numbers."""

    async def fresh(self) -> None:
        """Return when all that was known lately is known here."""

    def of(self, number: str) -> Number:
        """What is known of a number."""

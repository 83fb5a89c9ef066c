"""A pretend Meta with pretend users: a seeded world, its webhooks and actions, and its own books to compare with.

Owns: what happens in the pretend world, the simulator's own reading of Meta's rules, the wire shapes, delivery with
repetitions and disorder, and posting to a gateway until acknowledged. Refuses: any line of the product's code (it
speaks HTTP and nothing else), clocks inside the world, chance without a seed.
"""

from streams.simulator.ledger import END_CAUSES, FINAL_CLASSES, Ledger
from streams.simulator.rules import Permission
from streams.simulator.sender import NotAccepted, Progress, Tally
from streams.simulator.simulation import Report, Simulation, SimulatorConfig, run, simulate

__all__ = [
    "END_CAUSES",
    "FINAL_CLASSES",
    "Ledger",
    "NotAccepted",
    "Permission",
    "Progress",
    "Report",
    "Simulation",
    "SimulatorConfig",
    "Tally",
    "run",
    "simulate",
]

"""`make bench`: what things cost, measured side by side in one run. Nothing is a gate.

Each figure stands on a line `BENCH <name> <value> <unit>`; above 1 a ratio means that ours is better, except in
`worker_vs_aiokafka_loop`: our cost over the bare loop's. For some of them: `python -m tests.bench core worker`.
"""

import argparse
import os
from collections.abc import Callable
from typing import Final

from tests.bench.api import api
from tests.bench.core import core
from tests.bench.e2e import e2e
from tests.bench.gateway import gateway
from tests.bench.measure import tell
from tests.bench.pauses import pauses
from tests.bench.projection import projection
from tests.bench.recovery import recovery
from tests.bench.translation import translation
from tests.bench.worker import worker


def border() -> None:
    """A webhook from the socket to the broker's acknowledgement."""
    for figure in gateway():
        tell(*figure)


BENCHES: Final[dict[str, Callable[[], None]]] = {
    "core": core,
    "translation": translation,
    "gateway": border,
    "worker": worker,
    "recovery": recovery,
    "projection": projection,
    "api": api,
    "e2e": e2e,
    "pauses": pauses,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What things cost.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHES)}; all by default")
    names = parser.parse_args().names or list(BENCHES)
    if unknown := set(names) - BENCHES.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}: what else runs here makes all of it slower")
    for name in names:
        BENCHES[name]()


if __name__ == "__main__":
    main()

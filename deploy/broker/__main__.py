"""`python -m deploy.broker fetch|start`: the broker by hand.

`fetch` brings the jars and ends; `start` runs the broker in the foreground until Ctrl-C or TERM. Both read
`CALLGRANT_DATA_DIR` and `CALLGRANT_KAFKA_PORT`, by the same rules as every command (`deploy.sources`).
"""

import argparse
import signal
import sys
from types import FrameType

from deploy.broker import jars
from deploy.broker.troubles import BrokerTrouble
from deploy.data_folder import made_private
from deploy.names import Names
from deploy.sources import believed, understood
from deploy.trouble import Trouble


class Asked(Exception):
    """Somebody wants us to end."""


def main(arguments: list[str] | None = None) -> int:
    """Answer the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.broker",
        description="The local Kafka broker.",
        epilog="Example: CALLGRANT_KAFKA_PORT=19092 python -m deploy.broker start",
    )
    parser.add_argument("door", choices=["fetch", "start"])
    door = parser.parse_args(arguments).door
    try:
        names = understood(believed())
        made_private(names.data_dir)
        return fetch(names) if door == "fetch" else start(names)
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return trouble.exit_code
    except BrokerTrouble as trouble:
        print(trouble, file=sys.stderr)
        return 1


def fetch(names: Names) -> int:
    recorded = jars.recorded()
    fetched = jars.fetch(names.data_dir.absolute() / "cache" / "jars", recorded)
    print(f"{len(recorded)} jars of the local broker are there and right ({fetched} fetched).")
    return 0


def start(names: Names) -> int:
    from deploy.broker.node import LocalBroker

    broker = LocalBroker(data_dir=names.data_dir, port=names.kafka_port, tell=print)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ask)
    try:
        with broker:
            print(f"Kafka is ready on {broker.bootstrap}; Ctrl-C ends it.", flush=True)
            broker.wait_end()
    except Asked:
        return 0
    return 1


def _ask(_signal: int, _frame: FrameType | None) -> None:
    raise Asked


if __name__ == "__main__":
    sys.exit(main())

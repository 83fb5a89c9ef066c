"""`python -m deploy.broker fetch|start`: the broker by hand.

`fetch` brings the jars and ends; `start` runs the broker in the foreground until Ctrl-C or TERM. Both read
`CALLGRANT_DATA_DIR` and `CALLGRANT_KAFKA_PORT`, from the environment or `.env`.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.broker import jars
from deploy.broker.troubles import BrokerTrouble


class BrokerSettings(BaseSettings):
    """What this door reads; other names are other processes' business."""

    model_config = SettingsConfigDict(env_prefix="CALLGRANT_", env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Path("var")
    kafka_port: int = Field(default=9092, gt=0, lt=65_535)


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
        settings = BrokerSettings()
        return fetch(settings) if door == "fetch" else start(settings)
    except ValidationError as faults:
        for fault in faults.errors(include_url=False):
            print(f"CALLGRANT_{str(fault['loc'][0]).upper()}: {fault['msg']}", file=sys.stderr)
        return 2
    except BrokerTrouble as trouble:
        print(trouble, file=sys.stderr)
        return 1


def fetch(settings: BrokerSettings) -> int:
    recorded = jars.recorded()
    fetched = jars.fetch(settings.data_dir.absolute() / "cache" / "jars", recorded)
    print(f"{len(recorded)} jars of the local broker are there and right ({fetched} fetched).")
    return 0


def start(settings: BrokerSettings) -> int:
    from deploy.broker.node import LocalBroker

    broker = LocalBroker(data_dir=settings.data_dir, port=settings.kafka_port, tell=print)
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

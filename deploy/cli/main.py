"""The console script: assembles the commands and turns troubles into one clear text and an exit code.

Owns that, and nothing a command does. Heavy engines are imported by the command that needs them: `--help` is quick.
"""

import logging
import sys

import typer

from deploy.broker.troubles import BrokerTrouble
from deploy.cli import (
    deadletters,
    feeding,
    history,
    inspection,
    local,
    questions,
    rooms,
    schemas,
    simulation,
    topics,
    verifying,
)
from deploy.trouble import Trouble

app = typer.Typer(
    name="callgrant",
    help="May we call this user, may we ask, until when, and why: call permissions, from webhooks to answers.",
    epilog="Example: callgrant demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for room in (
    *(local, rooms, topics, simulation, feeding, history),
    *(questions, deadletters, verifying, schemas, inspection),
):
    room.add_to(app)


def main() -> None:
    """Run the command line and end this process with its exit code."""
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # what it says on the way is in our own message
    try:
        app()
    except Trouble as trouble:
        _end(str(trouble), trouble.exit_code)
    except BrokerTrouble as trouble:
        _end(str(trouble), 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _end(text: str, code: int) -> None:
    print(f"callgrant: {text}", file=sys.stderr)
    sys.exit(code)

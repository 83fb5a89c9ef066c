"""A process that does everything that could spill content into its log: `python -m tests.spilling <module> <set-up>`.

Faults whose texts, locals and arguments hold a number and a key, told by libraries, by both event loops and by us.
"""

import asyncio
import gc
import importlib
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop

NUMBER: Final = "447700900123"
KEY: Final = "tests:key-of-the-tests"


def said_by(module: str, set_up: str = "set_up") -> list[dict[str, Any]]:
    """The lines of such a process; asserts that none of them spills."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.spilling", module, set_up],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    for line in (done.stdout + done.stderr).splitlines():
        assert NUMBER not in line
        assert "key-of-the-tests" not in line
    return [json.loads(line) for line in done.stdout.splitlines()]


def fails(body: str, authorization: str) -> None:
    raise KeyError(f"{authorization} sent {body}")


async def fails_later(body: str, authorization: str) -> None:
    fails(body, authorization)


async def _unseen_faults() -> None:
    asyncio.get_running_loop().call_soon(fails, NUMBER, KEY)
    lost = asyncio.create_task(fails_later(NUMBER, KEY))
    await asyncio.wait([lost])
    del lost
    gc.collect()


def main(module: str, set_up: str) -> None:
    getattr(importlib.import_module(module), set_up)()
    for loops in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=loops) as runner:
            runner.run(_unseen_faults())
    try:
        fails(NUMBER, KEY)
    except KeyError as fault:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
        logging.getLogger("some.library").exception("Crashed reason=%r", fault)  # noqa: TRY401 - libraries do
        logging.getLogger("some.library").error(f"could not read {NUMBER!r}")  # noqa: G004, TRY400 - likewise
        logging.getLogger("some.library").error("stack", stack_info=True)  # noqa: TRY400
        logging.getLogger("some.library").error("%s by %s", NUMBER)  # noqa: PLE1206, TRY400 - a mistake of theirs
        logging.getLogger("streams.ours").exception("ours")
        if structlog.is_configured():
            structlog.get_logger("callgrant.ours").exception("ours")
            structlog.get_logger("callgrant.ours").error("ours", exc_info=fault)


if __name__ == "__main__":
    main(*sys.argv[1:])

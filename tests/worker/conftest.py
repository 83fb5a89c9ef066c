"""Deaths that can be watched: in a test the process must not end."""

import asyncio
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from streams.worker.settings import WorkerSettings


class Died(asyncio.CancelledError):
    """What `os._exit` becomes here: nothing in the room survives it, and a lane ends by it without a word."""


@dataclass(slots=True)
class Deaths:
    """The codes a worker died with in this test, and the exception by which it did."""

    died: type[Died] = Died
    codes: list[int] = field(default_factory=list)


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> Deaths:
    watched = Deaths()

    def die(code: int) -> None:
        watched.codes.append(int(code))
        raise Died(code)

    monkeypatch.setattr(os, "_exit", die)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    return watched


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    """A worker that will never reach a broker."""
    return WorkerSettings(kafka_bootstrap="127.0.0.1:1", topic_prefix="t.", partitions=1, data_dir=tmp_path, port=1)

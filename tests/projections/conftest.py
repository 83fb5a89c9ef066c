"""Stores to test against: the embedded engine, and the same engine behind HTTP, where a server is needed."""

import contextlib
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from projections.migrate import migrate
from projections.store import Store, open_embedded, open_server

SERVER = Path(__file__).parent / "chdb_server.py"


@dataclass
class ServerProcess:
    """A test server that can be killed and started again on the same port and data."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, str(SERVER), str(self.folder), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def misbehave(self, how: str, times: int = 1) -> None:
        with urllib.request.urlopen(f"{self.url}/_misbehave?how={how}&times={times}", timeout=10):  # noqa: S310
            pass


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Store]:
    """An embedded store, migrated."""
    with contextlib.closing(open_embedded(tmp_path / "clickhouse", "callgrant")) as store:
        migrate(store)
        yield store


@pytest.fixture(scope="session")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server, started once."""
    server = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server_store(server_process: ServerProcess, fresh_database: Callable[[], str]) -> Iterator[Store]:
    """A database of one's own on the server, migrated."""
    with contextlib.closing(open_server(server_process.url, fresh_database())) as store:
        migrate(store)
        yield store


@pytest.fixture(scope="session")
def fresh_database() -> Callable[[], str]:
    """Names of databases that no other test uses."""
    names = iter(f"callgrant_g{number}" for number in range(2, 10_000))
    return lambda: next(names)


@pytest.fixture(params=["embedded", "server"])
def store(request: pytest.FixtureRequest) -> Store:
    """Either kind of store: what holds for one holds for the other."""
    found = request.getfixturevalue("embedded" if request.param == "embedded" else "server_store")
    assert isinstance(found, Store)
    return found

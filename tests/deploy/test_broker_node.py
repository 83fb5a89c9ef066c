"""What is told when the broker cannot start, and that it cannot outlive us; without a broker."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.broker.folder import Folder, new_cluster_id
from deploy.broker.node import LocalBroker
from deploy.broker.troubles import FolderTaken, PortTaken
from tests.conftest import ROOT
from tests.ports import free_pair


def told_when_taking(root: Path) -> str | None:
    """Take the folder and give it back."""
    folder = Folder(root)
    stale = folder.lock()
    folder.unlock(clean=True)
    return stale


@pytest.fixture
def port() -> int:
    return free_pair()


@pytest.fixture
def taken(request: pytest.FixtureRequest, port: int) -> Iterator[int]:
    """A port that somebody listens on: the broker's, or that plus `request.param`."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port + request.param))
        listener.listen()
        yield port + request.param


@pytest.mark.parametrize("taken", [0, 1], indirect=True)
def test_a_taken_port_of_broker_or_controller_is_told_with_the_setting(tmp_path: Path, port: int, taken: int) -> None:
    node = LocalBroker(data_dir=tmp_path, port=port)
    with pytest.raises(PortTaken, match=rf"port {taken}.*CALLGRANT_KAFKA_PORT"):
        node.start()
    assert not node.alive()
    assert told_when_taking(tmp_path / "kafka") is None  # free again, and nothing to be told


def test_the_last_port_leaves_none_for_the_controller(tmp_path: Path) -> None:
    with pytest.raises(PortTaken, match="65536 is no port for the broker's controller"):
        LocalBroker(data_dir=tmp_path, port=65_535).start()


def test_a_folder_in_use_is_told_with_the_pid_that_uses_it(tmp_path: Path, port: int) -> None:
    other = Folder(tmp_path / "kafka")
    other.lock()
    other.sign(4711, 9092)
    with pytest.raises(FolderTaken, match=r"pid 4711, port 9092.*CALLGRANT_DATA_DIR"):
        LocalBroker(data_dir=tmp_path, port=port).start()
    other.unlock(clean=True)


def test_a_lock_left_by_a_crash_is_recognised_as_stale(tmp_path: Path) -> None:
    crashed = Folder(tmp_path)
    crashed.lock()
    crashed.sign(4711, 9092)
    crashed.unlock(clean=False)
    stale = told_when_taking(tmp_path)
    assert stale is not None
    assert "pid 4711" in stale
    assert "did not end cleanly" in stale


def test_after_a_clean_end_nothing_is_told(tmp_path: Path) -> None:
    ended = Folder(tmp_path)
    ended.lock()
    ended.sign(4711, 9092)
    ended.unlock(clean=True)
    assert told_when_taking(tmp_path) is None


def test_a_lock_file_that_cannot_be_read_does_not_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(b"\x00garbage")
    assert "did not end cleanly" in (told_when_taking(tmp_path) or "")


def test_cluster_ids_are_drawn_in_kafkas_form() -> None:
    drawn = {new_cluster_id() for _ in range(200)}
    assert len(drawn) == 200
    assert all(len(one) == 22 and not one.startswith("-") for one in drawn)


PARENT = """
import sys
from pathlib import Path
from deploy.broker.child import Child

child = Child([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"],
              cwd=Path.cwd(), log=sys.stdout.buffer, keep=[])
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_broker_ends_when_the_process_that_started_it_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lines = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}
        (pid,) = lines - {"up"}
        child = psutil.Process(int(pid))
        os.kill(parent.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs([child], timeout=120)
        assert alive == []

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.supervisor.premises import Occupied, alone_in, check_ports, taken
from tests.ports import free_port


def test_a_second_one_in_the_same_folder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    told = rf"\(pid {os.getpid()}\).*CALLGRANT_DATA_DIR"
    with alone_in(tmp_path), pytest.raises(Occupied, match=told), alone_in(tmp_path):
        pytest.fail("two in one folder")
    with alone_in(tmp_path):
        pass


def test_the_folder_is_free_again_after_its_holder_was_killed(tmp_path: Path) -> None:
    code = f"""
import pathlib, os, signal
from deploy.supervisor.premises import alone_in
with alone_in(pathlib.Path({str(tmp_path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode < 0
    with alone_in(tmp_path):
        assert (tmp_path / "up.lock").read_text() == f"{os.getpid()}\n"


def test_a_port_in_use_is_told_with_the_setting_that_moves_it() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        assert taken("127.0.0.1", port) is not None
        with pytest.raises(Occupied, match=rf"port {port} \(CALLGRANT_API_PORT \+ 1\) .* set CALLGRANT_API_PORT to"):
            check_ports("127.0.0.1", {"CALLGRANT_GATEWAY_PORT": free_port(), "CALLGRANT_API_PORT + 1": port})


def test_one_port_for_two_and_a_port_beyond_the_last_are_told() -> None:
    port = free_port()
    with pytest.raises(Occupied) as fault:
        check_ports("127.0.0.1", {"A": port, "B": port, "C": 65_536})
    assert [line.partition(":")[0] for line in str(fault.value).splitlines()] == [f"A and B are both {port}", "C"]


def test_free_ports_are_no_fault() -> None:
    check_ports("127.0.0.1", {"A": free_port()})

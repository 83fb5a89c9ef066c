import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.spilling import NUMBER, said_by


def test_a_fault_is_told_by_type_and_place_and_nothing_of_it_is_quoted() -> None:
    lines = said_by("streams.gateway.log")
    assert all(line["level"] for line in lines)
    assert {line.get("fault") for line in lines} == {"KeyError", None}
    assert all("__main__:" in line["at"] for line in lines if "fault" in line)
    asgi = next(line for line in lines if line.get("logger") == "uvicorn.error")
    assert (asgi["event"], asgi["template"], asgi["fault"]) == ("library", "Exception in ASGI application", "KeyError")
    assert sum(line["event"] == "ours" for line in lines) == 2


def test_a_library_s_line_keeps_the_words_before_anything_it_may_quote() -> None:
    told = [line["template"] for line in said_by("streams.gateway.log") if line.get("logger") == "some.library"]
    assert told == ["Crashed reason", "could not read", "stack", "%s by %s"]
    lost = [line["template"] for line in said_by("streams.gateway.log") if line.get("logger") == "asyncio"]
    assert lost.count("Task exception was never retrieved") == 2


def test_on_a_terminal_a_person_reads_columns_and_they_spill_nothing_either() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.spilling", "streams.gateway.log", "set_up_for_people"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    said = done.stdout + done.stderr
    assert NUMBER not in said
    assert "key-of-the-tests" not in said
    lines = said.splitlines()
    assert not any(line.startswith("{") for line in lines)
    assert sum("KeyError" in line and "__main__:" in line for line in lines) >= 3


@pytest.mark.parametrize("terminal", [True, False])
def test_the_form_follows_from_where_stdout_goes(terminal: bool) -> None:
    code = (
        "from streams.gateway.log import set_up; import structlog; set_up(); structlog.get_logger().info('here', n=1)"
    )
    ours, theirs = os.openpty() if terminal else os.pipe()
    subprocess.run([sys.executable, "-c", code], stdout=theirs, check=True, cwd=Path(__file__).parents[2])
    os.close(theirs)
    said = os.read(ours, 4_096).decode()
    os.close(ours)
    assert "here" in said
    assert said.startswith("{") is not terminal

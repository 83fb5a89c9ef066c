from pathlib import Path

import pytest

from streams.worker.codes import Code
from streams.worker.exits import die
from streams.worker.lives import FILE, KILLED, Lives, last_exit, lives
from streams.worker.measures import Measures
from tests.worker.conftest import Deaths


def test_the_first_life_of_a_folder_knows_of_none_before(tmp_path: Path) -> None:
    assert Lives().begins(tmp_path) is None


def test_a_life_that_said_why_it_ended_is_told_to_the_next(tmp_path: Path) -> None:
    first = Lives()
    first.begins(tmp_path)
    first.ends(Code.STALLED, "no progress for 90 s (stall)")

    ended = Lives().begins(tmp_path)
    assert ended is not None
    assert (ended.reason, ended.code, ended.text) == ("stalled", Code.STALLED, "no progress for 90 s (stall)")


def test_a_life_that_said_nothing_was_killed(tmp_path: Path) -> None:
    Lives().begins(tmp_path)
    ended = Lives().begins(tmp_path)

    assert ended is not None
    assert (ended.reason, ended.code) == (KILLED, None)


@pytest.mark.parametrize("held", [b"", b"{", b"[]", b'{"reason": "x"}'])
def test_a_file_that_cannot_be_read_is_no_life(tmp_path: Path, held: bytes) -> None:
    (tmp_path / FILE).write_bytes(held)
    assert last_exit(tmp_path) is None


def test_last_words_that_cannot_be_written_are_lost_and_nothing_else(tmp_path: Path) -> None:
    gone = Lives()
    gone.begins(tmp_path)
    (tmp_path / FILE).unlink()
    tmp_path.rmdir()

    gone.ends(Code.STORE_FULL)


def test_a_death_is_left_in_the_folder_and_exported_by_the_next_life(
    tmp_path: Path, deaths: Deaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lives, "_file", None)
    lives.begins(tmp_path)
    with pytest.raises(deaths.died):
        die(Code.LANE_FAILED, "the batch of %s failed", "t-0 up to 7")

    measures = Measures()
    measures.last_exit = lives.begins(tmp_path)
    assert measures.last_exit is not None
    assert measures.last_exit.text == "the batch of t-0 up to 7 failed"
    assert 'callgrant_worker_last_exit{reason="lane_failed"} ' in measures.page().decode()
    monkeypatch.setattr(lives, "_file", None)

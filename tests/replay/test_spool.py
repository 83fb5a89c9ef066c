import pytest

from streams.replay.spool import Spool


@pytest.mark.parametrize("run_lines", [2, 3, 100])
def test_lines_come_sorted_by_key_however_many_fit_in_memory(run_lines: int) -> None:
    with Spool(run_lines) as spool:
        for key in (b"c", b"a", b"b", b"aa", b"d", b"a", b"\x01"):
            spool.add(key, b"{" + key + b"}")
        assert list(spool.lines()) == [b"{\x01}", b"{a}", b"{aa}", b"{b}", b"{c}", b"{d}"]


@pytest.mark.parametrize("run_lines", [1, 2, 100])
def test_of_several_lines_of_one_key_the_first_is_kept(run_lines: int) -> None:
    with Spool(run_lines) as spool:
        for place in range(5):
            spool.add(b"key", str(place).encode())
        assert list(spool.lines()) == [b"0"]


def test_nothing_is_sorted_too() -> None:
    with Spool() as spool:
        assert list(spool.lines()) == []

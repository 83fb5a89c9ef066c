"""The figures of a recovery speak of pairs, of which each has two rows here."""

import pytest

from tests.bench.recovery import Recovered, Took, figures, shares

EMPTY = Took(wall_s=5.0, cpu_s=3.0)
FOUND = Recovered(
    pairs=100_000,
    rows=200_000,
    faust_rows=40_000,
    ours_empty=EMPTY,
    ours=Took(wall_s=9.0, cpu_s=5.0),
    ours_again=Took(wall_s=2.0, cpu_s=1.5),
    faust_empty=EMPTY,
    faust=Took(wall_s=20.0, cpu_s=11.0),
    on_disk_bytes=40_000_000,
)


def test_seconds_and_bytes_are_told_by_pairs_and_the_ratio_by_rows() -> None:
    told = {name: value for name, value, _ in figures(FOUND)}
    assert told["recovery_pairs"] == 100_000
    assert told["recovery_s_per_million_pairs"] == pytest.approx(40.0)
    assert told["recovery_s_per_million"] == told["recovery_s_per_million_pairs"]
    assert told["recovery_cpu_s_per_million_pairs"] == pytest.approx(20.0)
    assert told["recovery_faust_cpu_s_per_million_pairs"] == pytest.approx(400.0)
    assert told["recovery_vs_faust"] == pytest.approx(20.0)
    assert told["recovery_as_it_passed_vs_faust"] == pytest.approx(18.75)
    assert (told["row_disk_bytes"], told["pair_disk_bytes"]) == (200, 400)


@pytest.mark.parametrize(("wanted", "made"), [("", 100_000), ("2000", 2_000), ("7000", 10_000), ("1000000", 1_000_000)])
def test_as_many_pairs_are_made_as_asked_for_or_some_more(
    monkeypatch: pytest.MonkeyPatch, wanted: str, made: int
) -> None:
    monkeypatch.setenv("BENCH_RECOVERY_PAIRS", wanted)
    simulated, told_again = shares()
    assert simulated * told_again == made

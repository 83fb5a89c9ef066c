from tests.mutants.__main__ import sampled
from tests.mutants.asking import Change
from tests.mutants.score import Score, together


def change(file: str, line: int) -> Change:
    return Change(file=file, function="f", line=line, source="", changed="", before="", after="")


FOUND = [change(file, line) for file in ("windows", "streak") for line in range(100)]


def test_where_all_changes_were_asked_the_share_is_certain() -> None:
    score = Score("windows", whole=100, asked=100, noticed=96)
    assert (score.share, score.variance) == (0.96, 0.0)
    assert str(score).split() == ["windows", "96", "of", "100", "noticed", "96.0%"]


def test_where_some_were_drawn_the_margin_is_said_and_shrinks_as_more_are_asked() -> None:
    assert str(Score("step", whole=850, asked=120, noticed=108)).endswith("90.0% ± 5.2%, drawn from 850")
    wide, narrow = (Score("step", whole=850, asked=asked, noticed=asked) for asked in (10, 800))
    assert wide.variance > narrow.variance > 0, "ten of ten are not all"


def test_together_each_file_weighs_what_it_has() -> None:
    few, many = Score("windows", whole=100, asked=100, noticed=100), Score("step", whole=300, asked=100, noticed=80)
    line = together([few, many])
    assert line.split()[:6] == ["all", "180", "of", "200", "noticed", "85.0%"]
    assert line.endswith("drawn from 400")


def test_a_drawing_is_the_same_for_the_same_seed_whatever_other_files_are_asked() -> None:
    drawn = sampled(FOUND, 20, 7)
    assert drawn == sampled(FOUND, 20, 7)
    assert [one for one in drawn if one.file == "streak"] == sampled(FOUND[100:], 20, 7)
    assert len(drawn) == len({(one.file, one.line) for one in drawn}) == 40
    assert drawn != sampled(FOUND, 20, 8)
    assert sampled(FOUND, 200, 7) == sampled(FOUND, None, 7) == FOUND
